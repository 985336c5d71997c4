//! The inbound state of one connection: which namespaces it is in, which attachments are due.
//!
//! What a packet means depends on that state, and what it does not allow ends the session. Two
//! things are more lenient than in Node, where they close the connection and with it all its
//! namespaces:
//!
//! - Packets for a namespace whose CONNECT is not answered yet are events as any other; the layer
//!   above holds them back until it has decided.
//! - Packets for a namespace that the *server* has just ended are dropped: the client sent them
//!   before it could know.

use alloc::{borrow::Cow, boxed::Box, vec::Vec};

use bytes::Bytes;

use crate::{
    Body, Error, Kind, Limit, Limits, Malformed, Membership, Misbehaviour,
    attachments::{Assembly, check_placeholders},
    decode, is_valid_namespace,
    namespaces::Namespaces,
    packet::{Packet, body, decode_unnamed},
    parser::Parsed,
    plain, revision4,
    surrogates::mend,
};

/// The server's side of one Socket.IO connection.
///
/// It belongs to whoever reads the Engine.IO session. After an [`Error`] it has no further use.
#[derive(Debug)]
pub struct Connection {
    namespaces: Namespaces,
    /// The packet whose attachments are due.
    assembly: Option<Box<Assembly>>,
    /// When the connection is closed for having joined nothing; `None` once it has.
    connect_deadline: Option<u64>,
}

// One per connection, idle ones too.
const _: () = assert!(size_of::<Connection>() <= 64);

/// What the peer wants. It borrows from the message, except for packets with attachments.
///
/// In arguments, half of a UTF-16 pair (`"\ud83d"`, which JavaScript sends for a string that was cut
/// within a character) has been replaced by U+FFFD, since Rust's strings cannot hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// To join a namespace, which may not exist. The answer is [`Connection::connected`] and
    /// [`encode::connect`](crate::encode::connect), or [`Connection::refused`] and
    /// [`encode::connect_error`](crate::encode::connect_error).
    Connect {
        /// The namespace. It is not joined, nor being joined, and this event has made it
        /// [`Membership::Connecting`].
        namespace: Cow<'a, str>,
        /// The JSON object that the client sent along, if any.
        auth: Option<Cow<'a, str>>,
    },
    /// An event for one of the connection's namespaces, joined or connecting.
    Event {
        /// The namespace.
        namespace: Cow<'a, str>,
        /// The event's name, which is none of [`RESERVED_EVENTS`](crate::RESERVED_EVENTS).
        name: Cow<'a, str>,
        /// The JSON of the arguments: see [`decode_args`](crate::decode_args).
        args: Cow<'a, str>,
        /// The binary that belongs into the arguments' placeholders.
        attachments: Vec<Bytes>,
        /// The id to answer with, if the client wants an answer.
        ack: Option<u64>,
    },
    /// The answer to an event that the server sent. Whether one with this id is awaited, the layer
    /// above knows.
    Ack {
        /// The namespace.
        namespace: Cow<'a, str>,
        /// The id that the server gave.
        id: u64,
        /// The JSON of the arguments: see [`decode_args`](crate::decode_args).
        args: Cow<'a, str>,
        /// The binary that belongs into the arguments' placeholders.
        attachments: Vec<Bytes>,
    },
    /// To leave a namespace, joined or connecting. It is left already.
    Disconnect {
        /// The namespace.
        namespace: Cow<'a, str>,
    },
}

impl Connection {
    /// A connection whose session was opened at `now`.
    #[must_use]
    pub fn new(now: u64, limits: &Limits) -> Self {
        Self {
            namespaces: Namespaces::default(),
            assembly: None,
            connect_deadline: Some(now.saturating_add(limits.connect_timeout)),
        }
    }

