//! How records are written: numbers little-endian, text and lists after their length in 4 bytes. (Keys
//! are big-endian, for their order.)

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashSet;
use sockeye_engineio::Sid;
use sockeye_hub::Packet;

use super::gap_byte;
use crate::event::{Event, Gap, Meta};
use crate::offset::Position;
use crate::session::{Session, Stay};
use crate::store::{Forgotten, Run};

/// Changes whenever the layout of a record does.
pub(super) const FORMAT: &[u8] = b"sockeye-recovery 1";

/// Names that are the same are one.
#[derive(Default)]
pub(super) struct Names(HashSet<Arc<str>>);

impl Names {
    fn get(&mut self, name: &str) -> Arc<str> {
        self.0.get_or_insert_with(name, |name| name.into()).clone()
    }
}

pub(super) fn position(position: Position) -> [u8; 8] {
    position.0.to_be_bytes()
}

pub(super) fn read_position(bytes: &[u8]) -> Option<Position> {
    Some(Position(u64::from_be_bytes(bytes.try_into().ok()?)))
}

pub(super) fn forgotten(forgotten: Forgotten) -> Vec<u8> {
    let mut out = Vec::new();
    number(&mut out, forgotten.position.0);
    number(&mut out, forgotten.time);
    out
}

pub(super) fn read_forgotten(bytes: &[u8]) -> Option<Forgotten> {
    let mut from = Reader(bytes);
    Some(Forgotten { position: Position(from.number()?), time: from.number()? })
}

pub(super) fn runs(runs: &[Run]) -> Vec<u8> {
    let mut out = Vec::new();
    for run in runs {
        number(&mut out, run.start.0);
        number(&mut out, run.end.0);
    }
    out
}

pub(super) fn read_runs(bytes: &[u8]) -> Option<Vec<Run>> {
    let mut from = Reader(bytes);
    let mut runs = Vec::new();
    while !from.0.is_empty() {
        runs.push(Run { start: Position(from.number()?), end: Position(from.number()?) });
    }
    Some(runs)
}

/// What every event's record begins with: whether it is there, when it was emitted, what it counts, and
/// its namespace.
fn head(out: &mut Vec<u8>, meta: &Meta) {
    out.push(gap_byte(meta.gap));
    number(out, meta.time);
    number(out, meta.bytes as u64);
    bytes(out, meta.namespace.as_bytes());
}

pub(super) fn gap(meta: &Meta) -> Vec<u8> {
    let mut out = Vec::new();
    head(&mut out, meta);
    out
}

pub(super) fn event(meta: &Meta, event: &Event) -> Vec<u8> {
    let attachments = event.packet.attachments();
    let mut out = Vec::with_capacity(event.bytes());
    head(&mut out, meta);
    for names in [&event.rooms, &event.except] {
        length(&mut out, names.len());
        names.iter().for_each(|name| bytes(&mut out, name.as_bytes()));
    }
    out.push(u8::from(event.packet.is_compressible()));
    bytes(&mut out, event.packet.message_text());
    length(&mut out, attachments.len());
    attachments.iter().for_each(|attachment| bytes(&mut out, attachment));
    out
}

pub(super) fn read_meta(position: Position, record: &[u8], names: &mut Names) -> Option<Meta> {
    let mut from = Reader(record);
    let (gap, time, bytes, namespace) = from.head()?;
    Some(Meta { position, time, bytes, namespace: names.get(namespace), gap })
}

/// `Some(None)`: there is no event in this place.
pub(super) fn read_event(record: &[u8]) -> Option<Option<Event>> {
    let mut from = Reader(record);
    let (gap, _, _, namespace) = from.head()?;
    if gap != Gap::None {
        return Some(None);
    }
    let (rooms, except) = (from.names()?, from.names()?);
    let is_compressible = from.byte()? != 0;
    let text = from.bytes()?;
    let mut attachments = Vec::new();
    for _ in 0..from.length()? {
        attachments.push(Bytes::copy_from_slice(from.bytes()?));
    }
    let packet = Packet::message(|buffer| {
        buffer.extend_from_slice(text);
        Ok::<_, std::convert::Infallible>(attachments)
    });
    let Ok(packet) = packet;
    let packet = if is_compressible { packet } else { Packet::uncompressed(packet) };
    Some(Some(Event { namespace: namespace.into(), rooms, except, packet }))
}

