//! What several targets do with a connection: take its events, and watch over it meanwhile.

use sockeye_websocket::{
    Connection, Error, Event, Limits, State,
    deflate::{Inflater, WindowBits},
};

/// An event that owns its payload, so that it can be kept and compared.
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

/// How much of the input is taken in one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// Every event.
    All,
    /// One event; what lies behind it is handed over again.
    One,
}

/// Receives `input` in a buffer of its own, and takes all of it. What must hold for every call is
/// looked at.
pub(crate) fn receive(
    connection: &mut Connection,
    limits: &Limits,
    inflater: &mut Inflater,
    input: &[u8],
    take: Take,
    seen: &mut Vec<Seen>,
) {
    let mut input = input.to_vec();
    let mut rest = &mut input[..];
    loop {
        let before = connection.state();
        let len = rest.len();
        let mut events = connection.receive(limits, inflater, rest);
        let mut taken = 0;
        let mut last = 0;
        while let Some(event) = events.next() {
            let event = Seen::from(event);
            assert!(events.consumed() >= last && events.consumed() <= len, "it goes on only");
            last = events.consumed();
            assert_eq!(events.consumed() + events.remaining(), len);
            check_event(before, limits, &event);
            taken += 1;
            seen.push(event);
            if take == Take::One {
                break;
            }
        }
        let consumed = events.consumed();
        let ended = taken == 0 || take == Take::All;
        assert!(!ended || consumed == len, "without another event, all input is consumed");
        check_memory(connection, limits);
        check_state(before, connection.state());
        if ended || connection.is_closed() || matches!(seen.last(), Some(Seen::Failed(_))) {
            return;
        }
        rest = &mut rest[consumed..];
    }
}

fn check_event(before: State, limits: &Limits, event: &Seen) {
    match event {
        Seen::Text(_) | Seen::Binary(_) | Seen::Ping(_) | Seen::Pong(_) => {
            assert_eq!(before, State::Open, "a message or a sign of life comes while it is open");
        }
        Seen::Close(_) => {
            assert!(matches!(before, State::Open | State::Closing { .. }), "{before:?}");
        }
        Seen::Failed(error) => match before {
            State::Open | State::Closing { .. } => {}
            State::Failed { error: first, .. } => assert_eq!(*error, first, "failure is final"),
            _ => panic!("{before:?} fails no more, but did with {error}"),
        },
    }
    let (len, max) = match event {
        Seen::Text(text) => (text.len(), limits.max_message_size),
        Seen::Binary(bytes) => (bytes.len(), limits.max_message_size),
        Seen::Ping(payload) | Seen::Pong(payload) => (payload.len(), 125),
        Seen::Close(reason) => (reason.as_ref().map_or(0, |(_, text)| text.len()), 123),
        Seen::Failed(_) => (0, 0),
    };
    assert!(len <= max, "{len} bytes, {max} are allowed");
}

/// The heap that a connection may hold: the largest message, as its frames may declare it when it
/// is compressed, a window, a control frame's payload, and the struct that they are in.
fn check_memory(connection: &Connection, limits: &Limits) {
    let message = limits.max_message_size;
    let held = match connection.deflate() {
        None => message,
        Some(_) => message + message / 7 + 64 + WindowBits::MAX.size(),
    };
    let (buffered, max) = (connection.buffered(), held + 125 + 512);
    assert!(buffered <= max, "{buffered} bytes are held, {max} at most should be");
}

/// The arrows of the diagram at [`State`] that receiving may go along.
fn check_state(before: State, after: State) {
    let allowed = match (before, after) {
        (State::Open, State::Answering { .. } | State::Failed { close_owed: true, .. })
        | (State::Closing { .. }, State::Closed | State::Failed { close_owed: false, .. }) => true,
        _ => before == after,
    };
    assert!(allowed, "{before:?} became {after:?}");
}
