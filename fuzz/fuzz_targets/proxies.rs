//! [`sockeye_fuzz::proxies`] by libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockeye_fuzz::proxies::run(input));
