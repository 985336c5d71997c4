//! The store on disk: what a killed process leaves.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use harness::*;
use sockeye_recovery::{
    DiskStore, Durability, Event, Limits, Log, Offset, Position, Store, Unrecoverable,
};
use tempfile::TempDir;

fn disk(path: &Path, limits: Limits) -> Log {
    open(Box::new(DiskStore::open(path).unwrap()), limits)
}

/// A copy of the directory as it is at this moment, which is what the kernel would have of it if the process
/// were killed now.
fn killed(path: &Path) -> (TempDir, PathBuf) {
    let copy = tempfile::tempdir().unwrap();
    copy_dir(path, copy.path());
    let path = copy.path().to_owned();
    (copy, path)
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn sessions_and_events_outlive_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let log = disk(dir.path(), LIMITS);
    let visit = begin(&log, 0, 1);
    log.join(visit, "r");
    log.join(visit, "left");
    log.leave(visit, "left");
    log.set_data(visit, "{\"name\":\"é\"}");
    let last = emit(&log, 1, "heard");
    emit_to(&log, 2, "in flight", &["r"], &[]);
    log.append(3, |_| Event {
        namespace: "/".into(),
        rooms: vec![],
        except: vec!["s".into()],
        packet: packet("binary", vec![Bytes::from_static(b"\0\xff"), Bytes::new()]),
    });
    let (_copy, path) = killed(dir.path());
    let log = disk(&path, LIMITS);
    emit(&log, 4, "after the restart");
    let mut back = claim(&log, 5, 1, Some(&last)).unwrap();
    let part = log.missed(&mut back, usize::MAX).unwrap();
    let texts: Vec<_> = part.packets.iter().map(|packet| text(packet)).collect();
    assert_eq!(texts, ["in flight", "binary", "after the restart"]);
    assert_eq!(part.packets[1].attachments(), [&b"\0\xff"[..], b""]);
    let session = &back.session;
    assert_eq!((session.sid, session.data.as_deref()), (id(1), Some("{\"name\":\"é\"}")));
    let mut rooms: Vec<_> = session.rooms.keys().map(|room| &**room).collect();
    rooms.sort_unstable();
    assert_eq!(rooms, [id(1).as_str(), "r"]);
    // And once more, from a server that was killed with its client connected again.
    log.resume(5, &back).unwrap();
    let last = emit(&log, 6, "heard, too");
    let (_copy, path) = killed(&path);
    let log = disk(&path, LIMITS);
    assert_eq!(recover(&log, 7, 1, Some(&last)).unwrap().1, Vec::<String>::new());
    assert_eq!(log.failures(), 0);
}

#[test]
fn stays_outlive_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let log = disk(dir.path(), LIMITS);
    let visit = begin(&log, 0, 1);
    log.join(visit, "left");
    emit_to(&log, 0, "in the room", &["left"], &[]);
    log.leave(visit, "left");
    emit_to(&log, 0, "too late", &["left"], &[]);
    let (_copy, path) = killed(dir.path());
    let log = disk(&path, LIMITS);
    assert_eq!(recover(&log, 1, 1, None).unwrap().1, ["in the room"]);
}

#[test]
fn time_stands_still_while_nobody_can_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let log = disk(dir.path(), LIMITS);
    let visit = begin(&log, 5000, 1);
    let last = emit(&log, 5001, "heard");
    emit(&log, 5500, "missed");
    log.away(5600, visit);
    let (_copy, path) = killed(dir.path());
    // The next process has another clock, and the one between has lasted for ever.
    let store = Box::new(DiskStore::open(&path).unwrap());
    let log = Log::open(store, LIMITS, epoch(), 1 << 40).unwrap();
    assert_eq!(recover(&log, (1 << 40) + 999, 1, Some(&last)).unwrap().1, ["missed"]);
    assert_eq!(claim(&log, (1 << 40) + 2001, 2, None).unwrap_err(), Unrecoverable::Unknown);
}

#[test]
fn an_offset_of_an_event_that_the_disk_has_lost_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let log = disk(dir.path(), LIMITS);
    let visit = begin(&log, 0, 1);
    emit(&log, 1, "kept");
    let (_copy, path) = killed(dir.path());
    // The power fails: what comes now is not on the disk.
    let lost = emit(&log, 2, "lost");
    log.away(3, visit);
    let log = disk(&path, LIMITS);
    for now in 0..10 {
        emit(&log, now, "in its place");
    }
    assert_eq!(claim(&log, 11, 1, Some(&lost)).unwrap_err(), Unrecoverable::BadOffset);
}

