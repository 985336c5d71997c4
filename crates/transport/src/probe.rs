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
use sockeye_websocket::{self as websocket, Event, OpCode, Role, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::door::{NextTransport, Probing};
use crate::fault::Fault;
use crate::sessions::Sessions;

/// Enough for what a client says while it probes; what comes behind it waits in the socket.
const BUFFER: usize = 512;

/// What a probe needs besides its connection.
pub(crate) struct Probe {
    pub(crate) probing: Probing,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) limits: websocket::Limits,
    pub(crate) timeout: Duration,
    /// Whether the client cannot take binary messages.
    pub(crate) base64: bool,
}

impl Probe {
    /// The task of the websocket until it is the session's, or over.
    pub(crate) async fn run(mut self, mut io: Io, leftover: Vec<u8>) {
        let mut websocket = websocket::Connection::new(Role::Server);
        let asked = {
            let conversation = pin!(converse(
                &mut io,
                &mut websocket,
                leftover,
                &self.probing.shared,
                &self.limits,
            ));
            tokio::select! {
                asked = conversation => asked.unwrap_or_else(|error| {
                    tracing::debug!(target: "engine:socket", %error, "the probe's websocket failed");
                    None
                }),
                // The session is over, or the websocket takes too long.
                _ = &mut self.probing.cancelled => None,
                () = sleep(self.timeout) => None,
            }
        };
        match asked {
            Some(leftover) => {
                let base64 = self.base64;
                self.probing.hand_over(NextTransport { io, websocket, leftover, base64 });
            }
            None => {
                self.sessions.note(&self.probing.shared, Fault::UpgradeFailed);
                // Another websocket may try from here on.
                drop(self.probing);
                say_goodbye(&mut io, &mut websocket, &self.limits).await;
            }
        }
    }
}

/// Speaks with the client until it asks for the upgrade: then what came behind that.
async fn converse(
    io: &mut Io,
    websocket: &mut websocket::Connection,
    mut input: Vec<u8>,
    shared: &crate::shared::Shared,
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
            shared.probed();
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
    let mut events = websocket.receive(limits, input);
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