pub(super) fn room_key(pid: Sid, room: &str) -> Vec<u8> {
    [pid.as_str().as_bytes(), b"/", room.as_bytes()].concat()
}

pub(super) fn stays_key(pid: Sid) -> Vec<u8> {
    [pid.as_str().as_bytes(), b"-"].concat()
}

/// What a record in the keyspace of the sessions is.
pub(super) enum Part<'a> {
    Session,
    Stays,
    Room(&'a str),
}

pub(super) fn read_session_key(key: &[u8]) -> Option<(Sid, Part<'_>)> {
    let (pid, rest) = key.split_at_checked(Sid::LEN)?;
    let pid = std::str::from_utf8(pid).ok()?.parse().ok()?;
    let part = match rest.split_first() {
        None => Part::Session,
        Some((b'-', [])) => Part::Stays,
        Some((b'/', room)) => Part::Room(std::str::from_utf8(room).ok()?),
        Some(_) => return None,
    };
    Some((pid, part))
}

pub(super) fn stays(stays: &VecDeque<Stay>) -> Vec<u8> {
    let mut out = Vec::new();
    for stay in stays {
        bytes(&mut out, stay.room.as_bytes());
        number(&mut out, stay.joined.0);
        number(&mut out, stay.left.0);
    }
    out
}

pub(super) fn read_stays(record: &[u8]) -> Option<VecDeque<Stay>> {
    let mut from = Reader(record);
    let mut stays = VecDeque::new();
    while !from.0.is_empty() {
        let room = from.text()?.into();
        let (joined, left) = (Position(from.number()?), Position(from.number()?));
        stays.push_back(Stay { room, joined, left });
    }
    Some(stays)
}

pub(super) fn session(session: &Session) -> Vec<u8> {
    let mut out = Vec::new();
    bytes(&mut out, session.namespace.as_bytes());
    bytes(&mut out, session.sid.as_str().as_bytes());
    for n in [session.floor.0, session.came, session.heard] {
        number(&mut out, n);
    }
    out.push(u8::from(session.away_since.is_some()));
    number(&mut out, session.away_since.unwrap_or_default());
    out.push(u8::from(session.data.is_some()));
    bytes(&mut out, session.data.as_deref().unwrap_or_default().as_bytes());
    out
}

pub(super) fn read_session(record: &[u8], names: &mut Names) -> Option<Session> {
    let mut from = Reader(record);
    let namespace = names.get(from.text()?);
    let sid = from.text()?.parse().ok()?;
    let floor = Position(from.number()?);
    let session = Session::new(namespace, sid, floor, 0);
    let (came, heard) = (from.number()?, from.number()?);
    let (is_away, since) = (from.byte()? != 0, from.number()?);
    let (has_data, data) = (from.byte()? != 0, from.text()?);
    let data = has_data.then(|| data.into());
    let away_since = is_away.then_some(since);
    Some(Session { came, heard, away_since, data, ..session })
}

fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

/// Records are far below 4 GiB: what they are made of has other limits.
fn length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    length(out, bytes.len());
    out.extend_from_slice(bytes);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn length(&mut self) -> Option<usize> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?) as usize)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn names(&mut self) -> Option<Vec<Box<str>>> {
        (0..self.length()?).map(|_| self.text().map(Box::from)).collect()
    }

    fn head(&mut self) -> Option<(Gap, u64, usize, &'a str)> {
        let gap = match self.byte()? {
            0 => Gap::None,
            1 => Gap::Withdrawn,
            2 => Gap::Lost,
            _ => return None,
        };
        let (time, bytes) = (self.number()?, usize::try_from(self.number()?).ok()?);
        Some((gap, time, bytes, self.text()?))
    }
}
