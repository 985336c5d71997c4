//! [`sockeye_fuzz::frames`] by libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockeye_fuzz::frames::run(input));
