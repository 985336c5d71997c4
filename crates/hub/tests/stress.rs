//! Threads that come, go, join, leave and broadcast at once.

#![cfg(not(loom))]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use sockeye_engineio::Sid;
use sockeye_hub::{Hub, Selection};

const STAYING: u32 = 5_000;
const ROUNDS: u32 = 1_500;

fn id(number: u32) -> Sid {
    format!("{number:0>20}").parse().expect("20 digits are an id")
}

/// A member knows what rooms it may ever be in.
struct Member {
    number: u32,
    room: &'static str,
}

fn member(number: u32, room: &'static str) -> Arc<Member> {
    Arc::new(Member { number, room })
}

#[test]
fn who_stays_is_visited_once_and_nobody_for_a_predecessor() {
    let hub: Hub<Arc<Member>> = Hub::new();
    let mut leaving = Vec::new();
    for number in 0..STAYING {
        // Whoever stays has neighbours that go, so that pages, words and slots change around it.
        let slot = hub.insert(id(number), member(number, "a")).unwrap();
        hub.join(slot, "a").unwrap();
        leaving.push(hub.insert(id(STAYING + number), member(STAYING + number, "b")).unwrap());
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let churn = |first: u32, room: &'static str| {
            let hub = &hub;
            move || {
                let mut last = None;
                for round in 0..ROUNDS {
                    let number = first + round;
                    let slot = hub.insert(id(number), member(number, room)).unwrap();
                    assert_eq!(hub.join(slot, room), Ok(true));
                    assert_eq!(hub.join(slot, "b or c"), Ok(true));
                    if let Some(last) = last.replace(slot) {
                        assert!(hub.remove(last).is_some());
                        assert!(hub.join(last, room).is_err());
                    }
                }
                hub.remove(last.unwrap()).unwrap();
            }
        };
        let walkers: Vec<_> =
            [Selection::everyone(), Selection::everyone().to("a").to("b").except("c")]
                .into_iter()
                .map(|selection| {
                    let (hub, done) = (&hub, &done);
                    scope.spawn(move || {
                        let mut walks = 0;
                        while !done.load(Ordering::Relaxed) || walks == 0 {
                            let mut seen = vec![0u8; STAYING as usize];
                            let narrow = !selection.rooms.is_empty();
                            hub.for_each(&selection, |member| {
                                assert!(
                                    !narrow || member.room != "c",
                                    "{} was never in a or b",
                                    member.number
                                );
                                if let Some(seen) = seen.get_mut(member.number as usize) {
                                    *seen += 1;
                                }
                            });
                            assert!(seen.iter().all(|times| *times == 1));
                            walks += 1;
                        }
                    })
                })
                .collect();
        let mut churning =
            vec![scope.spawn(churn(1_000_000, "b")), scope.spawn(churn(2_000_000, "c"))];
        let hub = &hub;
        churning.push(
            scope.spawn(move || {
                leaving.into_iter().for_each(|slot| drop(hub.remove(slot).unwrap()))
            }),
        );
        for thread in churning {
            thread.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        for thread in walkers {
            thread.join().unwrap();
        }
    });
    let mut left = BTreeSet::new();
    hub.for_each(&Selection::everyone(), |member| assert!(left.insert(member.number)));
    assert_eq!(left, (0..STAYING).collect());
    assert_eq!(
        ["a", "b", "c", "b or c"].map(|room| hub.room_len(room)),
        [STAYING as usize, 0, 0, 0]
    );
}
