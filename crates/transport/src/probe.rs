//! A websocket that wants to become the transport of a session that polls.
//!
//! It answers `2probe` in a task of its own, and on `5` hands its socket and the bytes that were read
//! behind it to the session. Whatever else happens to it, polling goes on.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use sockeye_engineio::Packet;
use sockeye_net::Io;
use sockeye_net::wheel::sleep;
use sockeye_websocket::deflate::Inflater;
use sockeye_websocket::{self as websocket, Event, OpCode, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::deflate::Deflating;
use crate::door::{NextTransport, Probing};
use crate::events::SessionEvent;
use crate::fault::Fault;
use crate::sessions::{Alive, Sessions};
use crate::shared::Shared;

/// Enough for what a client says while it probes; what comes behind it waits in the socket.
const BUFFER: usize = 512;

/// What a probe needs besides its connection.
pub(crate) struct Probe {
    probing: Probing,
    sessions: Alive,
    limits: websocket::Limits,
    timeout: Duration,
    base64: bool,
    deflating: Option<Arc<Deflating>>,
}

/// How a probe ends.
enum Outcome {
    /// The websocket takes over; this came behind its upgrade packet.
    Upgrade(Vec<u8>),
    /// The client said something else, or nothing in time.
    Failed,
    /// There is no session to take over any more.
    Cancelled,
}

impl Probe {
    /// A probe of a client that cannot take binary messages, if `base64`, and with which this compression
    /// was agreed on.
    pub(crate) fn new(
        sessions: &Arc<Sessions>,
        probing: Probing,
        base64: bool,
        deflating: Option<Arc<Deflating>>,
    ) -> Self {
        Self {
            probing,
            sessions: Alive::new(sessions),
            limits: sessions.config.websocket.clone(),
            timeout: Duration::from_millis(sessions.config.engine.upgrade_timeout),
            base64,
            deflating,
        }
    }

    /// The task of the websocket until it is the session's, or over.
    pub(crate) async fn run(mut self, mut io: Io, leftover: Vec<u8>) {
        let mut websocket = Deflating::websocket(self.deflating.as_ref());
        let sid = self.probing.shared.sid();
        tracing::debug!(target: "engine:socket", ?sid, "a websocket wants to take over");
        let outcome = {
            let conversation = pin!(converse(
                &mut io,
                &mut websocket,
                leftover,
                &self.probing.shared,
                &self.limits,
            ));
            tokio::select! {
                // Whose session is over has not failed, whatever it says then.
                biased;
                _ = &mut self.probing.cancelled => Outcome::Cancelled,
                asked = conversation => match asked {
                    Ok(Some(leftover)) => Outcome::Upgrade(leftover),
                    Ok(None) => Outcome::Failed,
                    Err(error) => {
                        tracing::debug!(target: "engine:ws", %error, "the probe's websocket failed");
                        Outcome::Failed
                    }
                },
                () = sleep(self.timeout) => Outcome::Failed,
            }
        };
        match outcome {
            Outcome::Upgrade(leftover) => {
                tracing::debug!(target: "engine:socket", ?sid, "the client asks for the upgrade");
                let Self { base64, deflating, .. } = self;
                let next = NextTransport { io, websocket, deflating, leftover, base64 };
                self.probing.hand_over(next);
                return;
            }
            Outcome::Failed => self.sessions.note(&self.probing.shared, Fault::UpgradeFailed),
            Outcome::Cancelled => {
                tracing::debug!(target: "engine:socket", ?sid, "the session ended before its upgrade");
            }
        }
        // Another websocket may try from here on.
        drop(self.probing);
        say_goodbye(&mut io, &mut websocket, &self.limits).await;
    }
}

/// Speaks with the client until it asks for the upgrade: then what came behind that.
async fn converse(
    io: &mut Io,
    websocket: &mut websocket::Connection,
    mut input: Vec<u8>,
    shared: &Shared,
    limits: &websocket::Limits,
) -> io::Result<Option<Vec<u8>>> {
    loop {
        let mut reply = Vec::new();
        let judged = judge(websocket, limits, &mut input, &mut reply);
        if !reply.is_empty() {
            io.write_all(&reply).await?;
            io.flush().await?;
        }
        // Only now: polls end at once from here on, and the client stops polling when it has its answer.
        if judged.probed {
            tracing::debug!(target: "engine:socket", sid = ?shared.sid(), "the probe is answered");
            shared.probed();
            shared.tell(SessionEvent::Upgrading);
        }
        match judged.verdict {
            Verdict::GoOn => {}
            Verdict::Upgrade(consumed) => return Ok(Some(input.split_off(consumed))),
            Verdict::Refuse => return Ok(None),
        }
        input.resize(BUFFER, 0);
        let count = io.read(&mut input).await?;
        if count == 0 {
            return Ok(None);
        }
        input.truncate(count);
    }
}

struct Judged {
    probed: bool,
    verdict: Verdict,
}

enum Verdict {
    GoOn,
    /// The upgrade packet came; so much of the input was judged.
    Upgrade(usize),
    Refuse,
}

fn judge(
    websocket: &mut websocket::Connection,
    limits: &websocket::Limits,
    input: &mut [u8],
    reply: &mut Vec<u8>,
) -> Judged {
    let mut probed = false;
    let mut inflater = Inflater::new();
    let mut events = websocket.receive(limits, &mut inflater, input);
    let verdict = loop {
        match events.next() {
            None => break Verdict::GoOn,
            Some(Ok(Event::Text(text))) => match Packet::decode_text(&text) {
                Ok(Packet::Ping("probe")) => {
                    probed = true;
                    frame::append(reply, OpCode::Text, b"3probe");
                }
                Ok(Packet::Upgrade) => break Verdict::Upgrade(events.consumed()),
                _ => break Verdict::Refuse,
            },
            Some(Ok(Event::Ping(payload))) => frame::append(reply, OpCode::Pong, payload),
            Some(Ok(Event::Pong(_))) => {}
            Some(Ok(Event::Binary(_) | Event::Close(_)) | Err(_)) => break Verdict::Refuse,
        }
    };
    Judged { probed, verdict }
}

/// Closes the websocket, as far as the client takes part in it.
async fn say_goodbye(
    io: &mut Io,
    websocket: &mut websocket::Connection,
    limits: &websocket::Limits,
) {
    let mut farewell = Vec::new();
    if !websocket.reply_close(None, &mut farewell) {
        websocket.close(0, limits, None, None, &mut farewell);
    }
    let last_words = async {
        io.write_all(&farewell).await?;
        io.shutdown().await?;
        // What comes still must be read, or the socket's reset destroys our last frame.
        let mut rest = [0; BUFFER];
        while io.read(&mut rest).await? > 0 {}
        Ok::<_, io::Error>(())
    };
    tokio::select! {
        _ = last_words => {}
        () = sleep(LINGER) => {}
    }
}

/// How long the last frame may take to reach the client.
const LINGER: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;
    use std::pin::Pin;
    use std::task::{Context, Waker};
    use tokio::io::{DuplexStream, duplex};

    fn probe(fixture: &Fixture) -> Probe {
        Probe::new(&fixture.sessions, fixture.shared.begin_probe().unwrap(), false, None)
    }

    /// Polls the probe's task once; whether it is over.
    fn is_over(task: Pin<&mut impl Future<Output = ()>>) -> bool {
        task.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// Takes so many bytes.
    async fn take(client: &mut DuplexStream, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        client.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    /// The official client pauses its polling when it has `3probe`: a poll that ended before would be
    /// followed by another one.
    #[tokio::test]
    async fn polls_end_at_once_only_when_the_probe_was_answered() {
        let mut fixture = Fixture::new();
        let mut poll = fixture.shared.enter_poll().unwrap();
        // Zero as a mask changes nothing.
        let question = b"\x81\x86\0\0\0\x002probe".to_vec();
        // Half of the answer fits into the pipe.
        let (mut client, server) = duplex(4);
        let mut task = pin!(probe(&fixture).run(Io::boxed(server), question));
        assert!(!is_over(task.as_mut()));
        assert_eq!(take(&mut client, 4).await, b"\x81\x063p");
        assert!(fixture.wake_up().is_none());
        assert!(poll.try_recv().is_err(), "ended before the answer was written");
        assert!(!is_over(task.as_mut()));
        assert_eq!(take(&mut client, 4).await, b"robe");
        assert!(fixture.wake_up().is_none());
        assert_eq!(poll.try_recv().unwrap().take_payload(), b"6");
    }

    #[tokio::test]
    async fn a_probe_keeps_a_closing_server_waiting() {
        let mut fixture = Fixture::new();
        let (mut client, server) = duplex(64);
        let before = fixture.sessions.alive();
        let mut task = Box::pin(probe(&fixture).run(Io::boxed(server), Vec::new()));
        assert!(!is_over(task.as_mut()));
        assert_eq!(fixture.sessions.alive(), before + 1);
        // The session is over; the websocket says goodbye.
        fixture.polling = None;
        let sessions = fixture.sessions;
        assert!(!is_over(task.as_mut()));
        assert_eq!(take(&mut client, 2).await, [0x88, 0]);
        assert_eq!(sessions.alive(), 1);
        drop(client);
        task.await;
        assert_eq!(sessions.alive(), 0);
        assert_eq!(sessions.faults()[Fault::UpgradeFailed.index()], 0);
    }
}
