//! [`sockeye_fuzz::extensions`] by libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockeye_fuzz::extensions::run(input));
