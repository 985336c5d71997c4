//! What servers count, in Prometheus' format.

use std::borrow::Cow;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::engine::{Engine, EngineMetrics};
use crate::metrics::{AckCounts, Counts, Metrics, Reason};
use crate::server::Server;
use crate::times::HandlerTimes;

impl Server {
    /// What has happened since the server was built, and how things stand, in the text format that Prometheus
    /// fetches (`application/openmetrics-text; version=1.0.0; charset=utf-8`): [`Metrics`](crate::Metrics),
    /// under names that begin with `sockeye_`.
    ///
    /// It looks at every session: meant to be called every few seconds. Whoever has a registry of their own
    /// registers the server with it, which is a [`Collector`].
    pub fn prometheus(&self) -> String {
        text(self.clone())
    }
}

impl Collector for Server {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        page.server(&self.metrics(), self.inner.core.config.measure_handlers)?;
        page.gauges(
            "sockeye_sockets",
            "Sockets by namespace, those of clients that are just connecting included",
            "namespace",
            self.sockets_by_namespace(),
        )
    }
}

impl Engine {
    /// What has happened since the engine was built, as [`Server::prometheus`] has it: what a server of raw
    /// Engine.IO counts, under the same names.
    pub fn prometheus(&self) -> String {
        text(self.clone())
    }
}

impl Collector for Engine {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        Page(encoder).engine(&self.metrics())
    }
}

/// The page of a registry that has nothing else.
fn text(collector: impl Collector + 'static) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(collector));
    let mut out = String::new();
    let written = text::encode(&mut out, &registry);
    debug_assert!(written.is_ok(), "writing to a string cannot fail");
    out
}

