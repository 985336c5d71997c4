//! Floods of what costs its sender next to nothing and brings no message: pings, pongs, empty and
//! tiny fragments. Others on the same thread get their turn, and what is kept stays small.

use sockeye_websocket::{Limits, OpCode};

use crate::peer::{Connection, ROOMY, fragment, masked, pipe, text};
use crate::script::{Ended, Script};

/// How many frames of a flood stand between two of its messages, which mark how far it has come.
const BETWEEN: usize = 100;

/// How many frames of a flood one wake-up may judge, with room for a second one: two are needed
/// until the other connection has been heard.
const AT_ONCE: usize = 2 * 2 * 1024;

/// A message behind each hundred of these frames.
fn marked(frame: &[u8], hundreds: usize) -> Vec<u8> {
    [frame.repeat(BETWEEN), text("mark")].concat().repeat(hundreds)
}

/// Messages of a hundred fragments each, empty ones, or of a byte.
fn fragmented(payload: &[u8], messages: usize) -> Vec<u8> {
    let continuation = fragment(OpCode::Continuation, payload).repeat(BETWEEN - 2);
    let last = masked(OpCode::Continuation, payload);
    [fragment(OpCode::Text, payload), continuation, last].concat().repeat(messages)
}

/// How many frames of the flood are judged before the only message of another connection, although
/// both have come at the same moment.
async fn judged_before_the_other(flood: &[u8]) -> usize {
    let script = || Script::new(ROOMY, Limits::default());
    let mut greedy = pipe(flood.len(), script(), b"");
    let mut modest = pipe(1000, script(), b"");
    greedy.peer.send(flood).await;
    modest.peer.say("echo me, too").await;
    modest.peer.hears("echo me, too").await;
    greedy.script.until(|record| record.messages.len() == flood_messages(flood)).await;
    let turn = modest.script.record.borrow().turns[0];
    let messages = greedy.script.record.borrow().turns.partition_point(|other| *other < turn);
    messages * BETWEEN
}

/// The final text or continuation frames among a client's short frames.
fn flood_messages(mut flood: &[u8]) -> usize {
    let mut messages = 0;
    while let [first, len, ..] = flood {
        messages += usize::from(matches!(first, 0x80 | 0x81));
        flood = &flood[6 + usize::from(len & 0x7F)..];
    }
    messages
}

#[tokio::test]
async fn pings_do_not_starve_another_connection() {
    for payload in [&b""[..], b"x", &[b'x'; 125]] {
        let flood = marked(&masked(OpCode::Ping, payload), 300);
        let judged = judged_before_the_other(&flood).await;
        assert!(judged <= AT_ONCE, "{judged} pings of {} bytes came first", payload.len());
    }
}

#[tokio::test]
async fn pongs_do_not_starve_another_connection() {
    let flood = marked(&masked(OpCode::Pong, b""), 300);
    let judged = judged_before_the_other(&flood).await;
    assert!(judged <= AT_ONCE, "{judged} pongs came first");
}

#[tokio::test]
async fn fragments_do_not_starve_another_connection() {
    for payload in [&b""[..], b"x"] {
        let flood = fragmented(payload, 300);
        let judged = judged_before_the_other(&flood).await;
        assert!(judged <= AT_ONCE, "{judged} fragments of {} bytes came first", payload.len());
    }
}

#[tokio::test]
async fn a_message_without_end_is_refused_however_little_it_brings() {
    for payload in [&b""[..], b"x"] {
        let limits = Limits { max_fragments: 1000, ..Limits::default() };
        let flood =
            [fragment(OpCode::Text, payload), fragment(OpCode::Continuation, payload).repeat(1000)];
        let flood = flood.concat();
        let Connection { mut peer, script, .. } =
            pipe(flood.len(), Script::new(ROOMY, limits), b"");
        peer.send(&flood).await;
        peer.hears_close(Some(1008), "").await;
        assert_eq!(script.ended(), [Ended::Refused(1008)]);
    }
}
