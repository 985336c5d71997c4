//! The one way of every event to its sockets.

use std::sync::Arc;

use bytes::Bytes;
use sockeye_hub::Packet;
use sockeye_hub::adapter::{Arguments, Delivery, Flags};
use sockeye_socketio::EncodeError;

use crate::emit::EmitError;
use crate::namespace;
use crate::operators::Broadcast;
use crate::socket::Socket;

/// To whom an event is said.
#[derive(Clone, Copy)]
pub(crate) enum To<'a> {
    One(&'a Socket),
    /// What comes from another server is a [local](Broadcast::local) broadcast here.
    Many(&'a Broadcast),
}

impl<'a> To<'a> {
    /// As it is logged.
    fn name(self) -> &'a str {
        match self {
            Self::One(socket) => socket.id(),
            Self::Many(_) => "many",
        }
    }
}

/// An event on its way out.
#[derive(Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    pub(crate) event: &'a str,
    pub(crate) ack: Option<u64>,
    pub(crate) flags: Flags,
    pub(crate) to: To<'a>,
}

impl namespace::Inner {
    /// Encodes an event once and has it delivered. Every event that a socket of this namespace is
    /// sent passes here exactly once, be it an emit, a broadcast, one that wants answers, or another
    /// server's: here is the place for whatever must see them all.
    ///
    /// `deliver` queues it for this server's sockets, unless the adapter will have that done.
    ///
    /// # Order
    ///
    /// What is done before and after `deliver` is not one step with it. Who needs that, as a log
    /// whose offsets are to be in the order of delivery does, holds a lock over both.
    pub(crate) fn publish<R>(
        &self,
        outgoing: Outgoing<'_>,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<Vec<Bytes>, EncodeError>,
        deliver: impl FnOnce(&Arc<Packet>, Delivery) -> R,
    ) -> Result<R, EmitError> {
        let mut packet = Packet::message(encode)?;
        if !outgoing.flags.compress {
            packet = Packet::uncompressed(packet);
        }
        tracing::trace!(
            target: "socket.io:namespace",
            namespace = &*self.path, to = outgoing.to.name(), event = outgoing.event, ack = outgoing.ack,
            "an event goes"
        );
        self.counters().events.emit();
        self.check_attachments(outgoing, packet.attachments().len());
        let delivery = match outgoing.to {
            // Those that want answers are the adapter's by another way.
            To::Many(broadcast) if outgoing.ack.is_none() => match broadcast.others() {
                Some(adapter) => {
                    let arguments = self.arguments(&packet);
                    adapter.broadcast(arguments, &broadcast.by_name(), outgoing.flags)
                }
                None => Delivery::Now,
            },
            _ => Delivery::Now,
        };
        Ok(match &self.journal {
            None => deliver(&packet, delivery),
            Some(journal) => journal.publish(outgoing, packet, delivery, deliver),
        })
    }

    fn check_attachments(&self, outgoing: Outgoing<'_>, attachments: usize) {
        if attachments > JAVASCRIPT_ATTACHMENTS && self.counters().many_attachments.count() == 0 {
            let Outgoing { event, to, .. } = outgoing;
            let to = to.name();
            tracing::warn!(
                target: "socket.io:socket", namespace = &*self.path, to, event, attachments,
                "JavaScript clients disconnect at more than {JAVASCRIPT_ATTACHMENTS} attachments in an \
                 event, unless they have a parser with a higher `maxAttachments`; further events like \
                 this one are only counted"
            );
        }
    }

    /// What a packet of this namespace says, for other servers.
    pub(crate) fn arguments(&self, packet: &Packet) -> Arguments {
        // Without Engine.IO's type.
        let message = packet.text().get(1..).unwrap_or_default();
        arguments_in(message, &self.path, packet.attachments().to_vec())
    }
}

/// The most attachments that `socket.io-parser` accepts in a packet, from 4.2.6 on.
const JAVASCRIPT_ATTACHMENTS: usize = 10;

/// The arguments in an event or ack that was encoded here for this namespace.
pub(crate) fn arguments_in(message: &[u8], namespace: &str, attachments: Vec<Bytes>) -> Arguments {
    let message = std::str::from_utf8(message).unwrap_or_default();
    let rest = match attachments.len() {
        0 => message.get(1..),
        _ => message.split_once('-').map(|(_, rest)| rest),
    };
    let rest = rest.unwrap_or_default();
    let rest = match namespace {
        "/" => rest,
        path => rest.strip_prefix(path).unwrap_or(rest).trim_start_matches(','),
    };
    let rest = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let json = rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    Arguments { json: json.unwrap_or_default().into(), attachments }
}

#[cfg(test)]
mod tests {
    use sockeye_socketio::encode;

    use super::*;

    #[test]
    fn arguments_are_found_in_every_packet() {
        for namespace in ["/", "/a-1", "/[x],7"] {
            for ack in [None, Some(12)] {
                let mut text = Vec::new();
                let none = encode::event(&mut text, namespace, ack, "e", &(1, "[a-]")).unwrap();
                let arguments = arguments_in(&text, namespace, none);
                assert_eq!(&*arguments.json, r#""e",1,"[a-]""#);

                let (mut text, bytes) = (Vec::new(), Bytes::from_static(b"x"));
                let some = encode::event(&mut text, namespace, ack, "e", &bytes).unwrap();
                let arguments = arguments_in(&text, namespace, some);
                assert_eq!(&*arguments.json, r#""e",{"_placeholder":true,"num":0}"#);
                assert_eq!(arguments.attachments, [bytes]);

                let mut again = Vec::new();
                let Arguments { json, attachments } = arguments;
                encode::event_of_json(&mut again, namespace, ack, &json, attachments);
                assert_eq!(again, text);
            }
        }
        let mut text = Vec::new();
        encode::ack(&mut text, "/", 0, &()).unwrap();
        assert_eq!(arguments_in(&text, "/", Vec::new()), Arguments::default());
    }
}
