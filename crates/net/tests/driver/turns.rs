//! Who gets his turn when: notifications, timeouts, and connections that would take all the time.

use std::sync::atomic::Ordering;
use std::thread;

use sockeye_net::wheel::TICK;
use sockeye_websocket::deflate::{Compression, Compressors, WindowBits};
use sockeye_websocket::{Limits, OpCode};

use crate::peer::{Connection, ROOMY, connect, masked, pipe, text};
use crate::script::{Script, settle};

/// What a busy machine may add to a deadline.
const LATE: u64 = 2_000;

#[tokio::test]
async fn timeouts_come_in_time() {
    let Connection { mut peer, script, .. } = connect();
    for (n, millis) in [1, 7, 8, 9, 50, 123].into_iter().enumerate() {
        peer.say(&format!("timeout {millis}")).await;
        script.until(|record| record.timeouts.len() == n + 1).await;
        let (due, now, clock) = script.record.borrow().timeouts[n];
        assert!(now >= due, "the deadline {due} is reached at {now}");
        // Liveness is rounded down to a tick.
        assert!(clock + TICK > due, "{millis} ms: due at {due}, called at {clock}");
        assert!(clock < due + LATE, "{millis} ms: due at {due}, called at {clock}");
    }
    // Nothing is called for a timeout that nobody wants.
    peer.say("echo hello").await;
    peer.hears("echo hello").await;
    assert_eq!(script.record.borrow().timeouts.len(), 6);
}

#[tokio::test]
async fn a_timeout_may_move_both_ways() {
    let Connection { mut peer, script, .. } = connect();
    peer.say("timeout 600000").await;
    script.until(|record| record.messages.len() == 1).await;
    settle().await;
    peer.say("timeout 20").await;
    script.until(|record| record.timeouts.len() == 1).await;
    // The timer is armed for the first of them when the second one takes its place.
    peer.say("timeout 20").await;
    script.until(|record| record.messages.len() == 3).await;
    settle().await;
    peer.say("timeout 100").await;
    script.until(|record| record.timeouts.len() == 2).await;
    let (due, _, clock) = script.record.borrow().timeouts[1];
    assert!(clock + TICK > due, "due at {due}, called at {clock}");
}

#[tokio::test]
async fn a_notification_from_another_thread_leads_to_work() {
    let Connection { peer: _peer, script, .. } = connect();
    settle().await;
    for n in 1..=100 {
        let shared = script.clone();
        let notifying = thread::spawn(move || {
            shared.word.store(true, Ordering::Release);
            shared.outbox.notify();
        });
        script.until(|record| record.word == n).await;
        notifying.join().expect("it does not panic");
    }
}

/// Two connections with input at the same moment, the first with a lot: how many messages of it are
/// received before the only one of the second.
async fn received_before_the_other(flood: &[u8]) -> usize {
    let script = || Script::new(ROOMY, Limits::default()).deflated();
    let mut greedy = pipe(flood.len(), script(), b"");
    let mut modest = pipe(1000, script(), b"");
    greedy.peer.send(flood).await;
    modest.peer.say("echo me, too").await;
    modest.peer.hears("echo me, too").await;
    greedy.peer.say("echo end").await;
    greedy.peer.hears("echo end").await;
    let turn = modest.script.record.borrow().turns[0];
    greedy.script.record.borrow().turns.partition_point(|other| *other < turn)
}

#[tokio::test]
async fn ten_thousand_tiny_messages_do_not_starve_another_connection() {
    let flood = text("x").repeat(10_000);
    let received = received_before_the_other(&flood).await;
    assert!(received <= 2_048, "{received} messages of one came before the only one of the other");
}

#[tokio::test]
async fn ten_thousand_tiny_messages_are_all_received_in_order() {
    let flood: Vec<u8> = (0..10_000).flat_map(|n| text(&n.to_string())).collect();
    let script = Script::new(ROOMY, Limits::default());
    let Connection { mut peer, script, .. } = pipe(flood.len(), script, b"");
    peer.send(&flood).await;
    peer.say("echo end").await;
    peer.hears("echo end").await;
    let mut expected: Vec<String> = (0..10_000).map(|n| n.to_string()).collect();
    expected.push("echo end".to_owned());
    assert!(script.messages() == expected);
}

#[tokio::test]
async fn what_is_inflated_counts_as_if_it_had_been_sent() {
    // Half a kilobyte each on the wire, and half a megabyte for the protocol.
    let message = "x".repeat(500_000);
    let compression = Compression { threshold: 0, level: 1, mem_level: 6 };
    let (mut flood, window) = (Vec::new(), WindowBits::MAX);
    let key = Some([1, 2, 3, 4]);
    let mut compressors = Compressors::new();
    compressors.append(&mut flood, window, &compression, OpCode::Text, message.as_bytes(), key);
    let received = received_before_the_other(&flood.repeat(100)).await;
    assert!(received <= 8, "{received} messages of one came before the only one of the other");
}

#[tokio::test]
async fn large_messages_without_end_do_not_starve_another_connection() {
    // Sixteen megabytes: at 64 KiB a read, 256 reads.
    let flood = masked(OpCode::Text, &[b'x'; 100_000]).repeat(160);
    let received = received_before_the_other(&flood).await;
    assert!(received < 80, "{received} messages of one came before the only one of the other");
}
