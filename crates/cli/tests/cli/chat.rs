//! The chat over sockets, as far as its state's own tests cannot reach: who gets what, in which
//! order, and what malformed requests are answered.

use crate::client::Client;
use crate::process::Process;

#[test]
fn malformed_requests_are_bad_requests() {
    let (_process, address) = Process::serve();
    let mut client = Client::connect(address);
    let refused = |error: &str| format!(r#"{{"ok":false,"error":"{error}"}}"#);
    for event in ["hello", "join", "message", "private"] {
        for argument in ["null", "7", r#""text""#, "[]", r#"["a","b","c"]"#, "{}"] {
            assert_eq!(client.ask(event, argument), refused("bad-request"), "{event} {argument}");
        }
    }
    assert_eq!(client.ask("join", r#"{"room":"lobby"}"#), refused("hello-first"));
    let hello = format!(r#"{{"name":"a\tb","key":"{}"}}"#, "k".repeat(16));
    assert_eq!(client.ask("hello", &hello), refused("bad-name"));
}

#[test]
fn an_event_without_an_argument_is_a_bad_request() {
    let (_process, address) = Process::serve();
    let mut client = Client::connect(address);
    client.send(r#"420["hello"]"#);
    assert_eq!(client.receive().unwrap(), r#"430[{"ok":false,"error":"bad-request"}]"#);
    client.send(r#"421["typing",{}]"#);
    client.send(r#"422["join",7]"#);
    assert_eq!(
        client.receive().unwrap(),
        r#"432[{"ok":false,"error":"bad-request"}]"#,
        "typing is never answered"
    );
}

#[test]
fn what_a_request_causes_comes_before_its_answer_and_in_order() {
    let (_process, address) = Process::serve();
    let mut ann = Client::enter(address, "Ann");
    let mut ben = Client::connect(address);
    let hello = format!(r#"{{"name":"Ben","key":"{}"}}"#, "b".repeat(16));
    ben.ask("hello", &hello);
    ben.send(r#"427["join",{"room":"lobby"}]"#);
    ben.send(r#"428["message",{"room":"lobby","mid":"1","text":"hi"}]"#);
    assert!(ben.receive().unwrap().starts_with(r#"42["rooms","#));
    assert_eq!(ben.receive().unwrap(), r#"437[{"ok":true,"room":"lobby","history":[]}]"#);
    assert!(ben.receive().unwrap().starts_with(r#"438[{"ok":true,"at":"#));
    drop(ben);

    let rooms = |count| format!(r#"42["rooms",[{{"name":"lobby","count":{count}}}]]"#);
    ann.event("joined");
    assert!(ann.receive().unwrap().contains(r#""kind":"joined","name":"Ben""#));
    assert_eq!(ann.receive().unwrap(), rooms(2));
    assert!(ann.receive().unwrap().contains(r#""mid":"1","name":"Ben","text":"hi""#));
    assert!(ann.receive().unwrap().contains(r#""kind":"left","name":"Ben""#));
    assert_eq!(ann.receive().unwrap(), r#"42["left",{"name":"Ben"}]"#);
    assert_eq!(ann.receive().unwrap(), rooms(1));
}

#[test]
fn a_page_that_reconnects_replaces_its_older_socket() {
    let (_process, address) = Process::serve();
    let mut older = Client::enter(address, "Ann");
    let mut newer = Client::enter(address, "Ann");
    let last = std::iter::from_fn(|| older.receive()).last();
    assert_eq!(last.as_deref(), Some("41"), "it is told, and its connection is closed");
    let rooms = newer.ask("hello", &format!(r#"{{"name":"Ann","key":"{}"}}"#, "k".repeat(16)));
    assert!(rooms.contains(r#""people":["Ann"],"rooms":[{"name":"lobby","count":1}]"#), "{rooms}");
}
