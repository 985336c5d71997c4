//! [`sockeye_fuzz::socketio`] by libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockeye_fuzz::socketio::run(input));
