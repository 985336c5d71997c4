//! A peer that does not read: what waits for it is bounded, and everything else goes on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use sockeye_net::SHARE_FROM;
use sockeye_outbox::{Class, Refused};
use sockeye_websocket::{Limits, OpCode};
use tokio::io::{AsyncWrite, AsyncWriteExt, DuplexStream};

use crate::peer::{Connection, ROOMY, Received, close, masked, pipe};
use crate::script::{Ended, Script, settle};

/// A connection whose pipe holds `capacity` bytes, and whose outbox `limit`.
fn narrow(capacity: usize, limit: usize) -> Connection<DuplexStream> {
    pipe(capacity, Script::new(limit, Limits::default()), b"")
}

#[tokio::test]
async fn the_outbox_limit_covers_what_is_being_written() {
    let Connection { mut peer, script, .. } = narrow(50, 1000);
    let note = |n: usize| format!("{n:0100}");
    let mut accepted = 0;
    while script.push(&note(accepted)).is_ok() {
        accepted += 1;
        // The driver takes what it can: that must not make room.
        settle().await;
        assert!(accepted <= 11, "the limit is 1 000 bytes, and the pipe holds 50");
    }
    assert!(accepted >= 10, "there is room for ten at least");
    assert!(script.outbox.buffered_bytes() <= 1000);
    let volatile = script.push_bytes(Bytes::from_static(b"volatile"), Class::Volatile);
    assert!(matches!(volatile, Err(Refused::Full(_))), "the last write blocked");
    let reserved = script.push_bytes(Bytes::from_static(b"reserved"), Class::Reserved);
    assert_eq!(reserved, Ok(()), "acks and control packets have a reserve");

    for n in 0..accepted {
        peer.hears(&note(n)).await;
    }
    peer.hears("reserved").await;
    settle().await;
    assert_eq!(script.outbox.buffered_bytes(), 0);
    let volatile = script.push_bytes(Bytes::from_static(b"volatile"), Class::Volatile);
    assert_eq!(volatile, Ok(()), "nothing is in its way any more");
    peer.hears("volatile").await;
}

#[tokio::test]
async fn a_backlog_that_never_ends_is_no_reason_to_refuse_what_fits() {
    const BACKLOG: usize = 20;
    let Connection { mut peer, script, .. } = narrow(1024, 128 * 1024);
    let note = |n: usize| format!("{n:01000}");
    for n in 0..BACKLOG {
        script.push(&note(n)).expect("there is room");
    }
    // The peer keeps up, but twenty messages are always under way: the cork is never empty.
    for n in 0..1000 {
        peer.hears(&note(n)).await;
        let pushed = script.push(&note(n + BACKLOG));
        let buffered = script.outbox.buffered_bytes();
        assert!(pushed.is_ok(), "only some 20 000 bytes wait, but {buffered} are counted");
    }
}

