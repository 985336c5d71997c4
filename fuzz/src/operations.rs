//! Both ends of a connection over a pipe, and any sequence of calls: each sends one close frame at
//! most and nothing behind it, hears what the other said and in that order, and where nobody breaks
//! the pipe both come to the same end.
//!
//! ```text
//! u8    bit 0 permessage-deflate
//! u8    an operation in the low bits, of which end in the highest; then what it needs; and so on
//! ```

use sockeye_websocket::{
    CloseCode, Connection, Eof, Head, Limits, OpCode, Role, State,
    deflate::{Compression, Compressors, Context, Inflater, Params},
    frame, mask,
};

use crate::{
    Choices,
    wire::{Seen, Take, receive},
};

const KEY: mask::Key = [0x37, 0xFA, 0x21, 0x3D];

/// See the [module](self).
pub fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let flags = choices.byte();
    let mut pair = Pair::new(flags & 1 != 0);
    while !choices.is_empty() {
        let operation = choices.byte();
        pair.operate(operation, &mut choices);
    }
    pair.end();
}

/// One end, and what is on its way to it.
struct End {
    connection: Connection,
    inflater: Inflater,
    inbox: Vec<u8>,
    /// What it has sent.
    sent: Vec<Seen>,
    /// What it has received.
    seen: Vec<Seen>,
    /// Bytes of a third party were put into its inbox.
    disturbed: bool,
    /// Its transport has ended.
    ended: bool,
}

struct Pair {
    ends: [End; 2],
    compressors: Option<Compressors>,
    limits: Limits,
    now: u64,
}

impl Pair {
    fn new(deflate: bool) -> Self {
        let end = |role| {
            let mut connection = Connection::new(role);
            if deflate {
                let params = Params { client: Context::default(), server: Context::default() };
                connection = connection.with_deflate(params);
            }
            End {
                connection,
                inflater: Inflater::new(),
                inbox: vec![],
                sent: vec![],
                seen: vec![],
                disturbed: false,
                ended: false,
            }
        };
        Self {
            ends: [end(Role::Server), end(Role::Client)],
            compressors: deflate.then(Compressors::new),
            limits: Limits { close_timeout: 1_000, ..Limits::default() },
            now: 0,
        }
    }

    fn operate(&mut self, operation: u8, choices: &mut Choices<'_>) {
        let which = usize::from(operation >> 7);
        let before = self.ends[which].connection.state();
        match operation & 0x7F {
            0..=15 => self.deliver(which, usize::from(choices.byte()), Take::All),
            16..=31 => self.deliver(which, usize::from(choices.byte()), Take::One),
            32..=55 => self.say(which, choices),
            56..=71 => self.sign(which, choices),
            72..=87 => self.close(which, choices),
            88..=103 => self.reply_close(which),
            104..=111 => {
                self.now += u64::from(choices.byte()) * 8;
                self.handle_timeout(which);
            }
            112..=119 => {
                self.ends[which].inbox.extend(choices.short());
                self.ends[which].disturbed = true;
            }
            _ => self.receive_eof(which),
        }
        self.check(which, before);
    }

    /// Appends what `encode` makes to the other end's inbox.
    fn send(&mut self, which: usize, encode: impl FnOnce(&mut Connection, &mut Vec<u8>) -> Seen) {
        let mut out = Vec::new();
        let sent = encode(&mut self.ends[which].connection, &mut out);
        assert!(!out.is_empty());
        self.ends[which].sent.push(sent);
        self.ends[1 - which].inbox.extend(out);
    }

    fn mask(which: usize) -> Option<mask::Key> {
        (which == 1).then_some(KEY)
    }

    /// A message, in two fragments or in one; only one in one frame is compressed.
    fn say(&mut self, which: usize, choices: &mut Choices<'_>) {
        let cut = usize::from(choices.byte());
        let payload = choices.short().to_vec();
        if !self.ends[which].connection.is_open() {
            return;
        }
        let (opcode, sent) = match String::from_utf8(payload.clone()) {
            Ok(text) => (OpCode::Text, Seen::Text(text)),
            Err(_) => (OpCode::Binary, Seen::Binary(payload.clone())),
        };
        let mask = Self::mask(which);
        let mut compressors = self.compressors.take();
        self.send(which, |_, out| {
            if let Some((first, second)) = payload.split_at_checked(cut) {
                append(out, false, opcode, first, mask);
                append(out, true, OpCode::Continuation, second, mask);
            } else if let Some(compressors) = &mut compressors {
                let compression = Compression { threshold: 0, ..Compression::default() };
                let window = Context::default().window;
                compressors.append(out, window, &compression, opcode, &payload, mask);
            } else {
                append(out, true, opcode, &payload, mask);
            }
            sent
        });
        self.compressors = compressors;
    }

    /// A ping or a pong.
    fn sign(&mut self, which: usize, choices: &mut Choices<'_>) {
        let ping = choices.byte() & 1 == 0;
        let payload = choices.short();
        let payload = &payload[..payload.len().min(125)];
        if !self.ends[which].connection.is_open() {
            return;
        }
        self.send(which, |_, out| {
            let opcode = if ping { OpCode::Ping } else { OpCode::Pong };
            append(out, true, opcode, payload, Self::mask(which));
            let seen = if ping { Seen::Ping } else { Seen::Pong };
            seen(payload.to_vec())
        });
    }

