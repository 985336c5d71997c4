//! What the log keeps, for how long, and for whom.

mod harness;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::*;
use sockeye_engineio::Sid;
use sockeye_recovery::{
    Epoch, Event, Forgotten, Limits, Loaded, Log, MemoryStore, Meta, Offset, Position, Run,
    Session, Store, Unrecoverable, Visit,
};

#[test]
fn a_client_hears_what_it_missed_once_and_in_order() {
    let log = memory(LIMITS);
    let visit = begin(&log, 0, 1);
    let last = emit(&log, 1, "heard");
    emit(&log, 2, "in flight");
    log.away(3, visit);
    emit(&log, 4, "away");
    let (visit, texts) = recover(&log, 5, 1, Some(&last)).unwrap();
    assert_eq!(texts, ["in flight", "away"]);
    // And again, from what it heard last.
    let last = emit(&log, 6, "back");
    log.away(7, visit);
    assert_eq!(recover(&log, 8, 1, Some(&last)).unwrap().1, Vec::<String>::new());
}

#[test]
fn a_client_without_an_offset_has_heard_nothing_since_its_connect() {
    let log = memory(LIMITS);
    emit(&log, 0, "before");
    let visit = begin(&log, 1, 1);
    emit(&log, 2, "after");
    log.away(3, visit);
    let (visit, texts) = recover(&log, 4, 1, None).unwrap();
    assert_eq!(texts, ["after"]);
    // What it was told it may not have heard: without an offset it is told again.
    log.away(5, visit);
    assert_eq!(recover(&log, 6, 1, None).unwrap().1, ["after"]);
}

#[test]
fn an_offset_from_before_the_session_is_as_good_as_none() {
    let log = memory(LIMITS);
    let stale = emit(&log, 0, "of the former session");
    emit(&log, 1, "between");
    let visit = begin(&log, 2, 1);
    emit(&log, 3, "of this one");
    log.away(4, visit);
    assert_eq!(recover(&log, 5, 1, Some(&stale)).unwrap().1, ["of this one"]);
    let other = Offset { epoch: Epoch::new([9; 3]), position: Position(3) }.to_string();
    assert_eq!(recover(&log, 5, 1, Some(&other)).unwrap().1, ["of this one"]);
}

#[test]
fn offsets_that_were_never_given_out_are_refused() {
    let log = memory(LIMITS);
    let visit = begin(&log, 0, 1);
    emit(&log, 1, "one");
    log.away(2, visit);
    let ahead = Offset { epoch: epoch(), position: Position(2) }.to_string();
    for bad in [&*ahead, "", "hello", "Q87RNsZ.0", "0\u{0}", "é"] {
        assert_eq!(claim(&log, 3, 1, Some(bad)).unwrap_err(), Unrecoverable::BadOffset, "{bad}");
    }
    // Trying has cost nothing.
    assert_eq!(recover(&log, 3, 1, None).unwrap().1, ["one"]);
}

#[test]
fn a_pid_is_good_in_its_namespace_only() {
    let log = memory(LIMITS);
    let visit = begin(&log, 0, 1);
    log.away(1, visit);
    assert_eq!(log.claim(2, "/other", pid(1), None).unwrap_err(), Unrecoverable::Unknown);
    assert_eq!(claim(&log, 2, 2, None).unwrap_err(), Unrecoverable::Unknown);
    assert!(claim(&log, 2, 1, None).is_ok());
}

#[test]
fn events_are_for_the_rooms_that_the_socket_was_in_by_then() {
    let log = memory(LIMITS);
    let visit = begin(&log, 0, 1);
    emit_to(&log, 1, "too early", &["r"], &[]);
    log.join(visit, "r");
    log.join(visit, "r");
    emit_to(&log, 2, "room", &["r", "s"], &[]);
    emit_to(&log, 3, "other room", &["s"], &[]);
    emit_to(&log, 4, "but not to it", &[], &["r"]);
    emit_to(&log, 5, "private", &[id(1).as_str()], &[]);
    emit_to(&log, 6, "private to another", &[id(2).as_str()], &[]);
    emit_to(&log, 7, "everyone but others", &[], &["s", id(2).as_str()]);
    log.join(visit, "left");
    emit_to(&log, 8, "of a room it left", &["left"], &[]);
    emit_to(&log, 8, "to all but that room", &[], &["left"]);
    log.leave(visit, "left");
    emit_to(&log, 9, "of a room it has left", &["left"], &[]);
    emit_to(&log, 9, "to all but a room it has left", &[], &["left"]);
    log.away(9, visit);
    let mut back = claim(&log, 10, 1, None).unwrap();
    let texts = missed(&log, &mut back).unwrap();
    let rest = ["of a room it left", "to all but a room it has left"];
    assert_eq!(texts[..3], ["room", "private", "everyone but others"]);
    assert_eq!(texts[3..], rest);
    let mut rooms: Vec<_> = back.session.rooms.keys().map(|room| &**room).collect();
    rooms.sort_unstable();
    assert_eq!(rooms, [id(1).as_str(), "r"]);
}

