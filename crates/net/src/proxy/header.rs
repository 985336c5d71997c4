//! The PROXY header's two forms, once all of their bytes are there. It does no I/O and names nothing
//! of this crate, so that the fuzz target compiles this file alone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str;

/// The rule that a header breaks.
type Wrong = &'static str;

/// A whole line of version 1 (§2.1).
pub(super) fn parse_text(line: &[u8]) -> Result<Option<SocketAddr>, Wrong> {
    let line = line.strip_suffix(b"\r\n").ok_or("the line does not end with CR LF")?;
    let line = str::from_utf8(line).map_err(|_| "the line is not ASCII")?;
    let mut words = line.split(' ').skip(1);
    let family = words.next();
    // What follows UNKNOWN must be ignored.
    if family == Some("UNKNOWN") {
        return Ok(None);
    }
    let mut next = || words.next().ok_or("the line has too few words");
    let (source, destination, port, other_port) = (next()?, next()?, next()?, next()?);
    let (source, _) = match family {
        Some("TCP4") => (v4(source)?, v4(destination)?),
        Some("TCP6") => (v6(source)?, v6(destination)?),
        _ => return Err("the family is none of TCP4, TCP6 and UNKNOWN"),
    };
    let (port, _) = (parse_port(port)?, parse_port(other_port)?);
    match words.next() {
        None => Ok(Some(SocketAddr::new(source, port))),
        Some(_) => Err("the line has too many words"),
    }
}

fn v4(text: &str) -> Result<IpAddr, Wrong> {
    let address = text.parse().map(IpAddr::V4);
    address.map_err(|_| "an address of TCP4 is not one of IPv4")
}

fn v6(text: &str) -> Result<IpAddr, Wrong> {
    let address = text.parse().map(IpAddr::V6);
    address.map_err(|_| "an address of TCP6 is not one of IPv6")
}

fn parse_port(text: &str) -> Result<u16, Wrong> {
    let port = text.parse().ok().filter(|port: &u16| port.to_string() == text);
    port.ok_or("a port is no number from 0 to 65535, or has leading zeros")
}

/// The part of version 2 behind the signature, TLVs cut off (§2.2).
pub(super) fn parse_binary(
    command: u8,
    family: u8,
    addresses: &[u8],
) -> Result<Option<SocketAddr>, Wrong> {
    match command {
        // LOCAL: the family "is ignored", whatever it says.
        0x20 => return Ok(None),
        0x21 => {}
        0x22..=0x2F => return Err("the command is neither LOCAL nor PROXY"),
        _ => return Err("the version is neither 1 nor 2"),
    }
    match family {
        0x11 => {
            let &[a, b, c, d, _, _, _, _, high, low, _, _, ..] = addresses else {
                return Err("the addresses of IPv4 are cut short");
            };
            Ok(Some((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])).into()))
        }
        0x21 => match (addresses.first_chunk(), addresses.get(32..)) {
            (Some(source), Some(&[high, low, _, _, ..])) => {
                let source = Ipv6Addr::from_octets(*source);
                Ok(Some((source, u16::from_be_bytes([high, low])).into()))
            }
            _ => Err("the addresses of IPv6 are cut short"),
        },
        // Assigned, but not TCP: unspecified, datagrams, Unix sockets. No client's address for us.
        0x00..=0x02 | 0x10 | 0x12 | 0x20 | 0x22 | 0x30..=0x32 => Ok(None),
        _ => Err("the family or the transport has no meaning"),
    }
}
