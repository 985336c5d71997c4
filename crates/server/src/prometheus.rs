//! The server's counts in Prometheus' format.

use std::borrow::Cow;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::metrics::{Counts, Reason};
use crate::server::Server;

impl Server {
    /// What has happened since the server was built, and how things stand, in the text format that Prometheus
    /// fetches (`application/openmetrics-text; version=1.0.0; charset=utf-8`): [`Metrics`](crate::Metrics),
    /// under names that begin with `sockeye_`.
    ///
    /// It looks at every session: meant to be called every few seconds. Whoever has a registry of their own
    /// registers the server with it, which is a [`Collector`].
    pub fn prometheus(&self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.clone()));
        let mut out = String::new();
        let written = text::encode(&mut out, &registry);
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
        out
    }
}

impl Collector for Server {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let metrics = self.metrics();
        let mut page = Page(encoder);
        let sessions = metrics.sessions;
        page.gauges(
            "sockeye_sessions",
            "Engine.IO sessions that are open, and plain connections, by transport",
            "transport",
            [
                ("polling".into(), sessions.polling),
                ("websocket".into(), sessions.websocket),
                ("plain".into(), sessions.plain),
            ],
        )?;
        page.gauges(
            "sockeye_sockets",
            "Sockets by namespace, those of clients that are just connecting included",
            "namespace",
            self.sockets_by_namespace(),
        )?;
        let buffered = "What waits to be written, to all clients";
        page.gauge("sockeye_outbox", buffered, Some(&Unit::Bytes), sessions.buffered_bytes)?;
        let volume = metrics.volume;
        let directions = |received, sent| [("in".into(), received), ("out".into(), sent)];
        page.counters(
            "sockeye_packets",
            "Engine.IO packets from clients and to clients",
            None,
            "direction",
            directions(volume.packets_in, volume.packets_out),
        )?;
        page.counters(
            "sockeye_packet",
            "What these packets have, before base64, compression and framing",
            Some(&Unit::Bytes),
            "direction",
            directions(volume.bytes_in, volume.bytes_out),
        )?;
        for (name, help, count) in [
            ("sockeye_sessions_opened", "Sessions that have been opened", metrics.opened),
            ("sockeye_upgrades", "Sessions that went on over a websocket", metrics.upgrades),
            (
                "sockeye_slow_consumers",
                "Clients that were disconnected because too much waited for them",
                metrics.slow_consumers,
            ),
            (
                "sockeye_volatile_dropped",
                "Volatile events that were dropped for a socket that could not be written to",
                metrics.volatile_dropped,
            ),
            (
                "sockeye_handed_back",
                "Events that were handed back to who tried to emit them",
                metrics.handed_back,
            ),
            (
                "sockeye_events_queued",
                "Events from clients that waited for a place among the running handlers",
                metrics.events_queued,
            ),
            (
                "sockeye_connects_refused",
                "Clients that were not let into a namespace",
                metrics.connects_refused,
            ),
            (
                "sockeye_violations",
                "Sessions that ended because the client broke the protocol or a limit of it",
                metrics.violations,
            ),
            (
                "sockeye_many_attachments",
                "Emitted events with more attachments than JavaScript clients accept",
                metrics.many_attachments,
            ),
        ] {
            page.counter(name, help, count)?;
        }
        page.reasons(
            "sockeye_sessions_ended",
            "Sessions that are over, by reason",
            &metrics.ended,
        )?;
        page.reasons(
            "sockeye_handshakes_refused",
            "Requests that opened no session and named none, by reason",
            &metrics.refusals,
        )?;
        page.reasons(
            "sockeye_requests_refused",
            "Requests of open sessions that were not served, by reason",
            &metrics.faults,
        )?;
        page.reasons(
            "sockeye_connections_refused",
            "Connections that were ended before, or while, they spoke HTTP, by reason",
            &metrics.turned_away,
        )
    }
}

/// What is written, metric by metric.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn metric<'e>(
        &'e mut self,
        name: &'e str,
        help: &str,
        unit: Option<&'e Unit>,
        kind: MetricType,
    ) -> Result<MetricEncoder<'e>, fmt::Error> {
        self.0.encode_descriptor(name, help, unit, kind)
    }

    fn gauge(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: usize) -> fmt::Result {
        self.metric(name, help, unit, MetricType::Gauge)?.encode_gauge(&(value as i64))
    }

    fn gauges<'l>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (Cow<'l, str>, usize)>,
    ) -> fmt::Result {
        let mut metric = self.metric(name, help, None, MetricType::Gauge)?;
        for (which, value) in values {
            metric.encode_family(&[(label, &*which)])?.encode_gauge(&(value as i64))?;
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self.metric(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn counters<'l>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        label: &str,
        values: impl IntoIterator<Item = (Cow<'l, str>, u64)>,
    ) -> fmt::Result {
        let mut metric = self.metric(name, help, unit, MetricType::Counter)?;
        for (which, value) in values {
            let label = [(label, &*which)];
            let mut one = metric.encode_family(&label)?;
            one.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn reasons<R: Reason, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        counts: &Counts<R, N>,
    ) -> fmt::Result {
        let counts = counts.iter().map(|(reason, count)| (label(reason).into(), count));
        self.counters(name, help, None, "reason", counts)
    }
}

/// A reason's name, as those of Prometheus are written.
fn label(reason: impl Reason) -> String {
    let mut label = String::new();
    for letter in format!("{reason:?}").chars() {
        if letter.is_uppercase() && !label.is_empty() {
            label.push('_');
        }
        label.extend(letter.to_lowercase());
    }
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_written_as_labels_are() {
        assert_eq!(label(sockeye_engineio::Refusal::TooManySessions), "too_many_sessions");
    }
}
