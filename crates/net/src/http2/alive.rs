//! Whether the other end of a connection is still there: who was not heard of is asked by PING (RFC 9113 §6.7).
//!
//! WebSockets have pings of their own, each for itself, and those may be turned off; requests that wait for their
//! answers have none. This is one question for all of them, and none while anything comes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, ReadBuf};

use crate::clock;
use crate::io::write_through;
use crate::wheel::{Rounding, Timer};

/// How a connection of HTTP/2 finds out that its peer is gone without a word: its network, or its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// A peer that was not heard of for so long, or at most for twice as long, is sent a PING; `None` sends
    /// none. Default: 30 s, as for the pings of WebSockets.
    pub ping_interval: Option<Duration>,
    /// A peer that is not heard of for so long after a PING is given up: all its streams are lost. Default: 30 s.
    pub pong_timeout: Duration,
}

impl Default for KeepAlive {
    fn default() -> Self {
        let half_a_minute = Duration::from_secs(30);
        Self { ping_interval: Some(half_a_minute), pong_timeout: half_a_minute }
    }
}

/// How much a connection reads at once before those whom it is for have their turn.
///
/// h2 keeps what it has read for each stream, and counts 256 bytes for each frame that is smaller. A burst of
/// small messages for a hundred WebSockets, all read at once, is to h2 what a flood is, for which it ends the
/// connection. Of this many bytes, 3000 are frames.
const TURN: usize = 32 * 1024;

/// A stream that notes whether something came, and lets others have their turn.
pub(super) struct Heard<S> {
    stream: S,
    heard: Arc<AtomicBool>,
    /// How much was read in this turn.
    read: usize,
}

/// Asks, and waits for the answer.
pub(super) struct Watch {
    heard: Arc<AtomicBool>,
    /// None if nothing is asked.
    asking: Option<Asking>,
}

struct Asking {
    pings: PingPong,
    interval: Duration,
    timeout: Duration,
    timer: Timer,
    /// When it is looked again whether something has come.
    due: Option<u64>,
    /// A PING is on its way, or its answer.
    asked: bool,
}

impl Watch {
    /// Nobody is watched until [`begin`](Self::begin); the stream is to be read through what is returned.
    pub(super) fn new<S>(stream: S) -> (Self, Heard<S>) {
        let heard = Arc::new(AtomicBool::new(false));
        (Self { heard: heard.clone(), asking: None }, Heard { stream, heard, read: 0 })
    }

    /// Watches the peer of a connection, which has its pings only once.
    pub(super) fn begin(&mut self, options: KeepAlive, pings: Option<PingPong>) {
        let Some((interval, pings)) = options.ping_interval.zip(pings) else { return };
        let timeout = options.pong_timeout;
        let timer = Timer::new();
        self.asking = Some(Asking { pings, interval, timeout, timer, due: None, asked: false });
    }

    /// Ready when the peer is gone. To be polled behind the connection.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self { heard, asking: Some(asking) } = self else { return Poll::Pending };
        if asking.asked && asking.pings.poll_pong(cx).is_ready() {
            asking.asked = false;
            asking.due = None;
        }
        loop {
            let patience = if asking.asked { asking.timeout } else { asking.interval };
            let due = *asking.due.get_or_insert_with(|| clock::after(patience));
            ready!(asking.timer.poll(cx, due, Rounding::Up));
            asking.due = None;
            if heard.swap(false, Ordering::Relaxed) {
                continue;
            }
            if asking.asked {
                return Poll::Ready(());
            }
            // Where it fails, the connection is over and says why.
            asking.asked = asking.pings.send_ping(Ping::opaque()).is_ok();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read >= TURN {
            self.read = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let count = buffer.filled().len() - before;
        if count > 0 {
            self.heard.store(true, Ordering::Relaxed);
        }
        self.read = if polled.is_pending() { 0 } else { self.read + count };
        polled
    }
}

write_through!(Heard);
