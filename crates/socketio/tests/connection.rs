//! The server's side of a connection, told by what comes in and when.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use bytes::Bytes;
use sockeye_socketio::{Connection, Error, Event, Kind, Limit, Limits, Membership, Misbehaviour};

/// A connection opened at 1 000, with little patience.
struct Peer {
    connection: Connection,
    limits: Limits,
    now: u64,
}

impl Peer {
    fn new() -> Self {
        let limits = Limits {
            max_attachments: 3,
            max_attachment_bytes: 10,
            attachment_timeout: 50,
            max_namespaces: 3,
            max_namespace_bytes: 20,
            connect_timeout: 300,
        };
        Self { connection: Connection::new(1000, &limits), limits, now: 1000 }
    }

    /// One that is in `/`.
    fn joined() -> Self {
        let mut peer = Self::new();
        peer.join("/", "0");
        peer
    }

    fn join(&mut self, namespace: &str, text: &str) {
        assert!(matches!(self.text(text), Ok(Some(Event::Connect { .. }))), "{text}");
        assert!(self.connection.connected(namespace));
    }

    fn text<'a>(&mut self, text: &'a str) -> Result<Option<Event<'a>>, Error> {
        self.connection.receive_text(self.now, &self.limits, text)
    }

    fn binary(&mut self, data: &'static [u8]) -> Result<Option<Event<'static>>, Error> {
        self.connection.receive_binary(self.now, &self.limits, Bytes::from_static(data))
    }
}

fn event<'a>(namespace: &'a str, name: &'a str, args: &'a str, ack: Option<u64>) -> Event<'a> {
    Event::Event {
        namespace: namespace.into(),
        name: name.into(),
        args: args.into(),
        attachments: vec![],
        ack,
    }
}

fn misbehaved<T>(misbehaviour: Misbehaviour) -> Result<T, Error> {
    Err(Error::PeerMisbehaved(misbehaviour))
}