    fn close(&mut self, which: usize, choices: &mut Choices<'_>) {
        let code = CloseCode::new(u16::from_be_bytes([choices.byte(), choices.byte()]));
        let text = String::from_utf8_lossy(choices.short());
        let reason = code.map(|code| (code, &*text));
        let before = self.ends[which].connection.state();
        let sends = match before {
            State::Open | State::Answering { .. } => Some(reason),
            State::Failed { error, close_owed: true } => Some(Some((error.close_code(), ""))),
            _ => None,
        };
        let (now, limits) = (self.now, self.limits.clone());
        let close = |connection: &mut Connection, out: &mut Vec<u8>| {
            connection.close(now, &limits, reason, Self::mask(which), out)
        };
        match sends {
            Some(reason) => self.send(which, |connection, out| {
                assert!(close(connection, out));
                Seen::Close(reason.map(|(code, text)| {
                    let text = &text[..text.floor_char_boundary(123)];
                    (code.get(), text.to_owned())
                }))
            }),
            None => {
                let mut out = Vec::new();
                assert!(!close(&mut self.ends[which].connection, &mut out));
                assert!(out.is_empty(), "there is one close frame only");
            }
        }
    }

    fn reply_close(&mut self, which: usize) {
        let connection = &mut self.ends[which].connection;
        let code = match connection.state() {
            State::Answering { code } => code,
            State::Failed { error, close_owed: true } => Some(error.close_code()),
            _ => {
                let mut out = Vec::new();
                assert!(!connection.owes_close());
                assert!(!connection.reply_close(Self::mask(which), &mut out));
                assert!(out.is_empty(), "there is one close frame only");
                return;
            }
        };
        assert!(connection.owes_close());
        self.send(which, |connection, out| {
            assert!(connection.reply_close(Self::mask(which), out));
            assert!(connection.is_closed());
            Seen::Close(code.map(|code| (code.get(), String::new())))
        });
    }

    fn handle_timeout(&mut self, which: usize) {
        let connection = &mut self.ends[which].connection;
        let due = connection.poll_timeout();
        assert_eq!(due.is_some(), matches!(connection.state(), State::Closing { .. }));
        let passed = due.is_some_and(|due| due <= self.now);
        assert_eq!(connection.handle_timeout(self.now), passed);
        assert!(!passed || connection.state() == State::TimedOut);
    }

    fn receive_eof(&mut self, which: usize) {
        let end = &mut self.ends[which];
        let heard = end.seen.iter().any(|seen| matches!(seen, Seen::Close(_)));
        let expected = if heard { Eof::Clean } else { Eof::Unclean };
        assert_eq!(end.connection.receive_eof(), expected);
        assert_eq!(end.connection.buffered(), 0);
        end.ended = true;
    }

    fn deliver(&mut self, which: usize, len: usize, take: Take) {
        let end = &mut self.ends[which];
        if end.ended {
            return;
        }
        let len = len.min(end.inbox.len());
        let rest = end.inbox.split_off(len);
        let input = std::mem::replace(&mut end.inbox, rest);
        let End { connection, inflater, seen, .. } = end;
        receive(connection, &self.limits, inflater, &input, take, seen);
    }

    /// What holds after every operation.
    fn check(&self, which: usize, before: State) {
        let (end, other) = (&self.ends[which], &self.ends[1 - which]);
        let after = end.connection.state();
        let final_before = matches!(
            before,
            State::Closed | State::TimedOut | State::Lost | State::Failed { close_owed: false, .. }
        );
        assert!(!final_before || before == after, "{before:?} became {after:?}");
        assert!(after != State::Open || before == State::Open, "{before:?} became open again");
        let is_close = |seen: &&Seen| matches!(seen, Seen::Close(_));
        for said in [&end.sent, &end.seen] {
            assert!(said.iter().filter(is_close).count() <= 1);
        }
        let behind = end.sent.iter().skip_while(|sent| !is_close(sent)).count();
        assert!(behind <= 1, "nothing is sent behind the close frame");
        if end.disturbed {
            return;
        }
        // Who waits for the other's close frame hears nothing else any more.
        let (close, messages) = match end.seen.split_last() {
            Some((close @ Seen::Close(_), messages)) => (Some(close), messages),
            _ => (None, &end.seen[..]),
        };
        assert!(other.sent.starts_with(messages), "{messages:?} of {:?}", other.sent);
        assert!(close.is_none_or(|close| other.sent.last() == Some(close)));
    }

    /// Everything arrives, and whoever owes an answer gives it.
    fn end(mut self) {
        let smooth = self
            .ends
            .iter()
            .all(|end| !end.disturbed && !end.ended && end.connection.state() != State::TimedOut);
        for _ in 0..3 {
            for which in [0, 1] {
                let before = self.ends[which].connection.state();
                self.deliver(which, usize::MAX, Take::All);
                self.check(which, before);
                let before = self.ends[which].connection.state();
                self.reply_close(which);
                self.check(which, before);
            }
        }
        if !smooth {
            return;
        }
        let [server, client] = &self.ends;
        if server.connection.is_open() {
            assert!(client.connection.is_open());
            assert_eq!((&server.seen, &client.seen), (&client.sent, &server.sent));
        } else {
            let states = [server.connection.state(), client.connection.state()];
            assert_eq!(states, [State::Closed; 2], "closed by both");
            assert!(self.ends.iter().all(|end| end.connection.is_closed_cleanly()));
            assert_eq!(
                (server.seen.last(), client.seen.last()),
                (client.sent.last(), server.sent.last())
            );
        }
        assert!(self.ends.iter().all(|end| end.connection.buffered() == 0));
    }
}

fn append(out: &mut Vec<u8>, fin: bool, opcode: OpCode, payload: &[u8], mask: Option<mask::Key>) {
    if fin {
        return match mask {
            None => frame::append(out, opcode, payload),
            Some(key) => frame::append_masked(out, opcode, payload, key),
        };
    }
    Head { fin, mask, ..Head::new(opcode, payload.len() as u64) }.encode(out);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = mask {
        mask::apply(key, 0, &mut out[start..]);
    }
}
