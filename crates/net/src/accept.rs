//! The accept loop: every connection gets its task, and a shortage of file descriptors pauses
//! accepting instead of ending anything.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::gate::Gate;
use crate::http::{self, Endpoint};

/// How long accepting pauses when the operating system has no room for another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// At most one line about that in this time.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Accepts connections until `closing` turns true, and serves each in a task of its own.
///
/// Dropping the future stops accepting; connections that are open live on.
pub async fn accept<E: Endpoint>(
    listener: TcpListener,
    endpoint: E,
    gate: Arc<Gate>,
    mut closing: watch::Receiver<bool>,
) {
    let mut said: Option<Instant> = None;
    let mut certificates = std::pin::pin!(gate.watch_certificates());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            never = &mut certificates => match never {},
            _ = closing.wait_for(|closing| *closing) => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let admission = match gate.admit(peer) {
                    Ok(admission) => admission,
                    Err(why) => {
                        gate.turn_away(peer, why);
                        continue;
                    }
                };
                // A frame must not wait for the acknowledgement of the one before it.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%peer, %error, "no TCP_NODELAY");
                }
                let arrival = http::Arrival { stream, peer, admission, gate: gate.clone() };
                tokio::spawn(http::serve(arrival, endpoint.clone(), closing.clone()));
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                if said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
                    said = Some(Instant::now());
                    tracing::error!(
                        %error,
                        "cannot accept connections now; those that are open live on, and accepting \
                         is tried again every {PAUSE:?}"
                    );
                }
                sleep(PAUSE).await;
            }
        }
    }
}

/// The client was gone before we came to it: nothing to wait for.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}
