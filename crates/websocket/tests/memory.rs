//! What compression costs on the heap: what is said of it is true, and nothing is allocated for a
//! message once everything is there.

use sockeye_testkit::alloc::{Counting, alone};
use sockeye_websocket::{
    CloseCode, Connection, Eof, Event, Limits, OpCode, Role,
    deflate::{Compression, Compressor, Compressors, Context, Inflater, Params, WindowBits},
};

#[global_allocator]
static HEAP: Counting = Counting::new();

fn windows() -> impl Iterator<Item = WindowBits> {
    (8..=15).map(|bits| WindowBits::new(bits).expect("8 to 15"))
}

/// JSON as applications send it, different each time.
fn json(seed: usize, len: usize) -> String {
    let mut text = String::from("[");
    while text.len() < len {
        let n = text.len() * 31 + seed;
        text += &format!("{{\"id\":{n},\"symbol\":\"{}\",\"price\":{}}},", n % 7, n * n % 9973);
    }
    text
}

fn compressed(text: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    let compression = Compression { threshold: 0, ..Compression::default() };
    let mut compressors = Compressors::new();
    let window = WindowBits::MAX;
    assert!(compressors.append(
        &mut frame,
        window,
        &compression,
        OpCode::Text,
        text.as_bytes(),
        None
    ));
    frame
}

fn client(takeover: bool) -> Connection {
    let context = Context { takeover, ..Context::default() };
    Connection::new(Role::Client).with_deflate(Params { client: context, server: context })
}

#[track_caller]
fn receive(connection: &mut Connection, inflater: &mut Inflater, frame: &mut [u8], text: &str) {
    let limits = Limits::default();
    let mut events = connection.receive(&limits, inflater, frame);
    assert!(matches!(events.next(), Some(Ok(Event::Text(received))) if received == text));
    assert!(events.next().is_none());
}

/// Measures until the same comes out twice: at some moment the thread starts that watches over a
/// test that is [`alone`], and has blocks of its own.
fn steady<T: PartialEq>(mut measure: impl FnMut() -> T) -> T {
    let mut last = measure();
    loop {
        let this = measure();
        if this == last {
            return this;
        }
        last = this;
    }
}

/// The bytes that are there behind `make` and were not before, and what it made.
fn grown<T>(make: impl FnOnce() -> T) -> (i64, T) {
    let before = HEAP.live_bytes();
    let made = make();
    (HEAP.live_bytes() - before, made)
}

/// How often `work` asks for a block.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = HEAP.allocations();
    work();
    HEAP.allocations() - before
}

#[test]
fn a_compressor_takes_what_it_says() {
    alone("a_compressor_takes_what_it_says", || {
        let text = json(1, 10_000);
        for mem_level in 0..=10 {
            let compression = Compression { mem_level, ..Compression::default() };
            for window in windows() {
                let (size, used) = steady(|| {
                    let (size, mut compressor) = grown(|| Compressor::new(window, &compression));
                    let mut frame = Vec::with_capacity(20_000);
                    let used = allocations(|| {
                        assert!(compressor.append(&mut frame, OpCode::Text, text.as_bytes(), None));
                    });
                    (size, used)
                });
                let said = compression.compressor_size(window);
                assert_eq!((size as usize, used), (said, 0), "{window:?}, {mem_level}");
            }
        }
    });
}

#[test]
fn an_inflater_allocates_when_it_is_needed_and_then_no_more() {
    alone("an_inflater_allocates_when_it_is_needed_and_then_no_more", || {
        let texts: Vec<_> = (0..20).map(|seed| json(seed, 2000)).collect();
        let frames: Vec<_> = texts.iter().map(|text| compressed(text)).collect();
        let large = json(0, 900_000);
        let large_frame = compressed(&large);

        let (unused, used, again, remains) = steady(|| {
            let mut wire = frames.clone();
            let mut large_wire = large_frame.clone();
            let mut connection = client(false);
            let (unused, mut inflater) = grown(Inflater::new);
            let (used, ()) =
                grown(|| receive(&mut connection, &mut inflater, &mut wire[0], &texts[0]));
            let again = allocations(|| {
                for (frame, text) in wire.iter_mut().zip(&texts).skip(1) {
                    receive(&mut connection, &mut inflater, frame, text);
                    assert_eq!(connection.buffered(), 0);
                }
            });
            let (remains, ()) =
                grown(|| receive(&mut connection, &mut inflater, &mut large_wire, &large));
            (unused, used, again, remains)
        });
        println!("inflater: {used} bytes");
        assert_eq!((unused, again), (0, 0), "before it is needed, and for small messages");
        assert!((40_000..70_000).contains(&used), "{used} bytes");
        assert!(remains <= 0, "{remains} bytes of a large message");
    });
}

