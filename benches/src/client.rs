//! The generator's connections, up to the moment they are ready to be measured.
//!
//! Nothing here is measured, so it is plain blocking code, in groups that take each step together:
//! otherwise every client would cost several round trips of its own.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::frames::{self, Frame, FrameReader};

const GROUP: usize = 64;
const PATIENCE: Duration = Duration::from_secs(30);

/// One connection, WebSocket or Socket.IO. Its socket blocks.
#[derive(Debug)]
pub struct Client {
    /// Where the measured loops read and write.
    pub stream: TcpStream,
    reader: FrameReader,
    /// Read and not yet used.
    inbox: Vec<u8>,
}

/// Opens `count` connections; with `socketio`, each is connected to the namespace `/`.
pub fn connect(address: SocketAddr, count: usize, socketio: bool) -> io::Result<Vec<Client>> {
    let mut clients = Vec::with_capacity(count);
    while clients.len() < count {
        let group = GROUP.min(count - clients.len());
        clients.extend(connect_group(address, group, socketio)?);
    }
    Ok(clients)
}

fn connect_group(address: SocketAddr, count: usize, socketio: bool) -> io::Result<Vec<Client>> {
    let path = if socketio { "/socket.io/?EIO=4&transport=websocket" } else { "/" };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {}\r\nSec-WebSocket-Version: 13\r\n\r\n",
        frames::KEY
    );
    let mut group = (0..count).map(|_| Client::dial(address)).collect::<io::Result<Vec<_>>>()?;
    for client in &mut group {
        client.stream.write_all(request.as_bytes())?;
    }
    for client in &mut group {
        client.read_handshake()?;
    }
    if socketio {
        for client in &mut group {
            client.expect("0{")?;
        }
        exchange(&mut group, "40", "40{")?;
    }
    Ok(group)
}

/// Every client sends `request` as one text message and must get one that begins with `answer`.
/// Goes in groups, so that all of a group's requests are with the server at the same time.
pub fn exchange(clients: &mut [Client], request: &str, answer: &str) -> io::Result<()> {
    let request = frames::client_text(request);
    for group in clients.chunks_mut(GROUP) {
        for client in group.iter_mut() {
            client.stream.write_all(&request)?;
        }
        for client in group {
            client.expect(answer)?;
        }
    }
    Ok(())
}

impl Client {
    fn dial(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, reader: FrameReader::default(), inbox: Vec::new() })
    }

    /// Sends `text` as one message.
    pub fn send(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(&frames::client_text(text))
    }

    /// Waits for one message and compares its start. Answers pings on the way: some servers send
    /// one at once.
    pub fn expect(&mut self, start: &str) -> io::Result<()> {
        let payload = loop {
            match frames::whole_text(&self.inbox) {
                Some((payload, taken)) => {
                    self.inbox.drain(..taken);
                    if payload != "2" {
                        break payload;
                    }
                    self.stream.write_all(&frames::pong())?;
                }
                None => self.fill()?,
            }
        };
        if !payload.starts_with(start) {
            return Err(io::Error::other(format!("expected {start:?}, got {payload:?}")));
        }
        Ok(())
    }

    /// Gives what was read behind the last expected message to the frame reader, which takes over.
    pub fn begin_counting(&mut self) -> io::Result<()> {
        let inbox = std::mem::take(&mut self.inbox);
        self.count(&inbox, |_| false)?;
        Ok(())
    }

    /// Takes what was read and counts the frames that `is_wanted`. Pings are answered; any other
    /// frame is an error.
    pub fn count(&mut self, bytes: &[u8], is_wanted: impl Fn(Frame) -> bool) -> io::Result<usize> {
        let (mut wanted, mut pings, mut other) = (0, 0, None);
        self.reader.feed(bytes, |frame| {
            if is_wanted(frame) {
                wanted += 1;
            } else if frame.is_engine_ping() {
                pings += 1;
            } else {
                other = Some(frame);
            }
        });
        if let Some(frame) = other {
            return Err(io::Error::other(format!("unexpected: {frame:?}")));
        }
        for _ in 0..pings {
            self.stream.write_all(&frames::pong())?;
        }
        Ok(wanted)
    }

    fn read_handshake(&mut self) -> io::Result<()> {
        let end = loop {
            if let Some(end) = self.inbox.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            self.fill()?;
        };
        let answer = String::from_utf8_lossy(&self.inbox[..end]).into_owned();
        if !answer.starts_with("HTTP/1.1 101") || !answer.contains(frames::ACCEPT) {
            return Err(io::Error::other(format!("the handshake was refused: {answer}")));
        }
        self.inbox.drain(..end);
        Ok(())
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            length => {
                self.inbox.extend_from_slice(&buffer[..length]);
                Ok(())
            }
        }
    }
}
