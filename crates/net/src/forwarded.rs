//! The client's address behind HTTP proxies that are trusted: `Forwarded` (RFC 7239) or
//! `X-Forwarded-For`.
//!
//! Each proxy adds the address that it was called from at the end, so the header is read from
//! there: as far as one trusted proxy vouches for the next. What stands before the first address
//! that is not trusted is that client's own invention, and no byte of it is looked at.

use std::net::{IpAddr, SocketAddr};
use std::{error, fmt, str};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};
use ipnet::{IpNet, Ipv4Net};

/// How a client speaks to the first proxy, where they write [`ForwardedBy::XForwardedFor`].
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Which header the trusted proxies write.
///
/// There is no "whichever is there": a proxy extends or replaces the one header that it knows and
/// passes the other on as the client sent it. Whoever reads both believes the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedBy {
    /// `Forwarded: for=192.0.2.7` (RFC 7239 §4).
    Forwarded,
    /// `X-Forwarded-For: 192.0.2.7`, which is what nearly all proxies write.
    XForwardedFor,
}

/// The proxies whose word about a client's address counts, and the header that they put it in.
#[derive(Clone, Debug)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    header: HeaderName,
}

/// A network that is none: the text as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkError(String);

impl TrustedProxies {
    /// Trusts every proxy in `networks`, each an address (`127.0.0.1`, `::1`) or a network in CIDR
    /// notation (`10.0.0.0/8`), to write the header `by` and no other.
    ///
    /// All trusted proxies must write that header, or a client can do it in their name; and
    /// whoever else has an address in these networks can claim any other.
    ///
    /// # Errors
    ///
    /// The first text that is neither address nor network.
    pub fn new<I>(networks: I, by: ForwardedBy) -> Result<Self, NetworkError>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let networks = networks.into_iter().map(|text| parse_network(text.as_ref()));
        let header = match by {
            ForwardedBy::Forwarded => FORWARDED,
            ForwardedBy::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
        };
        Ok(Self { networks: networks.collect::<Result<_, _>>()?, header })
    }

    /// Whether this is the address of a trusted proxy. An IPv4 address that is written as one of
    /// IPv6 (`::ffff:10.0.0.1`), as a socket that listens on both has it, is the IPv4 address.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// The address of the client whose request came from `peer`: the last one named in the header
    /// that is not a trusted proxy's.
    ///
    /// The walk ends earlier, at the last trusted proxy, where the header names none before it:
    /// where it is over, is malformed, or hides the address (`unknown`, `_hidden`: RFC 7239 §6).
    /// The port is 0 where the header has none.
    #[must_use]
    pub fn client_address(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        self.walk(peer, headers, |_| {})
    }

    /// Whether the client whose request came from `peer` speaks TLS, by the word of the trusted proxy that it
    /// speaks to: its `proto` in `Forwarded`, or, where the proxies write `X-Forwarded-For`,
    /// `X-Forwarded-Proto`. `None` if no trusted proxy says anything about it.
    ///
    /// `X-Forwarded-Proto` has one value where the proxies pass on what the first of them wrote, or one for
    /// each of them.
    #[must_use]
    pub fn client_is_secure(&self, peer: SocketAddr, headers: &HeaderMap) -> Option<bool> {
        if !self.trusts(peer.ip()) {
            return None;
        }
        let is_secure =
            |scheme: &str| ["https", "wss"].iter().any(|tls| scheme.eq_ignore_ascii_case(tls));
        let (mut hops, mut proto) = (0, None);
        self.walk(peer, headers, |element| {
            hops += 1;
            proto = parameter(element, "proto").map(is_secure);
        });
        if self.header == FORWARDED {
            return proto;
        }
        let lines = headers.get_all(X_FORWARDED_PROTO).iter();
        let schemes: Vec<_> = lines
            .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|scheme| !scheme.is_empty())
            .collect();
        let scheme = schemes[schemes.len().saturating_sub(hops.max(1))..].first()?;
        str::from_utf8(scheme).ok().map(is_secure)
    }

    /// Goes from `peer` to the client, over what trusted proxies have written; each element is shown.
    fn walk(
        &self,
        peer: SocketAddr,
        headers: &HeaderMap,
        mut show: impl FnMut(&str),
    ) -> SocketAddr {
        let mut client = peer;
        if !self.trusts(peer.ip()) {
            return client;
        }
        // Several lines of one header are one list (RFC 9110 §5.3).
        for line in headers.get_all(&self.header).iter().rev() {
            let mut rest = Some(line.as_bytes());
            while let Some(list) = rest {
                let (before, element) = self.split_last(list);
                rest = before;
                // Elements may be empty, and mean nothing (RFC 9110 §5.6.1.2).
                let element = element.trim_ascii();
                if element.is_empty() {
                    continue;
                }
                let element = str::from_utf8(element).unwrap_or_default();
                show(element);
                match self.address(element) {
                    Some(address) => client = address,
                    None => return client,
                }
                if !self.trusts(client.ip()) {
                    return client;
                }
            }
        }
        client
    }

    /// The last element of a list, and what stands before it.
    fn split_last<'a>(&self, list: &'a [u8]) -> (Option<&'a [u8]>, &'a [u8]) {
        let comma = if self.header == FORWARDED {
            last_comma(list)
        } else {
            list.iter().rposition(|&byte| byte == b',')
        };
        match comma {
            Some(comma) => (Some(&list[..comma]), &list[comma + 1..]),
            None => (None, list),
        }
    }

    fn address(&self, element: &str) -> Option<SocketAddr> {
        parse_node(if self.header == FORWARDED { parameter(element, "for")? } else { element })
    }
}

