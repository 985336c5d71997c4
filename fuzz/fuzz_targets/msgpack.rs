//! [`sockeye_fuzz::msgpack`] by libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockeye_fuzz::msgpack::run(input));
