//! Engine.IO's packets, payloads and queries: no text makes them panic, and a packet that was read is
//! written as one that reads the same.
//!
//! ```text
//! u8    hundredths of a second between two packets
//! ..    a payload: packets with U+001E between them. As a whole it is also taken for a query, for a
//!       form of JSONP, and for payloads of revision 3, in text and in binary.
//! ```

use std::borrow::Cow;

use sockeye_engineio::payload::{Form, Part, Payload, Writer};
use sockeye_engineio::{
    Config, Error, Event, Packet, Query, Revision, Session, Sid, jsonp, pairs, payload,
};

use crate::Choices;

/// See the [module](self).
pub fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let pause = u64::from(choices.byte()) * 100;
    let bytes = choices.rest();
    revision_3(|| Payload::v3_binary(bytes.to_vec()), pause);
    let Ok(text) = str::from_utf8(bytes) else { return };
    revision_3(|| Payload::v3_text(text.to_owned()), pause);
    query(text);
    form(text);

    let (mut texts, mut written) = (Vec::new(), Vec::new());
    let mut body = Payload::new(text.to_owned());
    while !body.is_done() {
        let Some(Ok(Part::Text(text))) = body.next_packet() else { panic!("it is not done") };
        let text = text.to_owned();
        packet(&text);
        // Nothing stands between two separators only if nothing was sent: no packet is empty.
        if written.is_empty() {
            written.extend(text.bytes())
        } else {
            payload::append(&mut written, text.as_bytes())
        }
        texts.push(text);
    }
    assert_eq!(body.next_packet(), None);
    assert_eq!(texts.join("\u{1e}"), text);
    if texts.iter().all(|text| !text.is_empty()) {
        assert_eq!(written, text.as_bytes());
    }
    session(&texts, pause);
}

fn packet(text: &str) {
    let packet = match Packet::decode_text(text) {
        Ok(packet) => packet,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let _ = error.reason();
            return;
        }
    };
    let mut written = b"before".to_vec();
    packet.encode_text(&mut written);
    let written = str::from_utf8(&written).expect("it is text").strip_prefix("before");
    assert_eq!(Packet::decode_text(written.expect("it appends")), Ok(packet));
}

fn query(text: &str) {
    let query = Query::parse(text);
    assert_eq!(query.check_revision(false).is_ok(), query.revision() == Revision::V4);
    assert!(query.sid.as_deref() != Some(""), "an empty sid is none");
    if let Some(sid) = query.sid.as_deref().and_then(|sid| sid.parse::<Sid>().ok()) {
        assert_eq!(Some(&*sid.to_string()), query.sid.as_deref());
    }
    for (key, value) in pairs(text) {
        // What a byte stands for has a character at most, or U+FFFD of three bytes.
        assert!(key.len() + value.len() <= 3 * text.len());
    }
}

/// A session that these packets come to.
fn session(texts: &[String], pause: u64) {
    let config = Config::default();
    let (mut session, mut now) = (Session::open(0, Revision::V4, &config), 0);
    for text in texts {
        now += pause;
        match session.receive_text(now, &config, text) {
            Ok(Some(Event::Message(data))) => assert_eq!(text.strip_prefix('4'), Some(data)),
            Ok(Some(Event::Binary(_))) => assert!(text.starts_with('b')),
            Ok(Some(Event::Ping)) => panic!("the server pings"),
            Ok(Some(Event::Close) | None) => {}
            Err(error) => return drop(error.to_string()),
        }
        let due = session.poll_timeout();
        assert_eq!(session.handle_timeout(now, &config).is_some(), due <= now);
    }
}

/// A payload of revision 3: what was read of it, written again, reads the same; and a session that its
/// packets come to.
fn revision_3(payload: impl Fn() -> Payload, pause: u64) {
    let (mut text, mut native) = (Writer::new(Form::V3Base64), Writer::new(Form::V3));
    let mut body = payload();
    let mut read: Vec<Message> = Vec::new();
    while let Some(part) = body.next_packet() {
        match part {
            // No packet is empty, and of nothing else `0:` is no packet either.
            Ok(Part::Text("")) => {}
            Ok(Part::Text(packet)) => {
                text.text(packet.as_bytes());
                native.text(packet.as_bytes());
                read.push(Message::Text(packet.to_owned()));
            }
            Ok(Part::Binary(packet)) => {
                // The writers write messages alone.
                if let [4, data @ ..] = packet {
                    text.binary(data);
                    native.binary(data);
                    read.push(Message::Binary(data.to_vec()));
                }
            }
            Err(error) => {
                assert_eq!(error, Error::MalformedPayload);
                assert!(body.is_done());
            }
        }
    }
    if !read.is_empty() {
        let again = String::from_utf8(text.into_bytes()).expect("it is text");
        let decoded = messages(Payload::v3_text(again)).into_iter().zip(&read);
        for (again, read) in decoded {
            match (again, read) {
                (Message::Text(text), Message::Binary(data)) => {
                    assert_eq!(Packet::decode_text_v3(&text), Ok(Packet::Binary(data.clone())));
                }
                (again, read) => assert_eq!(again, *read),
            }
        }
        let again = match native.is_binary() {
            true => Payload::v3_binary(native.into_bytes()),
            false => {
                let text = String::from_utf8(native.into_bytes()).expect("it is text");
                Payload::v3_text(text)
            }
        };
        assert_eq!(messages(again), read);
    }
    session_3(payload(), pause);
}

#[derive(Debug, PartialEq)]
enum Message {
    Text(String),
    Binary(Vec<u8>),
}

/// All packets of a payload that was written here.
fn messages(mut payload: Payload) -> Vec<Message> {
    let mut messages = Vec::new();
    while let Some(part) = payload.next_packet() {
        messages.push(match part.expect("it was written here") {
            Part::Text(text) => Message::Text(text.to_owned()),
            Part::Binary([4, data @ ..]) => Message::Binary(data.to_vec()),
            Part::Binary(other) => panic!("{other:?} was written"),
        });
    }
    messages
}

fn session_3(mut payload: Payload, pause: u64) {
    let config = Config::default();
    let (mut session, mut now) = (Session::open(0, Revision::V3, &config), 0);
    while let Some(part) = payload.next_packet() {
        now += pause;
        let event = match part {
            Ok(Part::Text(text)) => session.receive_text(now, &config, text),
            Ok(Part::Binary(bytes)) => {
                session.receive_binary(now, &config, Cow::Borrowed(bytes)).map(Some)
            }
            Err(error) => Err(error),
        };
        match event {
            Ok(Some(Event::Ping)) => assert!(session.poll_timeout() > now),
            Ok(_) => {}
            Err(error) => return drop(error.to_string()),
        }
        let due = session.poll_timeout();
        assert_eq!(session.handle_timeout(now, &config).is_some(), due <= now);
    }
}

/// A form of JSONP, and the script that brings its payload back.
fn form(text: &str) {
    let Some(payload) = jsonp::payload(text) else { return };
    let script = jsonp::script(text, payload.as_bytes());
    let script = str::from_utf8(&script).expect("it is text");
    let number = script.strip_prefix("___eio[").and_then(|script| script.split_once("](\""));
    let (number, string) = number.expect("it calls a function");
    assert!(number.bytes().all(|digit| digit.is_ascii_digit()));
    let string = string.strip_suffix("\");").expect("it is a call");
    assert!(!string.contains(['\n', '\r', '\u{2028}', '\u{2029}']));
    let string: String = serde_json::from_str(&format!("\"{string}\"")).expect("it is a string");
    assert_eq!(string, payload);
}
