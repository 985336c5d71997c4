//! A server that clients offend, for the modules of bad input: whatever a peer sends ends in a typed
//! error and the documented answer, never in a panic or a hang, and other clients are served all the
//! while.

use sockeye_server::{Namespace, Server};
use sockeye_testkit::peer::{Message, Peer, frame, text_frame};

use crate::harness::{Face, Journal, Running, root, sync, with_reasons};

/// Bytes that no server should accept.
pub(crate) struct Offence {
    pub(crate) what: String,
    pub(crate) bytes: Vec<u8>,
}

impl Offence {
    pub(crate) fn new(what: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { what: what.into(), bytes: bytes.into() }
    }

    /// A text message, followed by binary ones.
    pub(crate) fn packet(text: &str, attachments: &[&[u8]]) -> Self {
        let mut bytes = text_frame(text);
        for attachment in attachments {
            bytes.extend(frame(0x82, attachment));
        }
        Self::new(text, bytes)
    }
}

/// A server, and the reasons for which its sockets left.
pub(crate) struct Judge {
    pub(crate) server: Running,
    pub(crate) reasons: Journal<&'static str>,
}

impl Judge {
    pub(crate) async fn new(face: Face) -> Self {
        let (namespace, reasons) = with_reasons(root().on("e", || ()));
        let builder = Server::builder()
            .namespace(namespace)
            .namespace(Namespace::new("/other"))
            .max_payload(10_000);
        Self { server: face.serve(builder).await, reasons }
    }

    /// The client in `/` that does this is closed with `code`, its socket hears `reason`, and the
    /// next client is served.
    pub(crate) async fn expect(&mut self, offence: &Offence, code: u16, reason: &str) {
        let (mut peer, _) = Peer::socketio(self.server.address).await;
        peer.send_bytes(&offence.bytes).await;
        match peer.recv().await {
            Message::Close(found) if found == code => {}
            other => panic!("{}: expected Close({code}), got {other:?}", offence.what),
        }
        assert_eq!(self.reasons.next().await, reason, "{}", offence.what);
        peer.try_send_bytes(&frame(0x88, &[])).await;
        let end = peer.recv().await;
        assert!(matches!(end, Message::Eof | Message::Reset), "{}: {end:?}", offence.what);
    }

    /// All is over for the offenders, and nobody else noticed.
    pub(crate) async fn finish(mut self) {
        let (mut peer, _) = Peer::socketio(self.server.address).await;
        sync(&mut peer).await;
        assert_eq!(self.server.clients(), 1);
        self.reasons.expect_nothing();
    }
}