#[test]
fn a_record_that_was_cut_is_as_if_it_had_not_been_written() {
    let dir = tempfile::tempdir().unwrap();
    let log = disk(dir.path(), LIMITS);
    let visit = begin(&log, 0, 1);
    let first = emit(&log, 1, "first");
    let whole: Vec<_> = journals(dir.path()).iter().map(|path| used(path)).collect();
    emit(&log, 2, "second");
    log.away(3, visit);
    let (_copy, path) = killed(dir.path());
    // Every place at which the journal may end.
    let grown = journals(&path);
    let (at, journal) = (0..grown.len())
        .map(|at| (at, &grown[at]))
        .find(|(at, path)| used(path) > whole[*at])
        .unwrap();
    let bytes = fs::read(journal).unwrap();
    let end = used(journal);
    for cut in (whole[at]..end).step_by(7) {
        let (_copy, path) = killed(&path);
        let journal = path.join(journal.file_name().unwrap());
        fs::write(&journal, &bytes[..cut]).unwrap();
        let log = disk(&path, LIMITS);
        let texts = recover(&log, 4, 1, Some(&first)).unwrap().1;
        assert!(texts.is_empty() || texts == ["second"], "cut at {cut}: {texts:?}");
        emit(&log, 5, "third");
        assert_eq!(recover(&log, 6, 1, None).unwrap().1.last().unwrap(), "third");
    }
}

/// The journals, which may have room at their end.
fn journals(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|e| e == "jnl")).collect();
    files.sort();
    assert!(!files.is_empty(), "fjall has no journal in {dir:?}");
    files
}

fn used(path: &Path) -> usize {
    let bytes = fs::read(path).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[test]
fn what_is_forgotten_is_removed_and_stays_forgotten() {
    let limits = Limits { max_bytes: 100_000, ..LIMITS };
    let dir = tempfile::tempdir().unwrap();
    let log = disk(dir.path(), limits);
    let visit = begin(&log, 0, 1);
    let last = emit(&log, 1, "heard");
    for now in 2..3000 {
        emit_to(&log, now, "noise", &["others"], &[]);
        if now % 500 == 0 {
            log.tidy(now);
        }
    }
    log.away(3000, visit);
    emit(&log, 3001, "missed");
    log.tidy(3002);
    let bytes = log.bytes();
    assert!(bytes <= limits.max_bytes);
    let (_copy, path) = killed(dir.path());
    let store = DiskStore::open(&path).unwrap();
    let loaded = store.load().unwrap();
    assert!(loaded.events.iter().map(|event| event.bytes).sum::<usize>() <= bytes);
    assert!(loaded.forgotten.position > Position(1000));
    let log = open(Box::new(store), limits);
    // Its offset is older than what is kept, and nothing that it may have missed is gone.
    assert_eq!(recover(&log, 1, 1, Some(&last)).unwrap().1, ["missed"]);
}

#[test]
fn positions_go_on_where_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let log = disk(dir.path(), LIMITS);
    let last = Offset::parse(&emit(&log, 1, "long ago")).unwrap();
    log.tidy(100_000);
    let (_copy, path) = killed(dir.path());
    let log = disk(&path, LIMITS);
    let next = Offset::parse(&emit(&log, 1, "now")).unwrap();
    assert!(next.position > last.position && next.epoch == last.epoch);
}

#[test]
fn a_store_is_open_once() {
    let dir = tempfile::tempdir().unwrap();
    let _log = disk(dir.path(), LIMITS);
    assert!(DiskStore::open(dir.path()).is_err());
}

#[test]
fn a_store_that_is_closed_can_be_opened_at_once() {
    let dir = tempfile::tempdir().unwrap();
    for run in 0..3 {
        let log = disk(dir.path(), LIMITS);
        assert_eq!(log.failures(), 0);
        assert_eq!(recover(&log, 0, 1, None).is_ok(), run > 0);
        if run == 0 {
            begin(&log, 0, 1);
        }
    }
}

#[test]
fn power_costs_a_sync_and_is_the_same_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let log =
        open(Box::new(DiskStore::open(dir.path()).unwrap().durability(Durability::Power)), LIMITS);
    let visit = begin(&log, 0, 1);
    emit(&log, 1, "missed");
    log.away(2, visit);
    assert_eq!(recover(&log, 3, 1, None).unwrap().1, ["missed"]);
}

#[test]
fn what_is_no_store_is_said_to_be_none() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "not a directory").unwrap();
    assert!(DiskStore::open(dir.path().join("file")).is_err());
}
