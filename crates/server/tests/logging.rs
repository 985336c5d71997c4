//! What is logged, under which scope, within which span, and what never is.
//!
//! In a process of its own, and one test at a time: whether a place in the code logs at all is decided for the
//! whole process, when it is come to first.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "api/harness.rs"]
#[allow(dead_code, unused_imports, reason = "the other tests need more of it")]
mod harness;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use sockeye_server::{Data, Namespace, Server, Socket};
use sockeye_testkit::peer::Peer;
use sockeye_testkit::polling::Polling;
use tokio::runtime::Builder;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use harness::{journal, root, serve, sync, until, with_sockets};

/// The log of this thread, on which all of a test's server runs, too.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The first line with all of these.
    #[track_caller]
    fn line(&self, parts: &[&str]) -> String {
        let text = self.text();
        let found = text.lines().find(|line| parts.iter().all(|part| line.contains(part)));
        found.unwrap_or_else(|| panic!("{parts:?} are not in one line of\n{text}")).to_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Runs a test whose server has no thread but this one, and is gone before another test begins: a place that is
/// come to while another subscriber enters may be taken for one that logs nothing, for good.
fn logged(level: LevelFilter, test: impl AsyncFnOnce(Log)) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(false)
        .without_time()
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test(log));
}

#[test]
fn a_life_is_told_under_the_scopes_of_node_and_without_its_secrets() {
    logged(LevelFilter::TRACE, async |log| {
        let (namespace, mut sockets) = with_sockets(root().on("fails", || Err::<(), _>("broken")));
        let guarded = Namespace::new("/guarded").middleware(|| Err::<(), _>("no"));
        let builder = Server::builder().namespace(namespace).namespace(guarded);
        let server = serve(builder.namespace(Namespace::matching("/dynamic-{n}"))).await;

        let polling = Polling::open(server.address).await;
        polling.post("40{\"token\":\"hunter2\"}").await;
        polling.poll().await;
        let socket = sockets.next().await;
        let mut peer = polling.upgrade().await;
        sync(&mut peer).await;
        socket.join("lobby");
        socket.leave("lobby");
        let answer = socket.emit_with_ack::<()>("asks", ());
        peer.expect_text("420[\"asks\"]").await;
        peer.send_text("430[]").await;
        answer.await.unwrap();
        peer.send_text("42[\"fails\"]").await;
        peer.send_text("40/guarded,").await;
        peer.expect_text("44/guarded,{\"message\":\"no\"}").await;
        peer.join("/dynamic-1").await;
        server.emit("news", ()).unwrap();
        peer.expect_text("42[\"news\"]").await;
        let id = socket.id().to_owned();
        peer.send_text("4broken").await;
        peer.expect_close(1002).await;
        until(|| server.clients() == 0).await;
        let mut raw =
            Peer::websocket(server.address, "/socket.io/?EIO=4&transport=websocket").await;
        raw.recv_text().await;
        raw.send_bytes(b"\x83\x80\0\0\0\0").await;
        until(|| server.metrics().opened == 2 && server.clients() == 0).await;

        let socket = format!("socket=\"{id}\"");
        for parts in [
            &[" engine: a session opens", "transport=\"polling\"", "revision=4"][..],
            &[" engine:polling: a poll is answered"],
            &[" engine:socket: a packet comes bytes="],
            &[" engine:transport: packets go", "packets=1"],
            &[" engine:socket: a websocket wants to take over"],
            &[" engine:socket: the probe is answered"],
            &[" engine:socket: the client asks for the upgrade"],
            &[" engine:socket: upgraded"],
            &[" engine:socket: the session ends", "reason=forced close"],
            &[" engine:ws: the client broke the WebSocket protocol"],
            &[" socket.io:namespace: a socket wants to be let in", &socket, "namespace=\"/\""],
            &[" socket.io:socket: connected", &socket],
            &[" socket.io:client: not let in", "namespace=\"/guarded\"", "why=\"no\""],
            &[" socket.io:parent-namespace: comes to be", "namespace=\"/dynamic-1\""],
            &[" socket.io:parent-namespace: is gone", "namespace=\"/dynamic-1\""],
            &[" socket.io-adapter: joins", &socket, "room=\"lobby\""],
            &[" socket.io-adapter: leaves", &socket, "room=\"lobby\""],
            &[" socket.io:socket: an event comes", &socket, "event=\"sync\"", "ack=999"],
            &[" socket.io:socket: an event is answered", &socket, "ack=999"],
            &[" socket.io:namespace: an event goes", &id, "event=\"asks\"", "ack=0"],
            &[" socket.io:namespace: an event goes", "to=\"many\"", "event=\"news\""],
            &[" socket.io:socket: an ack comes", &socket, "ack=0"],
            &["WARN ", " socket.io:socket: ", &socket, "event=\"fails\"", "broken"],
            &[" socket.io:client: the session ends"],
            &[" socket.io:socket: leaves the namespace", &socket, "reason=\"forced close\""],
        ] {
            log.line(parts);
        }
        let text = log.text();
        for secret in [polling.sid(), "hunter2"] {
            assert!(!text.contains(secret), "{secret} is told in\n{text}");
        }
        for path in ["sockeye_server", "sockeye_transport", "sockeye_handler", "sockeye_hub"] {
            assert!(!text.contains(path), "{path} is no scope, in\n{text}");
        }
    });
}

