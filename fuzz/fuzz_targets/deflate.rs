//! [`sockeye_fuzz::deflate`] by libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockeye_fuzz::deflate::run(input));
