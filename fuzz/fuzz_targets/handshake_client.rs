//! [`sockeye_fuzz::handshake_client`] by libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockeye_fuzz::handshake_client::run(input));