#[test]
fn a_session_that_was_taken_is_not_touched_by_whoever_had_it() {
    let log = memory(LIMITS);
    let old = begin(&log, 0, 1);
    // The old connection is still open as far as the server knows.
    let (new, _) = recover(&log, 1, 1, None).unwrap();
    log.join(old, "of the old");
    log.set_data(old, "1");
    log.away(2, old);
    log.end(old);
    log.join(new, "of the new");
    log.set_data(new, "2");
    log.away(3, new);
    let back = claim(&log, 4, 1, None).unwrap();
    assert!(back.session.rooms.contains_key("of the new"));
    assert!(!back.session.rooms.contains_key("of the old"));
    assert_eq!(back.session.data.as_deref(), Some("2"));
}

#[test]
fn of_two_that_come_at_once_the_later_one_gets_the_session() {
    let log = memory(LIMITS);
    let visit = begin(&log, 0, 1);
    log.away(1, visit);
    emit(&log, 2, "missed");
    let mut first = claim(&log, 3, 1, None).unwrap();
    let mut second = claim(&log, 3, 1, None).unwrap();
    assert_eq!(missed(&log, &mut first).unwrap_err(), Unrecoverable::Superseded);
    assert_eq!(log.resume(3, &first).unwrap_err(), Unrecoverable::Superseded);
    assert_eq!(missed(&log, &mut second).unwrap(), ["missed"]);
    assert!(log.resume(3, &second).is_ok());
}

#[test]
fn a_client_may_be_away_for_so_long_and_no_longer() {
    let log = memory(LIMITS);
    for number in [1, 2] {
        let visit = begin(&log, 0, number);
        log.away(10, visit);
    }
    emit(&log, 11, "missed");
    assert_eq!(recover(&log, 1010, 1, None).unwrap().1, ["missed"]);
    assert_eq!(claim(&log, 1011, 2, None).unwrap_err(), Unrecoverable::Unknown);
    assert_eq!(log.sessions(), 2);
    log.tidy(1011);
    assert_eq!(log.sessions(), 1);
}

#[test]
fn a_session_that_ended_for_good_is_gone() {
    let log = memory(LIMITS);
    let visit = begin(&log, 0, 1);
    log.end(visit);
    assert_eq!(claim(&log, 1, 1, None).unwrap_err(), Unrecoverable::Unknown);
    assert_eq!((log.sessions(), log.bytes()), (0, 0));
}

#[test]
fn an_offset_is_good_as_long_as_its_connection_lives() {
    let log = memory(LIMITS);
    let visit = begin(&log, 0, 1);
    let last = emit(&log, 1, "the last one for it");
    // For others, and by now forgotten.
    for now in 2..20_000 {
        emit_to(&log, now, "noise", &["others"], &[]);
    }
    log.away(20_000, visit);
    emit(&log, 20_001, "missed");
    assert_eq!(recover(&log, 20_002, 1, Some(&last)).unwrap().1, ["missed"]);
}

#[test]
fn what_may_have_been_missed_and_is_forgotten_ends_the_session() {
    let limits = Limits { max_bytes: 20_000, ..LIMITS };
    let log = memory(limits);
    let visit = begin(&log, 0, 1);
    let last = emit(&log, 1, "heard");
    emit(&log, 2, "missed");
    log.away(3, visit);
    for _ in 0..1000 {
        emit(&log, 4, "too much");
        assert!(log.bytes() <= limits.max_bytes);
    }
    assert_eq!(claim(&log, 5, 1, Some(&last)).unwrap_err(), Unrecoverable::Incomplete);
}

#[test]
fn what_is_forgotten_while_it_is_told_ends_the_claim() {
    let log = memory(Limits { max_bytes: 20_000, ..LIMITS });
    let visit = begin(&log, 0, 1);
    log.away(1, visit);
    emit(&log, 2, "a");
    emit(&log, 2, "b");
    let mut back = claim(&log, 3, 1, None).unwrap();
    assert_eq!(log.missed(&mut back, 1).unwrap().packets.len(), 1);
    for _ in 0..1000 {
        emit(&log, 4, "too much");
    }
    assert_eq!(log.missed(&mut back, 1).unwrap_err(), Unrecoverable::Incomplete);
}

#[test]
fn sessions_of_clients_that_are_away_are_bounded_too() {
    let limits = Limits { max_bytes: 40_000, ..LIMITS };
    let log = memory(limits);
    let data = format!("\"{}\"", "x".repeat(2000));
    for number in 0..100 {
        let visit = begin(&log, 0, number);
        log.set_data(visit, &data);
        log.away(u64::from(number), visit);
        assert!(log.bytes() <= limits.max_bytes / 4);
    }
    assert_eq!(claim(&log, 100, 0, None).unwrap_err(), Unrecoverable::Unknown);
    assert!(claim(&log, 100, 99, None).is_ok());
}

