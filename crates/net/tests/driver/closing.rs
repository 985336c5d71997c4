//! How a connection ends when somebody wants it to: who says what, in which order, by when.

use std::thread;
use std::time::{Duration, Instant};

use sockeye_websocket::Limits;
use tokio::io::AsyncWriteExt;

use crate::peer::{Connection, ROOMY, Received, close, connect, pipe, tcp, text};
use crate::script::{Ended, Script, settle, within};

#[tokio::test]
async fn the_protocol_ends_it_and_what_is_queued_goes_out_first() {
    let mut connection = connect();
    for n in 0..100 {
        connection.script.push(&n.to_string()).expect("there is room");
    }
    connection.peer.send(&[text("echo reply"), text("close"), text("too late")].concat()).await;
    connection.peer.hears("echo reply").await;
    for n in 0..100 {
        connection.peer.hears(&n.to_string()).await;
    }
    connection.peer.hears_close(Some(1000), "bye").await;
    assert!(connection.script.push("later").is_err(), "the outbox is sealed");
    // What the peer says before it has seen our close frame is passed over.
    connection.peer.say("echo too late").await;
    assert!(!connection.driver.is_finished(), "the peer's answer is awaited");
    connection.peer.send(&close(Some(1000))).await;
    connection.peer.hears_end().await;
    drop(connection.peer);
    within(connection.driver).await.expect("the driver does not panic");
    assert_eq!(connection.script.messages(), ["echo reply", "close"]);
    assert_eq!(connection.script.ended(), [Ended::ByItself]);
}

