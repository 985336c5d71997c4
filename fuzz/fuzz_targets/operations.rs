//! [`sockeye_fuzz::operations`] by libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockeye_fuzz::operations::run(input));
