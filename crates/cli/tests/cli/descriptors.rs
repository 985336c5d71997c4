//! No file descriptors left while the server runs.

use std::time::{Duration, Instant};

use crate::client::{Client, connect, get};
use crate::process::{Process, sockeye_with_descriptors};

#[test]
fn a_shortage_pauses_accepting_and_ends_nothing() {
    const LIMIT: u32 = 40;
    const SHORTAGE: &str = "cannot accept connections now";

    let mut process = Process::start(sockeye_with_descriptors(LIMIT, &["serve", "--port", "0"]));
    let address = process.address();
    let mut ann = Client::enter(address, "Ann");
    let mut ben = Client::connect(address);

    // More than there are descriptors: the kernel takes all of them, the server does not.
    let crowd: Vec<_> = (0..LIMIT).map(|_| connect(address)).collect();
    let line = process.stderr();
    let said = Instant::now();
    assert!(line.contains("ERROR") && line.contains(SHORTAGE), "{line}");

    // Who is connected is served: a new name and a message pass.
    let hello = format!(r#"{{"name":"Ben","key":"{}"}}"#, "b".repeat(16));
    assert!(ben.ask("hello", &hello).contains(r#""people":["Ann","Ben"]"#));
    assert_eq!(ann.event("joined"), r#"{"name":"Ben"}"#);
    assert!(ben.ask("join", r#"{"room":"lobby"}"#).starts_with(r#"{"ok":true"#));
    let message = r#"{"room":"lobby","mid":"1","text":"still here"}"#;
    assert!(ben.ask("message", message).starts_with(r#"{"ok":true"#));
    assert!(ann.event("message").contains("still here"));

    // Room again: a newcomer gets its answer.
    drop(crowd);
    assert_eq!(get(address, "/", "").status, 200);

    process.signal("INT");
    let end = process.end();
    assert!(said.elapsed() < Duration::from_secs(10), "too slow to judge the rate of the log");
    assert_eq!(end.stderr, [""; 0], "one line in ten seconds is enough");
    assert_eq!(end.code, Some(0));
}
