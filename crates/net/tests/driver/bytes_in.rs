//! Bytes that come in are judged in their order, however they are cut, and none is lost.

use sockeye_websocket::{Limits, OpCode};

use crate::peer::{Connection, ROOMY, Received, connect, fragment, masked, pipe, text};
use crate::script::{Script, settle};

#[tokio::test]
async fn bytes_behind_the_handshake_are_judged_before_anything_newer() {
    let texts = ["echo one", "echo two", "echo three"];
    let bytes = texts.map(text).concat();
    for cut in 0..=bytes.len() {
        let script = Script::new(ROOMY, Limits::default());
        let Connection { mut peer, script, .. } = pipe(1024, script, &bytes[..cut]);
        peer.send(&bytes[cut..]).await;
        for text in texts {
            peer.hears(text).await;
        }
        assert_eq!(script.messages(), texts);
        assert_eq!(script.record.borrow().opened, 1);
    }
}

/// Frames of every kind, and what they are answered with.
fn conversation() -> (Vec<u8>, Vec<Received>) {
    let binary: Vec<u8> = (0..200).collect();
    let bytes = [
        text("echo €"),
        masked(OpCode::Ping, b"are you there?"),
        fragment(OpCode::Text, b"echo fr"),
        masked(OpCode::Ping, b""),
        fragment(OpCode::Continuation, b""),
        masked(OpCode::Continuation, b"agments"),
        masked(OpCode::Pong, b"nobody asked"),
        masked(OpCode::Binary, &binary),
        masked(OpCode::Binary, b""),
        text("queue the end"),
    ];
    let answers = vec![
        Received::Text("echo €".into()),
        Received::Pong(b"are you there?".into()),
        Received::Pong(vec![]),
        Received::Text("echo fragments".into()),
        Received::Binary(binary),
        Received::Binary(vec![]),
        Received::Text("queue the end".into()),
    ];
    (bytes.concat(), answers)
}

#[tokio::test]
async fn a_conversation_cut_at_every_byte_is_the_same_conversation() {
    let (bytes, answers) = conversation();
    for cut in 0..=bytes.len() {
        let Connection { mut peer, .. } = connect();
        peer.send(&bytes[..cut]).await;
        settle().await;
        peer.send(&bytes[cut..]).await;
        for answer in &answers {
            assert_eq!(peer.receive().await, *answer, "cut at {cut}");
        }
    }
}

#[tokio::test]
async fn a_conversation_in_single_bytes_is_the_same_conversation() {
    let (bytes, answers) = conversation();
    let Connection { mut peer, .. } = connect();
    for byte in bytes {
        peer.send(&[byte]).await;
        settle().await;
    }
    for answer in &answers {
        assert_eq!(peer.receive().await, *answer);
    }
}

#[tokio::test]
async fn a_message_of_many_reads_arrives_whole() {
    let Connection { mut peer, script, .. } = connect();
    let large: Vec<u8> = (0..900_000_u32).map(|n| n as u8).collect();
    peer.send(&masked(OpCode::Binary, &large)).await;
    assert!(peer.receive().await == Received::Binary(large.clone()), "as it was sent");
    assert_eq!(script.record.borrow().received_bytes, large.len());
}
