//! What compressing and inflating cost: the figures behind the defaults of
//! `deflate::Compression`.
//!
//! ```sh
//! cargo run --release -p sockeye-websocket --example deflate
//! ```

use std::hint::black_box;
use std::time::Instant;

use sockeye_websocket::{
    Connection, Limits, OpCode, Role,
    deflate::{Compression, Compressor, Compressors, Context, Inflater, Params, WindowBits},
};

/// Messages of each size, all different.
const MESSAGES: usize = 64;

/// Rounds over all messages, of which the fastest counts.
const ROUNDS: usize = 60;

/// JSON as applications send it: names again and again, numbers that differ.
fn json(len: usize, seed: u64) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252 + seed * 7919;
    let mut random = |max: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % max
    };
    let mut text = String::from("42[\"prices\",[");
    while text.len() < len {
        text += &format!(
            "{{\"id\":{},\"symbol\":\"{}\",\"price\":{}.{:02},\"volume\":{},\"side\":\"{}\"}},",
            random(100_000),
            ["AAPL", "MSFT", "GOOG", "AMZN", "TSLA"][random(5) as usize],
            random(1000),
            random(100),
            random(10_000),
            ["buy", "sell"][random(2) as usize],
        );
    }
    text.truncate(len - 2);
    text += "]]";
    text.into_bytes()
}

/// Nanoseconds for one message.
fn time(mut round: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        round();
        best = best.min(start.elapsed().as_nanos() as f64 / MESSAGES as f64);
    }
    best
}

fn main() {
    compressing();
    inflating();
}

fn compressing() {
    println!("compressing      without takeover        with takeover");
    println!(" bytes level mem       ns   becomes         ns   becomes");
    for size in [1024, 4096, 16_384, 65_536] {
        let messages: Vec<_> = (0..MESSAGES).map(|seed| json(size, seed as u64)).collect();
        for level in [1, 2, 3, 6, 9] {
            for mem_level in [8, 6, 4] {
                let compression = Compression { threshold: 0, level, mem_level };
                let window = WindowBits::MAX;
                let (mut compressors, mut compressor) =
                    (Compressors::new(), Compressor::new(window, &compression));
                let mut out = Vec::with_capacity(4 * size);
                let mut bytes = [0; 2];
                let alone = time(|| {
                    bytes[0] = 0;
                    for message in &messages {
                        out.clear();
                        let opcode = OpCode::Text;
                        compressors.append(&mut out, window, &compression, opcode, message, None);
                        bytes[0] += out.len();
                    }
                });
                let takeover = time(|| {
                    bytes[1] = 0;
                    for message in &messages {
                        out.clear();
                        compressor.append(&mut out, OpCode::Text, message, None);
                        bytes[1] += out.len();
                    }
                });
                let [a, b] = bytes.map(|bytes| 100 * bytes / (MESSAGES * size));
                println!(
                    "{size:6} {level:5} {mem_level:3} {alone:8.0} {a:7} % {takeover:10.0} {b:7} %"
                );
            }
        }
    }
}

fn inflating() {
    println!("\ninflating at a client");
    println!(" bytes      plain  compressed  with takeover, ns");
    let limits = Limits::default();
    let mut inflater = Inflater::new();
    for size in [1024, 16_384] {
        let messages: Vec<_> = (0..MESSAGES).map(|seed| json(size, seed as u64)).collect();
        let figures = [None, Some(false), Some(true)].map(|takeover| {
            let compression = Compression { threshold: 0, ..Compression::default() };
            let mut compressors = Compressors::new();
            let mut connection = Connection::new(Role::Client);
            if let Some(takeover) = takeover {
                let context = Context { takeover, ..Context::default() };
                let params = Params { client: context, server: context };
                connection = connection.with_deflate(params);
            }
            let mut wire = Vec::new();
            for message in &messages {
                if takeover.is_some() {
                    let (window, opcode) = (WindowBits::MAX, OpCode::Text);
                    compressors.append(&mut wire, window, &compression, opcode, message, None);
                } else {
                    sockeye_websocket::frame::append(&mut wire, OpCode::Text, message);
                }
            }
            time(|| {
                let mut events = connection.receive(&limits, &mut inflater, &mut wire);
                while let Some(event) = events.next() {
                    black_box(event.expect("we keep to the protocol"));
                }
            })
        });
        let [plain, compressed, takeover] = figures;
        println!("{size:6} {plain:10.0} {compressed:11.0} {takeover:14.0}");
    }
}