/// What is written, metric by metric.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    /// All that a server of Socket.IO counts; how long handlers take only if that is measured.
    fn server(&mut self, metrics: &Metrics, measured: bool) -> fmt::Result {
        // By name, so that none is forgotten.
        let Metrics {
            engine,
            dynamic_namespaces,
            events_received,
            events_emitted,
            acks,
            handler_times,
            slow_consumers,
            volatile_dropped,
            handed_back,
            events_queued,
            connects_refused,
            namespaces_refused,
            violations,
            handler_errors,
            handler_panics,
            events_refused,
            events_unhandled,
            many_attachments,
        } = *metrics;
        self.engine(&engine)?;
        self.gauge(
            "sockeye_dynamic_namespaces",
            "Namespaces that come and go with their sockets and are there",
            None,
            dynamic_namespaces,
        )?;
        for (name, help, count) in [
            ("sockeye_events_received", "Events from clients", events_received),
            (
                "sockeye_events_emitted",
                "Events that were emitted, each to however many",
                events_emitted,
            ),
            (
                "sockeye_events_queued",
                "Events from clients that waited for a place among the running handlers",
                events_queued,
            ),
            (
                "sockeye_events_refused",
                "Events from clients that a middleware refused, or that no handler could take",
                events_refused,
            ),
            (
                "sockeye_events_unhandled",
                "Events from clients that no handler was for",
                events_unhandled,
            ),
            ("sockeye_handler_errors", "Errors that handlers returned", handler_errors),
            ("sockeye_handler_panics", "Handlers that panicked", handler_panics),
            (
                "sockeye_slow_consumers",
                "Clients that were disconnected because too much waited for them",
                slow_consumers,
            ),
            (
                "sockeye_volatile_dropped",
                "Volatile events that were dropped for a socket that could not be written to",
                volatile_dropped,
            ),
            (
                "sockeye_handed_back",
                "Events that were handed back to who tried to emit them",
                handed_back,
            ),
            (
                "sockeye_connects_refused",
                "Clients that were not let into a namespace",
                connects_refused,
            ),
            (
                "sockeye_namespaces_refused",
                "Namespaces that did not come to be because there were too many",
                namespaces_refused,
            ),
            (
                "sockeye_violations",
                "Sessions that ended because the client broke the protocol or a limit of it",
                violations,
            ),
            (
                "sockeye_many_attachments",
                "Emitted events with more attachments than JavaScript clients accept",
                many_attachments,
            ),
        ] {
            self.counter(name, help, count)?;
        }
        let AckCounts { asked, answered, timed_out, disconnected, abandoned } = acks;
        self.counter("sockeye_acks_asked", "Answers that clients were asked for", asked)?;
        self.counters(
            "sockeye_acks",
            "What became of the answers that clients were asked for",
            None,
            "outcome",
            [
                ("answered".into(), answered),
                ("timed_out".into(), timed_out),
                ("disconnected".into(), disconnected),
                ("abandoned".into(), abandoned),
            ],
        )?;
        let pending = usize::try_from(acks.pending()).unwrap_or(usize::MAX);
        self.gauge("sockeye_acks_pending", "Answers that are awaited", None, pending)?;
        if measured { self.times(&handler_times) } else { Ok(()) }
    }

    /// What every server of Engine.IO counts.
    fn engine(&mut self, metrics: &EngineMetrics) -> fmt::Result {
        let EngineMetrics {
            sessions,
            opened,
            ended,
            volume,
            upgrades,
            refusals,
            faults,
            turned_away,
        } = metrics;
        self.gauges(
            "sockeye_sessions",
            "Engine.IO sessions that are open, and plain connections, by transport",
            "transport",
            [
                ("polling".into(), sessions.polling),
                ("websocket".into(), sessions.websocket),
                ("plain".into(), sessions.plain),
            ],
        )?;
        let buffered = "What waits to be written, to all clients";
        self.gauge("sockeye_outbox", buffered, Some(&Unit::Bytes), sessions.buffered_bytes)?;
        let directions = |received, sent| [("in".into(), received), ("out".into(), sent)];
        self.counters(
            "sockeye_packets",
            "Engine.IO packets from clients and to clients",
            None,
            "direction",
            directions(volume.packets_in, volume.packets_out),
        )?;
        self.counters(
            "sockeye_packet",
            "What these packets have, before base64, compression and framing",
            Some(&Unit::Bytes),
            "direction",
            directions(volume.bytes_in, volume.bytes_out),
        )?;
        self.counter("sockeye_sessions_opened", "Sessions that have been opened", *opened)?;
        self.counter("sockeye_upgrades", "Sessions that went on over a websocket", *upgrades)?;
        self.reasons("sockeye_sessions_ended", "Sessions that are over, by reason", ended)?;
        self.reasons(
            "sockeye_handshakes_refused",
            "Requests that opened no session and named none, by reason",
            refusals,
        )?;
        self.reasons(
            "sockeye_requests_refused",
            "Requests of open sessions that were not served, by reason",
            faults,
        )?;
        self.reasons(
            "sockeye_connections_refused",
            "Connections that were ended before, or while, they spoke HTTP, by reason",
            turned_away,
        )
    }

    fn times(&mut self, times: &HandlerTimes) -> fmt::Result {
        let help = "How long the handlers of events took, from their call to the end of what they returned";
        let buckets: Vec<_> = times
            .iter()
            .map(|(bound, count)| (bound.map_or(f64::INFINITY, |bound| bound.as_secs_f64()), count))
            .collect();
        self.metric("sockeye_handler_duration", help, Some(&Unit::Seconds), MetricType::Histogram)?
            .encode_histogram::<NoLabelSet>(times.sum().as_secs_f64(), times.count(), &buckets, None)
    }

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
    use std::time::Duration;

    use super::*;
    use crate::times::Times;

    #[test]
    fn reasons_are_written_as_labels_are() {
        assert_eq!(label(sockeye_engineio::Refusal::TooManySessions), "too_many_sessions");
    }

    /// Writes what it is given.
    #[derive(Debug)]
    struct Given(Metrics, bool);

    impl Collector for Given {
        fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
            Page(encoder).server(&self.0, self.1)
        }
    }

    fn counts<R: Reason, const N: usize>(first: u64) -> Counts<R, N> {
        Counts::new(std::array::from_fn(|index| first + index as u64))
    }

    #[test]
    fn every_count_is_on_the_page() {
        let times = Times::default();
        times.count(Duration::from_micros(300));
        times.count(Duration::from_secs(11));
        let engine = EngineMetrics {
            opened: 1001,
            ended: counts(2000),
            upgrades: 1002,
            refusals: counts(3000),
            faults: counts(4000),
            turned_away: counts(5000),
            ..EngineMetrics::default()
        };
        let mut metrics = Metrics {
            engine,
            dynamic_namespaces: 1003,
            events_received: 1004,
            events_emitted: 1005,
            acks: AckCounts {
                asked: 8000,
                answered: 1006,
                timed_out: 1007,
                disconnected: 1008,
                abandoned: 1009,
            },
            handler_times: times.read(),
            slow_consumers: 1010,
            volatile_dropped: 1011,
            handed_back: 1012,
            events_queued: 1013,
            connects_refused: 1014,
            namespaces_refused: 1015,
            violations: 1016,
            handler_errors: 1017,
            handler_panics: 1018,
            events_refused: 1019,
            events_unhandled: 1020,
            many_attachments: 1021,
        };
        let sessions = &mut metrics.engine.sessions;
        (sessions.polling, sessions.websocket, sessions.plain) = (1022, 1023, 1024);
        sessions.buffered_bytes = 1025;
        let volume = &mut metrics.engine.volume;
        (volume.packets_in, volume.bytes_in) = (1026, 1027);
        (volume.packets_out, volume.bytes_out) = (1028, 1029);

        let page = text(Given(metrics, true));
        let values: Vec<_> = page.lines().filter_map(|line| line.rsplit(' ').next()).collect();
        let reasons = [
            (2000, metrics.ended.iter().count()),
            (3000, metrics.refusals.iter().count()),
            (4000, metrics.faults.iter().count()),
            (5000, metrics.turned_away.iter().count()),
        ];
        let reasons = reasons.into_iter().flat_map(|(first, count)| first..first + count as u64);
        for value in (1001..=1029).chain([8000, 8000 - 1006 - 1007 - 1008 - 1009]).chain(reasons) {
            let found = values.iter().filter(|found| **found == value.to_string()).count();
            assert_eq!(found, 1, "{value} in\n{page}");
        }
        for line in [
            "sockeye_outbox_bytes 1025",
            "sockeye_sessions_opened_total 1001",
            "sockeye_acks_total{outcome=\"timed_out\"} 1007",
            "sockeye_packet_bytes_total{direction=\"out\"} 1029",
            "sockeye_handler_duration_seconds_sum 11.0003",
            "sockeye_handler_duration_seconds_count 2",
            "sockeye_handler_duration_seconds_bucket{le=\"0.0001\"} 0",
            "sockeye_handler_duration_seconds_bucket{le=\"0.0005\"} 1",
            "sockeye_handler_duration_seconds_bucket{le=\"10.0\"} 1",
            "sockeye_handler_duration_seconds_bucket{le=\"+Inf\"} 2",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
        }
        assert!(!text(Given(metrics, false)).contains("sockeye_handler_duration"));
    }
}
