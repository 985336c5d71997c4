//! Clients on plain sockets: HTTP, and Socket.IO over websocket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use sockeye_websocket::{Head, OpCode, frame, handshake};

use crate::DEADLINE;

/// A TCP connection on which nothing takes longer than [`DEADLINE`].
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// An HTTP response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .find_map(|(field, value)| field.eq_ignore_ascii_case(name).then_some(value))
    }
}

/// Asks for a file on a connection of its own. `headers` end with a line break each.
pub(crate) fn get(address: SocketAddr, path: &str, headers: &str) -> Response {
    ask(address, "GET", path, headers, "")
}

/// Posts to a path on a connection of its own.
pub(crate) fn post(address: SocketAddr, path: &str, body: &str) -> Response {
    ask(address, "POST", path, &format!("Content-Length: {}\r\n", body.len()), body)
}

fn ask(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Response {
    let mut stream = connect(address);
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let body = answer.split_off(end + 4);
    let head = String::from_utf8(answer).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Response { status, head, body }
}

/// A Socket.IO client in the namespace `/`, over websocket.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    acks: u32,
    /// Packets that were read while another was awaited.
    unread: Vec<String>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let mut stream = connect(address);
        let key = handshake::client::key(*b"sixteen bytes !!");
        let request = handshake::client::request(
            "/socket.io/?EIO=4&transport=websocket",
            &address.to_string(),
            &key,
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 101 "), "{line}");
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line).unwrap();
        }
        let mut client = Self { stream, acks: 0, unread: Vec::new() };
        assert!(client.receive().unwrap().starts_with("0{"));
        client.send("40");
        assert!(client.receive().unwrap().starts_with("40{"));
        client
    }

    /// Says hello and joins the lobby.
    pub(crate) fn enter(address: SocketAddr, name: &str) -> Self {
        let mut client = Self::connect(address);
        let key = "k".repeat(16);
        let hello = format!(r#"{{"name":"{name}","key":"{key}"}}"#);
        assert!(client.ask("hello", &hello).starts_with(r#"{"ok":true"#));
        assert!(client.ask("join", r#"{"room":"lobby"}"#).starts_with(r#"{"ok":true"#));
        client
    }

    pub(crate) fn send(&mut self, text: &str) {
        let mut frame = Vec::new();
        frame::append_masked(&mut frame, OpCode::Text, text.as_bytes(), [1, 2, 3, 4]);
        self.stream.get_mut().write_all(&frame).unwrap();
    }

    /// The next Engine.IO packet; `None` once the server has closed the connection, with the
    /// closing handshake.
    pub(crate) fn receive(&mut self) -> Option<String> {
        let mut head = Vec::new();
        let head = loop {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
            if let Some((head, _)) = Head::parse(&head).unwrap() {
                break head;
            }
        };
        let mut payload = vec![0; usize::try_from(head.len).unwrap()];
        self.stream.read_exact(&mut payload).unwrap();
        match head.opcode {
            OpCode::Text => Some(String::from_utf8(payload).unwrap()),
            OpCode::Close => None,
            other => panic!("{other:?}"),
        }
    }

    /// Waits for an event, other ones aside, and returns its arguments.
    pub(crate) fn event(&mut self, name: &str) -> String {
        let start = format!("42[\"{name}\",");
        self.packet(&start).strip_suffix(']').unwrap().to_owned()
    }

    /// Emits an event with one argument and waits for the answer.
    pub(crate) fn ask(&mut self, event: &str, argument: &str) -> String {
        let id = self.acks;
        self.acks += 1;
        self.send(&format!("42{id}[\"{event}\",{argument}]"));
        self.packet(&format!("43{id}[")).strip_suffix(']').unwrap().to_owned()
    }

    /// Waits for a packet that starts so, and returns what follows.
    fn packet(&mut self, start: &str) -> String {
        if let Some(at) = self.unread.iter().position(|packet| packet.starts_with(start)) {
            return self.unread.remove(at)[start.len()..].to_owned();
        }
        loop {
            let packet = self.receive().unwrap();
            match packet.strip_prefix(start) {
                Some(rest) => return rest.to_owned(),
                None => self.unread.push(packet),
            }
        }
    }
}
