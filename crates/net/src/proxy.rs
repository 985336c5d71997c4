//! The PROXY protocol, versions 1 and 2: what a load balancer says about the client before the
//! first byte of HTTP ("The PROXY protocol", HAProxy, 2020; sections are those of its part 2).
//!
//! It is spoken by agreement only. Whoever reaches a listener that expects it can claim any
//! address, so that listener must be reachable for the balancer alone; and a listener must not
//! guess whether a header comes (§2: "must not try to guess"), so a connection without one is an
//! error.
//!
//! Not one byte behind the header is taken from the socket: it belongs to HTTP or TLS.

mod header;

use std::net::SocketAddr;
use std::{error, fmt, io};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// What a header of version 1 begins with (§2.1).
const TEXT: &[u8] = b"PROXY ";

/// What a header of version 2 begins with (§2.2): a request line that no HTTP server accepts.
const BINARY: &[u8; DECIDING] = b"\r\n\r\n\0\r\nQUIT\n";

/// The first bytes, which tell the versions apart. The shortest header, `PROXY UNKNOWN\r\n`, has 15.
const DECIDING: usize = 12;

/// The longest header of version 1, its line break included (§2.1).
const MAX_TEXT: usize = 107;

/// The fixed part of version 2: signature, command, family, length (§2.2).
const FIXED: usize = 16;

/// Two addresses and two ports of IPv6, the longest that is looked at (§2.2).
const ADDRESSES: usize = 36;

/// The longest header of version 2 that is read, in bytes. A receiver must take 536 (§2.2); a
/// balancer that terminates TLS adds fields, of which a client certificate's is the longest (§2.2.6).
const MAX_BINARY: usize = 4096;

/// Why there is no HTTP on a connection that must begin with a PROXY header.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProxyError {
    /// The connection begins with something else: its sender is no proxy, or is one that was not
    /// told to send the header.
    Missing,
    /// The proxy broke a rule of the protocol. Says which.
    Malformed(&'static str),
    /// The proxy's header is longer than is read here; TLVs that were switched off at the proxy
    /// make it shorter.
    TooLong {
        /// The limit, in bytes.
        limit: usize,
        /// The bytes that the header declared.
        declared: usize,
    },
    /// The connection ended before the header did, as a balancer's health checks do.
    Ended,
    /// The operating system's.
    Io(io::Error),
}

/// Reads the PROXY header of a connection that was just accepted, and nothing behind it.
///
/// Gives the client's address, or `None` when the header has none and the socket's own address
/// counts: the proxy's own health checks (`LOCAL`), `UNKNOWN`, and clients that came over something
/// other than TCP.
///
/// There is no deadline in here: put one around it, or a silent peer keeps its connection for ever.
/// Dropped while it waits, it leaves the stream in the middle of the header: drop that too.
///
/// # Errors
///
/// Every [`ProxyError`]. The connection is of no use then, and has no HTTP to be answered in.
pub async fn read_header(stream: &mut TcpStream) -> Result<Option<SocketAddr>, ProxyError> {
    let mut header = [0; MAX_TEXT];
    stream.read_exact(&mut header[..DECIDING]).await?;
    if header.starts_with(BINARY) {
        return read_binary(stream, &mut header).await;
    }
    if !header.starts_with(TEXT) {
        return Err(ProxyError::Missing);
    }
    if header[..DECIDING].contains(&b'\n') {
        return Err(ProxyError::Malformed("the line has too few words"));
    }
    let mut read = DECIDING;
    while header[read - 1] != b'\n' {
        if read == MAX_TEXT {
            return Err(ProxyError::Malformed("a line of version 1 has more than 107 bytes"));
        }
        // Looked at first, so that what follows the line stays where it is. What is seen is also
        // taken, so the next look waits for new bytes.
        let seen = stream.peek(&mut header[read..]).await?;
        if seen == 0 {
            return Err(ProxyError::Ended);
        }
        let line = header[read..read + seen].iter().position(|&byte| byte == b'\n');
        let take = line.map_or(seen, |end| end + 1);
        stream.read_exact(&mut header[read..read + take]).await?;
        read += take;
    }
    header::parse_text(&header[..read]).map_err(ProxyError::Malformed)
}

