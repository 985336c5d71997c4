//! What rooms, selections and slots mean, one rule a test.

#![cfg(not(loom))]

use std::cell::Cell;
use std::sync::Arc;

use sockeye_engineio::Sid;
use sockeye_hub::{Gone, Hub, IdTaken, Selection, Slot};

type TestHub = Hub<Arc<u32>>;

fn id(number: u32) -> Sid {
    format!("{number:0>20}").parse().expect("20 digits are an id")
}

/// A hub of members 0, 1, 2, .. with their slots.
fn hub(members: u32) -> (TestHub, Vec<Slot>) {
    let hub = Hub::new();
    let slots = (0..members).map(|n| hub.insert(id(n), Arc::new(n)).expect("ids differ")).collect();
    (hub, slots)
}

/// Whom a walk visits: sorted, but as often as it does.
fn visited(hub: &TestHub, selection: &Selection) -> Vec<u32> {
    let mut visited = Vec::new();
    let count = hub.for_each(selection, |member| visited.push(**member));
    assert_eq!(count, visited.len());
    visited.sort_unstable();
    visited
}

#[test]
fn everyone_is_everyone_once() {
    for members in [0, 1, 31, 32, 33, 1_000, 5_000] {
        let (hub, _) = hub(members);
        assert_eq!(hub.len(), members as usize);
        assert_eq!(hub.is_empty(), members == 0);
        assert_eq!(visited(&hub, &Selection::everyone()), (0..members).collect::<Vec<_>>());
    }
}

#[test]
fn a_union_has_no_duplicates() {
    let (hub, slots) = hub(6_000);
    for (n, slot) in slots.iter().enumerate() {
        if n % 2 == 0 {
            hub.join(*slot, "even").unwrap();
        }
        if n % 3 == 0 {
            hub.join(*slot, "third").unwrap();
        }
    }
    let both = Selection::everyone().to("even").to("third").to("even").to("nobody");
    let expected: Vec<u32> = (0..6_000).filter(|n| n % 2 == 0 || n % 3 == 0).collect();
    assert_eq!(visited(&hub, &both), expected);

    let without = Selection::everyone().to("even").except("third").except("nobody").skip(slots[2]);
    let expected: Vec<u32> = (0..6_000).filter(|n| n % 2 == 0 && n % 3 != 0 && *n != 2).collect();
    assert_eq!(visited(&hub, &without), expected);

    let everyone = Selection::everyone().except("third");
    let expected: Vec<u32> = (0..6_000).filter(|n| n % 3 != 0).collect();
    assert_eq!(visited(&hub, &everyone), expected);
}

#[test]
fn a_room_of_nobody_is_nobody() {
    let (hub, _) = hub(3);
    assert_eq!(visited(&hub, &Selection::everyone().to("nobody")), []);
    assert_eq!(hub.room_len("nobody"), 0);
}

#[test]
fn joining_and_leaving_are_idempotent() {
    let (hub, slots) = hub(2);
    assert_eq!(hub.join(slots[0], "a"), Ok(true));
    assert_eq!(hub.join(slots[0], "a"), Ok(false));
    assert_eq!(hub.join(slots[1], "a"), Ok(true));
    assert_eq!(hub.room_len("a"), 2);
    assert!(hub.contains(slots[0], "a"));
    assert!(hub.leave(slots[0], "a"));
    assert!(!hub.leave(slots[0], "a"));
    assert!(!hub.leave(slots[0], "never"));
    assert!(!hub.contains(slots[0], "a") && hub.contains(slots[1], "a"));
    assert_eq!(hub.room_len("a"), 1);
}

#[test]
fn rooms_lists_the_own_one_first() {
    let (hub, slots) = hub(1);
    for room in ["a", "b", "c", "d", "e", "f"] {
        hub.join(slots[0], room).unwrap();
    }
    hub.leave(slots[0], "b");
    let mut rooms = hub.rooms(slots[0]);
    assert_eq!(*rooms[0], *id(0).as_str());
    rooms[1..].sort_unstable();
    assert_eq!(
        rooms[1..].iter().map(|room| &**room).collect::<Vec<_>>(),
        ["a", "c", "d", "e", "f"]
    );
}

#[test]
fn everybody_is_in_the_room_of_their_id() {
    let (hub, slots) = hub(4);
    let own = id(1);
    let own = own.as_str();
    assert!(hub.contains(slots[1], own) && !hub.contains(slots[0], own));
    assert_eq!(hub.room_len(own), 1);
    assert_eq!(visited(&hub, &Selection::everyone().to(own)), [1]);
    assert_eq!(visited(&hub, &Selection::everyone().to(own).to(own)), [1]);
    assert_eq!(visited(&hub, &Selection::everyone().except(own)), [0, 2, 3]);
    assert_eq!(visited(&hub, &Selection::everyone().to(own).except(own)), []);
    assert_eq!(visited(&hub, &Selection::everyone().to(own).skip(slots[1])), []);
    assert_eq!(hub.find(own).as_deref(), Some(&1));
    assert!(hub.find("lobby").is_none());

    assert_eq!(hub.join(slots[1], own), Ok(false));
    assert!(!hub.leave(slots[1], own));
    assert_eq!(visited(&hub, &Selection::everyone().to(own)), [1]);
}

