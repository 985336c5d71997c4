//! Writing in a driver's stead.
//!
//! A broadcast to a thousand connections need not wake a thousand tasks: whoever emits can write
//! to their sockets itself, if the driver of each allows it. A connection that does shares its
//! [`Writer`], and who pushes into its outbox from within some connection's wake-up puts it on the
//! *flush list* of that wake-up, which is the loop turn of its thread: when the wake-up ends, all
//! on the list are written to. So several emits of one turn to one connection leave in one write,
//! and nothing is scheduled, woken or polled for them.
//!
//! Measured against waking each session, in one run on one core: see `benches/README.md`.
//!
//! # Invariants
//!
//! * Who takes entries out of an outbox holds the writer's lock until they are written or stand in
//!   `unwritten`: so they leave in order, and frames are never mixed.
//! * The lock is never waited for by a flush: if it is taken, the driver is at work and is woken to
//!   look again.
//! * What a flush cannot finish it leaves to the driver.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use smallvec::SmallVec;
use sockeye_outbox::{BATCH, Entry, Outbox};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::runtime::Handle;

use crate::cork::{Cork, FULL};
use crate::io::Sink;
use crate::scratch::Scratch;

/// The most connections that one wake-up writes to itself where other threads could help; further
/// ones are woken, so that all threads share a large audience.
const ALONE: usize = 256;

/// How often a flush takes from one outbox before it leaves the rest to the driver.
const ROUNDS: u32 = 8;

/// The write side of a connection, and what a blocked write left over.
#[derive(Debug, Default)]
pub struct Writer {
    /// There if the connection is a TCP socket whose driver shares it.
    pub(crate) half: Option<OwnedWriteHalf>,
    pub(crate) unwritten: Option<Box<Cork>>,
}

/// A connection's writer, under its lock.
pub type SharedWriter = Mutex<Writer>;

/// Waits for the writer: only its driver may.
pub(crate) fn lock(writer: &SharedWriter) -> MutexGuard<'_, Writer> {
    writer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection to which others may write.
pub trait Wired: Send + Sync + 'static {
    /// The writer that it shares with its driver.
    fn writer(&self) -> &SharedWriter;

    /// Writes what waits, by [`flush`] on its outbox.
    fn flush(&self, cork: &mut Box<Cork>);

    /// Wakes the driver.
    fn wake(&self);
}

/// Writes what waits in an outbox, as far as the kernel takes it.
pub fn flush<E: Entry>(
    outbox: &Outbox<E>,
    writer: &SharedWriter,
    cork: &mut Box<Cork>,
    encode: impl Fn(E, &mut Cork),
) {
    let mut writer = match writer.try_lock() {
        Ok(writer) => writer,
        Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(std::sync::TryLockError::WouldBlock) => return outbox.wake(),
    };
    let writer = &mut *writer;
    let Some(half) = &writer.half else { return outbox.wake() };
    if writer.unwritten.is_some() {
        // The driver waits for the socket, and will look into the outbox when it has room.
        return;
    }
    let mut released = 0;
    let mut batch: SmallVec<[E; BATCH]> = SmallVec::new();
    for _ in 0..ROUNDS {
        let last = outbox.take(released, FULL, &mut batch);
        if last {
            outbox.wake();
        }
        if batch.is_empty() {
            return;
        }
        let mut bytes = 0;
        for entry in batch.drain(..) {
            bytes += entry.bytes();
            encode(entry, cork);
        }
        match cork.poll_write(&mut Context::from_waker(Waker::noop()), &mut AtOnce(half)) {
            Poll::Ready(Ok(())) => released = bytes,
            // Blocked or failed: the driver's business.
            Poll::Pending | Poll::Ready(Err(_)) => {
                cork.settle();
                cork.counted = bytes;
                writer.unwritten = Some(std::mem::take(cork));
                return outbox.wake();
            }
        }
    }
    // Others push as fast as we write: the driver has a budget for that.
    outbox.release(released);
    outbox.wake();
}