    /// Takes the data of a text message. `None`: there is nothing to do for it (yet).
    ///
    /// # Errors
    ///
    /// The session is over, with the error's [reason](Error::reason).
    pub fn receive_text<'a>(
        &mut self,
        now: u64,
        limits: &Limits,
        text: &'a str,
    ) -> Result<Option<Event<'a>>, Error> {
        if self.assembly.is_some() {
            return Err(Misbehaviour::TextInsteadOfAttachment.into());
        }
        let packet = decode(text, limits)?;
        self.receive(now, limits, packet)
    }

    /// The same for a client that speaks [revision 4](crate::revision4): what its CONNECT has as `auth`
    /// stands in the query behind the namespace's name, and does not count in
    /// [`Limits::max_namespace_bytes`].
    ///
    /// # Errors
    ///
    /// As [`receive_text`](Self::receive_text).
    pub fn receive_text_v4<'a>(
        &mut self,
        now: u64,
        limits: &Limits,
        text: &'a str,
    ) -> Result<Option<Event<'a>>, Error> {
        if self.assembly.is_some() {
            return Err(Misbehaviour::TextInsteadOfAttachment.into());
        }
        let mut packet = decode_unnamed(text, limits)?;
        let query;
        (packet.namespace, query) = revision4::split_query(packet.namespace);
        if packet.namespace.len() > limits.max_namespace_bytes {
            return Err(Limit::NamespaceBytes.into());
        }
        let mut event = self.receive(now, limits, packet)?;
        if let Some(Event::Connect { auth, .. }) = &mut event {
            *auth = revision4::auth(query).map(Cow::Owned);
        }
        Ok(event)
    }

    fn receive<'a>(
        &mut self,
        now: u64,
        limits: &Limits,
        packet: Packet<'a>,
    ) -> Result<Option<Event<'a>>, Error> {
        let membership = self.namespaces.get(packet.namespace);
        if packet.kind == Kind::Connect {
            self.connect(limits, packet.namespace, membership)?;
        } else if packet.kind == Kind::ConnectError {
            return Err(Misbehaviour::ConnectErrorFromClient.into());
        } else if membership.is_none() {
            return Err(Misbehaviour::NotJoined(packet.kind).into());
        }
        if packet.attachments > 0 {
            self.assembly = Some(Box::new(Assembly::new(now, limits, &packet)?));
            return Ok(None);
        }
        if membership == Some(Membership::Left) && packet.kind != Kind::Connect {
            return Ok(None);
        }
        Ok(self.event(packet))
    }

    /// Takes a binary message, which must be an attachment that is due. `None`: more are due, or
    /// there is nothing to do for the packet.
    ///
    /// # Errors
    ///
    /// The session is over, with the error's [reason](Error::reason).
    pub fn receive_binary(
        &mut self,
        now: u64,
        limits: &Limits,
        attachment: Bytes,
    ) -> Result<Option<Event<'static>>, Error> {
        let assembly = self.assembly.as_mut().ok_or(Misbehaviour::UnexpectedAttachment)?;
        if !assembly.add(now, limits, attachment)? {
            return Ok(None);
        }
        let Some(assembly) = self.assembly.take() else { return Ok(None) };
        // The server may have ended the namespace while attachments were on their way.
        let left = self.namespaces.get(assembly.namespace()) == Some(Membership::Left);
        Ok(if left { None } else { assembly.into_event() })
    }

    /// Takes a packet that another [`Parser`](crate::Parser) than the default one has read. `None`:
    /// there is nothing to do for it.
    ///
    /// # Errors
    ///
    /// The session is over, with the error's [reason](Error::reason).
    pub fn receive_parsed<'a>(
        &mut self,
        limits: &Limits,
        parsed: &'a Parsed,
    ) -> Result<Option<Event<'a>>, Error> {
        let Parsed { kind, namespace, ack, data, attachments } = parsed;
        if !is_valid_namespace(namespace) {
            return Err(Malformed::Namespace.into());
        }
        if namespace.len() > limits.max_namespace_bytes {
            return Err(Limit::NamespaceBytes.into());
        }
        let count = u32::try_from(attachments.len()).unwrap_or(u32::MAX);
        if count > limits.max_attachments {
            return Err(Limit::Attachments.into());
        }
        let bytes = attachments.iter().fold(0, |sum: usize, it| sum.saturating_add(it.len()));
        if bytes > limits.max_attachment_bytes {
            return Err(Limit::AttachmentBytes.into());
        }
        let body = body(*kind, data)?;
        let membership = self.namespaces.get(namespace);
        if *kind == Kind::Connect {
            self.connect(limits, namespace, membership)?;
        } else if *kind == Kind::ConnectError {
            return Err(Misbehaviour::ConnectErrorFromClient.into());
        } else if membership.is_none() {
            return Err(Misbehaviour::NotJoined(*kind).into());
        }
        if let (Body::Event { args, .. } | Body::Ack { args }, 1..) = (&body, count) {
            check_placeholders(args, count)?;
        }
        if membership == Some(Membership::Left) && *kind != Kind::Connect {
            return Ok(None);
        }
        let mut event =
            self.event(Packet { kind: *kind, attachments: count, namespace, ack: *ack, body });
        if let Some(Event::Event { attachments: to, .. } | Event::Ack { attachments: to, .. }) =
            &mut event
        {
            to.clone_from(attachments);
        }
        Ok(event)
    }

    /// The client wants to join a namespace, though it sent no CONNECT: its connection is
    /// [plain], and its address says so; or it speaks [revision 4](crate::revision4), and this is `/`.
    ///
    /// # Errors
    ///
    /// As if it had sent one: the session is over, with the error's [reason](Error::reason).
    pub fn join(&mut self, limits: &Limits, namespace: &str) -> Result<(), Error> {
        self.connect(limits, namespace, self.namespaces.get(namespace))
    }

    /// Takes a text message of a [plain] connection, for the namespace that it
    /// [joined](Self::join). `None`: there is nothing to do for it.
    ///
    /// # Errors
    ///
    /// The connection is over.
    pub fn receive_plain<'a>(
        &mut self,
        limits: &Limits,
        namespace: &'a str,
        text: &'a str,
    ) -> Result<Option<Event<'a>>, plain::Error> {
        let message = plain::decode(text, limits)?;
        let membership = self.namespaces.get(namespace);
        if !matches!(membership, Some(Membership::Connecting | Membership::Joined)) {
            return Ok(None);
        }
        let namespace = Cow::Borrowed(namespace);
        Ok(Some(match message {
            plain::Message::Event { name, args, attachments, id } => {
                Event::Event { namespace, name, args, attachments, ack: id }
            }
            plain::Message::Ack { id, args, attachments } => {
                Event::Ack { namespace, id, args, attachments }
            }
        }))
    }

    /// The layer above has let the client into a namespace. `false`: it is not connecting any more,
    /// since the client left again.
    pub fn connected(&mut self, namespace: &str) -> bool {
        let joined = self.namespaces.change(namespace, Membership::Connecting, Membership::Joined);
        if joined {
            self.connect_deadline = None;
        }
        joined
    }

    /// The layer above has not let the client into a namespace. `false`: it is not connecting any
    /// more.
    pub fn refused(&mut self, namespace: &str) -> bool {
        self.namespaces.change(namespace, Membership::Connecting, Membership::Left)
    }

    /// The layer above has disconnected the client from a namespace. `false`: it was not in.
    pub fn left(&mut self, namespace: &str) -> bool {
        self.namespaces.change(namespace, Membership::Joined, Membership::Left)
    }

    /// How the connection stands to a namespace; `None` if the client never asked for it, or left.
    #[must_use]
    pub fn membership(&self, namespace: &str) -> Option<Membership> {
        self.namespaces.get(namespace)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout): at this millisecond, not later. It
    /// changes with every call of another method.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        let attachment = self.assembly.as_ref().map(|assembly| assembly.deadline());
        match (attachment, self.connect_deadline) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Sees what is overdue at `now`.
    ///
    /// The connect timeout is over for good once a namespace was joined: a client that leaves its
    /// last one may stay, as in Node. One that is still connecting does not count.
    ///
    /// # Errors
    ///
    /// [`Limit::ConnectTimeout`] or [`Limit::AttachmentTimeout`]: the session is over, with the
    /// error's [reason](Error::reason).
    pub fn handle_timeout(&mut self, now: u64) -> Result<(), Error> {
        if self.connect_deadline.is_some_and(|deadline| now >= deadline) {
            return Err(Limit::ConnectTimeout.into());
        }
        if self.assembly.as_ref().is_some_and(|assembly| now >= assembly.deadline()) {
            return Err(Limit::AttachmentTimeout.into());
        }
        Ok(())
    }

    fn connect(
        &mut self,
        limits: &Limits,
        namespace: &str,
        membership: Option<Membership>,
    ) -> Result<(), Error> {
        let added = match membership {
            None => self.namespaces.add(namespace, Membership::Connecting, limits.max_namespaces),
            Some(Membership::Left) => {
                self.namespaces.change(namespace, Membership::Left, Membership::Connecting)
            }
            Some(Membership::Connecting | Membership::Joined) => {
                return Err(Misbehaviour::SecondConnect.into());
            }
        };
        if added { Ok(()) } else { Err(Limit::Namespaces.into()) }
    }

    /// What a packet without attachments, allowed by the state, is for the layer above.
    fn event<'a>(&mut self, packet: Packet<'a>) -> Option<Event<'a>> {
        let namespace = Cow::Borrowed(packet.namespace);
        match packet.body {
            Body::Connect(auth) => {
                Some(Event::Connect { namespace, auth: auth.map(Cow::Borrowed) })
            }
            Body::Disconnect => {
                self.namespaces.remove(packet.namespace);
                Some(Event::Disconnect { namespace })
            }
            Body::Event { name, args } => Some(Event::Event {
                namespace,
                name: name?,
                args: mend(args),
                attachments: Vec::new(),
                ack: packet.ack,
            }),
            // An answer to nothing in particular: ignored, as in Node.
            Body::Ack { args } => Some(Event::Ack {
                namespace,
                id: packet.ack?,
                args: mend(args),
                attachments: Vec::new(),
            }),
            Body::ConnectError(_) => None,
        }
    }
}
