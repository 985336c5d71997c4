//! Socket.IO's packets in MessagePack: no bytes make reading them panic, or hold more than is allowed,
//! and what was read is written as something that reads the same.

use bytes::Bytes;
use sockeye_socketio::parser::{Message, Parsed};
use sockeye_socketio::{Connection, Error, Limits, MsgpackParser, Parser};

/// See the [module](self).
pub fn run(input: &[u8]) {
    let limits = Limits { max_attachment_bytes: 1000, ..Limits::default() };
    let read = |bytes: Bytes| MsgpackParser.decode(Message::Binary(bytes), &limits);
    let packet = match read(Bytes::copy_from_slice(input)) {
        Ok(packet) => packet,
        Err(error) => return drop(error.to_string()),
    };
    let bytes: usize = packet.attachments.iter().map(Bytes::len).sum();
    assert!(packet.attachments.len() <= 10 && bytes <= 1000);
    assert!(packet.data.len() <= 24 * input.len() + 400, "it grows without limit");
    let _ = Connection::new(0, &limits).receive_parsed(&limits, &packet);
    // A client's own look-alike of a placeholder may be taken for one.
    if packet.data.contains("_placeholder") && packet.attachments.is_empty() {
        return;
    }
    let written = |packet: &Parsed| MsgpackParser.encode(packet);
    let first = written(&packet);
    let [Message::Binary(bytes)] = &first[..] else { panic!("{packet:?} cannot be written") };
    let again: Result<Parsed, Error> = read(bytes.clone());
    let again = again.expect("what we write, we read");
    assert_eq!(
        (again.kind, &again.namespace, again.ack),
        (packet.kind, &packet.namespace, packet.ack)
    );
}
