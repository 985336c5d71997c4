//! How a connection ends when nobody wanted it to: streams that end, peers that break the protocol.

use sockeye_websocket::{Limits, OpCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::peer::{Connection, ROOMY, Received, connect, masked, pipe, tcp, text};
use crate::script::{Ended, Script, settle, within};

/// What breaks the protocol, and the code of the close frame that says so.
fn violations() -> [(Vec<u8>, u16); 6] {
    let mut unmasked = text("echo hi");
    unmasked[1] &= 0x7F;
    let mut reserved_bit = text("echo hi");
    reserved_bit[0] |= 0x40;
    [
        (unmasked, 1002),
        (reserved_bit, 1002),
        (vec![0x83, 0x80, 0, 0, 0, 0], 1002),
        (masked(OpCode::Continuation, b"of nothing"), 1002),
        (masked(OpCode::Text, b"caf\xE9"), 1007),
        // Only its head: it is too big before any of it has come.
        (masked(OpCode::Binary, &[0; 1001])[..8].into(), 1009),
    ]
}

fn limits() -> Limits {
    Limits { max_message_size: 1000, ..Limits::default() }
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_is_told_so() {
    for (violation, code) in violations() {
        let mut connection = tcp(limits()).await;
        connection.peer.send(&[text("echo before"), violation].concat()).await;
        connection.peer.hears("echo before").await;
        connection.peer.hears_close(Some(code), "").await;
        connection.peer.hears_end().await;
        drop(connection.peer);
        within(connection.driver).await.expect("the driver does not panic");
        assert_eq!(connection.script.messages(), ["echo before"]);
        assert_eq!(connection.script.ended(), [Ended::Refused(code)]);
        assert!(connection.script.outbox.is_sealed());
    }
}

#[tokio::test]
async fn it_is_told_so_even_if_it_goes_on_sending() {
    for (violation, code) in violations() {
        let Connection { mut peer, script, driver } = tcp(limits()).await;
        peer.send(&violation).await;
        // More than all buffers in between hold: somebody has to take it, or else the socket is
        // closed with unread bytes in it, which resets it and destroys the close frame.
        peer.send(&vec![0x5A; 8_000_000]).await;
        peer.hears_close(Some(code), "").await;
        peer.hears_end().await;
        drop(peer);
        within(driver).await.expect("the driver does not panic");
        assert_eq!(script.ended(), [Ended::Refused(code)]);
    }
}

#[tokio::test]
async fn it_is_told_so_even_if_it_hangs_up_at_once() {
    for (violation, code) in violations() {
        let mut connection = pipe(1000, Script::new(ROOMY, limits()), b"");
        // The end of the stream is there when the driver reads for the first time.
        connection.peer.send(&violation).await;
        within(connection.peer.0.shutdown()).await.expect("a pipe can be shut down");
        connection.peer.hears_close(Some(code), "").await;
        connection.peer.hears_end().await;
        connection.done().await;
        assert_eq!(connection.script.ended(), [Ended::Refused(code)]);
    }
}

#[tokio::test]
async fn a_peer_that_never_stops_sending_is_left_after_a_while() {
    let Connection { mut peer, script, driver } = tcp(limits()).await;
    peer.send(&[0x83, 0x80, 0, 0, 0, 0]).await;
    let (mut reader, mut writer) = peer.0.into_split();
    let flood = tokio::spawn(async move {
        let noise = vec![0x5A; 64 * 1024];
        while writer.write_all(&noise).await.is_ok() {}
    });
    let mut close = [0; 4];
    within(reader.read_exact(&mut close)).await.expect("a close frame");
    assert_eq!(close, [0x88, 2, 0x03, 0xEA]);
    within(driver).await.expect("the driver does not panic");
    within(flood).await.expect("it ends by an error of the socket");
    assert_eq!(script.ended(), [Ended::Refused(1002)]);
}

#[tokio::test]
async fn a_stream_that_ends_is_a_connection_lost() {
    for part in [&b""[..], &text("echo cut")[..5], &text("echo cut")[..8]] {
        let mut connection = tcp(Limits::default()).await;
        connection.peer.say("hello").await;
        connection.peer.send(part).await;
        within(connection.peer.0.shutdown()).await.expect("a TCP socket can be shut down");
        connection.done().await;
        assert_eq!(connection.script.messages(), ["hello"]);
        assert_eq!(connection.script.ended(), [Ended::Lost]);
        assert!(connection.script.outbox.is_sealed());
    }
}

#[tokio::test]
async fn the_last_words_of_a_peer_that_hangs_up_are_answered() {
    let mut connection = connect();
    connection.peer.send(&[text("echo one"), text("echo two")].concat()).await;
    within(connection.peer.0.shutdown()).await.expect("a pipe can be shut down");
    connection.peer.hears("echo one").await;
    connection.peer.hears("echo two").await;
    connection.peer.hears_end().await;
    connection.done().await;
    assert_eq!(connection.script.ended(), [Ended::Lost]);
}

#[tokio::test]
async fn a_stream_that_is_reset_is_a_connection_broken() {
    let Connection { mut peer, script, driver } = tcp(Limits::default()).await;
    peer.say("echo hello").await;
    peer.hears("echo hello").await;
    peer.0.set_zero_linger().expect("a TCP socket");
    drop(peer);
    within(driver).await.expect("the driver does not panic");
    assert_eq!(script.ended(), [Ended::Broken]);
}

#[tokio::test]
async fn a_peer_that_is_gone_while_it_is_written_to() {
    let Connection { peer, script, driver } = connect();
    script.push(&"x".repeat(1_000_000)).expect("there is room");
    settle().await;
    drop(peer);
    within(driver).await.expect("the driver does not panic");
    assert_eq!(script.ended().len(), 1);
    assert!(matches!(script.ended()[0], Ended::Lost | Ended::Broken));
}

#[tokio::test]
async fn a_stream_that_ends_while_the_protocol_is_ending_it() {
    let Connection { mut peer, script, driver } = connect();
    peer.say("close").await;
    peer.hears_close(Some(1000), "bye").await;
    drop(peer);
    within(driver).await.expect("the driver does not panic");
    assert_eq!(script.ended(), [Ended::ByItself]);
}

#[tokio::test]
async fn rubbish_instead_of_the_answer_to_our_close() {
    let Connection { mut peer, script, driver } = connect();
    peer.say("close").await;
    peer.hears_close(Some(1000), "bye").await;
    peer.send(&[0x83, 0x80, 0, 0, 0, 0]).await;
    assert_eq!(peer.receive().await, Received::End, "there is only one close frame");
    drop(peer);
    within(driver).await.expect("the driver does not panic");
    assert_eq!(script.ended(), [Ended::ByItself]);
}
