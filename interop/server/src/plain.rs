//! What a plain WebSocket of ours does where others test it, in both roles, and the journal that says what
//! became of it.

use serde::Serialize;
use sockeye::websocket::{CloseCode, WebSocket, Why};

/// Sends every message back with its type.
pub async fn echo(socket: &mut WebSocket) {
    while let Some(message) = socket.recv().await {
        // A peer that is gone meanwhile needs no answer; so everywhere below.
        let _ = socket.send(message);
    }
}

/// Does what text messages say: `text N` and `binary N` send a message of so many bytes, `count N` so many
/// messages, `close CODE REASON` closes, `panic` panics.
pub async fn obey(socket: &mut WebSocket) {
    while let Some(message) = socket.recv().await {
        let command = message.as_text().unwrap_or_default();
        let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
        let (number, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let number = number.parse().unwrap_or_default();
        match word {
            "text" => drop(socket.send("x".repeat(number))),
            "binary" => drop(socket.send((0..number).map(|i| i as u8).collect::<Vec<_>>())),
            "count" => {
                for i in 0..number {
                    let _ = socket.send_wait(i.to_string()).await;
                }
            }
            "close" => {
                let code = u16::try_from(number).ok().and_then(CloseCode::new);
                socket.close(code.unwrap_or(CloseCode::UNSUPPORTED), reason);
            }
            "panic" => panic!("as the peer wished"),
            _ => socket.close(CloseCode::UNSUPPORTED, "no such command"),
        }
    }
}

/// A line of the journal: how a connection ended.
#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    /// Who or what ended it.
    why: &'static str,
    code: Option<u16>,
    reason: Option<&'a str>,
    /// Whether both sides had sent their close frames.
    clean: bool,
}

/// Waits for the end and writes its line.
pub async fn report(socket: &WebSocket, path: &str) {
    let ending = socket.closed().await;
    let (why, status) = match &ending.why {
        Why::Peer(status) => {
            ("peer", status.as_ref().map(|(code, reason)| (code.get(), Some(&**reason))))
        }
        Why::Local(code, reason) => ("local", Some((code.get(), Some(&**reason)))),
        Why::Refused(error) => ("refused", Some((error.close_code().get(), None))),
        Why::Lost(_) => ("lost", None),
        Why::PongTimeout => ("pong timeout", None),
        Why::IdleTimeout => ("idle timeout", None),
        Why::SlowConsumer => ("slow consumer", None),
        _ => ("other", None),
    };
    let (code, reason) = status.map_or((None, None), |(code, reason)| (Some(code), reason));
    let line = Line { path, why, code, reason, clean: ending.clean };
    println!("{}", serde_json::to_string(&line).expect("a line is made of strings and numbers"));
}