/// The last comma that is not within a quoted string.
///
/// Looked for from the end: a client may send a quote that is never closed, and read from the
/// beginning, what the proxy adds would then be part of the client's string.
fn last_comma(list: &[u8]) -> Option<usize> {
    let mut quoted = false;
    for at in (0..list.len()).rev() {
        match list[at] {
            // In a quoted string, a quote behind an odd number of backslashes does not end it.
            b'"' => {
                let escapes = list[..at].iter().rev().take_while(|&&byte| byte == b'\\').count();
                quoted = !quoted || !escapes.is_multiple_of(2);
            }
            b',' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// The value of a parameter of one element (RFC 7239 §4), without its quotes.
fn parameter<'a>(element: &'a str, wanted: &str) -> Option<&'a str> {
    let mut found = None;
    let mut rest = element;
    loop {
        let (name, value) = rest.split_once('=')?;
        let (value, behind, bare) = match value.strip_prefix('"') {
            Some(quoted) => {
                let (value, behind) = quoted.split_at_checked(closing_quote(quoted)?)?;
                (value, behind, "")
            }
            None => {
                let (value, behind) = value.split_at(value.find(';').unwrap_or(value.len()));
                (value, behind, value)
            }
        };
        // These are in quoted strings only. Elsewhere the element is not one, but what a stray quote
        // made of several.
        if [name, bare].iter().any(|bare| bare.contains(['"', ','])) {
            return None;
        }
        if name.trim_ascii().eq_ignore_ascii_case(wanted) && found.replace(value).is_some() {
            return None;
        }
        let behind = behind.strip_prefix('"').unwrap_or(behind).trim_ascii();
        match behind.strip_prefix(';') {
            Some(next) => rest = next,
            None => return found.filter(|_| behind.is_empty()).map(str::trim_ascii),
        }
    }
}

/// Where the quoted string ends whose opening quote is cut off.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

/// A node of RFC 7239 §6, or what proxies write to `X-Forwarded-For`: an address of either family,
/// with or without a port. One of IPv6 may lack its brackets where it has no port.
fn parse_node(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((address, 0).into());
    }
    let (address, port) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (address, port) = bracketed.split_once(']')?;
            (address.parse().ok().map(IpAddr::V6)?, port)
        }
        None => {
            let (address, port) = text.split_at_checked(text.find(':')?)?;
            (address.parse().ok().map(IpAddr::V4)?, port)
        }
    };
    // The port may be hidden, too.
    (port.is_empty() || port.starts_with(":_")).then_some((address, 0).into())
}