#[test]
fn others_may_join_the_room_of_an_id() {
    let (hub, slots) = hub(4);
    let own = id(1);
    let own = own.as_str();
    assert_eq!(hub.join(slots[3], own), Ok(true));
    assert_eq!(hub.join(slots[1], "a"), Ok(true));
    assert_eq!(hub.room_len(own), 2);
    assert_eq!(visited(&hub, &Selection::everyone().to(own)), [1, 3]);
    assert_eq!(visited(&hub, &Selection::everyone().to(own).to("a")), [1, 3]);
    assert_eq!(visited(&hub, &Selection::everyone().to(own).except("a")), [3]);
    assert_eq!(visited(&hub, &Selection::everyone().except(own)), [0, 2]);
    // The room outlives the member whose id it bears.
    hub.remove(slots[1]).unwrap();
    assert_eq!(visited(&hub, &Selection::everyone().to(own)), [3]);
}

#[test]
fn an_id_is_taken_until_its_member_is_gone() {
    let (hub, slots) = hub(1);
    assert_eq!(hub.insert(id(0), Arc::new(9)), Err(IdTaken));
    assert_eq!(hub.len(), 1);
    hub.remove(slots[0]).unwrap();
    assert!(hub.insert(id(0), Arc::new(9)).is_ok());
    assert_eq!(hub.find(id(0).as_str()).as_deref(), Some(&9));
}

#[test]
fn removing_leaves_all_rooms() {
    let (hub, slots) = hub(2);
    let rooms: Vec<String> = (0..100).map(|n| format!("room {n}")).collect();
    for room in &rooms {
        hub.join(slots[0], room).unwrap();
    }
    hub.join(slots[1], &rooms[7]).unwrap();
    let removed = hub.remove(slots[0]).unwrap();
    assert_eq!(*removed, 0);
    assert_eq!(Arc::strong_count(&removed), 1, "the hub keeps nothing of it");
    assert_eq!(rooms.iter().map(|room| hub.room_len(room)).sum::<usize>(), 1);
    assert_eq!(visited(&hub, &Selection::everyone().to(&*rooms[7])), [1]);
    assert_eq!(hub.len(), 1);
}

#[test]
fn a_slot_that_is_used_again_is_not_the_old_one() {
    let (hub, slots) = hub(1);
    let old = slots[0];
    hub.join(old, "a").unwrap();
    hub.remove(old).unwrap();
    // The same id goes to the same shard, and there to the lowest free place.
    let new = hub.insert(id(0), Arc::new(7)).unwrap();
    assert_ne!(old, new);

    assert!(hub.remove(old).is_none());
    assert_eq!(hub.join(old, "b"), Err(Gone));
    assert_eq!(hub.rooms(old), []);
    assert!(!hub.contains(old, id(0).as_str()));
    hub.join(new, "b").unwrap();
    assert!(!hub.leave(old, "b"));
    assert_eq!(visited(&hub, &Selection::everyone().skip(old)), [7], "a stale skip skips nobody");
    assert_eq!(visited(&hub, &Selection::everyone().to("a")), []);
    assert_eq!(visited(&hub, &Selection::everyone().to("b")), [7]);
}

#[test]
fn the_hub_may_be_used_from_within_a_walk() {
    let (hub, slots) = hub(100);
    for slot in &slots {
        hub.join(*slot, "a").unwrap();
    }
    let inner = Cell::new(0);
    let count = hub.for_each(&Selection::everyone().to("a"), |member| {
        let slot = slots[**member as usize];
        let others = Selection::everyone().to("a").skip(slot);
        inner.set(inner.get() + hub.for_each(&others, |_| ()));
        // What is walked already is not disturbed.
        assert!(hub.leave(slot, "a"));
        hub.remove(slot).unwrap();
        hub.insert(id(1_000 + **member), Arc::new(0)).unwrap();
    });
    assert_eq!(count, 100);
    assert_eq!(inner.get(), (0..100).sum());
    assert_eq!((hub.len(), hub.room_len("a")), (100, 0));
}

#[test]
fn a_member_is_dropped_when_the_walk_that_holds_it_ends() {
    let (hub, slots) = hub(3);
    let mut held = None;
    hub.for_each(&Selection::everyone(), |_| {
        if let Some(removed) = hub.remove(slots[1]) {
            held = Some(removed);
        }
    });
    assert_eq!(Arc::strong_count(&held.unwrap()), 1);
}
