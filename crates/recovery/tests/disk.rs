//! The store on disk: what a killed process leaves.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use harness::*;
use sockeye_engineio::Sid;
use sockeye_recovery::{
    DiskStore, Durability, Event, Gap, Limits, Log, Meta, Offset, Opening, Position, Run, Session,
    Store, Unrecoverable,
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
    let log = Opening::of(store, epoch()).unwrap().log(LIMITS, 1 << 40);
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
    let error = DiskStore::open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    let text = error.to_string();
    assert!(text.contains("another process has it open"), "{text}");
    assert!(text.contains(dir.path().to_str().unwrap()), "{text}");
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

/// What a disk that is full for a while leaves behind.
#[test]
fn what_belongs_to_no_session_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    {
        let store = DiskStore::open(dir.path()).unwrap();
        store.put_room(pid(1), "r", Some(Position(1))).unwrap();
        store.put_stays(pid(2), &Session::new("/".into(), id(2), Position(1), 0)).unwrap();
    }
    let store = DiskStore::open(dir.path()).unwrap();
    assert_eq!(store.load().unwrap().sessions.len(), 0);
    // And is gone by then.
    begin(&open(Box::new(store), LIMITS), 0, 1);
    let sessions = DiskStore::open(dir.path()).unwrap().load().unwrap().sessions;
    let rooms: Vec<_> = sessions[&pid(1)].rooms.keys().map(|room| &**room).collect();
    assert_eq!(rooms, [id(1).as_str()]);
}

/// Whoever writes an event and fails leaves a gap in the positions, or nothing at all behind the last one.
#[test]
fn what_could_not_be_kept_is_known_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let event = |at: u64| {
        let meta = Meta {
            position: Position(at),
            time: at,
            bytes: 100,
            namespace: "/".into(),
            gap: Gap::None,
        };
        let packet = packet(&at.to_string(), vec![]);
        (meta, Event { namespace: "/".into(), rooms: vec![], except: vec![], packet })
    };
    {
        let store = DiskStore::open(dir.path()).unwrap();
        let run = |start| Run { start: Position(start), end: Position(start) };
        store.begin(epoch(), &[run(0), run(100)]).unwrap();
        for (number, floor) in [(1, 1), (2, 4), (3, 101)] {
            let session = Session::new("/".into(), id(number), Position(floor), 0);
            store.put_session(pid(number), &session).unwrap();
        }
        // The third one is missing; between the two runs, nothing is.
        for at in [1, 2, 4, 5, 101, 102] {
            let (meta, event) = event(at);
            store.append(&meta, event).unwrap();
        }
    }
    let log = disk(dir.path(), LIMITS);
    assert_eq!(claim(&log, 0, 1, None).unwrap_err(), Unrecoverable::Incomplete);
    assert_eq!(recover(&log, 0, 2, None).unwrap().1, ["5", "101", "102"]);
    assert_eq!(recover(&log, 0, 3, None).unwrap().1, ["102"]);
}

/// A write that fails, of which all that is left is that there was one.
#[test]
fn nobody_is_recovered_from_a_store_that_was_not_written_to_the_end() {
    let dir = tempfile::tempdir().unwrap();
    {
        let log = disk(dir.path(), LIMITS);
        let visit = begin(&log, 0, 1);
        log.away(1, visit);
    }
    fs::remove_file(dir.path().join("whole")).unwrap();
    for _ in 0..2 {
        let log = disk(dir.path(), LIMITS);
        assert_eq!(claim(&log, 2, 1, None).unwrap_err(), Unrecoverable::Unknown);
        begin(&log, 2, 2);
    }
    assert!(claim(&disk(dir.path(), LIMITS), 2, 2, None).is_ok());
}

/// A key has no room for it.
#[test]
fn a_room_with_a_name_without_end_harms_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    {
        let log = disk(dir.path(), LIMITS);
        let visits = [begin(&log, 0, 1), begin(&log, 0, 2)];
        log.join(visits[0], &"x".repeat(65_000));
        log.join(visits[1], &"x".repeat(65_001));
        log.join(visits[1], "r");
        let last = emit(&log, 1, "missed");
        assert_eq!(log.failures(), 0);
        assert!(log.is_kept(visits[0]) && !log.is_kept(visits[1]));
        assert!(recover(&log, 1, 1, Some(&last)).is_ok());
    }
    let log = disk(dir.path(), LIMITS);
    let back = claim(&log, 1, 1, None).unwrap();
    assert!(back.session.rooms.keys().any(|room| room.len() == 65_000));
    assert_eq!(claim(&log, 1, 2, None).unwrap_err(), Unrecoverable::Unknown);
}