fn parse_network(text: &str) -> Result<IpNet, NetworkError> {
    let network = text.parse().or_else(|_| text.parse().map(|address: IpAddr| address.into()));
    match network {
        Ok(IpNet::V6(network)) => {
            let mapped = network.addr().to_ipv4_mapped().zip(network.prefix_len().checked_sub(96));
            let v4 = mapped.and_then(|(address, length)| Ipv4Net::new(address, length).ok());
            Ok(v4.map_or(IpNet::V6(network), IpNet::V4))
        }
        Ok(network) => Ok(network),
        Err(_) => Err(NetworkError(text.to_owned())),
    }
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = self;
        write!(
            f,
            "{text:?} is neither an IP address, such as 127.0.0.1, nor a network, such as \
             10.0.0.0/8 or ::1/128"
        )
    }
}

impl error::Error for NetworkError {}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const NETWORKS: [&str; 4] = ["127.0.0.1", "10.0.0.0/8", "::1/128", "fd00::/8"];

    fn headers(name: &'static str, lines: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_bytes(line).unwrap());
        }
        headers
    }

    #[track_caller]
    fn is(by: ForwardedBy, lines: &[&[u8]], client: &str) {
        let proxies = TrustedProxies::new(NETWORKS, by).unwrap();
        let name = match by {
            ForwardedBy::Forwarded => "forwarded",
            ForwardedBy::XForwardedFor => "x-forwarded-for",
        };
        let address = proxies.client_address("10.1.1.1:80".parse().unwrap(), &headers(name, lines));
        assert_eq!(address.to_string(), client);
    }

    #[track_caller]
    fn forwarded(lines: &[&str], client: &str) {
        is(ForwardedBy::Forwarded, &lines.iter().map(|l| l.as_bytes()).collect::<Vec<_>>(), client);
    }

    #[track_caller]
    fn x_forwarded_for(lines: &[&str], client: &str) {
        let lines: Vec<_> = lines.iter().map(|line| line.as_bytes()).collect();
        is(ForwardedBy::XForwardedFor, &lines, client);
    }

    #[test]
    fn networks_are_addresses_or_cidr_and_errors_name_the_text() {
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0.0/", "::1/129", " 10.0.0.1", "10.0.0"]
        {
            let error = TrustedProxies::new([text], ForwardedBy::Forwarded).unwrap_err();
            assert!(error.to_string().starts_with(&format!("{text:?} is neither")), "{error}");
        }
        // Bits behind the prefix do not matter.
        let proxies = TrustedProxies::new(["10.1.2.3/8"], ForwardedBy::Forwarded).unwrap();
        assert!(proxies.trusts("10.9.9.9".parse().unwrap()));
        let none = TrustedProxies::new::<[&str; 0]>([], ForwardedBy::Forwarded).unwrap();
        assert!(!none.trusts("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn mapped_addresses_are_those_of_ipv4_on_both_sides() {
        let networks = ["10.0.0.0/8", "::ffff:192.0.2.0/120"];
        let proxies = TrustedProxies::new(networks, ForwardedBy::Forwarded).unwrap();
        for trusted in ["::ffff:10.0.0.1", "10.0.0.1", "192.0.2.1", "::ffff:192.0.2.1"] {
            assert!(proxies.trusts(trusted.parse().unwrap()), "{trusted}");
        }
        for other in ["::ffff:11.0.0.1", "::1", "::10.0.0.1", "192.0.3.1"] {
            assert!(!proxies.trusts(other.parse().unwrap()), "{other}");
        }
    }

    #[test]
    fn a_peer_that_is_not_trusted_speaks_only_for_itself() {
        let peer: SocketAddr = "192.0.2.7:4711".parse().unwrap();
        let proxies = TrustedProxies::new(NETWORKS, ForwardedBy::XForwardedFor).unwrap();
        let headers = headers("x-forwarded-for", &[b"198.51.100.1"]);
        assert_eq!(proxies.client_address(peer, &headers), peer);
    }

    #[test]
    fn only_the_chosen_header_is_read() {
        let peer: SocketAddr = "10.1.1.1:80".parse().unwrap();
        let mut both = headers("x-forwarded-for", &[b"198.51.100.1"]);
        both.extend(headers("forwarded", &[b"for=198.51.100.2"]));
        let client =
            |by| TrustedProxies::new(NETWORKS, by).unwrap().client_address(peer, &both).to_string();
        assert_eq!(client(ForwardedBy::XForwardedFor), "198.51.100.1:0");
        assert_eq!(client(ForwardedBy::Forwarded), "198.51.100.2:0");
        both.remove("x-forwarded-for");
        let proxies = TrustedProxies::new(NETWORKS, ForwardedBy::XForwardedFor).unwrap();
        assert_eq!(proxies.client_address(peer, &both), peer);
    }

    #[test]
    fn x_forwarded_for_is_walked_from_its_end() {
        x_forwarded_for(&[], "10.1.1.1:80");
        x_forwarded_for(&[""], "10.1.1.1:80");
        x_forwarded_for(&["198.51.100.1"], "198.51.100.1:0");
        x_forwarded_for(&["6.6.6.6, 198.51.100.1,10.2.2.2 ,\t10.3.3.3"], "198.51.100.1:0");
        x_forwarded_for(&["6.6.6.6", "198.51.100.1, 10.2.2.2", "127.0.0.1"], "198.51.100.1:0");
        x_forwarded_for(&["10.2.2.2, 10.3.3.3"], "10.2.2.2:0");
        x_forwarded_for(&["198.51.100.1, , ", ","], "198.51.100.1:0");
    }

    #[test]
    fn x_forwarded_for_may_have_ports_and_both_families() {
        x_forwarded_for(&["198.51.100.1:4711"], "198.51.100.1:4711");
        x_forwarded_for(&["2001:db8::7, fd00::1"], "[2001:db8::7]:0");
        x_forwarded_for(&["[2001:db8::7]"], "[2001:db8::7]:0");
        x_forwarded_for(&["[2001:db8::7]:4711, [::1]:1"], "[2001:db8::7]:4711");
        x_forwarded_for(&["198.51.100.1, ::ffff:10.2.2.2"], "198.51.100.1:0");
    }

    #[test]
    fn garbage_ends_the_walk_at_the_last_good_address() {
        for garbage in [
            "unknown",
            "_hidden",
            "localhost",
            "198.51.100",
            "198.51.100.1:",
            "198.51.100.1:x",
            "[198.51.100.1]",
            "[2001:db8::7",
            "2001:db8::7]",
            "[2001:db8::7]x",
            "198.51.100.1 x",
            "198.51.100.1:65536",
            "\"198.51.100.1\"",
            "fe80::1%eth0",
        ] {
            x_forwarded_for(&[&format!("6.6.6.6, {garbage}, 10.2.2.2")], "10.2.2.2:0");
            x_forwarded_for(&["6.6.6.6", garbage], "10.1.1.1:80");
        }
        is(ForwardedBy::XForwardedFor, &[b"6.6.6.6, \xFF, 10.2.2.2"], "10.2.2.2:0");
        // Bytes of the client's own do not hide what the proxy wrote.
        is(ForwardedBy::XForwardedFor, &[b"\xFF, 198.51.100.1"], "198.51.100.1:0");
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_writes_it() {
        forwarded(&["for=198.51.100.1"], "198.51.100.1:0");
        forwarded(&["For=\"198.51.100.1:4711\";proto=https"], "198.51.100.1:4711");
        forwarded(&["for=\"[2001:db8:cafe::17]:4711\""], "[2001:db8:cafe::17]:4711");
        forwarded(&["for=\"[2001:db8:cafe::17]\""], "[2001:db8:cafe::17]:0");
        forwarded(&["for=\"198.51.100.1:_obf\""], "198.51.100.1:0");
        forwarded(&["for=192.0.2.60;proto=http;by=203.0.113.43"], "192.0.2.60:0");
        forwarded(&["proto=http ; host=\"a,b;for=6.6.6.6\" ; FOR=192.0.2.60"], "192.0.2.60:0");
        forwarded(&["for=6.6.6.6, for=192.0.2.60,for=10.2.2.2"], "192.0.2.60:0");
        forwarded(&["for=6.6.6.6", "for=192.0.2.60", "for=\"[fd00::1]\""], "192.0.2.60:0");
        forwarded(&["for=192.0.2.60;host=\"\\\", for=6.6.6.6, x=\\\"\""], "192.0.2.60:0");
    }

    #[test]
    fn a_forwarded_element_that_names_nobody_ends_the_walk() {
        for element in [
            "for=unknown",
            "for=_hidden",
            "for=\"_SEVKISEK\"",
            "proto=https",
            "for",
            "for=",
            "=",
            "for=198.51.100.1;for=198.51.100.2",
            "for=\"198.51.100.1",
            "for=198.51.100.1\"",
            "for=\"198.51.100.1\"x",
            "for=\"198.51.100.1\\\"",
            "for=198.51.100.1;",
            "198.51.100.1",
            "for=\"for=198.51.100.1\"",
            "for=\"\\198.51.100.1\"",
            // Where a quote opens nothing, what follows it is in quotes to whoever reads from the end.
            "for=198.51.100.1;by=x, for=y\";by=\"b\"",
            "for=198.51.100.1;a\", b=\"c\"",
        ] {
            forwarded(&["for=6.6.6.6", element, "for=10.2.2.2"], "10.2.2.2:0");
        }
    }

    #[test]
    fn the_proxy_that_the_client_speaks_to_says_whether_it_speaks_tls() {
        let secure = |by, peer: &str, lines: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, line) in lines {
                headers.append(*name, HeaderValue::from_str(line).unwrap());
            }
            let proxies = TrustedProxies::new(NETWORKS, by).unwrap();
            proxies.client_is_secure(format!("{peer}:80").parse().unwrap(), &headers)
        };
        let forwarded = |line| secure(ForwardedBy::Forwarded, "10.1.1.1", &[("forwarded", line)]);
        assert_eq!(forwarded("for=198.51.100.1;proto=https"), Some(true));
        assert_eq!(forwarded("for=198.51.100.1;Proto=\"WSS\""), Some(true));
        assert_eq!(forwarded("for=198.51.100.1;proto=http"), Some(false));
        assert_eq!(forwarded("for=198.51.100.1"), None);
        // Between the proxies it may be otherwise, and what the client invents does not count.
        let chain = "for=6.6.6.6;proto=http, for=198.51.100.1;proto=https, for=10.2.2.2;proto=http";
        assert_eq!(forwarded(chain), Some(true));
        assert_eq!(forwarded("for=6.6.6.6;proto=https, for=198.51.100.1"), None);
        assert_eq!(forwarded("for=unknown;proto=https, for=10.2.2.2;proto=http"), Some(true));
        assert_eq!(forwarded("for=198.51.100.1;proto=https;proto=http"), None);

        let by = ForwardedBy::XForwardedFor;
        let x = |addresses, schemes| {
            let lines = [("x-forwarded-for", addresses), ("x-forwarded-proto", schemes)];
            secure(by, "10.1.1.1", &lines)
        };
        assert_eq!(x("198.51.100.1", "https"), Some(true));
        assert_eq!(x("198.51.100.1", "http"), Some(false));
        assert_eq!(x("198.51.100.1", " , "), None);
        assert_eq!(x("198.51.100.1, 10.2.2.2", "https"), Some(true));
        assert_eq!(x("198.51.100.1, 10.2.2.2", "https, http"), Some(true));
        assert_eq!(x("6.6.6.6, 198.51.100.1, 10.2.2.2", "https, http,http"), Some(false));
        assert_eq!(secure(by, "10.1.1.1", &[("x-forwarded-proto", "https")]), Some(true));
        // Whoever is not trusted, and the header that is not the proxies'.
        assert_eq!(secure(by, "192.0.2.7", &[("x-forwarded-proto", "https")]), None);
        let other = [("forwarded", "for=198.51.100.1;proto=https")];
        assert_eq!(secure(by, "10.1.1.1", &other), None);
        let other = [("x-forwarded-proto", "https")];
        assert_eq!(secure(ForwardedBy::Forwarded, "10.1.1.1", &other), None);
    }

    #[test]
    fn an_open_quote_of_the_clients_does_not_swallow_the_proxys_element() {
        for invented in ["for=\"", "for=\"\\", "x=\"a, for=6.6.6.6", "\"", "\\\"", ";;\"\""] {
            for added in ["for=198.51.100.1", "for=\"198.51.100.1\";by=\"_a,b\""] {
                forwarded(&[&format!("{invented}, {added}")], "198.51.100.1:0");
            }
        }
    }
}
