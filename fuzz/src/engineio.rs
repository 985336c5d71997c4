//! Engine.IO's packets, payloads and queries: no text makes them panic, and a packet that was read is
//! written as one that reads the same.
//!
//! ```text
//! u8    milliseconds between two packets
//! ..    a payload: packets with U+001E between them. As a whole it is also taken for a query.
//! ```

use sockeye_engineio::{Config, Event, Packet, Query, Session, Sid, pairs, payload};

use crate::Choices;

/// See the [module](self).
pub fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let pause = u64::from(choices.byte()) * 100;
    let Ok(text) = str::from_utf8(choices.rest()) else { return };
    query(text);

    let (mut texts, mut written) = (Vec::new(), Vec::new());
    let mut body = payload::Payload::new(text.to_owned());
    while !body.is_done() {
        let text = body.next_packet().expect("it is not done").to_owned();
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
    assert_eq!(query.check_revision().is_ok(), query.revision() == 4);
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
    let (mut session, mut now) = (Session::open(0, &config), 0);
    for text in texts {
        now += pause;
        match session.receive_text(now, &config, text) {
            Ok(Some(Event::Message(data))) => assert_eq!(text.strip_prefix('4'), Some(data)),
            Ok(Some(Event::Binary(_))) => assert!(text.starts_with('b')),
            Ok(Some(Event::Close) | None) => {}
            Err(error) => return drop(error.to_string()),
        }
        let due = session.poll_timeout();
        assert_eq!(session.handle_timeout(now, &config).is_some(), due <= now);
    }
}
