//! Socket.IO's packets and arguments: no text makes them panic, and what was read is written as
//! something that reads the same.
//!
//! Messages, a line each. A line that begins with `!` is a binary message. They come to a client's
//! connection of each revision.

use bytes::Bytes;
use sockeye_socketio::{
    Args, Body, Connection, Event, Kind, Limits, Packet, Value, decode, decode_args, encode,
    is_reserved, is_valid_namespace,
};

/// See the [module](self).
pub fn run(input: &[u8]) {
    revision_5(input);
    revision_4(input);
}

fn revision_5(input: &[u8]) {
    let limits = Limits { max_namespaces: 4, max_namespace_bytes: 64, ..Limits::default() };
    let mut connection = Connection::new(0, &limits);
    for line in input.split(|&byte| byte == b'\n') {
        if let [b'!', data @ ..] = line {
            match connection.receive_binary(0, &limits, Bytes::copy_from_slice(data)) {
                Ok(Some(event)) => handle(event),
                Ok(None) => {}
                Err(error) => return drop(error.to_string()),
            }
            continue;
        }
        let Ok(text) = str::from_utf8(line) else { return };
        let packet = decode(text, &limits);
        if let Ok(packet) = &packet {
            again(packet, &limits);
        }
        match connection.receive_text(0, &limits, text) {
            Ok(Some(Event::Connect { namespace, .. })) => {
                assert!(is_valid_namespace(&namespace));
                assert!(connection.connected(&namespace));
            }
            Ok(Some(event)) => handle(event),
            Ok(None) => {}
            Err(error) => return drop(error.to_string()),
        }
        assert!(packet.is_ok(), "what cannot be read is an error");
    }
}

fn revision_4(input: &[u8]) {
    let limits = Limits { max_namespaces: 4, max_namespace_bytes: 64, ..Limits::default() };
    let mut connection = Connection::new(0, &limits);
    connection.join(&limits, "/").expect("there is room for one");
    assert!(connection.connected("/"));
    for line in input.split(|&byte| byte == b'\n') {
        let event = match line {
            [b'!', data @ ..] => {
                connection.receive_binary(0, &limits, Bytes::copy_from_slice(data))
            }
            line => match str::from_utf8(line) {
                Ok(text) => connection.receive_text_v4(0, &limits, text),
                Err(_) => return,
            },
        };
        match event {
            Ok(Some(Event::Connect { namespace, auth })) => {
                assert!(is_valid_namespace(&namespace) && !namespace.contains('?'));
                assert!(namespace.len() <= 64);
                assert!(connection.connected(&namespace));
                if let Some(auth) = auth {
                    let auth: Value = decode_args(&auth, &[]).expect("it is JSON");
                    assert!(matches!(auth, Value::Object(_)));
                }
            }
            Ok(Some(event)) => handle(event),
            Ok(None) => {}
            Err(error) => return drop(error.to_string()),
        }
    }
}

/// Writes the packet as its parts say, and reads it again.
fn again(packet: &Packet<'_>, limits: &Limits) {
    let mut text = char::from(packet.kind.as_byte()).to_string();
    if packet.attachments > 0 {
        text += &format!("{}-", packet.attachments);
    }
    if packet.namespace != "/" {
        text += &format!("{},", packet.namespace);
    }
    text += &packet.ack.map_or(String::new(), |ack| ack.to_string());
    let binary = matches!(packet.kind, Kind::BinaryEvent | Kind::BinaryAck);
    assert_eq!(packet.attachments > 0, binary);
    match &packet.body {
        Body::Connect(data) | Body::ConnectError(data) => text += data.unwrap_or_default(),
        Body::Disconnect | Body::Event { name: None, .. } => {}
        Body::Event { name: Some(name), args } => {
            assert!(!is_reserved(name));
            let comma = if args.is_empty() { "" } else { "," };
            let name = Value::from(&**name);
            let mut json = Vec::new();
            encode::ack(&mut json, "/", 0, &name).expect("a string is JSON");
            let json = String::from_utf8(json).expect("JSON is text");
            // `30["name"]`, of which the string is taken.
            text += &format!("{}{comma}{args}]", &json[2..json.len() - 1]);
        }
        Body::Ack { args } => text += &format!("[{args}]"),
    }
    let second = decode(&text, limits);
    assert_eq!(second.as_ref(), Ok(packet), "{text:?}");
}

/// Reads the arguments of an event or an ack, and sends them back as an echo does.
fn handle(event: Event<'_>) {
    let (Event::Event { args, attachments, .. } | Event::Ack { args, attachments, .. }) = event
    else {
        return;
    };
    let _ = decode_args::<(Value, Option<Bytes>, Option<String>)>(&args, &attachments);
    let Ok(values) = decode_args::<Args>(&args, &attachments) else { return };
    let mut out = Vec::new();
    let Ok(back) = encode::event(&mut out, "/", None, "echo", &values) else { return };
    let text = String::from_utf8(out).expect("a packet is text");
    let limits = Limits { max_attachments: u32::MAX, ..Limits::default() };
    let packet = decode(&text, &limits).expect("what we write, we read");
    let Body::Event { name, args } = packet.body else { panic!("{text} is no event") };
    assert_eq!(name.as_deref(), Some("echo"));
    assert_eq!(packet.attachments as usize, back.len());
    assert_eq!(decode_args::<Args>(args, &back).as_ref(), Ok(&values), "{text}");
}
