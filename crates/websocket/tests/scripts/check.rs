//! Running a script in every way in which a transport may deliver it.

use sockeye_websocket::{
    Connection, Error, Event, Head, Limits, OpCode, Role, State, deflate::Inflater, mask,
};

/// The key of RFC 6455's examples.
pub(crate) const KEY: mask::Key = [0x37, 0xFA, 0x21, 0x3D];

/// An event that owns its payload, so that it can be collected and compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
    Failed(Error),
}

impl From<Result<Event<'_>, Error>> for Seen {
    fn from(event: Result<Event<'_>, Error>) -> Self {
        match event {
            Ok(Event::Text(text)) => Self::Text(text.into_owned()),
            Ok(Event::Binary(bytes)) => Self::Binary(bytes.into_owned()),
            Ok(Event::Ping(payload)) => Self::Ping(payload.to_vec()),
            Ok(Event::Pong(payload)) => Self::Pong(payload.to_vec()),
            Ok(Event::Close(reason)) => {
                Self::Close(reason.map(|(code, text)| (code.get(), text.to_owned())))
            }
            Err(error) => Self::Failed(error),
        }
    }
}

pub(crate) fn text(text: &str) -> Seen {
    Seen::Text(text.to_owned())
}

pub(crate) fn binary(bytes: &[u8]) -> Seen {
    Seen::Binary(bytes.to_vec())
}

pub(crate) fn failed(error: impl Into<Error>) -> Seen {
    Seen::Failed(error.into())
}

/// A frame from a client.
pub(crate) fn frame(fin: bool, opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let head = Head { fin, mask: Some(KEY), ..Head::new(opcode, payload.len() as u64) };
    let mut bytes = Vec::new();
    head.encode(&mut bytes);
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    mask::apply(KEY, 0, &mut bytes[start..]);
    bytes
}

/// A client's frame that ends its message.
pub(crate) fn last(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    frame(true, opcode, payload)
}

/// A client's frame that does not.
pub(crate) fn more(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    frame(false, opcode, payload)
}

/// Hands `input` to the connection in a buffer of its own, and takes all events.
pub(crate) fn receive(connection: &mut Connection, limits: &Limits, input: &[u8]) -> Vec<Seen> {
    let mut input = input.to_vec();
    let len = input.len();
    let mut seen = Vec::new();
    let mut inflater = Inflater::new();
    let mut events = connection.receive(limits, &mut inflater, &mut input);
    while let Some(event) = events.next() {
        seen.push(Seen::from(event));
    }
    assert_eq!((events.consumed(), events.remaining()), (len, 0), "all input is consumed");
    seen
}

/// Hands over the pieces until the connection fails.
fn receive_pieces<'a>(
    connection: &mut Connection,
    limits: &Limits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<Seen> {
    let mut seen = Vec::new();
    for piece in pieces {
        seen.extend(receive(connection, limits, piece));
        if matches!(seen.last(), Some(Seen::Failed(_))) {
            break;
        }
    }
    seen
}

/// Takes one event per call, and hands over what was not consumed again.
fn receive_one_by_one(connection: &mut Connection, limits: &Limits, input: &[u8]) -> Vec<Seen> {
    let mut input = input.to_vec();
    let mut rest = &mut input[..];
    let mut inflater = Inflater::new();
    let mut seen = Vec::new();
    loop {
        let mut events = connection.receive(limits, &mut inflater, rest);
        let Some(event) = events.next().map(Seen::from) else { return seen };
        let failed = matches!(event, Seen::Failed(_));
        seen.push(event);
        if failed {
            return seen;
        }
        let consumed = events.consumed();
        rest = &mut rest[consumed..];
    }
}

/// A server that has received `script` must have seen `expected`, however the script was cut.
/// Returns the connection.
#[track_caller]
pub(crate) fn check(limits: &Limits, script: &[u8], expected: &[Seen]) -> Connection {
    check_from(|| Connection::new(Role::Server), limits, script, expected)
}

/// As [`check`], for connections in any state.
#[track_caller]
pub(crate) fn check_from(
    connection: impl Fn() -> Connection,
    limits: &Limits,
    script: &[u8],
    expected: &[Seen],
) -> Connection {
    let mut coalesced = connection();
    assert_eq!(receive(&mut coalesced, limits, script), expected, "coalesced");
    check_end(&mut coalesced, limits);
    let state = coalesced.state();

    let run = |name: &str, receive: &dyn Fn(&mut Connection) -> Vec<Seen>| {
        let mut connection = connection();
        assert_eq!(receive(&mut connection), expected, "{name}");
        assert_eq!(connection.state(), state, "{name}");
        check_end(&mut connection, limits);
    };
    run("one by one", &|connection| receive_one_by_one(connection, limits, script));
    run("byte by byte", &|connection| receive_pieces(connection, limits, script.chunks(1)));
    // Long scripts are cut near their ends, where the heads are, and here and there in between.
    let len = script.len();
    let cuts = (0..=len).filter(|&cut| len < 1500 || cut < 50 || len - cut < 50 || cut % 1021 == 0);
    for cut in cuts {
        let (a, b) = script.split_at(cut);
        run(&format!("cut at {cut}"), &|connection| receive_pieces(connection, limits, [a, b]));
    }
    coalesced
}

/// What holds for every connection after its script: failure is final and reported once per call,
/// and what is open or ended holds no memory for messages that were lent out.
#[track_caller]
fn check_end(connection: &mut Connection, limits: &Limits) {
    let again = last(OpCode::Text, b"again");
    match connection.state() {
        State::Failed { error, .. } => {
            assert_eq!(receive(connection, limits, &again), [Seen::Failed(error)]);
            assert_eq!(receive(connection, limits, &[]), [Seen::Failed(error)]);
            assert_eq!(connection.buffered(), 0);
        }
        State::Open | State::Closing { .. } => {}
        _ => {
            assert_eq!(receive(connection, limits, &again), []);
            assert_eq!(connection.buffered(), 0);
        }
    }
}
