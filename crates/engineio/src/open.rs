//! The open packet: the server's answer to the handshake, first packet of every session.

use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use crate::{Config, PacketType, Sid};

/// What carries packets, by its name in the query of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// HTTP long polling.
    Polling,
    /// WebSocket (RFC 6455).
    Websocket,
    /// WebTransport. It has no query: a request that names it is refused.
    Webtransport,
}

impl Transport {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::Websocket => "websocket",
            Self::Webtransport => "webtransport",
        }
    }

    /// The transport of that name, letter for letter.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Polling, Self::Websocket, Self::Webtransport]
            .into_iter()
            .find(|transport| transport.as_str() == name)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The data of an `open` packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open<'a> {
    /// The session's secret id.
    pub sid: Sid,
    /// The transports to which the client may upgrade; none on a websocket.
    pub upgrades: &'a [Transport],
    /// See [`Config::ping_interval`].
    pub ping_interval: u64,
    /// See [`Config::ping_timeout`].
    pub ping_timeout: u64,
    /// See [`Config::max_payload`].
    pub max_payload: usize,
}

impl<'a> Open<'a> {
    /// The packet of a session with these settings.
    #[must_use]
    pub const fn new(sid: Sid, upgrades: &'a [Transport], config: &Config) -> Self {
        Self {
            sid,
            upgrades,
            ping_interval: config.ping_interval,
            ping_timeout: config.ping_timeout,
            max_payload: config.max_payload,
        }
    }

    /// Appends the packet: `0` and JSON whose keys stand in Node's order, which some clients and
    /// many test suites compare byte by byte.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut text = Appender(out);
        // An id and the names of transports need no escapes, and an `Appender` never fails.
        let written = text
            .write_char(char::from(PacketType::Open.as_byte()))
            .and_then(|()| write!(text, "{{\"sid\":\"{}\",\"upgrades\":[", self.sid))
            .and_then(|()| {
                self.upgrades.iter().enumerate().try_for_each(|(i, upgrade)| {
                    let comma = if i == 0 { "" } else { "," };
                    write!(text, "{comma}\"{upgrade}\"")
                })
            })
            .and_then(|()| {
                write!(
                    text,
                    "],\"pingInterval\":{},\"pingTimeout\":{},\"maxPayload\":{}}}",
                    self.ping_interval, self.ping_timeout, self.max_payload
                )
            });
        debug_assert!(written.is_ok());
    }
}

/// Lets `write!` append to bytes.
struct Appender<'a>(&'a mut Vec<u8>);

impl fmt::Write for Appender<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::String;

    fn encoded(upgrades: &[Transport], config: &Config) -> String {
        let sid: Sid = "R4oeeLKFr1_GMbwyAAAA".parse().unwrap();
        let mut out = Vec::from(*b"head");
        Open::new(sid, upgrades, config).encode(&mut out);
        String::from_utf8(out.split_off(4)).unwrap()
    }

    #[test]
    fn golden() {
        assert_eq!(
            encoded(&[Transport::Websocket], &Config::default()),
            r#"0{"sid":"R4oeeLKFr1_GMbwyAAAA","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#
        );
        let config =
            Config { ping_interval: 300, ping_timeout: 200, max_payload: 9, ..Config::default() };
        assert_eq!(
            encoded(&[], &config),
            r#"0{"sid":"R4oeeLKFr1_GMbwyAAAA","upgrades":[],"pingInterval":300,"pingTimeout":200,"maxPayload":9}"#
        );
        assert!(
            encoded(&[Transport::Websocket, Transport::Webtransport], &config)
                .contains(r#""upgrades":["websocket","webtransport"],"#)
        );
    }

    #[test]
    fn names_are_exact() {
        assert_eq!(Transport::from_name("websocket"), Some(Transport::Websocket));
        assert_eq!(Transport::from_name("WebSocket"), None);
        assert_eq!(Transport::from_name(""), None);
    }
}