/// It is found out, or what it held before the broken place is there; it is never taken for something else.
#[test]
fn a_store_that_is_broken_is_known_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { max_bytes: 1 << 25, ..LIMITS };
    {
        let log = disk(dir.path(), limits);
        let visit = begin(&log, 0, 1);
        // Enough for a table.
        let text = "x".repeat(100_000);
        for n in 0..100 {
            emit(&log, 1, &format!("{n} {text}"));
        }
        log.away(2, visit);
    }
    let mut broken = 0;
    let mut files = Vec::new();
    list(dir.path(), &mut files);
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        let length = used(&file);
        for at in [0, length / 2, length.saturating_sub(1)] {
            let (_copy, path) = killed(dir.path());
            let file = path.join(file.strip_prefix(dir.path()).unwrap());
            let mut bytes = fs::read(&file).unwrap();
            let Some(byte) = bytes.get_mut(at) else { continue };
            *byte ^= 0x55;
            fs::write(&file, bytes).unwrap();
            let opened = DiskStore::open(&path);
            let opened = opened.and_then(|store| Opening::of(Box::new(store), epoch()));
            let Ok(opening) = opened else {
                broken += 1;
                continue;
            };
            let log = opening.log(limits, 0);
            match recover(&log, 1, 1, None) {
                Ok((_, texts)) => {
                    let told = texts.iter().map(|text| text.split(' ').next().unwrap().parse());
                    assert!(told.eq((0..texts.len()).map(Ok)), "{file:?} at {at}");
                }
                Err(Unrecoverable::Unknown | Unrecoverable::Incomplete) => {}
                Err(error) => panic!("{file:?} at {at}: {error}"),
            }
        }
    }
    assert!(broken > 0);
}

fn list(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { list(&path, files) } else { files.push(path) }
    }
}

#[test]
fn what_is_opened_is_within_the_limits() {
    let dir = tempfile::tempdir().unwrap();
    {
        let log = disk(dir.path(), LIMITS);
        for number in 0..100 {
            let visit = begin(&log, 0, number);
            log.set_data(visit, &format!("\"{}\"", "x".repeat(1000)));
            log.away(u64::from(number), visit);
        }
        for now in 100..1000 {
            emit(&log, now, "missed");
        }
    }
    // By bytes: fewer than before.
    let limits = Limits { max_bytes: 40_000, ..LIMITS };
    let log = disk(dir.path(), limits);
    assert!(log.bytes() <= limits.max_bytes && log.sessions() < 10);
    assert_eq!(claim(&log, 0, 99, None).unwrap_err(), Unrecoverable::Incomplete);
    drop(log);
    // By time, of which none has passed.
    let limits = Limits { max_disconnection: 50, heartbeat: 50, max_bytes: 1 << 20 };
    let log = disk(dir.path(), limits);
    assert_eq!(log.sessions(), 0);
    let bytes = log.bytes();
    emit(&log, 0, "one");
    log.tidy(0);
    drop(log);
    // And what is forgotten is not there again.
    let log = disk(dir.path(), LIMITS);
    assert!(log.bytes() < bytes + 500, "{} after {bytes}", log.bytes());
}

/// Clients that connect and never return, some of them in rooms and with data.
#[test]
fn sessions_that_nobody_comes_back_for_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let limits = Limits { max_bytes: 1 << 22, ..LIMITS };
    let log = disk(dir.path(), limits);
    let mut size = Vec::new();
    for round in 0..4_u64 {
        for n in 0..10_000_u64 {
            let now = round * 20_000 + n;
            let mut random = [0; 15];
            random[..8].copy_from_slice(&now.to_be_bytes());
            let visit = log.begin(now, Sid::new(random), "/".into(), Sid::new([!random[7]; 15]));
            log.set_data(visit, "{\"some\":\"data\"}");
            log.join(visit, "room");
            emit(&log, now, "text");
            log.leave(visit, "room");
            log.away(now, visit);
            if n % 1000 == 0 {
                log.tidy(now);
                assert!(log.bytes() <= limits.max_bytes && log.sessions() <= 2002);
            }
        }
        log.tidy((round + 1) * 20_000);
        assert_eq!((log.sessions(), log.bytes()), (0, 0));
        assert!(log.awaited().is_empty());
        let mut files = Vec::new();
        list(dir.path(), &mut files);
        size.push(files.iter().map(|file| fs::metadata(file).unwrap().len()).sum::<u64>());
    }
    assert_eq!(log.failures(), 0);
    assert!(size[3] <= 3 * limits.max_bytes as u64 + (128 << 20), "{size:?}");
    drop(log);
    let store = DiskStore::open(dir.path()).unwrap();
    assert_eq!(store.load().unwrap().sessions.len(), 0);
}
