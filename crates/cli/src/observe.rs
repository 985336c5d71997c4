//! What operators look at: `/ready`, and `/metrics` on a listener of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use sockeye::Server;
use tokio::net::TcpListener;

/// The server, for routes that are built before it.
pub(crate) type Later = Arc<OnceLock<Server>>;

/// What OpenMetrics' text format is called.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `/ready`: 200 as long as clients are let in, and 503 from then on, for a load balancer to ask.
pub(crate) fn readiness(server: &Later) -> Router {
    let server = server.clone();
    let answer = move || async move {
        match server.get() {
            Some(io) if io.is_accepting() => (StatusCode::OK, "ready\n"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
        }
    };
    Router::new().route("/ready", get(answer))
}

/// Serves `/metrics` to whoever reaches this address, which clients of the server should not.
pub(crate) async fn metrics(listener: TcpListener, io: Server) -> io::Result<()> {
    let page = move || async move { ([(CONTENT_TYPE, OPEN_METRICS)], io.prometheus()) };
    axum::serve(listener, Router::new().route("/metrics", get(page))).await
}

/// Where Prometheus fetches from.
pub(crate) fn url(local: SocketAddr) -> String {
    format!("http://{local}/metrics")
}