#[test]
fn a_withdrawn_event_was_never_there() {
    let log = memory(LIMITS);
    let visit = begin(&log, 0, 1);
    emit(&log, 1, "a");
    let (position, _) = log.append(1, |_| sockeye_recovery::Event {
        namespace: "/".into(),
        rooms: vec![],
        except: vec![],
        packet: packet("never", vec![]),
    });
    log.withdraw(position);
    let last = emit(&log, 1, "b");
    log.away(2, visit);
    assert_eq!(recover(&log, 3, 1, None).unwrap().1, ["a", "b"]);
    assert_eq!(recover(&log, 4, 1, Some(&last)).unwrap().1, Vec::<String>::new());
}

/// Middleware that is not skipped, and whoever moves sockets, may do so before the client has been told all.
#[test]
fn rooms_may_change_while_a_client_is_told() {
    let log = memory(LIMITS);
    let visit = begin(&log, 0, 1);
    log.join(visit, "left");
    log.away(1, visit);
    emit(&log, 2, "missed");
    let mut back = claim(&log, 3, 1, None).unwrap();
    log.resume(3, &back).unwrap();
    log.join(back.visit, "new");
    log.leave(back.visit, "left");
    emit_to(&log, 4, "of a new room", &["new"], &[]);
    emit_to(&log, 4, "of a room it has left", &["left"], &[]);
    assert_eq!(missed(&log, &mut back).unwrap(), ["missed", "of a new room"]);
}

/// Threads read the clock before they wait for one another.
#[test]
fn time_does_not_go_back() {
    let log = memory(Limits { max_bytes: 1000, ..LIMITS });
    let visit = begin(&log, 500, 1);
    emit(&log, 400, "missed");
    log.away(300, visit);
    for _ in 0..10 {
        emit_to(&log, 200, "noise", &["others"], &[]);
    }
    assert_eq!(claim(&log, 600, 1, None).unwrap_err(), Unrecoverable::Incomplete);
}

#[test]
fn sessions_that_grow_while_their_clients_are_away_are_bounded_too() {
    let limits = Limits { max_bytes: 40_000, ..LIMITS };
    let log = memory(limits);
    let grow: [fn(&Log, Visit, usize); 3] = [
        |log, visit, _| log.set_data(visit, &format!("\"{}\"", "x".repeat(20_000))),
        |log, visit, n| log.join(visit, &format!("{n}{}", "x".repeat(100))),
        |log, visit, n| {
            let room = format!("{n}{}", "x".repeat(1000));
            log.join(visit, &room);
            emit(log, 1, "between");
            log.leave(visit, &room);
        },
    ];
    for grow in grow {
        let visit = begin(&log, 0, 1);
        log.away(1, visit);
        for n in 0..100 {
            grow(&log, visit, n);
        }
        assert_eq!(claim(&log, 2, 1, None).unwrap_err(), Unrecoverable::Unknown);
    }
}

/// A store that cannot be written to for a while.
struct Failing(MemoryStore, Arc<AtomicBool>);

impl Failing {
    fn check(&self) -> io::Result<()> {
        if self.1.load(Ordering::Relaxed) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Store for Failing {
    fn load(&self) -> io::Result<Loaded> {
        self.0.load()
    }

    fn begin(&self, epoch: Epoch, runs: &[Run]) -> io::Result<()> {
        self.0.begin(epoch, runs)
    }

    fn append(&self, meta: &Meta, event: Event) -> io::Result<()> {
        self.check()?;
        self.0.append(meta, event)
    }

    fn mark(&self, meta: &Meta) -> io::Result<()> {
        self.0.mark(meta)
    }

    fn read(&self, position: Position) -> io::Result<Option<Event>> {
        self.0.read(position)
    }

    fn forget(&self, last: Forgotten) {
        self.0.forget(last);
    }

    fn tidy(&self) -> io::Result<()> {
        self.check()
    }

    fn put_session(&self, _: Sid, _: &Session) -> io::Result<()> {
        self.check()
    }

    fn put_room(&self, _: Sid, _: &str, _: Option<Position>) -> io::Result<()> {
        self.check()
    }

    fn put_stays(&self, _: Sid, _: &Session) -> io::Result<()> {
        self.check()
    }

    fn remove_session(&self, _: Sid, _: &Session) -> io::Result<()> {
        self.check()
    }
}

#[test]
fn what_could_not_be_kept_is_known_as_such() {
    let full = Arc::new(AtomicBool::new(false));
    let log = open(Box::new(Failing(MemoryStore::default(), full.clone())), LIMITS);
    for number in [1, 2] {
        begin(&log, 0, number);
    }
    let before = emit(&log, 1, "kept");
    full.store(true, Ordering::Relaxed);
    // It is delivered all the same.
    let lost = emit(&log, 2, "not kept");
    full.store(false, Ordering::Relaxed);
    emit(&log, 3, "kept again");
    assert_eq!(log.failures(), 1);
    // Who has not heard it gets a new session; who has, misses nothing.
    let mut back = claim(&log, 4, 1, Some(&before)).unwrap();
    assert_eq!(missed(&log, &mut back).unwrap_err(), Unrecoverable::Incomplete);
    assert_eq!(recover(&log, 4, 2, Some(&lost)).unwrap().1, ["kept again"]);
}