#[tokio::test]
async fn a_peer_that_does_not_answer_our_close_has_until_the_deadline() {
    let limits = Limits { close_timeout: 200, ..Limits::default() };
    let mut connection = pipe(1000, Script::new(ROOMY, limits), b"");
    connection.peer.say("close").await;
    connection.peer.hears_close(Some(1000), "bye").await;
    let begun = Instant::now();
    connection.done().await;
    assert!(begun.elapsed() > Duration::from_millis(150), "after {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(10), "after {:?}", begun.elapsed());
    assert_eq!(connection.script.ended(), [Ended::ByItself]);
}

#[tokio::test]
async fn a_peer_that_does_not_even_take_our_close_has_until_the_deadline() {
    let limits = Limits { close_timeout: 50, ..Limits::default() };
    let mut connection = pipe(1000, Script::new(ROOMY, limits), b"");
    connection.script.push(&"x".repeat(10_000)).expect("there is room");
    settle().await;
    connection.peer.say("close").await;
    connection.done().await;
    assert_eq!(connection.script.ended(), [Ended::ByItself]);
}

#[tokio::test]
async fn the_peer_ends_it_and_its_code_is_echoed() {
    for code in [None, Some(1000), Some(1001), Some(4321)] {
        let mut connection = connect();
        connection.peer.send(&[text("echo first"), close(code), text("too late")].concat()).await;
        connection.peer.hears("echo first").await;
        connection.peer.hears_close(code, "").await;
        connection.peer.hears_end().await;
        drop(connection.peer);
        within(connection.driver).await.expect("the driver does not panic");
        assert_eq!(connection.script.messages(), ["echo first"]);
        assert_eq!(connection.script.ended(), [Ended::PeerClosed(code)]);
        assert!(connection.script.outbox.is_sealed());
    }
}

#[tokio::test]
async fn what_is_queued_when_the_peer_ends_it_goes_out_first() {
    let violation = vec![0x83, 0x80, 0, 0, 0, 0];
    for (last, code, ended) in [
        (close(Some(1001)), 1001, Ended::PeerClosed(Some(1001))),
        (violation, 1002, Ended::Refused(1002)),
    ] {
        let mut connection = connect();
        // Both are there when the driver reads for the first time.
        connection.script.push("queued").expect("there is room");
        connection.peer.send(&last).await;
        connection.peer.hears("queued").await;
        connection.peer.hears_close(Some(code), "").await;
        connection.peer.hears_end().await;
        drop(connection.peer);
        within(connection.driver).await.expect("the driver does not panic");
        assert_eq!(connection.script.ended(), [ended]);
    }
}

#[tokio::test]
async fn a_peer_that_closes_and_takes_nothing_is_left_after_a_while() {
    let mut connection = pipe(1000, Script::new(ROOMY, Limits::default()), b"");
    connection.script.push(&"x".repeat(10_000)).expect("there is room");
    settle().await;
    connection.peer.send(&close(Some(1000))).await;
    connection.done().await;
    assert_eq!(connection.script.ended(), [Ended::PeerClosed(Some(1000))]);
    assert!(connection.script.outbox.is_closed());
}

#[tokio::test]
async fn a_peer_that_closes_and_hangs_up_at_once_gets_its_answer() {
    let mut connection = connect();
    // All of it, and the end of the stream, is there when the driver reads for the first time.
    connection.peer.send(&[text("echo last"), close(Some(1000))].concat()).await;
    within(connection.peer.0.shutdown()).await.expect("a pipe can be shut down");
    connection.peer.hears("echo last").await;
    connection.peer.hears_close(Some(1000), "").await;
    connection.peer.hears_end().await;
    connection.done().await;
    assert_eq!(connection.script.ended(), [Ended::PeerClosed(Some(1000))]);
}

#[tokio::test]
async fn a_peer_that_closes_and_never_hangs_up_is_left_after_a_while() {
    let mut connection = tcp(Limits::default()).await;
    connection.peer.send(&close(Some(1000))).await;
    connection.peer.hears_close(Some(1000), "").await;
    connection.peer.hears_end().await;
    connection.done().await;
    assert_eq!(connection.script.ended(), [Ended::PeerClosed(Some(1000))]);
}

#[tokio::test]
async fn both_ends_close_at_the_same_time() {
    let mut connection = connect();
    connection.peer.send(&[text("close"), close(Some(1001))].concat()).await;
    // Whose close frame counts is not told apart on the wire: one frame goes out, once.
    let heard = connection.peer.receive().await;
    assert!(matches!(heard, Received::Close(Some(1000 | 1001), _)), "{heard:?}");
    connection.peer.hears_end().await;
    drop(connection.peer);
    within(connection.driver).await.expect("the driver does not panic");
    assert_eq!(connection.script.ended(), [Ended::ByItself]);
}

#[tokio::test]
async fn an_outbox_sealed_by_another_thread_ends_it() {
    let Connection { mut peer, script, driver } = connect();
    peer.say("echo hello").await;
    peer.hears("echo hello").await;
    let sealing = script.clone();
    let other = thread::spawn(move || {
        for n in 0..50 {
            sealing.push(&n.to_string()).expect("there is room");
        }
        sealing.outbox.seal();
        assert!(sealing.push("later").is_err(), "nothing gets in any more");
    });
    for n in 0..50 {
        peer.hears(&n.to_string()).await;
    }
    peer.hears_close(None, "").await;
    peer.send(&close(None)).await;
    peer.hears_end().await;
    drop(peer);
    within(driver).await.expect("the driver does not panic");
    other.join().expect("it does not panic");
    assert_eq!(script.ended(), [Ended::ByItself]);
}

#[tokio::test]
async fn an_outbox_closed_by_another_thread_ends_it_without_what_was_queued() {
    let Connection { mut peer, script, driver } = connect();
    script.push("dropped").expect("there is room");
    let closing = script.clone();
    thread::spawn(move || closing.outbox.close()).join().expect("it does not panic");
    peer.hears_close(None, "").await;
    peer.send(&close(None)).await;
    peer.hears_end().await;
    drop(peer);
    within(driver).await.expect("the driver does not panic");
    assert_eq!(script.ended(), [Ended::ByItself]);
}

#[tokio::test]
async fn a_driver_that_is_dropped_says_so_once() {
    for said in [&[][..], &["echo hello"], &["echo hello", "stall"]] {
        let Connection { mut peer, script, driver } = connect();
        for said in said {
            peer.say(said).await;
        }
        settle().await;
        assert_eq!(script.messages(), said);
        driver.abort();
        assert!(within(driver).await.expect_err("it was aborted").is_cancelled());
        assert_eq!(script.ended(), [Ended::Lost]);
        assert!(script.outbox.is_sealed());
    }
}

#[tokio::test]
async fn a_driver_that_is_dropped_after_the_end_says_nothing_more() {
    for last in [text("close"), close(Some(1000)), vec![0x83, 0x80, 0, 0, 0, 0]] {
        let Connection { mut peer, script, driver } = connect();
        peer.send(&last).await;
        script.until(|record| record.ended.len() == 1).await;
        settle().await;
        driver.abort();
        let _ = within(driver).await;
        assert_eq!(script.ended().len(), 1);
    }
}

#[tokio::test]
async fn a_driver_that_never_ran_has_an_end_all_the_same() {
    let script = Script::new(ROOMY, Limits::default());
    let shared = script.shared();
    let (_here, there) = tokio::io::duplex(10);
    drop(sockeye_net::Driver::new(sockeye_net::Io::boxed(there), b"", script));
    assert_eq!(shared.ended(), [Ended::Lost]);
    assert_eq!(shared.record.borrow().opened, 0);
}

#[tokio::test]
async fn a_close_timeout_without_end_ends_nothing() {
    let limits = Limits { close_timeout: u64::MAX, ..Limits::default() };
    let mut connection = pipe(1000, Script::new(ROOMY, limits), b"");
    connection.peer.say("close").await;
    connection.peer.hears_close(Some(1000), "bye").await;
    settle().await;
    assert!(!connection.driver.is_finished(), "the peer's answer is awaited");
    connection.peer.send(&close(Some(1000))).await;
    connection.peer.hears_end().await;
    drop(connection.peer);
    within(connection.driver).await.expect("the driver does not panic");
}
