//! Random operations on a hub and on a model too simple to be wrong: what they answer is the same.

#![cfg(not(loom))]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use sockeye_engineio::Sid;
use sockeye_hub::{Gone, Hub, Selection, Slot};

/// Members and rooms that the operations are about. The first rooms are ids.
const IDS: usize = 80;
const ROOMS: usize = IDS + 5;

fn id(number: usize) -> Sid {
    room(number).parse().expect("rooms below IDS are ids")
}

fn room(number: usize) -> String {
    if number < IDS { format!("{number:0>20}") } else { format!("room {number}") }
}

#[derive(Clone, Debug)]
enum Operation {
    Insert(usize),
    /// This and the following name a slot that was given out, alive or stale.
    Remove(usize),
    Join(usize, usize),
    Leave(usize, usize),
    Look(usize, usize),
    Walk {
        rooms: Vec<usize>,
        except: Vec<usize>,
        skip: Option<usize>,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    let slot = || 0..2 * IDS;
    // Mostly the few rooms that are no ids.
    let room = || prop_oneof![3 => IDS..ROOMS, 1 => 0..IDS];
    let rooms = move || prop::collection::vec(room(), 0..4);
    prop_oneof![
        4 => (0..IDS).prop_map(Operation::Insert),
        1 => slot().prop_map(Operation::Remove),
        6 => (slot(), room()).prop_map(|(slot, room)| Operation::Join(slot, room)),
        2 => (slot(), room()).prop_map(|(slot, room)| Operation::Leave(slot, room)),
        1 => (slot(), room()).prop_map(|(slot, room)| Operation::Look(slot, room)),
        2 => (rooms(), rooms(), prop::option::of(slot()))
            .prop_map(|(rooms, except, skip)| Operation::Walk { rooms, except, skip }),
    ]
}

/// The members by their number of insertion, with their id and their rooms, that of the id
/// included.
#[derive(Default)]
struct Model {
    members: BTreeMap<usize, (usize, BTreeSet<usize>)>,
}

impl Model {
    fn is_in(&self, member: usize, room: usize) -> bool {
        self.members.get(&member).is_some_and(|(_, rooms)| rooms.contains(&room))
    }

    fn in_room(&self, room: usize) -> BTreeSet<usize> {
        self.members.keys().copied().filter(|member| self.is_in(*member, room)).collect()
    }

    fn bearer(&self, id: usize) -> Option<usize> {
        self.members.iter().find(|(_, member)| member.0 == id).map(|(number, _)| *number)
    }
}

fn check(operations: Vec<Operation>) -> Result<(), TestCaseError> {
    let (hub, mut model) = (Hub::<usize>::new(), Model::default());
    let mut slots: Vec<Slot> = Vec::new();
    // The later a slot was given out, the likelier it is alive.
    let pick = |slots: &[Slot], back: usize| slots.len().checked_sub(1 + back);
    for operation in operations {
        match operation {
            Operation::Insert(number) => {
                let inserted = hub.insert(id(number), slots.len());
                prop_assert_eq!(inserted.is_err(), model.bearer(number).is_some());
                if let Ok(slot) = inserted {
                    prop_assert!(!slots.contains(&slot));
                    model.members.insert(slots.len(), (number, BTreeSet::from([number])));
                    slots.push(slot);
                }
            }
            Operation::Remove(back) => {
                let Some(member) = pick(&slots, back) else { continue };
                let expected = model.members.remove(&member).map(|_| member);
                prop_assert_eq!(hub.remove(slots[member]), expected);
            }
            Operation::Join(back, number) => {
                let Some(member) = pick(&slots, back) else { continue };
                let expected =
                    model.members.get_mut(&member).map(|(_, rooms)| rooms.insert(number));
                prop_assert_eq!(hub.join(slots[member], &room(number)), expected.ok_or(Gone));
            }
            Operation::Leave(back, number) => {
                let Some(member) = pick(&slots, back) else { continue };
                let entry = model.members.get_mut(&member).filter(|(id, _)| *id != number);
                let expected = entry.is_some_and(|(_, rooms)| rooms.remove(&number));
                prop_assert_eq!(hub.leave(slots[member], &room(number)), expected);
            }
            Operation::Look(back, number) => {
                prop_assert_eq!(hub.room_len(&room(number)), model.in_room(number).len());
                let bearer = if number < IDS { model.bearer(number) } else { None };
                prop_assert_eq!(hub.find(&room(number)), bearer);
                let Some(member) = pick(&slots, back) else { continue };
                prop_assert_eq!(
                    hub.contains(slots[member], &room(number)),
                    model.is_in(member, number)
                );
                let rooms: BTreeSet<Box<str>> = hub.rooms(slots[member]).into_iter().collect();
                let expected =
                    model.members.get(&member).map(|(_, rooms)| rooms.clone()).unwrap_or_default();
                prop_assert_eq!(
                    rooms,
                    expected.into_iter().map(|number| room(number).into()).collect()
                );
            }
            Operation::Walk { rooms, except, skip } => {
                let mut expected: BTreeSet<usize> = match rooms.is_empty() {
                    true => model.members.keys().copied().collect(),
                    false => rooms.iter().flat_map(|number| model.in_room(*number)).collect(),
                };
                except.iter().for_each(|number| expected = &expected - &model.in_room(*number));
                let mut selection = Selection::everyone();
                selection.rooms.extend(rooms.iter().map(|number| room(*number).into()));
                selection.except.extend(except.iter().map(|number| room(*number).into()));
                if let Some(member) = skip.and_then(|back| pick(&slots, back)) {
                    expected.remove(&member);
                    selection = selection.skip(slots[member]);
                }
                let mut visited = Vec::new();
                prop_assert_eq!(
                    hub.for_each(&selection, |member| visited.push(*member)),
                    expected.len()
                );
                visited.sort_unstable();
                prop_assert_eq!(visited, expected.into_iter().collect::<Vec<_>>());
            }
        }
        prop_assert_eq!(hub.len(), model.members.len());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_hub_is_its_model(operations in prop::collection::vec(operation(), 0..300)) {
        check(operations)?;
    }
}
