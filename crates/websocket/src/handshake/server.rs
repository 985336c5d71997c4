//! The server's side of the opening handshake (RFC 6455 §4.2.1; over HTTP/2, RFC 8441 §5): whether a
//! request opens a WebSocket, and if not, why.

use core::{error, fmt};

use super::{AcceptKey, accept_key, has_token};

/// What has to be known of an HTTP request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a, H> {
    /// The method, as it stands in the request.
    pub method: &'a str,
    /// The version of HTTP, major and minor: `(1, 1)`.
    pub version: (u8, u8),
    /// All header lines, names in any case.
    pub headers: H,
}

/// What has to be known of an extended CONNECT (RFC 8441 §4), the request of HTTP/2.
#[derive(Clone, Copy, Debug)]
pub struct Connect<'a, H> {
    /// The pseudo-header `:protocol`; none in a CONNECT that is not extended.
    pub protocol: Option<&'a str>,
    /// All header lines but the pseudo-headers, names in any case.
    pub headers: H,
}

/// The request opens a WebSocket. The answer is `101 Switching Protocols` with `Upgrade:
/// websocket`, `Connection: Upgrade` and `Sec-WebSocket-Accept` (RFC 6455 §4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accept {
    /// The value of `Sec-WebSocket-Accept`.
    pub accept_key: AcceptKey,
}

/// Why the request does not open a WebSocket. Its `Display` is a sentence for whoever wrote the
/// client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The method is not GET.
    Method,
    /// HTTP older than 1.1.
    HttpVersion,
    /// No `Host`, or several.
    Host,
    /// No `Upgrade: websocket`: an ordinary request, most likely.
    Upgrade,
    /// No `Connection: Upgrade`: the request came through a proxy, most likely.
    Connection,
    /// `Sec-WebSocket-Version` is not 13.
    Version,
    /// No `Sec-WebSocket-Key`.
    KeyMissing,
    /// More than one `Sec-WebSocket-Key`.
    KeyRepeated,
    /// `Sec-WebSocket-Key` is not 16 bytes in base64.
    KeyMalformed,
    /// HTTP/2, and no CONNECT: an ordinary request, most likely.
    NoConnect,
    /// A CONNECT without `:protocol`: the client takes this for a proxy.
    ProtocolMissing,
    /// `:protocol` is not `websocket`.
    Protocol,
    /// An extended CONNECT whose `Sec-WebSocket-Version` is not 13.
    ConnectVersion,
}

impl Refusal {
    /// The status of the answer.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Method | Self::NoConnect | Self::ProtocolMissing => 405,
            Self::Protocol => 501,
            Self::HttpVersion => 505,
            Self::Upgrade | Self::Version => 426,
            Self::Host
            | Self::Connection
            | Self::KeyMissing
            | Self::KeyRepeated
            | Self::KeyMalformed
            | Self::ConnectVersion => 400,
        }
    }

    /// Headers that the answer must have besides (RFC 6455 §4.4; RFC 9110 §15.5.6, §15.5.22).
    #[must_use]
    pub const fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Method | Self::ProtocolMissing => &[("allow", "GET")],
            Self::NoConnect => &[("allow", "CONNECT")],
            // 426 would want an `Upgrade`, which HTTP/2 does not have (RFC 9113 §8.2.2).
            Self::ConnectVersion => &[("sec-websocket-version", "13")],
            Self::Upgrade => &[("upgrade", "websocket"), ("connection", "upgrade")],
            Self::Version => &[
                ("upgrade", "websocket"),
                ("connection", "upgrade"),
                ("sec-websocket-version", "13"),
            ],
            Self::HttpVersion
            | Self::Host
            | Self::Connection
            | Self::KeyMissing
            | Self::KeyRepeated
            | Self::KeyMalformed
            | Self::Protocol => &[],
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "A WebSocket is opened by a GET request.",
            Self::HttpVersion => "A WebSocket needs HTTP/1.1 or higher.",
            Self::Host => "The request needs exactly one Host header.",
            Self::Upgrade => "This is a WebSocket endpoint: the header 'Upgrade: websocket' is missing.",
            Self::Connection => {
                "The header 'Connection: Upgrade' is missing; a proxy in between may have removed it."
            }
            Self::Version | Self::ConnectVersion => {
                "This server speaks version 13 of the WebSocket protocol only."
            }
            Self::KeyMissing => "The header Sec-WebSocket-Key is missing.",
            Self::KeyRepeated => "The header Sec-WebSocket-Key must occur only once.",
            Self::KeyMalformed => "The header Sec-WebSocket-Key is not 16 bytes in base64.",
            Self::NoConnect => {
                "Over HTTP/2 a WebSocket is opened by CONNECT with ':protocol: websocket' (RFC 8441)."
            }
            Self::ProtocolMissing => "This server is no proxy: a CONNECT needs ':protocol'.",
            Self::Protocol => "Of protocols for CONNECT, this server knows 'websocket' only.",
        })
    }
}

impl error::Error for Refusal {}

