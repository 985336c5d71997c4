//! The floor of the broadcast: one thread, a bare epoll loop, a frame encoded beforehand, and one
//! `write` per client.
//!
//! It speaks as much Socket.IO as the generator needs in order to be a client: the handshake, the
//! connection to `/`, and the event `broadcast`. Several events at a time are still one `write` per
//! client: nothing less brings bytes to a client. It never queues: a client that does not take its
//! frame at once ends the run.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use sockeye_benches::{frames, serving};

const LISTENER: u64 = u64::MAX;
const OPEN: &str = r#"0{"sid":"floorfloorfloorAAAA","upgrades":[],"pingInterval":600000,"pingTimeout":600000,"maxPayload":1000000}"#;
const CONNECTED: &str = r#"40{"sid":"floorfloorfloorAAAB"}"#;

struct Client {
    stream: TcpStream,
    /// What has come of the request, or of a frame, so far.
    inbox: Vec<u8>,
    upgraded: bool,
    connected: bool,
}

fn main() -> io::Result<()> {
    let listener = serving::listen()?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;

    // By the number that epoll hands back; a client that has gone leaves its place empty.
    let mut clients: Vec<Option<Client>> = Vec::new();
    let mut events: Vec<Event> = Vec::with_capacity(1024);
    loop {
        epoll::wait(&epoll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let token = event.data.u64();
            if token == LISTENER {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                let token = EventData::new_u64(clients.len() as u64);
                epoll::add(&epoll, &stream, token, EventFlags::IN)?;
                let inbox = Vec::new();
                clients.push(Some(Client { stream, inbox, upgraded: false, connected: false }));
                continue;
            }
            let slot = &mut clients[token as usize];
            let Some(client) = slot else { continue };
            match client.receive() {
                Ok(None) => {}
                Ok(Some((payload, count))) => broadcast(&clients, &payload, count)?,
                // Closing the socket takes it out of the epoll set.
                Err(_) => *slot = None,
            }
        }
    }
}

fn broadcast(clients: &[Option<Client>], payload: &str, count: usize) -> io::Result<()> {
    let bytes = frames::server_text(&format!(r#"42["news",{payload}]"#)).repeat(count);
    for client in clients.iter().flatten().filter(|client| client.connected) {
        let mut stream = &client.stream;
        if stream.write(&bytes)? != bytes.len() {
            return Err(io::Error::other("a client does not read: the floor never queues"));
        }
    }
    Ok(())
}

impl Client {
    /// Reads once and answers; returns the payload, in its quotes, and the count of a broadcast to
    /// do. An error when the client has gone.
    fn receive(&mut self) -> io::Result<Option<(String, usize)>> {
        let mut buffer = [0; 4096];
        let length = match self.stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => length,
        };
        self.inbox.extend_from_slice(&buffer[..length]);
        if !self.upgraded {
            if self.inbox.ends_with(b"\r\n\r\n") {
                self.inbox.clear();
                self.upgraded = true;
                self.stream.write_all(frames::SWITCHING.as_bytes())?;
                self.stream.write_all(&frames::server_text(OPEN))?;
            }
            return Ok(None);
        }
        let mut order = None;
        while let Some((packet, taken)) = frames::whole_text(&self.inbox) {
            self.inbox.drain(..taken);
            if packet == "40" {
                self.connected = true;
                self.stream.write_all(&frames::server_text(CONNECTED))?;
            } else if let Some(arguments) =
                packet.strip_prefix(r#"42["broadcast","#).and_then(|rest| rest.strip_suffix(']'))
                && let Some((payload, count)) = arguments.rsplit_once(',')
            {
                order = Some((payload.to_owned(), count.parse().map_err(io::Error::other)?));
            }
        }
        Ok(order)
    }
}
