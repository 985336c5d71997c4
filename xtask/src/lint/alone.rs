//! What WebSocket by itself compiles: none of what stands above it, and nobody else's WebSocket.

use crate::process::{capture, cargo};

/// Nothing of theirs is compiled for who wants WebSocket alone.
const ABOVE: &[&str] =
    &["sockeye-engineio", "sockeye-socketio", "sockeye-hub", "sockeye-transport", "sockeye-server"];

/// WebSocket crates of others: tests and benchmarks measure against them, and no user compiles one.
const PEERS: &[&str] = &[
    "async-tungstenite",
    "fastwebsockets",
    "ratchet_rs",
    "sockudo-ws",
    "soketto",
    "tokio-tungstenite",
    "tokio-websockets",
    "tungstenite",
    "web-socket",
    "websocket",
    "wtx",
    "yawc",
];

/// Every breach of the rules, one line each.
pub(crate) fn check() -> Vec<String> {
    let alone = ["--package", "sockeye", "--no-default-features"];
    let all = ["--workspace", "--all-features"];
    let mut findings = named_in("the facade without features", &alone, ABOVE);
    findings.extend(named_in("a crate of ours", &all, PEERS));
    findings
}

/// Which of these packages a normal dependency leads to.
fn named_in(whose: &str, selection: &[&str], packages: &[&str]) -> Vec<String> {
    let options = ["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"];
    let tree = match capture(&mut cargo(options.into_iter().chain(selection.iter().copied()))) {
        Ok(tree) => String::from_utf8_lossy(&tree).into_owned(),
        Err(error) => return vec![error],
    };
    let named = |package: &&str| tree.lines().any(|line| line.split(' ').next() == Some(package));
    let findings = packages.iter().filter(|package| named(package));
    findings.map(|package| format!("{whose} compiles {package}")).collect()
}
