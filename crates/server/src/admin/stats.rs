//! What the page's charts are drawn from.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use sockeye_engineio::CloseReason;
use sockeye_transport::Volume;

use crate::server::Server;

/// `server_stats`, as the page expects it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stats<'a> {
    server_id: &'a str,
    hostname: &'a str,
    pid: u32,
    /// In seconds.
    uptime: f64,
    clients_count: usize,
    polling_clients_count: usize,
    aggregated_events: Vec<Aggregate>,
    namespaces: Vec<Sockets<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Sockets<'a> {
    name: &'a str,
    sockets_count: usize,
}

/// What has happened within a second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Aggregate {
    /// In milliseconds since 1970: a whole second.
    timestamp: u64,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_type: Option<&'static str>,
    count: u64,
}

/// The server's counts at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    opened: u64,
    ended: [u64; CloseReason::ALL.len()],
    volume: Volume,
}

impl Sample {
    pub(super) fn of(server: &Server) -> Self {
        let engine = &server.inner.site.engine;
        Self { opened: engine.opened(), ended: engine.ended(), volume: engine.volume() }
    }

    /// What has happened since another sample, as that of this second.
    pub(super) fn since(&self, before: &Self, now: SystemTime, events: &mut Vec<Aggregate>) {
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let mut add = |r#type, sub_type, count: u64, before: u64| {
            let count = count - before;
            if count > 0 {
                events.push(Aggregate { timestamp: seconds * 1000, r#type, sub_type, count });
            }
        };
        add("rawConnection", None, self.opened, before.opened);
        for (index, reason) in CloseReason::ALL.into_iter().enumerate() {
            let (count, before) = (self.ended[index], before.ended[index]);
            add("rawDisconnection", Some(reason.as_str()), count, before);
        }
        let (volume, before) = (&self.volume, &before.volume);
        add("packetsIn", None, volume.packets_in, before.packets_in);
        add("packetsOut", None, volume.packets_out, before.packets_out);
        add("bytesIn", None, volume.bytes_in, before.bytes_in);
        add("bytesOut", None, volume.bytes_out, before.bytes_out);
    }
}

/// Who this server is.
#[derive(Debug)]
pub(super) struct Identity {
    server_id: String,
    hostname: String,
    pid: u32,
    since: std::time::Instant,
}

impl Identity {
    pub(super) fn new(server_id: Option<String>) -> Self {
        let hostname = gethostname::gethostname().to_string_lossy().into_owned();
        let server_id = server_id.unwrap_or_else(|| hostname.clone());
        let since = std::time::Instant::now();
        Self { server_id, hostname, pid: std::process::id(), since }
    }

    pub(super) fn stats<'a>(
        &'a self,
        server: &'a Server,
        aggregated_events: Vec<Aggregate>,
        sockets: &'a [(std::borrow::Cow<'_, str>, usize)],
    ) -> Stats<'a> {
        let census = server.inner.site.engine.census();
        Stats {
            server_id: &self.server_id,
            hostname: &self.hostname,
            pid: self.pid,
            uptime: self.since.elapsed().as_secs_f64(),
            clients_count: census.polling + census.websocket + census.plain,
            polling_clients_count: census.polling,
            aggregated_events,
            namespaces: sockets
                .iter()
                .map(|(name, sockets_count)| Sockets { name, sockets_count: *sockets_count })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_happened_is_an_event() {
        let before = Sample { opened: 3, ..Sample::default() };
        let mut after = before;
        after.opened = 5;
        after.ended[CloseReason::PingTimeout.index()] = 1;
        after.volume.bytes_in = 40;
        let mut events = Vec::new();
        after.since(&before, UNIX_EPOCH + Duration::from_millis(7_900), &mut events);
        let json = serde_json::to_value(&events).unwrap();
        assert_eq!(
            json,
            serde_json::json!([
                { "timestamp": 7000, "type": "rawConnection", "count": 2 },
                { "timestamp": 7000, "type": "rawDisconnection", "subType": "ping timeout", "count": 1 },
                { "timestamp": 7000, "type": "bytesIn", "count": 40 },
            ])
        );
    }
}
