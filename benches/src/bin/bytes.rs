//! What is done to every byte of a message, beside copying it: masking (RFC 6455 §5.3) and checking that a text is
//! UTF-8 (§8.1). Prints gigabytes per second, medians of interleaved rounds, and their ratios to the copy.
//!
//! `cargo run --release --bin bytes -- [--rounds N] [--core N]`

use std::hint::black_box;
use std::time::{Duration, Instant};

use clap::Parser;
use sockeye_benches::proc;
use sockeye_websocket::{Connection, Event, Limits, OpCode, Role, deflate::Inflater, frame, mask};

/// Prints how fast masking and checking are beside a copy.
#[derive(Debug, Parser)]
#[command(name = "bytes")]
struct Args {
    /// Measurements of each cell.
    #[arg(long, default_value_t = 31)]
    rounds: usize,
    /// The core to run on.
    #[arg(long, default_value_t = 0)]
    core: usize,
}

/// A measurement lasts at least as long.
const LEAST: Duration = Duration::from_millis(1);

/// From what fits in a small frame to what fits in no cache of a core's own.
const SIZES: [usize; 6] = [20, 125, 1024, 16 * 1024, 256 * 1024, 4 * 1024 * 1024];

const KEY: mask::Key = [0x37, 0xFA, 0x21, 0x3D];

/// What is measured; the first is what the others are compared with. Receiving a frame is all of it: its head,
/// unmasking, and for a text the check; how fast the standard library would check stands beside it.
const WORKS: [(&str, Work); 10] = [
    ("copy", |s| black_box(&mut s.room).copy_from_slice(black_box(&s.bytes))),
    ("mask", |s| mask::apply(KEY, 0, black_box(&mut s.bytes))),
    ("framed", |s| {
        s.framed.clear();
        frame::append(&mut s.framed, OpCode::Binary, black_box(&s.bytes));
        black_box(&s.framed);
    }),
    ("received: binary", |s| receive(&mut s.binary_frame, &s.limits, &mut s.inflater)),
    ("received: ASCII", |s| receive(&mut s.ascii_frame, &s.limits, &mut s.inflater)),
    ("received: German", |s| receive(&mut s.latin_frame, &s.limits, &mut s.inflater)),
    ("received: Chinese", |s| receive(&mut s.chinese_frame, &s.limits, &mut s.inflater)),
    ("checked by std: ASCII", |s| check(&s.ascii)),
    ("checked by std: German", |s| check(&s.latin)),
    ("checked by std: Chinese", |s| check(&s.chinese)),
];

fn check(text: &str) {
    black_box(std::str::from_utf8(black_box(text.as_bytes())).is_ok());
}

type Work = fn(&mut Setting);

/// What the works need, for one size.
struct Setting {
    size: usize,
    room: Vec<u8>,
    bytes: Vec<u8>,
    framed: Vec<u8>,
    ascii: String,
    latin: String,
    chinese: String,
    /// Whole masked frames. Their key is zero, so that unmasking leaves them as they are for the next time.
    binary_frame: Vec<u8>,
    ascii_frame: Vec<u8>,
    latin_frame: Vec<u8>,
    chinese_frame: Vec<u8>,
    limits: Limits,
    inflater: Inflater,
}

impl Setting {
    fn new(size: usize) -> Self {
        let ascii = text("The quick brown fox jumps over the lazy dog. ", size);
        let latin = text("Der schöne Fuß hüpft über die Straße zurück. ", size);
        let chinese = text("鱼逆流而上，也顺流而下。", size);
        let frame = |opcode, payload: &[u8]| {
            let mut frame = Vec::new();
            frame::append_masked(&mut frame, opcode, payload, [0; 4]);
            frame
        };
        Self {
            size,
            room: vec![0; size],
            framed: Vec::new(),
            bytes: ascii.clone().into_bytes(),
            binary_frame: frame(OpCode::Binary, ascii.as_bytes()),
            ascii_frame: frame(OpCode::Text, ascii.as_bytes()),
            latin_frame: frame(OpCode::Text, latin.as_bytes()),
            chinese_frame: frame(OpCode::Text, chinese.as_bytes()),
            ascii,
            latin,
            chinese,
            limits: Limits { max_message_size: size, ..Limits::default() },
            inflater: Inflater::default(),
        }
    }
}

/// So many bytes of a text, filled up with dots where a character does not fit.
fn text(words: &str, size: usize) -> String {
    let mut text = words.repeat(size / words.len() + 1);
    let end = (0..=size).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default();
    text.truncate(end);
    text.extend(std::iter::repeat_n('.', size - end));
    text
}

/// Receives a frame, as a server does.
fn receive(frame: &mut [u8], limits: &Limits, inflater: &mut Inflater) {
    let mut connection = Connection::new(Role::Server);
    let mut events = connection.receive(limits, inflater, black_box(frame));
    match events.next() {
        Some(Ok(Event::Text(text))) => drop(black_box(text)),
        Some(Ok(Event::Binary(bytes))) => drop(black_box(bytes)),
        other => panic!("a message is expected, not {other:?}"),
    }
}

fn main() -> std::io::Result<()> {
    let args = Args::parse();
    proc::pin_to(args.core)?;
    let mut table = String::from("| | ");
    let mut settings: Vec<Setting> = SIZES.into_iter().map(Setting::new).collect();
    for size in SIZES {
        table += &match size {
            0..1024 => format!("{size} B | "),
            1024..0x10_0000 => format!("{} KiB | ", size / 1024),
            _ => format!("{} MiB | ", size / 0x10_0000),
        };
    }
    println!("{table}\n|---|{}", "--:|".repeat(SIZES.len()));
    let mut speeds = vec![vec![Vec::new(); SIZES.len()]; WORKS.len()];
    for _ in 0..args.rounds {
        for (of_work, (_, work)) in speeds.iter_mut().zip(WORKS) {
            for (of_size, setting) in of_work.iter_mut().zip(&mut settings) {
                of_size.push(gigabytes_per_second(work, setting));
            }
        }
    }
    let medians: Vec<Vec<f64>> =
        speeds.into_iter().map(|of_work| of_work.into_iter().map(median).collect()).collect();
    for ((name, _), of_work) in WORKS.iter().zip(&medians) {
        let cells = of_work.iter().zip(&medians[0]);
        let cells: String =
            cells.map(|(speed, copy)| format!(" {speed:.1} ({:.2}) |", speed / copy)).collect();
        println!("| {name} |{cells}");
    }
    Ok(())
}

fn gigabytes_per_second(work: Work, setting: &mut Setting) -> f64 {
    // Whatever ran before has used the caches.
    work(setting);
    let mut times = 1_u32;
    loop {
        let start = Instant::now();
        for _ in 0..times {
            work(setting);
        }
        let took = start.elapsed();
        if took >= LEAST {
            return setting.size as f64 * f64::from(times) / took.as_nanos() as f64;
        }
        times *= 2;
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
