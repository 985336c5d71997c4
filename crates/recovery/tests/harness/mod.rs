//! What the tests of the log share: short names for what it takes.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use sockeye_engineio::Sid;
use sockeye_hub::Packet;
use sockeye_recovery::{
    Claim, Epoch, Event, Limits, Log, MemoryStore, Offset, Opening, Store, Unrecoverable, Visit,
};

pub(crate) const LIMITS: Limits =
    Limits { max_disconnection: 1000, heartbeat: 100, max_bytes: 1 << 20 };

pub(crate) fn epoch() -> Epoch {
    Epoch::new([1, 2, 3])
}

pub(crate) fn memory(limits: Limits) -> Log {
    open(Box::new(MemoryStore::default()), limits)
}

pub(crate) fn open(store: Box<dyn Store>, limits: Limits) -> Log {
    Opening::of(store, epoch()).unwrap().log(limits, 0)
}

pub(crate) fn id(number: u8) -> Sid {
    Sid::new([number; 15])
}

pub(crate) fn pid(number: u8) -> Sid {
    Sid::new([number | 0x80; 15])
}

pub(crate) fn packet(text: &str, attachments: Vec<Bytes>) -> Arc<Packet> {
    let Ok(packet) = Packet::message(|buffer| {
        buffer.extend_from_slice(text.as_bytes());
        Ok::<_, Infallible>(attachments)
    });
    packet
}

/// Emits an event whose packet is its own text, and returns its offset.
pub(crate) fn emit_to(log: &Log, now: u64, text: &str, rooms: &[&str], except: &[&str]) -> String {
    let (rooms, except) = (names(rooms), names(except));
    let mut told = None;
    log.append(now, |offset: Offset| {
        told = Some(offset.to_string());
        Event { namespace: "/".into(), rooms, except, packet: packet(text, vec![]) }
    });
    told.unwrap()
}

pub(crate) fn emit(log: &Log, now: u64, text: &str) -> String {
    emit_to(log, now, text, &[], &[])
}

fn names(names: &[&str]) -> Vec<Box<str>> {
    names.iter().map(|name| Box::from(*name)).collect()
}

pub(crate) fn begin(log: &Log, now: u64, number: u8) -> Visit {
    log.begin(now, pid(number), "/".into(), id(number))
}

pub(crate) fn claim(
    log: &Log,
    now: u64,
    number: u8,
    offset: Option<&str>,
) -> Result<Claim, Unrecoverable> {
    log.claim(now, "/", pid(number), offset)
}

/// Everything that a claim missed.
pub(crate) fn missed(log: &Log, claim: &mut Claim) -> Result<Vec<String>, Unrecoverable> {
    let mut texts = Vec::new();
    loop {
        let part = log.missed(claim, 1)?;
        texts.extend(part.packets.iter().map(|packet| text(packet)));
        if part.caught_up {
            return Ok(texts);
        }
    }
}

pub(crate) fn text(packet: &Packet) -> String {
    String::from_utf8(packet.message_text().to_vec()).unwrap()
}

/// Comes back, hears what it missed, and is there again.
pub(crate) fn recover(
    log: &Log,
    now: u64,
    number: u8,
    offset: Option<&str>,
) -> Result<(Visit, Vec<String>), Unrecoverable> {
    let mut claim = claim(log, now, number, offset)?;
    let texts = missed(log, &mut claim)?;
    Ok((log.resume(now, &claim)?, texts))
}