#[tokio::test]
async fn what_the_stream_has_taken_is_not_kept() {
    /// A payload that tells whether it is still there.
    struct Tracked(Vec<u8>, #[expect(dead_code, reason = "it is counted")] Arc<()>);

    impl AsRef<[u8]> for Tracked {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    const BACKLOG: usize = 3;
    let Connection { mut peer, script, .. } = narrow(1024, ROOMY);
    let alive = Arc::new(());
    let tell = || {
        let payload = Tracked(vec![b'x'; SHARE_FROM], alive.clone());
        script.push_bytes(Bytes::from_owner(payload), Class::Data).expect("there is room");
    };
    (0..BACKLOG).for_each(|_| tell());
    for _ in 0..200 {
        assert!(matches!(peer.receive().await, Received::Text(text) if text.len() == SHARE_FROM));
        tell();
        settle().await;
        let kept = Arc::strong_count(&alive) - 1;
        assert!(kept <= BACKLOG + 2, "{BACKLOG} payloads wait, but {kept} are kept");
    }
}

#[tokio::test]
async fn reading_and_work_go_on() {
    let Connection { mut peer, script, .. } = narrow(1000, ROOMY);
    script.push(&"x".repeat(100_000)).expect("there is room");
    settle().await;
    for n in 0..500 {
        peer.say(&n.to_string()).await;
    }
    script.until(|record| record.messages.len() == 500).await;
    script.word.store(true, Ordering::Release);
    script.outbox.notify();
    script.until(|record| record.word == 1).await;
    peer.say("timeout 10").await;
    script.until(|record| record.timeouts.len() == 1).await;
    peer.hears(&"x".repeat(100_000)).await;
}

#[tokio::test]
async fn pongs_do_not_pile_up() {
    const PINGS: u32 = 5000;
    let Connection { mut peer, script, .. } = narrow(1000, ROOMY);
    let large = "x".repeat(10_000);
    script.push(&large).expect("there is room");
    settle().await;
    for n in 1..=PINGS {
        peer.send(&masked(OpCode::Ping, &n.to_be_bytes().repeat(31))).await;
    }
    peer.say("echo done").await;
    script.until(|record| record.messages.len() == 1).await;

    peer.hears(&large).await;
    let (mut pongs, mut last, mut done) = (0, 0, false);
    // RFC 6455 §5.5.3: of several pings, the latest has to be answered.
    while !done || last < PINGS {
        match peer.receive().await {
            Received::Pong(payload) => {
                pongs += 1;
                let number = *payload.first_chunk().expect("what was sent");
                let number = u32::from_be_bytes(number);
                assert!(number > last, "no ping is answered twice, or late");
                last = number;
            }
            heard => {
                assert_eq!(heard, Received::Text("echo done".to_owned()));
                done = true;
            }
        }
    }
    assert!(pongs <= 600, "{pongs} pongs of 126 bytes waited for a peer that did not read");
    // Once there is room, each is answered again.
    peer.send(&[masked(OpCode::Ping, b"and now?"), masked(OpCode::Ping, b"now!")].concat()).await;
    assert_eq!(peer.receive().await, Received::Pong(b"and now?".into()));
    assert_eq!(peer.receive().await, Received::Pong(b"now!".into()));
}

#[tokio::test]
async fn a_ping_is_answered_in_the_midst_of_a_backlog() {
    const BACKLOG: usize = 100;
    let Connection { mut peer, script, .. } = narrow(1024, ROOMY);
    let tell = || script.push(&"x".repeat(1000)).expect("there is room");
    (0..BACKLOG).for_each(|_| tell());
    settle().await;
    peer.send(&masked(OpCode::Ping, b"are you there?")).await;
    // A hundred messages are always under way: the pong must not wait until there are none.
    for _ in 0..2 * BACKLOG {
        match peer.receive().await {
            Received::Pong(payload) => {
                assert_eq!(payload, b"are you there?");
                return;
            }
            heard => assert!(matches!(heard, Received::Text(_)), "{heard:?}"),
        }
        tell();
    }
    panic!("no pong within {} messages", 2 * BACKLOG);
}

#[tokio::test]
async fn replies_do_not_pile_up_either() {
    let Connection { mut peer, script, .. } = narrow(64 * 1024, ROOMY);
    let message = masked(OpCode::Binary, &[7; 100_000]);
    let mut taken = 0;
    // The peer says more and more and reads nothing, until nobody takes it any more.
    'full: loop {
        let mut rest = &message[..];
        while !rest.is_empty() {
            let Some(count) = write_now(&mut peer.0, rest).await else { break 'full };
            rest = &rest[count..];
            taken += count;
            assert!(taken < 32_000_000, "{taken} bytes of echoes wait for a peer that reads none");
        }
    }
    assert!(taken < 4_000_000, "{taken} bytes of echoes wait for a peer that reads none");
    // When it reads, its messages are read, too.
    let whole = taken / message.len();
    for _ in 0..whole {
        assert!(peer.receive().await == Received::Binary(vec![7; 100_000]));
    }
    settle().await;
    assert_eq!(script.record.borrow().received_bytes, whole * 100_000);
}

/// Writes what can be written without anybody reading; `None` if that is nothing, for good.
async fn write_now(stream: &mut DuplexStream, bytes: &[u8]) -> Option<usize> {
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..2 {
        match std::pin::Pin::new(&mut *stream).poll_write(&mut cx, bytes) {
            Poll::Ready(written) => return Some(written.expect("the driver lives")),
            Poll::Pending => settle().await,
        }
    }
    None
}

#[tokio::test]
async fn a_close_of_the_peer_is_heard() {
    let mut connection = narrow(1000, ROOMY);
    connection.script.push(&"x".repeat(10_000)).expect("there is room");
    settle().await;
    connection.peer.send(&close(Some(1000))).await;
    connection.script.until(|record| record.ended == [Ended::PeerClosed(Some(1000))]).await;
    // What was being written is finished, so that the answer stands between two frames.
    connection.peer.hears(&"x".repeat(10_000)).await;
    connection.peer.hears_close(Some(1000), "").await;
    connection.peer.hears_end().await;
}

#[tokio::test]
async fn an_outbox_that_others_close_ends_it_within_the_close_timeout() {
    for close in [sockeye_outbox::Outbox::close, sockeye_outbox::Outbox::seal] {
        let limits = Limits { close_timeout: 50, ..Limits::default() };
        let mut connection = pipe(100, Script::new(ROOMY, limits), b"");
        // More than the driver takes out of the outbox while the peer blocks.
        connection.script.push(&"x".repeat(100_000)).expect("there is room");
        settle().await;
        close(&connection.script.outbox);
        // The peer never reads: what is under way never arrives, and nobody waits for it for ever.
        connection.done().await;
        assert_eq!(connection.script.ended(), [Ended::ByItself]);
    }
}

#[tokio::test]
async fn reading_goes_on_after_a_stall_by_replies() {
    const MESSAGES: usize = 20;
    let Connection { peer, .. } = narrow(64 * 1024, ROOMY);
    let message = masked(OpCode::Binary, &[7; 100_000]);
    let (reader, mut writer) = tokio::io::split(peer.0);
    let saying = tokio::spawn(async move {
        writer.write_all(&message.repeat(MESSAGES)).await.expect("the driver reads");
    });
    // Nobody takes the echoes yet, so it stops reading.
    settle().await;
    let mut peer = crate::peer::Peer(reader);
    for _ in 0..MESSAGES {
        assert!(peer.receive().await == Received::Binary(vec![7; 100_000]));
    }
    saying.await.expect("it does not panic");
}

#[tokio::test]
async fn reading_goes_on_when_replies_pile_up_and_are_taken_at_once() {
    const PIPE: usize = 256 * 1024;
    let Connection { mut peer, script, .. } = narrow(PIPE, ROOMY);
    let backlog = "x".repeat(PIPE);
    script.push(&backlog).expect("there is room");
    settle().await;
    let echo = format!("echo {}", "y".repeat(40_000));
    peer.say(&echo).await;
    script.until(|record| record.messages.len() == 1).await;
    // By the time that the driver looks, there are both: another message, whose reply is more than may pile up
    // behind a blocked write, and room to write all of it.
    peer.say(&echo).await;
    peer.hears(&backlog).await;
    for _ in 0..2 {
        peer.hears(&echo).await;
    }
    peer.say("echo and on").await;
    peer.hears("echo and on").await;
}
