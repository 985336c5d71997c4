//! [`sockeye_fuzz::engineio`] by libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockeye_fuzz::engineio::run(input));