#[derive(Deserialize)]
struct Auth {
    #[serde(rename = "token")]
    _token: u32,
}

#[test]
fn an_auth_that_cannot_be_decoded_is_not_quoted() {
    logged(LevelFilter::TRACE, async |log| {
        let greeted = Namespace::new("/greeted").on_connect(|Data(_): Data<Auth>| ());
        let guarded = Namespace::new("/guarded").middleware(|Data(_): Data<Auth>| ());
        let builder = Server::builder().namespace(root()).namespace(greeted).namespace(guarded);
        let server = serve(builder).await;
        let (mut peer, _) = Peer::socketio(server.address).await;
        peer.send_text("40/greeted,{\"token\":\"hunter2\"}").await;
        peer.expect_joined("/greeted").await;
        peer.expect_text("41/greeted,").await;
        peer.send_text("40/guarded,{\"token\":\"hunter2\"}").await;
        // It is the client's own.
        assert!(peer.recv_text().await.contains("hunter2"));
        log.line(&["WARN ", " socket.io:socket: ", "event=\"connect\"", "auth"]);
        log.line(&[" socket.io:client: not let in", "namespace=\"/guarded\"", "auth"]);
        let text = log.text();
        assert!(!text.contains("hunter2"), "{text}");
    });
}

#[test]
fn what_a_handler_logs_is_found_by_its_socket_namespace_and_event() {
    logged(LevelFilter::DEBUG, async |log| {
        let (note, mut ids) = journal();
        let namespace = root()
            .middleware(|| tracing::info!("in the middleware"))
            .on_connect(move |socket: Socket| {
                note.write(socket.id().to_owned());
                async {
                    tracing::info!("before connecting waits");
                    tokio::task::yield_now().await;
                    tracing::info!("after connecting waited");
                }
            })
            .on("now", || tracing::info!("in a function"))
            .on("later", || async {
                tracing::info!("before it waits");
                tokio::task::yield_now().await;
                tracing::info!("after it waited");
            })
            .on_disconnect(|| tracing::info!("at the end"));
        let server = serve(Server::builder().namespace(namespace)).await;
        let (mut peer, _) = Peer::socketio(server.address).await;
        let id = ids.next().await;
        peer.send_text("420[\"now\"]").await;
        peer.expect_text("430[]").await;
        peer.send_text("421[\"later\"]").await;
        peer.expect_text("431[]").await;
        peer.send_text("41").await;
        until(|| server.sockets("/") == 0).await;
        sync_end(&mut peer).await;

        let found = |message: &str, event: &str| {
            let line = log.line(&[message]);
            let handler =
                format!(":handler{{socket=\"{id}\" namespace=\"/\" event=\"{event}\"}}: ");
            let span =
                line.find("session{sid=Sid(").unwrap_or_else(|| panic!("no session: {line}"));
            let inner = line.find(&handler).unwrap_or_else(|| panic!("no {handler}: {line}"));
            assert!(span < inner && line.contains("address=127.0.0.1:"), "{line}");
            assert_eq!(line.matches("handler{").count(), 1, "{line}");
        };
        found("in the middleware", "connect");
        found("before connecting waits", "connect");
        found("after connecting waited", "connect");
        found("in a function", "now");
        found("before it waits", "later");
        found("after it waited", "later");
        found("at the end", "disconnect");
    });
}

/// The client goes, and its server's task, with whatever it still logs, is over.
async fn sync_end(peer: &mut Peer) {
    peer.send_text("1").await;
    peer.expect_close(1005).await;
}

#[test]
fn without_debug_there_are_no_spans() {
    logged(LevelFilter::INFO, async |log| {
        let namespace = root().on("now", || tracing::info!("in a function"));
        let server = serve(Server::builder().namespace(namespace)).await;
        let (mut peer, _) = Peer::socketio(server.address).await;
        peer.send_text("420[\"now\"]").await;
        peer.expect_text("430[]").await;
        let line = log.line(&["in a function"]);
        assert!(!line.contains('{'), "{line}");
    });
}
