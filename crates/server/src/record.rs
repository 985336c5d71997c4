//! A handshake in the shape that Node gives it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::socket::Socket;

/// A socket's handshake as Node's `socket.handshake` has it, to be serialised: `headers`, `time`,
/// `address`, `xdomain`, `secure`, `issued`, `url`, `query`, `auth`, in this order. Made by
/// [`Socket::handshake_record`].
///
/// Of headers that came several times, the values are joined as Node's HTTP parser joins them. `time`
/// is in UTC. `secure` is what [`Handshake::is_secure`](crate::Handshake::is_secure) says, which knows more than
/// Node behind a proxy that is trusted.
#[derive(Clone, Copy, Debug)]
pub struct HandshakeRecord<'a> {
    socket: &'a Socket,
}

impl Socket {
    /// The [handshake](Self::handshake) in the shape that Node gives it, to be serialised: what other
    /// servers of a cluster and tools of the Node world read.
    pub fn handshake_record(&self) -> HandshakeRecord<'_> {
        HandshakeRecord { socket: self }
    }
}

/// Of these, only the first counts. Node's list.
const SINGLE: [&str; 18] = [
    "age",
    "authorization",
    "content-length",
    "content-type",
    "etag",
    "expires",
    "from",
    "host",
    "if-modified-since",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "proxy-authorization",
    "referer",
    "retry-after",
    "server",
    "user-agent",
];

impl Serialize for HandshakeRecord<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let handshake = self.socket.handshake();
        let mut headers: BTreeMap<&str, String> = BTreeMap::new();
        for (name, value) in handshake.headers() {
            // As Node reads them: a byte is a character.
            let value: String = value.iter().copied().map(char::from).collect();
            let known = headers.entry(name);
            let separator = if name == "cookie" { "; " } else { ", " };
            known
                .and_modify(|known| {
                    if !SINGLE.contains(&name) {
                        known.push_str(separator);
                        known.push_str(&value);
                    }
                })
                .or_insert(value);
        }
        let xdomain = headers.get("origin").is_some_and(|origin| !origin.is_empty());
        let query = handshake.url().split_once('?').map_or("", |(_, query)| query);
        let pairs = last_values(sockeye_engineio::pairs(query));
        let since = handshake.issued().duration_since(UNIX_EPOCH).unwrap_or_default();
        let auth: Option<&RawValue> =
            self.socket.auth().and_then(|auth| serde_json::from_str(auth).ok());

        let mut map = serializer.serialize_map(Some(9))?;
        map.serialize_entry("headers", &headers)?;
        map.serialize_entry("time", &javascript_date(handshake.issued()))?;
        map.serialize_entry("address", &handshake.address().ip())?;
        map.serialize_entry("xdomain", &xdomain)?;
        map.serialize_entry("secure", &handshake.is_secure())?;
        map.serialize_entry("issued", &(since.as_millis() as u64))?;
        map.serialize_entry("url", handshake.url())?;
        map.serialize_entry("query", &Pairs(&pairs))?;
        match auth {
            Some(auth) => map.serialize_entry("auth", auth)?,
            None => map.serialize_entry("auth", &Pairs(&[]))?,
        }
        map.end()
    }
}

struct Pairs<'a>(&'a [Pair<'a>]);

type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Of several values of one name the last, in the place of the first. The client decides how many there are: none
/// is looked for among all the others.
fn last_values<'a>(all: impl Iterator<Item = Pair<'a>>) -> Vec<Pair<'a>> {
    let mut places: HashMap<Cow<'a, str>, usize> = HashMap::new();
    let mut pairs: Vec<Pair<'a>> = Vec::new();
    for (name, value) in all {
        match places.get(&name) {
            Some(place) => pairs[*place].1 = value,
            None => {
                places.insert(name.clone(), pairs.len());
                pairs.push((name, value));
            }
        }
    }
    pairs
}

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// As JavaScript's `new Date() + ""` in UTC: `Thu Jan 01 1970 00:00:00 GMT+0000 (Coordinated
/// Universal Time)`.
fn javascript_date(time: SystemTime) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March, counted from the year 0, in eras of 400: the leap day is a year's last.
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, year) = ((month + 2) % 12, era * 400 + year + u64::from(month >= 10));
    format!(
        "{} {} {day:02} {year:04} {:02}:{:02}:{:02} GMT+0000 (Coordinated Universal Time)",
        DAYS[(days % 7) as usize],
        MONTHS[month as usize],
        second / 3600,
        second / 60 % 60,
        second % 60,
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_last_value_counts_where_the_name_first_stood() {
        let values = |query| last_values(sockeye_engineio::pairs(query));
        let pair = |name, value| (Cow::Borrowed(name), Cow::Borrowed(value));
        assert_eq!(values(""), []);
        assert_eq!(values("a=1&b=2&a=3&=4&=5"), [pair("a", "3"), pair("b", "2"), pair("", "5")]);
        // More than may be compared with one another.
        let many: String = (0..200_000).map(|at| format!("{at}=&")).collect();
        assert_eq!(last_values(sockeye_engineio::pairs(&many.repeat(2))).len(), 200_000);
    }

    #[test]
    fn dates_are_as_in_javascript() {
        for (seconds, date) in [
            (0, "Thu Jan 01 1970 00:00:00"),
            (951_782_399, "Mon Feb 28 2000 23:59:59"),
            (951_782_400, "Tue Feb 29 2000 00:00:00"),
            (1_764_094_159, "Tue Nov 25 2025 18:09:19"),
            (4_107_542_400, "Mon Mar 01 2100 00:00:00"),
        ] {
            let written = javascript_date(UNIX_EPOCH + Duration::from_secs(seconds));
            assert_eq!(written, format!("{date} GMT+0000 (Coordinated Universal Time)"));
        }
    }
}