/// Judges a request by every rule of RFC 6455 §4.2.1.
///
/// Subprotocols and extensions are offers, not demands: who does not answer them has declined.
///
/// # Errors
///
/// The first rule that the request breaks, in the order in which it helps to hear of them.
pub fn judge<'a, H>(request: Request<'a, H>) -> Result<Accept, Refusal>
where
    H: IntoIterator<Item = (&'a str, &'a [u8])>,
{
    if request.method != "GET" {
        return Err(Refusal::Method);
    }
    if request.version < (1, 1) {
        return Err(Refusal::HttpVersion);
    }
    if request.version >= (2, 0) {
        return Err(Refusal::NoConnect);
    }

    let mut hosts = 0_usize;
    let mut upgrade = false;
    let mut connection = false;
    let mut versions = 0_usize;
    let mut version_13 = false;
    let mut keys = 0_usize;
    let mut key = &[][..];
    for (name, value) in request.headers {
        let is = |known| name.eq_ignore_ascii_case(known);
        if is("host") {
            hosts += 1;
        } else if is("upgrade") {
            upgrade |= has_token(value, b"websocket");
        } else if is("connection") {
            connection |= has_token(value, b"upgrade");
        } else if is("sec-websocket-version") {
            versions += 1;
            version_13 = value.trim_ascii() == b"13";
        } else if is("sec-websocket-key") {
            keys += 1;
            key = value.trim_ascii();
        }
    }

    if hosts != 1 {
        return Err(Refusal::Host);
    }
    if !upgrade {
        return Err(Refusal::Upgrade);
    }
    if !connection {
        return Err(Refusal::Connection);
    }
    if versions != 1 || !version_13 {
        return Err(Refusal::Version);
    }
    match keys {
        0 => return Err(Refusal::KeyMissing),
        1 => {}
        _ => return Err(Refusal::KeyRepeated),
    }
    if !is_sixteen_bytes(key) {
        return Err(Refusal::KeyMalformed);
    }
    Ok(Accept { accept_key: accept_key(key) })
}

/// Judges a CONNECT of HTTP/2 by every rule of RFC 8441 §5. The answer is a plain `200`.
///
/// `Sec-WebSocket-Key` means nothing here: HTTP/2 itself makes sure that the server understood.
/// Subprotocols and extensions are offered and answered as ever.
///
/// # Errors
///
/// The first rule that the request breaks.
pub fn judge_connect<'a, H>(request: Connect<'a, H>) -> Result<(), Refusal>
where
    H: IntoIterator<Item = (&'a str, &'a [u8])>,
{
    match request.protocol {
        None => return Err(Refusal::ProtocolMissing),
        Some(protocol) if protocol.eq_ignore_ascii_case("websocket") => {}
        Some(_) => return Err(Refusal::Protocol),
    }
    let is_version = |name: &str| name.eq_ignore_ascii_case("sec-websocket-version");
    let mut versions = request.headers.into_iter().filter(|(name, _)| is_version(name));
    match (versions.next(), versions.next()) {
        (Some((_, version)), None) if version.trim_ascii() == b"13" => Ok(()),
        _ => Err(Refusal::ConnectVersion),
    }
}

/// Whether this is base64 of 16 bytes: 22 digits and two signs of padding. The four bits of the
/// last digit that mean nothing may be set, as most servers take it: the key is never decoded.
fn is_sixteen_bytes(key: &[u8]) -> bool {
    let digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.split_last_chunk::<2>().is_some_and(|(digits, padding)| {
        digits.len() == 22 && digits.iter().all(digit) && padding == b"=="
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extended_connect_is_judged_by_its_protocol_and_version() {
        const VERSION: (&str, &[u8]) = ("sec-websocket-version", b"13");
        for (protocol, headers, judged) in [
            (Some("websocket"), &[VERSION][..], Ok(())),
            (Some("WebSocket"), &[("Sec-WebSocket-Version", b" 13 ")], Ok(())),
            (Some("websocket"), &[("sec-websocket-key", b"?"), VERSION], Ok(())),
            (None, &[VERSION], Err(Refusal::ProtocolMissing)),
            (Some("webtransport"), &[VERSION], Err(Refusal::Protocol)),
            (Some(""), &[VERSION], Err(Refusal::Protocol)),
            (Some("websocket"), &[], Err(Refusal::ConnectVersion)),
            (Some("websocket"), &[VERSION, VERSION], Err(Refusal::ConnectVersion)),
            (Some("websocket"), &[("sec-websocket-version", b"8")], Err(Refusal::ConnectVersion)),
        ] {
            let headers = headers.iter().copied();
            assert_eq!(judge_connect(Connect { protocol, headers }), judged, "{protocol:?}");
        }
    }

    #[test]
    fn an_ordinary_request_of_http_2_is_told_how_a_websocket_is_opened() {
        let request = Request { method: "GET", version: (2, 0), headers: [] };
        assert_eq!(judge(request), Err(Refusal::NoConnect));
        assert_eq!(Refusal::NoConnect.status(), 405);
    }
}
