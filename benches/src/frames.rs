//! WebSocket frames by hand (RFC 6455 §5.2), as little as the floors and the generator need.
//!
//! Nothing here judges a peer: the programs talk only to each other, and whatever they do not
//! expect ends the run.

/// The key every client here sends; the handshake's answer to it is [`ACCEPT`]. Both are the
/// example of RFC 6455 §1.3, so neither side needs SHA-1.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// `Sec-WebSocket-Accept` for [`KEY`].
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The answer with which the floors open a WebSocket.
pub const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A constant is as good as a random one here: servers unmask all the same.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const TEXT: u8 = 1;
const CLOSE: u8 = 8;

/// One final text frame as a client sends it.
pub fn client_text(payload: &str) -> Vec<u8> {
    let mut frame = head(payload.len(), true);
    frame.extend(payload.bytes().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// One final text frame as a server sends it.
pub fn server_text(payload: &str) -> Vec<u8> {
    let mut frame = head(payload.len(), false);
    frame.extend_from_slice(payload.as_bytes());
    frame
}

fn head(payload: usize, masked: bool) -> Vec<u8> {
    let mask_bit = if masked { 0x80 } else { 0 };
    let mut head = vec![0x80 | TEXT];
    match (u8::try_from(payload), u16::try_from(payload)) {
        (Ok(length), _) if length < 126 => head.push(mask_bit | length),
        (_, Ok(length)) => {
            head.push(mask_bit | 126);
            head.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            head.push(mask_bit | 127);
            head.extend_from_slice(&(payload as u64).to_be_bytes());
        }
    }
    if masked {
        head.extend_from_slice(&MASK);
    }
    head
}

/// Where a frame's parts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Bits 0 to 3 of the first byte.
    pub opcode: u8,
    /// Bytes before the payload, the mask included.
    pub head_len: usize,
    /// Bytes of payload.
    pub payload_len: usize,
    mask: Option<[u8; 4]>,
}

impl Head {
    /// The head at the start of `bytes`; `None` while it is incomplete.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (&first, &second) = (bytes.first()?, bytes.get(1)?);
        let (mut head_len, payload_len) = match second & 0x7f {
            126 => (4, u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
            127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
            length => (2, u64::from(length)),
        };
        let mut mask = None;
        if second & 0x80 != 0 {
            mask = Some(bytes.get(head_len..head_len + 4)?.try_into().ok()?);
            head_len += 4;
        }
        let payload_len = usize::try_from(payload_len).ok()?;
        Some(Self { opcode: first & 0x0f, head_len, payload_len, mask })
    }

    /// Bytes of the whole frame.
    pub fn frame_len(&self) -> usize {
        self.head_len + self.payload_len
    }
}

/// The unmasked payload of the frame at the start of `bytes`, and the frame's length; `None` while
/// it is incomplete.
pub fn whole_text(bytes: &[u8]) -> Option<(String, usize)> {
    let head = Head::parse(bytes)?;
    let payload = bytes.get(head.head_len..head.frame_len())?;
    let mask = head.mask.unwrap_or_default();
    let unmasked = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    Some((String::from_utf8_lossy(&unmasked.collect::<Vec<u8>>()).into_owned(), head.frame_len()))
}

/// A frame from a server, told apart by the little that tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    opcode: u8,
    /// The payload's first two bytes: Engine.IO's and Socket.IO's packet types.
    start: [u8; 2],
}

impl Frame {
    /// Whether it is a text message, as every answer to an echo is here.
    pub fn is_text(self) -> bool {
        self.opcode == TEXT
    }

    /// Whether it closes the connection.
    pub fn is_close(self) -> bool {
        self.opcode == CLOSE
    }

    /// Whether it is an Engine.IO ping, which wants [`pong`].
    pub fn is_engine_ping(self) -> bool {
        self.is_text() && self.start == *b"2\0"
    }

    /// Whether it is a Socket.IO event.
    pub fn is_event(self) -> bool {
        self.is_text() && self.start == *b"42"
    }

    /// Whether it is a Socket.IO ack.
    pub fn is_ack(self) -> bool {
        self.is_text() && self.start == *b"43"
    }
}

/// The answer to [`Frame::is_engine_ping`].
pub fn pong() -> Vec<u8> {
    client_text("3")
}

/// Finds the frames in what a server sends, however it is cut. Skips payloads instead of copying
/// them: the generator must cost less than the servers.
#[derive(Debug, Default)]
pub struct FrameReader {
    /// A head, with the start of its payload, that the end of a read has cut.
    cut: [u8; 12],
    cut_len: usize,
    /// The frame that has begun, and how many bytes of it are still to come.
    open: Option<Frame>,
    left: usize,
}

impl FrameReader {
    /// Takes what was read and calls `each` for every frame that it completes.
    pub fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(Frame)) {
        loop {
            if let Some(frame) = self.open {
                let skipped = self.left.min(bytes.len());
                bytes = &bytes[skipped..];
                self.left -= skipped;
                if self.left > 0 {
                    return;
                }
                self.open = None;
                each(frame);
            }
            if bytes.is_empty() {
                return;
            }
            bytes = &bytes[self.begin(bytes)..];
        }
    }

    /// Takes a head with the start of its payload, or what there is of it; returns the bytes taken.
    fn begin(&mut self, bytes: &[u8]) -> usize {
        if self.cut_len == 0
            && let Some(taken) = self.open_frame(bytes)
        {
            return taken;
        }
        // Rare: byte by byte until the head is whole.
        for (taken, &byte) in (1..).zip(bytes) {
            self.cut[self.cut_len] = byte;
            self.cut_len += 1;
            let cut = self.cut;
            if self.open_frame(&cut[..self.cut_len]).is_some() {
                self.cut_len = 0;
                return taken;
            }
        }
        bytes.len()
    }

    fn open_frame(&mut self, bytes: &[u8]) -> Option<usize> {
        let head = Head::parse(bytes)?;
        let start_len = head.payload_len.min(2);
        let payload = bytes.get(head.head_len..head.head_len + start_len)?;
        let mut start = [0; 2];
        start[..start_len].copy_from_slice(payload);
        self.open = Some(Frame { opcode: head.opcode, start });
        self.left = head.payload_len - start_len;
        Some(head.head_len + start_len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back_as_written() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = "x".repeat(length);
            for frame in [client_text(&payload), server_text(&payload)] {
                assert_eq!(whole_text(&frame), Some((payload.clone(), frame.len())));
                assert_eq!(whole_text(&frame[..frame.len() - 1]), None);
            }
        }
    }

    #[test]
    fn the_reader_finds_the_same_frames_wherever_the_stream_is_cut() {
        let payloads = ["", "2", "3", "42[\"news\"]", "430[1]", &"y".repeat(300)];
        let stream: Vec<u8> = payloads.iter().flat_map(|payload| server_text(payload)).collect();
        let mut expected = Vec::new();
        FrameReader::default().feed(&stream, |frame| expected.push(frame));
        assert_eq!(expected.len(), payloads.len());
        assert!(expected[1].is_engine_ping() && !expected[2].is_engine_ping());
        assert!(expected[3].is_event() && expected[4].is_ack());

        for size in 1..stream.len() {
            let (mut reader, mut found) = (FrameReader::default(), Vec::new());
            for part in stream.chunks(size) {
                reader.feed(part, |frame| found.push(frame));
            }
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }
}
