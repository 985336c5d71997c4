//! Every interleaving of the driver with those who push, seal and notify.
#![cfg(loom)]

use std::task::{Context, Poll};

use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;
use sockeye_outbox::{Class, Entry, Outbox};

struct Item(u32);

impl Entry for Item {
    fn bytes(&self) -> usize {
        1
    }
}

/// Drives the outbox as a connection does, until it is sealed and empty.
async fn drive(outbox: &Outbox<Item>) -> (Vec<u32>, bool) {
    let mut seen = Vec::new();
    let mut notified = false;
    let mut released = 0;
    std::future::poll_fn(|cx: &mut Context<'_>| {
        loop {
            let mut batch = Vec::new();
            let taken = outbox.poll_take(cx, released, 1, &mut batch);
            released = batch.len();
            notified |= taken.notified;
            let idle = batch.is_empty();
            seen.extend(batch.into_iter().map(|item| item.0));
            if taken.last {
                return Poll::Ready(());
            }
            if idle {
                return Poll::Pending;
            }
        }
    })
    .await;
    (seen, notified)
}

#[test]
fn no_push_is_missed_by_a_parking_driver() {
    loom::model(|| {
        let outbox = Arc::new(Outbox::new(100));
        let pusher = {
            let outbox = outbox.clone();
            thread::spawn(move || {
                assert!(outbox.push(Item(1), Class::Data).is_ok());
                assert!(outbox.push(Item(2), Class::Data).is_ok());
                outbox.seal();
            })
        };
        assert_eq!(block_on(drive(&outbox)).0, [1, 2]);
        pusher.join().unwrap();
    });
}

#[test]
fn two_pushers_and_a_notification_all_arrive() {
    loom::model(|| {
        let outbox = Arc::new(Outbox::new(100));
        let first = {
            let outbox = outbox.clone();
            thread::spawn(move || {
                outbox.notify();
                assert!(outbox.push(Item(1), Class::Data).is_ok());
            })
        };
        let second = {
            let outbox = outbox.clone();
            thread::spawn(move || {
                first.join().unwrap();
                outbox.seal();
            })
        };
        let (seen, notified) = block_on(drive(&outbox));
        assert_eq!(seen, [1]);
        assert!(notified);
        second.join().unwrap();
    });
}

#[test]
fn a_waiting_push_is_woken_by_the_release_or_by_the_end() {
    loom::model(|| {
        let outbox = Arc::new(Outbox::new(1));
        assert!(outbox.push(Item(1), Class::Data).is_ok());
        let waiter = {
            let outbox = outbox.clone();
            thread::spawn(move || {
                let mut slot = Some(Item(2));
                let outcome = block_on(std::future::poll_fn(|cx| outbox.poll_push(cx, &mut slot)));
                outbox.seal();
                outcome
            })
        };
        let seen = block_on(drive(&outbox)).0;
        assert_eq!(waiter.join().unwrap(), Ok(()));
        assert_eq!(seen, [1, 2]);
    });
}