#[test]
fn compressors_allocate_when_they_are_needed_and_then_no_more() {
    alone("compressors_allocate_when_they_are_needed_and_then_no_more", || {
        let texts: Vec<_> = (0..20).map(|seed| json(seed, 2000)).collect();
        let compression = Compression::default();
        for window in windows() {
            let (unused, used, again) = steady(|| {
                let (unused, mut compressors) = grown(Compressors::new);
                let mut frame = Vec::with_capacity(4000);
                let mut append = |text: &str| {
                    frame.clear();
                    let text = text.as_bytes();
                    let opcode = OpCode::Text;
                    assert!(compressors.append(
                        &mut frame,
                        window,
                        &compression,
                        opcode,
                        text,
                        None
                    ));
                };
                let (used, ()) = grown(|| append(&texts[0]));
                let again = allocations(|| texts.iter().for_each(|text| append(text)));
                (unused, used, again)
            });
            let said = compression.compressor_size(window);
            assert_eq!((unused, used as usize, again), (0, said, 0), "{window:?}");
        }
    });
}

#[test]
fn a_peer_with_context_takeover_costs_its_window() {
    alone("a_peer_with_context_takeover_costs_its_window", || {
        const SMALL: &str = "small, small, small";
        let text = json(1, 200_000);
        let large = compressed(&text);
        let small = compressed(SMALL);
        let mut inflater = Inflater::new();
        receive(&mut client(false), &mut inflater, &mut small.clone(), SMALL);
        for window in windows() {
            let peer = Context { takeover: true, window };
            let params = Params { client: Context::default(), server: peer };
            assert_eq!(params.memory(Role::Client, &Compression::default()), window.size());
            let (first, full, ended) = steady(|| {
                let [mut first, mut large, mut last] = [&small, &large, &small].map(Vec::clone);
                let mut connection = Connection::new(Role::Client).with_deflate(params);
                let (first, ()) =
                    grown(|| receive(&mut connection, &mut inflater, &mut first, SMALL));
                let (more, ()) = grown(|| {
                    receive(&mut connection, &mut inflater, &mut large, &text);
                    // Its buffer went with the large message.
                    receive(&mut connection, &mut inflater, &mut last, SMALL);
                });
                assert_eq!(connection.buffered() as i64, first + more);
                let (ended, eof) = grown(|| connection.receive_eof());
                assert_eq!(eof, Eof::Unclean);
                (first, first + more, ended)
            });
            println!("a peer's window of {} bits: {full} bytes", window.get());
            assert!(first < 300, "{first} bytes after a few");
            // The window, and the struct that holds it.
            let expected = window.size()..window.size() + 300;
            assert!(expected.contains(&(full as usize)), "{full} bytes");
            assert_eq!(ended, -full);
        }
    });
}

/// A message of 16 MiB in as many KiB: whoever sends it learns that it is too large, and nobody holds it.
#[test]
fn a_thousand_bombs_are_refused_within_the_memory_of_the_limit() {
    alone("a_thousand_bombs_are_refused_within_the_memory_of_the_limit", || {
        const LIMIT: usize = 64 * 1024;
        let limits = Limits { max_message_size: LIMIT, ..Limits::default() };
        let bomb = compressed(&" ".repeat(16 * 1024 * 1024));
        let (mut inflater, mut frame) = (Inflater::new(), bomb.clone());
        let mut explode = |takeover| {
            frame.copy_from_slice(&bomb);
            let mut connection = client(takeover);
            let mut events = connection.receive(&limits, &mut inflater, &mut frame);
            let Some(Err(error)) = events.next() else { panic!("it was not refused") };
            assert_eq!(error.close_code(), CloseCode::TOO_BIG);
        };
        explode(false);
        let peak = HEAP.peak_within(|| (0..1000).for_each(|number| explode(number % 2 == 0)));
        println!("at most {peak} bytes at a time");
        assert!(peak <= LIMIT as i64, "{peak} bytes at a time");
    });
}
