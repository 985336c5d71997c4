//! What the programs share: how they are started and ended, and what a plain WebSocket does.

pub mod plain;

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

/// Listens on the port of `--port` (by default a free one) and says where.
///
/// # Errors
///
/// If the port cannot be bound.
pub async fn bind() -> std::io::Result<TcpListener> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--port").skip(1);
    let port = arguments.next().and_then(|port| port.parse().ok()).unwrap_or(0);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(listener)
}

/// Ready when standard input ends. What is written there does not matter.
pub async fn stdin_closed() {
    let mut stdin = tokio::io::stdin().take(u64::MAX);
    let _ = tokio::io::copy(&mut stdin, &mut tokio::io::sink()).await;
}
