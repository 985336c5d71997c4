//! Under loom: every order in which two or three threads can meet.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p sockeye-hub --release --test loom`

#![cfg(loom)]

use loom::model;
use loom::sync::Arc;
use loom::thread;
use sockeye_engineio::Sid;
use sockeye_hub::{Gone, Hub, Selection};

type TestHub = Hub<std::sync::Arc<u32>>;

fn id(number: u32) -> Sid {
    format!("{number:0>20}").parse().expect("20 digits are an id")
}

fn member(number: u32) -> std::sync::Arc<u32> {
    std::sync::Arc::new(number)
}

fn visited(hub: &TestHub, selection: &Selection) -> Vec<u32> {
    let mut visited = Vec::new();
    hub.for_each(selection, |member| visited.push(**member));
    visited.sort_unstable();
    visited
}

/// Whoever takes over a slot inherits no room, although a join of its predecessor is still under
/// way.
#[test]
fn a_stale_join_does_not_reach_the_next_member() {
    model(|| {
        let hub = Arc::new(TestHub::new());
        let old = hub.insert(id(0), member(0)).unwrap();
        let joining = thread::spawn({
            let hub = Arc::clone(&hub);
            move || hub.join(old, "a")
        });
        assert!(hub.remove(old).is_some());
        // The same id, so the same shard, and there the only free place.
        let new = hub.insert(id(0), member(1)).unwrap();
        let joined = joining.join().unwrap();
        assert!(matches!(joined, Ok(true) | Err(Gone)));
        assert!(!hub.contains(new, "a"));
        assert_eq!(hub.room_len("a"), 0);
        assert_eq!(visited(&hub, &Selection::everyone()), [1]);
    });
}

/// A join either comes before the removal, which undoes it, or fails. So does a leave, and of two
/// removals one does it.
#[test]
fn no_membership_survives_a_removal() {
    model(|| {
        let hub = Arc::new(TestHub::new());
        let slot = hub.insert(id(0), member(0)).unwrap();
        hub.join(slot, "a").unwrap();
        let other = thread::spawn({
            let hub = Arc::clone(&hub);
            move || {
                let joined = hub.join(slot, "b");
                hub.leave(slot, "a");
                (joined, hub.remove(slot))
            }
        });
        let removed = hub.remove(slot);
        let (joined, removed_there) = other.join().unwrap();
        assert!(removed.is_some() != removed_there.is_some());
        assert!(matches!(joined, Ok(true) | Err(Gone)));
        assert_eq!((hub.room_len("a"), hub.room_len("b"), hub.len()), (0, 0, 0));
        assert_eq!(hub.rooms(slot), []);
    });
}

/// The last one leaves a room while another joins it: nobody joins a room that has vanished.
#[test]
fn a_room_that_vanishes_takes_no_one_along() {
    model(|| {
        let hub = Arc::new(TestHub::new());
        let first = hub.insert(id(0), member(0)).unwrap();
        let second = hub.insert(id(1), member(1)).unwrap();
        hub.join(first, "a").unwrap();
        let leaving = thread::spawn({
            let hub = Arc::clone(&hub);
            move || hub.leave(first, "a")
        });
        assert_eq!(hub.join(second, "a"), Ok(true));
        assert!(leaving.join().unwrap());
        assert_eq!(visited(&hub, &Selection::everyone().to("a")), [1]);
        assert!(hub.remove(second).is_some());
        assert_eq!(hub.room_len("a"), 0);
    });
}

/// A broadcast to two rooms, less a third, while a member leaves and its slot is taken over.
#[test]
fn a_broadcast_never_reaches_the_successor_of_a_member() {
    // Names of one shard and of both, in either order.
    for (a, b, c) in [("a", "b", "c"), ("d", "e", "f"), ("g", "h", "i"), ("j", "k", "l")] {
        model(move || {
            let hub = Arc::new(TestHub::new());
            let staying = hub.insert(id(0), member(0)).unwrap();
            let old = hub.insert(id(1), member(1)).unwrap();
            for room in [a, b] {
                hub.join(staying, room).unwrap();
                hub.join(old, room).unwrap();
            }
            let changing = thread::spawn({
                let hub = Arc::clone(&hub);
                move || {
                    hub.remove(old).unwrap();
                    let new = hub.insert(id(1), member(2)).unwrap();
                    hub.join(new, c).unwrap();
                }
            });
            let selection = Selection::everyone().to(a).to(b).except(c);
            let seen = visited(&hub, &selection);
            assert!(seen == [0] || seen == [0, 1], "{seen:?}");
            changing.join().unwrap();
            assert_eq!(visited(&hub, &selection), [0]);
        });
    }
}

/// A message to an id reaches its member or nobody, never whoever has its slot next.
#[test]
fn a_private_message_never_reaches_the_successor_of_a_member() {
    model(|| {
        let hub = Arc::new(TestHub::new());
        let old = hub.insert(id(1), member(1)).unwrap();
        let changing = thread::spawn({
            let hub = Arc::clone(&hub);
            move || {
                hub.remove(old).unwrap();
                // Two in each of the two shards: one of them takes over the slot.
                for number in 2..5 {
                    hub.insert(id(number), member(number)).unwrap();
                }
            }
        });
        let seen = visited(&hub, &Selection::everyone().to(id(1).as_str()));
        assert!(seen.is_empty() || seen == [1], "{seen:?}");
        changing.join().unwrap();
    });
}

/// A broadcast to everyone while one comes and one joins and goes: the walk visits who stays, once.
#[test]
fn a_broadcast_visits_who_stays() {
    model(|| {
        let hub = Arc::new(TestHub::new());
        hub.insert(id(0), member(0)).unwrap();
        let going = hub.insert(id(1), member(1)).unwrap();
        let threads = [
            thread::spawn({
                let hub = Arc::clone(&hub);
                move || drop(hub.remove(going))
            }),
            thread::spawn({
                let hub = Arc::clone(&hub);
                move || {
                    hub.insert(id(2), member(2)).unwrap();
                }
            }),
        ];
        let seen = visited(&hub, &Selection::everyone());
        assert!(seen.contains(&0) && seen.windows(2).all(|pair| pair[0] < pair[1]), "{seen:?}");
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(visited(&hub, &Selection::everyone()), [0, 2]);
    });
}

/// A room takes over the place of one that vanished: nobody who was in that one is said to be in
/// this.
#[test]
fn a_list_of_rooms_names_no_successor_of_a_room() {
    // Some of these are in the same shard as the room that vanishes.
    for next in ["b", "c", "d", "e"] {
        model(move || {
            let hub = Arc::new(TestHub::new());
            let slots = [0, 1].map(|number| hub.insert(id(number), member(number)).unwrap());
            hub.join(slots[0], "a").unwrap();
            let leaving = thread::spawn({
                let hub = Arc::clone(&hub);
                move || hub.leave(slots[0], "a")
            });
            let joining = thread::spawn({
                let hub = Arc::clone(&hub);
                move || hub.join(slots[1], next)
            });
            let rooms = hub.rooms(slots[0]);
            assert_eq!(*rooms[0], *id(0).as_str());
            assert!(rooms.len() == 1 || *rooms[1] == *"a", "{rooms:?}");
            assert!(leaving.join().unwrap());
            assert_eq!(joining.join().unwrap(), Ok(true));
            assert_eq!(hub.rooms(slots[0]).len(), 1);
        });
    }
}