#[test]
fn joins_talks_and_leaves() {
    let mut peer = Peer::new();
    assert_eq!(
        peer.text(r#"0{"token":"abc"}"#),
        Ok(Some(Event::Connect { namespace: "/".into(), auth: Some(r#"{"token":"abc"}"#.into()) }))
    );
    assert_eq!(peer.connection.membership("/"), Some(Membership::Connecting));
    assert!(peer.connection.connected("/"));
    assert_eq!(peer.connection.membership("/"), Some(Membership::Joined));
    assert_eq!(peer.text(r#"2["x",1]"#), Ok(Some(event("/", "x", "1", None))));
    assert_eq!(peer.text(r#"27["x"]"#), Ok(Some(event("/", "x", "", Some(7)))));
    assert_eq!(
        peer.text("35[1,2]"),
        Ok(Some(Event::Ack {
            namespace: "/".into(),
            id: 5,
            args: "1,2".into(),
            attachments: vec![]
        }))
    );
    assert_eq!(
        peer.text("35"),
        Ok(Some(Event::Ack { namespace: "/".into(), id: 5, args: "".into(), attachments: vec![] }))
    );
    assert_eq!(peer.text("1"), Ok(Some(Event::Disconnect { namespace: "/".into() })));
    assert_eq!(peer.connection.membership("/"), None);
}

#[test]
fn what_nobody_can_await_is_ignored() {
    let mut peer = Peer::joined();
    assert_eq!(peer.text("2"), Ok(None), "an event without a name");
    assert_eq!(peer.text("20"), Ok(None));
    assert_eq!(peer.text("3[1]"), Ok(None), "an answer without an id");
    assert_eq!(peer.text("3"), Ok(None));
    assert_eq!(peer.text("61-[]"), Ok(None));
    assert_eq!(peer.binary(b"a"), Ok(None));
    assert_eq!(peer.text("51-"), Ok(None));
    assert_eq!(peer.binary(b"a"), Ok(None));
    assert_eq!(peer.text(r#"2["x"]"#), Ok(Some(event("/", "x", "", None))), "and life goes on");
}

#[test]
fn a_character_that_javascript_cut_in_two_does_not_lose_the_message() {
    let mut peer = Peer::joined();
    assert_eq!(
        peer.text(r#"2["x","cut \ud83d","whole \ud83d\ude00"]"#),
        Ok(Some(event("/", "x", r#""cut \ufffd","whole \ud83d\ude00""#, None)))
    );
    assert_eq!(peer.text(r#"2["\ude00",1]"#), Ok(Some(event("/", "\u{fffd}", "1", None))));
    assert_eq!(peer.text(r#"51-["x","\ud83d"]"#), Ok(None));
    assert!(matches!(
        peer.binary(b"a"),
        Ok(Some(Event::Event { args, .. })) if args == r#""\ufffd""#
    ));
}

#[test]
fn several_namespaces() {
    let mut peer = Peer::new();
    peer.join("/a", "0/a,");
    peer.join("/b", "0/b");
    peer.join("/", "0");
    assert_eq!(peer.text(r#"2/a,["x"]"#), Ok(Some(event("/a", "x", "", None))));
    assert_eq!(peer.text("1/a"), Ok(Some(Event::Disconnect { namespace: "/a".into() })));
    assert_eq!(peer.text(r#"2/b,["x"]"#), Ok(Some(event("/b", "x", "", None))));
    assert_eq!(peer.text(r#"2["x"]"#), Ok(Some(event("/", "x", "", None))));
    assert_eq!(peer.text(r#"2/a,["x"]"#), misbehaved(Misbehaviour::NotJoined(Kind::Event)));
    // It may come back.
    peer.join("/a", "0/a,{}");
}

#[test]
fn connect_comes_first() {
    for (text, kind) in [
        (r#"2["x"]"#, Kind::Event),
        ("2", Kind::Event),
        ("30[]", Kind::Ack),
        ("1", Kind::Disconnect),
        ("1/a,", Kind::Disconnect),
        (r#"51-["x"]"#, Kind::BinaryEvent),
        ("61-0[]", Kind::BinaryAck),
    ] {
        assert_eq!(Peer::new().text(text), misbehaved(Misbehaviour::NotJoined(kind)), "{text}");
    }
    assert_eq!(
        Peer::joined().text(r#"2/other,["x"]"#),
        misbehaved(Misbehaviour::NotJoined(Kind::Event))
    );
    assert_eq!(Peer::new().text("4"), misbehaved(Misbehaviour::ConnectErrorFromClient));
    assert_eq!(
        Peer::joined().text(r#"4{"message":"x"}"#),
        misbehaved(Misbehaviour::ConnectErrorFromClient)
    );
    assert_eq!(Peer::joined().text("x"), misbehaved(Misbehaviour::UnknownKind('x')));
}

#[test]
fn one_connect_for_each_namespace() {
    let mut peer = Peer::joined();
    assert_eq!(peer.text("0"), misbehaved(Misbehaviour::SecondConnect));
    let mut peer = Peer::new();
    assert!(peer.text("0/a,").is_ok());
    assert_eq!(peer.text("0/a"), misbehaved(Misbehaviour::SecondConnect), "still connecting");
}

#[test]
fn a_connecting_namespace_takes_packets() {
    let mut peer = Peer::new();
    assert!(peer.text("0/a,").is_ok());
    assert_eq!(peer.text(r#"2/a,["x"]"#), Ok(Some(event("/a", "x", "", None))));
    // Even the one that takes it all back, after which no answer matters.
    assert_eq!(peer.text("1/a,"), Ok(Some(Event::Disconnect { namespace: "/a".into() })));
    assert!(!peer.connection.connected("/a"));
    assert!(!peer.connection.refused("/a"));
}

#[test]
fn packets_that_crossed_the_servers_farewell_are_dropped() {
    let mut peer = Peer::joined();
    assert!(peer.connection.left("/"));
    assert!(!peer.connection.left("/"));
    for text in [r#"2["x"]"#, r#"20["x"]"#, "30[]", "1"] {
        assert_eq!(peer.text(text), Ok(None), "{text}");
    }
    assert_eq!(peer.text(r#"51-["x"]"#), Ok(None));
    assert_eq!(peer.binary(b"a"), Ok(None));
    peer.join("/", "0");
    assert_eq!(peer.text(r#"2["x"]"#), Ok(Some(event("/", "x", "", None))));
    // The same for what was sent before the client knew that it is refused.
    assert!(peer.text("0/a,").is_ok());
    assert!(peer.connection.refused("/a"));
    assert_eq!(peer.text(r#"2/a,["x"]"#), Ok(None));
    assert!(matches!(peer.text("0/a,"), Ok(Some(Event::Connect { .. }))), "it may ask again");
}

#[test]
fn attachments_are_put_together() {
    let mut peer = Peer::joined();
    let text = r#"52-7["b",{"_placeholder":true,"num":0},{"x":{"_placeholder":true,"num":1}}]"#;
    assert_eq!(peer.text(text), Ok(None));
    assert_eq!(peer.binary(&[1, 2]), Ok(None));
    assert_eq!(
        peer.binary(&[3]),
        Ok(Some(Event::Event {
            namespace: "/".into(),
            name: "b".into(),
            args: text[9..text.len() - 1].into(),
            attachments: vec![Bytes::from_static(&[1, 2]), Bytes::from_static(&[3])],
            ack: Some(7),
        }))
    );
    peer.join("/a", "0/a,");
    assert_eq!(peer.text(r#"61-/a,3[{"_placeholder":true,"num":0}]"#), Ok(None));
    assert_eq!(
        peer.binary(b"x"),
        Ok(Some(Event::Ack {
            namespace: "/a".into(),
            id: 3,
            args: r#"{"_placeholder":true,"num":0}"#.into(),
            attachments: vec![Bytes::from_static(b"x")],
        }))
    );
    assert_eq!(peer.binary(b"y"), misbehaved(Misbehaviour::UnexpectedAttachment));
}

#[test]
fn attachments_come_when_they_are_due() {
    assert_eq!(Peer::new().binary(b"a"), misbehaved(Misbehaviour::UnexpectedAttachment));
    for text in [r#"2["x"]"#, "1", "0/a,", r#"51-["y"]"#, "", "x"] {
        let mut peer = Peer::joined();
        assert_eq!(peer.text(r#"52-["x"]"#), Ok(None));
        assert_eq!(peer.binary(b"a"), Ok(None));
        assert_eq!(peer.text(text), misbehaved(Misbehaviour::TextInsteadOfAttachment), "{text}");
    }
}

#[test]
fn placeholders_name_what_is_announced() {
    for args in [
        r#"{"_placeholder":true,"num":2}"#,
        r#"{"_placeholder":true,"num":-1}"#,
        r#"{"_placeholder":true,"num":4294967296}"#,
        r#"{"_placeholder":true,"num":1e99}"#,
        r#"{"_placeholder":true,"num":"0"}"#,
        r#"{"_placeholder":true,"num":null}"#,
        r#"{"_placeholder":true}"#,
        r#"1,[{"a":{"num":9,"_placeholder":true}}]"#,
        r#"{"\u005fplaceholder":true,"num":2}"#,
        // More than attachments: each would be a copy.
        &[r#"{"_placeholder":true,"num":1}"#; 3].join(","),
        // This cannot be looked through to the end.
        &format!("{}1{}", "[".repeat(1000), "]".repeat(1000)),
    ] {
        let text = format!(r#"52-["x",{args}]"#);
        let result = Peer::joined().text(&text).map(drop);
        assert_eq!(result, misbehaved(Misbehaviour::PlaceholderOutOfRange), "{args}");
        let text = format!("62-1[{args}]");
        let result = Peer::joined().text(&text).map(drop);
        assert_eq!(result, misbehaved(Misbehaviour::PlaceholderOutOfRange), "{args}");
    }
    for args in [
        r#"{"_placeholder":true,"num":1}"#,
        r#"{"_placeholder":false,"num":9}"#,
        r#"{"_placeholder":1,"num":9}"#,
        r#"{"num":9}"#,
        "1,2",
        r#""\ud83d""#,
    ] {
        assert_eq!(Peer::joined().text(&format!(r#"52-["x",{args}]"#)), Ok(None), "{args}");
    }
}

#[test]
fn attachments_have_limits() {
    let mut peer = Peer::joined();
    assert_eq!(peer.text(r#"54-["x"]"#), Err(Limit::Attachments.into()));
    assert_eq!(peer.text(r#"53-["x"]"#), Ok(None));
    assert_eq!(peer.binary(b"12345"), Ok(None));
    assert_eq!(peer.binary(b"12345"), Ok(None));
    assert_eq!(
        peer.binary(b""),
        Ok(Some(Event::Event {
            namespace: "/".into(),
            name: "x".into(),
            args: "".into(),
            attachments: vec![
                Bytes::from_static(b"12345"),
                Bytes::from_static(b"12345"),
                Bytes::new(),
            ],
            ack: None,
        }))
    );
    assert_eq!(peer.text(r#"52-["x"]"#), Ok(None), "the next packet begins at zero");
    assert_eq!(peer.binary(b"12345"), Ok(None));
    assert_eq!(peer.binary(b"123456"), Err(Limit::AttachmentBytes.into()));
}

#[test]
fn attachments_have_a_deadline() {
    let mut peer = Peer::joined();
    assert_eq!(peer.connection.poll_timeout(), None);
    peer.now = 2000;
    assert_eq!(peer.text(r#"52-["x"]"#), Ok(None));
    assert_eq!(peer.connection.poll_timeout(), Some(2050));
    peer.now = 2049;
    assert_eq!(peer.connection.handle_timeout(2049), Ok(()));
    assert_eq!(peer.binary(b"a"), Ok(None));
    assert_eq!(peer.connection.poll_timeout(), Some(2099), "each has its own");
    assert_eq!(peer.connection.handle_timeout(2098), Ok(()));
    assert_eq!(peer.connection.handle_timeout(2099), Err(Limit::AttachmentTimeout.into()));
    assert_eq!(Error::from(Limit::AttachmentTimeout).reason().as_str(), "forced close");
    // Whoever is quicker than the timer still gets the packet.
    assert!(matches!(peer.binary(b"b"), Ok(Some(_))));
    assert_eq!(peer.connection.poll_timeout(), None);
    assert_eq!(peer.connection.handle_timeout(u64::MAX), Ok(()));
}

#[test]
fn a_connection_joins_something_in_time() {
    let mut peer = Peer::new();
    assert_eq!(peer.connection.poll_timeout(), Some(1300));
    assert!(peer.text("0").is_ok());
    // Neither connecting nor being refused counts.
    assert!(peer.text("0/a,").is_ok());
    assert!(peer.connection.refused("/a"));
    assert_eq!(peer.connection.handle_timeout(1299), Ok(()));
    assert_eq!(peer.connection.handle_timeout(1300), Err(Limit::ConnectTimeout.into()));
    assert_eq!(Error::from(Limit::ConnectTimeout).reason().as_str(), "forced server close");
}

#[test]
fn once_joined_there_is_no_more_connect_timeout() {
    let mut peer = Peer::joined();
    assert_eq!(peer.connection.poll_timeout(), None);
    assert!(peer.text("1").is_ok());
    assert_eq!(peer.connection.poll_timeout(), None, "not even when the last one is left");
    assert_eq!(peer.connection.handle_timeout(u64::MAX), Ok(()));
}

#[test]
fn the_earlier_deadline_counts() {
    let mut peer = Peer::new();
    assert!(peer.text("0").is_ok());
    assert_eq!(peer.text(r#"51-["x"]"#), Ok(None));
    assert_eq!(peer.connection.poll_timeout(), Some(1050));
    peer.now = 1040;
    assert!(matches!(peer.binary(b"a"), Ok(Some(_))));
    assert_eq!(peer.connection.poll_timeout(), Some(1300));
}

#[test]
fn namespaces_have_limits() {
    let mut peer = Peer::joined();
    peer.join("/a", "0/a,");
    assert!(peer.text("0/b,").is_ok(), "connecting ones count, too");
    let mut other = Peer::joined();
    other.join("/a", "0/a,");
    other.join("/b", "0/b,");
    assert_eq!(other.text("0/c,"), Err(Limit::Namespaces.into()));
    assert_eq!(peer.text("0/a-name-of-more-than-twenty-bytes,"), Err(Limit::NamespaceBytes.into()));
}

#[test]
fn namespaces_that_were_left_make_room() {
    let mut peer = Peer::joined();
    assert!(peer.connection.left("/"));
    for i in 0..10 {
        let name = format!("/n{i}");
        assert!(peer.text(&format!("0{name}")).is_ok());
        assert!(peer.connection.refused(&name));
    }
    // The oldest are forgotten, and a packet for them is one for a namespace never joined.
    assert_eq!(peer.connection.membership("/"), None);
    assert_eq!(peer.connection.membership("/n9"), Some(Membership::Left));
    assert_eq!(peer.text(r#"2["x"]"#), misbehaved(Misbehaviour::NotJoined(Kind::Event)));
}

#[test]
fn revision_4_has_a_query_for_auth() {
    let mut peer = Peer::new();
    peer.connection.join(&peer.limits, "/").unwrap();
    assert!(peer.connection.connected("/"));
    let mut receive = |text| peer.connection.receive_text_v4(1000, &peer.limits, text);
    let connect = |namespace: &'static str, auth: Option<&'static str>| {
        Ok(Some(Event::Connect { namespace: namespace.into(), auth: auth.map(Into::into) }))
    };
    assert_eq!(receive("0/n?a=1&b=%22,"), connect("/n", Some(r#"{"a":"1","b":"\""}"#)));
    // The name's limit is 20 bytes, without the query; `/` is the third of three.
    let asks = "0/aaaaaaaaaaaaaaaaaaa?token=a long one that is no part of it";
    let auth = r#"{"token":"a long one that is no part of it"}"#;
    assert_eq!(receive(asks), connect("/aaaaaaaaaaaaaaaaaaa", Some(auth)));
    assert_eq!(receive("0/m,"), Err(Error::LimitExceeded(Limit::Namespaces)));
    assert_eq!(
        receive("0/aaaaaaaaaaaaaaaaaaaa?x=y"),
        Err(Error::LimitExceeded(Limit::NamespaceBytes))
    );
    // All packets are of the namespace without the query.
    assert_eq!(receive(r#"2/n?a=1,7["x"]"#), Ok(Some(event("/n", "x", "", Some(7)))));
    assert_eq!(receive("0/n?a=2"), misbehaved(Misbehaviour::SecondConnect));
    assert_eq!(receive("1/n?a=2"), Ok(Some(Event::Disconnect { namespace: "/n".into() })));
    assert_eq!(receive(r#"0/n,{"data":"is none"}"#), connect("/n", None));
    assert_eq!(receive("0"), misbehaved(Misbehaviour::SecondConnect));
    assert_eq!(receive("0/n?a"), misbehaved(Misbehaviour::SecondConnect));
}

#[test]
fn revision_4_puts_attachments_together_in_the_namespace_without_its_query() {
    let mut peer = Peer::new();
    peer.connection.join(&peer.limits, "/").unwrap();
    assert!(peer.connection.connected("/"));
    let text = r#"51-/?q,["x",{"_placeholder":true,"num":0}]"#;
    assert_eq!(peer.connection.receive_text_v4(1000, &peer.limits, text), Ok(None));
    assert_eq!(
        peer.connection.receive_text_v4(1000, &peer.limits, "2[1]"),
        misbehaved(Misbehaviour::TextInsteadOfAttachment)
    );
    let event = peer.binary(b"abc").unwrap();
    assert!(matches!(event, Some(Event::Event { namespace, .. }) if namespace == "/"));
}