async fn read_binary(
    stream: &mut TcpStream,
    header: &mut [u8; MAX_TEXT],
) -> Result<Option<SocketAddr>, ProxyError> {
    stream.read_exact(&mut header[DECIDING..FIXED]).await?;
    let length = usize::from(u16::from_be_bytes([header[14], header[15]]));
    if FIXED + length > MAX_BINARY {
        return Err(ProxyError::TooLong { limit: MAX_BINARY, declared: FIXED + length });
    }
    let addresses = length.min(ADDRESSES);
    stream.read_exact(&mut header[FIXED..FIXED + addresses]).await?;
    let client = header::parse_binary(header[12], header[13], &header[FIXED..FIXED + addresses])
        .map_err(ProxyError::Malformed)?;
    // The TLVs tell nothing that is needed here.
    let mut rest = length - addresses;
    while rest > 0 {
        let piece = rest.min(header.len());
        stream.read_exact(&mut header[..piece]).await?;
        rest -= piece;
    }
    Ok(client)
}

impl From<io::Error> for ProxyError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Ended,
            _ => Self::Io(error),
        }
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str(
                "the connection does not begin with a PROXY header: it did not come through the \
                 proxy, or the proxy is not configured to send one",
            ),
            Self::Malformed(rule) => write!(f, "the proxy's PROXY header is wrong: {rule}"),
            Self::TooLong { limit, declared } => write!(
                f,
                "the proxy's PROXY header has {declared} bytes, {limit} are read: let the proxy \
                 send fewer TLVs"
            ),
            Self::Ended => f.write_str("the connection ended before its PROXY header did"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl error::Error for ProxyError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    /// What is read of `pieces`, each written for itself, and what is left for HTTP.
    async fn read(pieces: &[&[u8]]) -> (Result<Option<SocketAddr>, ProxyError>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut proxy = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        proxy.set_nodelay(true).unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let write = async {
            for piece in pieces {
                proxy.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            proxy.shutdown().await.unwrap();
        };
        let (result, ()) = tokio::join!(read_header(&mut stream), write);
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        (result, rest)
    }

    fn binary(command: u8, family: u8, length: u16, body: &[u8]) -> Vec<u8> {
        let mut header = BINARY.to_vec();
        header.extend([command, family]);
        header.extend(length.to_be_bytes());
        header.extend(body);
        header
    }

    /// 192.0.2.7:56324 to 192.0.2.1:443.
    const V4: &[u8] = &[192, 0, 2, 7, 192, 0, 2, 1, 0xDC, 0x04, 0x01, 0xBB];

    /// [2001:db8::7]:56324 to [2001:db8::1]:443.
    const V6: &[u8] = &[
        0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0x20, 0x01, 0x0D, 0xB8, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xDC, 0x04, 0x01, 0xBB,
    ];

    fn headers() -> Vec<(Vec<u8>, Option<&'static str>)> {
        let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        vec![
            (b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 443\r\n".to_vec(), Some("192.0.2.7:56324")),
            (b"PROXY TCP6 2001:db8::7 ::1 1 443\r\n".to_vec(), Some("[2001:db8::7]:1")),
            (
                format!("PROXY TCP6 {longest} {longest} 65535 65535\r\n").into(),
                Some("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (format!("PROXY UNKNOWN {longest} {longest} 65535 65535\r\n").into(), None),
            (binary(0x21, 0x11, 12, V4), Some("192.0.2.7:56324")),
            (binary(0x21, 0x21, 36, V6), Some("[2001:db8::7]:56324")),
            // With TLVs, and with the longest that are read.
            (binary(0x21, 0x11, 16, &[V4, &[4, 0, 1, 0]].concat()), Some("192.0.2.7:56324")),
            (binary(0x21, 0x21, 4080, &[V6, &[4; 4044]].concat()), Some("[2001:db8::7]:56324")),
            // LOCAL, also with a family that has no meaning.
            (binary(0x20, 0x00, 0, &[]), None),
            (binary(0x20, 0xFF, 3, &[1, 2, 3]), None),
            // Unspecified, a datagram, a Unix socket.
            (binary(0x21, 0x00, 2, &[0, 0]), None),
            (binary(0x21, 0x12, 12, V4), None),
            (binary(0x21, 0x31, 216, &[7; 216]), None),
        ]
    }

    #[tokio::test]
    async fn a_header_is_read_and_nothing_behind_it() {
        for (header, client) in headers() {
            for behind in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\n", b""] {
                let (read, rest) = read(&[&[&header, behind].concat()]).await;
                assert_eq!(read.unwrap(), client.map(|client| client.parse().unwrap()));
                assert_eq!(rest, behind);
            }
        }
    }

    #[tokio::test]
    async fn a_header_may_be_cut_anywhere() {
        for (header, client) in headers().into_iter().filter(|(header, _)| header.len() < 300) {
            for cut in 1..=header.len() {
                let (head, tail) = header.split_at(cut);
                let (read, rest) = read(&[head, tail, b"GET"]).await;
                assert_eq!(read.unwrap(), client.map(|client| client.parse().unwrap()));
                assert_eq!(rest, b"GET");
            }
            let bytes: Vec<&[u8]> = header.chunks(1).collect();
            assert!(read(&bytes).await.0.is_ok());
        }
    }

    #[tokio::test]
    async fn a_connection_that_ends_within_the_header_is_told_apart() {
        for (header, _) in headers().into_iter().filter(|(header, _)| header.len() < 300) {
            for cut in 0..header.len() {
                let (read, _) = read(&[&header[..cut]]).await;
                assert!(matches!(read, Err(ProxyError::Ended)), "{cut} of {header:?}: {read:?}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_missing() {
        for bytes in ["GET /socket.io/ HTTP/1.1\r\n", "PROXYTCP4 1.1.1.1", "\r\n\r\n\0\r\nQUIT\r"] {
            let (read, _) = read(&[bytes.as_bytes()]).await;
            assert!(matches!(read, Err(ProxyError::Missing)), "{bytes}: {read:?}");
        }
    }

    #[tokio::test]
    async fn a_malformed_line_is_the_proxys_fault() {
        for line in [
            "PROXY \r\n     ",
            "PROXY TCP4\r\n",
            "PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n",
            "PROXY UNKNOWNS\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n",
            "PROXY TCP4 1.1.1.1  2.2.2.2 1 2\r\n",
            "PROXY TCP4 1.1.1.256 2.2.2.2 1 2\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2 1 2\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n",
            "PROXY TCP4 1.1.1.1 2.2.2.2 1 02\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n",
            "PROXY TCP4 1.1.1.\u{661} 2.2.2.2 1 2\r\n",
        ] {
            let (read, _) = read(&[line.as_bytes()]).await;
            assert!(matches!(read, Err(ProxyError::Malformed(_))), "{line:?}: {read:?}");
        }
    }

    #[tokio::test]
    async fn a_line_that_does_not_end_is_refused_at_its_limit() {
        let endless = format!("PROXY UNKNOWN {}", "x".repeat(200));
        let (read, rest) = read(&[endless.as_bytes()]).await;
        assert!(matches!(read, Err(ProxyError::Malformed(_))), "{read:?}");
        assert_eq!(rest.len(), endless.len() - MAX_TEXT);
    }

    #[tokio::test]
    async fn a_malformed_binary_header_is_the_proxys_fault() {
        for header in [
            binary(0x11, 0x11, 12, V4),
            binary(0x31, 0x11, 12, V4),
            binary(0x22, 0x11, 12, V4),
            binary(0x21, 0x13, 12, V4),
            binary(0x21, 0x41, 12, V4),
            binary(0x21, 0x11, 11, V4),
            binary(0x21, 0x11, 0, &[]),
            binary(0x21, 0x21, 35, V6),
            binary(0x21, 0x21, 12, V4),
        ] {
            let (read, _) = read(&[&header]).await;
            assert!(matches!(read, Err(ProxyError::Malformed(_))), "{header:?}: {read:?}");
        }
    }

    #[tokio::test]
    async fn a_declared_length_beyond_the_limit_is_refused_before_it_comes() {
        let (read, _) = read(&[&binary(0x21, 0x11, 4081, V4)]).await;
        let Err(ProxyError::TooLong { limit: 4096, declared: 4097 }) = read else {
            panic!("{read:?}");
        };
    }
}