/// Writes what the socket takes at once. Not `poll_write`, which tokio rations: after 128 calls in
/// one poll of a task it pretends that the socket is full.
struct AtOnce<'a>(&'a OwnedWriteHalf);

impl Sink for AtOnce<'_> {
    fn poll_write(
        &mut self,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match slices {
            [one] => send(self.0.as_ref(), one),
            many => self.0.try_write_vectored(many),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            written => Poll::Ready(written),
        }
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Ending a connection is its driver's business.
        Poll::Pending
    }
}

/// Straight to the kernel. Tokio would first look up whether it takes the socket for writable: of a
/// broadcast to many, that is a cache line of each that has nothing to do with it. What tokio thinks stays
/// as it is, for the driver.
#[cfg(target_os = "linux")]
fn send(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(stream, bytes, rustix::net::SendFlags::NOSIGNAL)?)
}

#[cfg(not(target_os = "linux"))]
fn send(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    stream.try_write(bytes)
}

/// What the present wake-up of a driver on this thread has put off to its end.
struct Turn {
    /// The connection that is being driven: its driver writes anyway.
    driven: *const (),
    list: Vec<Arc<dyn Wired>>,
}

thread_local! {
    static TURN: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

/// Puts a connection into whose outbox something was pushed on the flush list of the present
/// wake-up. `false` if there is none: then the driver must be woken.
pub fn flush_later<W: Wired>(wired: &Arc<W>) -> bool {
    TURN.with_borrow_mut(|turn| match turn {
        None => false,
        Some(turn) => {
            if !std::ptr::eq(turn.driven, Arc::as_ptr(wired).cast()) {
                turn.list.push(wired.clone());
            }
            true
        }
    })
}

/// Does the work of one wake-up of a connection that is not driven by a [`Driver`](crate::Driver):
/// who is emitted to meanwhile is written to at its end. The connection itself is not; its `work` has
/// to look into its outbox last of all.
pub fn wake_up<R>(driven: &Arc<dyn Wired>, work: impl FnOnce() -> R) -> R {
    let wake_up = WakeUp::begin(Some(driven));
    let done = work();
    let mut scratch = Scratch::take();
    wake_up.end(&mut scratch.cork);
    scratch.put_back();
    done
}

/// The wake-up of a driver, from its beginning to its end.
pub(crate) struct WakeUp {
    outer: Option<Turn>,
    left: bool,
}

impl WakeUp {
    pub(crate) fn begin(driven: Option<&Arc<dyn Wired>>) -> Self {
        let driven = driven.map_or(std::ptr::null(), |driven| Arc::as_ptr(driven).cast());
        let turn = Turn { driven, list: Vec::new() };
        Self { outer: TURN.replace(Some(turn)), left: false }
    }

    /// Writes to all on the list.
    pub(crate) fn end(mut self, cork: &mut Box<Cork>) {
        let Some(turn) = self.leave() else { return };
        let alone = if turn.list.len() > ALONE && have_company() { ALONE } else { usize::MAX };
        for (position, wired) in turn.list.iter().enumerate() {
            if position < alone {
                wired.flush(cork);
            } else {
                wired.wake();
            }
        }
    }
}

impl WakeUp {
    fn leave(&mut self) -> Option<Turn> {
        if std::mem::replace(&mut self.left, true) {
            return None;
        }
        TURN.replace(self.outer.take())
    }
}

impl Drop for WakeUp {
    /// The wake-up ends by a panic: nobody on its list must wait for it.
    fn drop(&mut self) {
        if let Some(turn) = self.leave() {
            turn.list.iter().for_each(|wired| wired.wake());
        }
    }
}

/// Whether this runtime has threads that could take a share.
fn have_company() -> bool {
    Handle::try_current().is_ok_and(|runtime| runtime.metrics().num_workers() > 1)
}
