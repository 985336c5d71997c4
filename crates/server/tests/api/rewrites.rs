//! The default parser with a replacer and a reviver.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use sockeye_server::{
    Args, Data, MsgpackParser, Namespace, Recovery, Refusal, Server, ServerBuilder, Socket, Value,
    deflate,
};
use sockeye_testkit::peer::{Message, Peer, TARGET};
use sockeye_testkit::polling::Polling;

use crate::harness::{journal, root, serve, sync, until, within};
use crate::loopback::Bus;

const PLACEHOLDER: &str = "{\"_placeholder\":true,\"num\":0}";

fn chat() -> Namespace {
    root()
        .on_connect(|socket: Socket| {
            socket.join("lobby");
        })
        .on("echo", |Data(args): Data<Args>| args)
        .on("double", |Data(number): Data<u64>| number * 2)
}

/// Numbers are text that ends in `n`, and what is secret is left out.
fn replacer(key: &str, value: Value) -> Option<Value> {
    match value {
        _ if key == "secret" => None,
        Value::Number(number) if key != "num" => Some(format!("{number}n").into()),
        Value::String(text) if text == "panic" => panic!("on purpose, within a test"),
        value => Some(value),
    }
}

/// The other way round.
fn reviver(key: &str, value: Value) -> Option<Value> {
    if key == "secret" {
        return None;
    }
    let text = value.as_str().unwrap_or_default();
    assert!(text != "panic", "on purpose, within a test");
    let number = text.strip_suffix('n').and_then(|digits| digits.parse::<u64>().ok());
    Some(number.map_or(value, Value::from))
}

fn builder() -> ServerBuilder {
    Server::builder().namespace(chat()).replacer(replacer).reviver(reviver)
}

/// A client of the versions 2.x with a websocket.
async fn two(address: SocketAddr) -> Peer {
    let mut peer = Peer::websocket(address, "/socket.io/?EIO=3&transport=websocket").await;
    assert!(peer.recv_text().await.starts_with("0{"));
    peer.expect_text("40").await;
    peer.send_text("42999[\"sync\"]").await;
    peer.expect_text("43999[]").await;
    peer
}

#[tokio::test]
async fn an_event_is_replaced_once_for_all_who_speak_the_default_parser() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = calls.clone();
    let builder = Server::builder().namespace(chat()).plain("/plain", "/").allow_eio3(true);
    let builder = builder.also_parser(MsgpackParser).replacer(move |key, value| {
        if value.as_array().and_then(|args| args.first()?.as_str()) == Some("e") {
            assert_eq!(key, "");
            counted.fetch_add(1, Ordering::Relaxed);
        }
        replacer(key, value)
    });
    let server = serve(builder).await;

    let mut four = Vec::new();
    for _ in 0..3 {
        let (mut peer, _) = Peer::socketio(server.address).await;
        sync(&mut peer).await;
        four.push(peer);
    }
    let (polling, _) = Polling::socketio(server.address).await;
    let mut two = two(server.address).await;
    let mut msgpack = Peer::engineio(server.address).await;
    msgpack.send_binary(b"\x82\xa4type\x00\xa3nsp\xa1/").await;
    let Message::Binary(_) = msgpack.recv().await else { panic!("no binary came") };
    let mut plain = Peer::websocket(server.address, "/plain").await;
    plain.recv_text().await;
    until(|| server.of("/").unwrap().to("lobby").sockets().len() == 7).await;

    let data = json!({"secret": 1, "n": 7});
    server.of("/").unwrap().to("lobby").emit("e", (1, data)).unwrap();
    let replaced = "42[\"e\",\"1n\",{\"n\":\"7n\"}]";
    for peer in four.iter_mut().chain([&mut two]) {
        peer.expect_text(replaced).await;
    }
    assert_eq!(polling.poll().await, replaced);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    // What is another's is as it was.
    plain.expect_text(r#"{"event":"e","args":[1,{"n":7,"secret":1}]}"#).await;
    let Message::Binary(packed) = msgpack.recv().await else { panic!("no binary came") };
    assert!(packed.windows(7).any(|part| part == b"\xa6secret"), "{packed:x?}");

    let binary = Bytes::from_static(&[7]);
    server.of("/").unwrap().to("lobby").emit("e", (1, &binary)).unwrap();
    let text = format!("451-[\"e\",\"1n\",{PLACEHOLDER}]");
    for peer in &mut four {
        peer.expect_text(&text).await;
        peer.expect_binary(&binary).await;
    }
    two.expect_text(&text).await;
    two.expect_binary(&[4, 7]).await;
    assert_eq!(polling.poll().await, format!("{text}\u{1e}bBw=="));
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn the_answer_to_a_connect_passes_too() {
    let namespace = root().middleware(|socket: Socket| {
        assert_eq!(socket.auth(), Some("{\"n\":7}"));
        Err::<(), _>(Refusal::new("no").with_data(json!({"secret": 1, "n": 5})))
    });
    let builder = builder().namespace(Namespace::new("/no").on("sync", || ())).namespace(namespace);
    let server = serve(builder.replacer(|key, value| match value {
        Value::Object(mut reply) if key.is_empty() => {
            reply.insert("at", 12);
            Some(reply.into())
        }
        value => replacer(key, value),
    }))
    .await;
    let mut peer = Peer::engineio(server.address).await;
    peer.send_text("40{\"secret\":1,\"n\":\"7n\"}").await;
    peer.expect_text("44{\"message\":\"no\",\"data\":{\"n\":\"5n\"},\"at\":\"12n\"}").await;
    peer.send_text("40/no,").await;
    let reply = peer.recv_text().await;
    assert!(
        reply.starts_with("40/no,{\"sid\":\"") && reply.ends_with("\",\"at\":\"12n\"}"),
        "{reply}"
    );
}

#[tokio::test]
async fn events_and_acks_pass_both_ways() {
    let server = serve(builder().allow_eio3(true)).await;
    let (mut four, id) = Peer::socketio(server.address).await;
    let mut two = two(server.address).await;
    for peer in [&mut four, &mut two] {
        peer.send_text("421[\"double\",\"21n\"]").await;
        peer.expect_text("431[\"42n\"]").await;
    }
    let (polling, _) = Polling::socketio(server.address).await;
    polling.post("421[\"double\",\"21n\"]\u{1e}422[\"double\",\"5n\"]").await;
    assert_eq!(polling.poll().await, "431[\"42n\"]\u{1e}432[\"10n\"]");

    // The text with its placeholder passes, then come the attachments.
    four.send_text(&format!("451-2[\"echo\",{{\"secret\":1,\"a\":{PLACEHOLDER}}},\"3n\"]")).await;
    four.send_binary(&[1, 2]).await;
    four.expect_text(&format!("461-2[{{\"a\":{PLACEHOLDER}}},\"3n\"]")).await;
    four.expect_binary(&[1, 2]).await;

    let socket = server.of("/").unwrap().sockets().into_iter().find(|it| it.id() == id).unwrap();
    let answer = socket.emit_with_ack::<u64>("ask", 1);
    four.expect_text("420[\"ask\",\"1n\"]").await;
    four.send_text("430[\"9n\"]").await;
    assert_eq!(answer.await.unwrap(), 9);
}

#[tokio::test]
async fn what_a_reviver_makes_is_judged() {
    let server = serve(builder().reviver(|key, value| match value.as_str() {
        Some("reserve") => Some("disconnect".into()),
        Some("nameless") => None,
        Some("nothing") if key == "0" => Some("nothing".into()),
        Some("place") => Some(json!({"_placeholder": true, "num": 1}).into()),
        _ if value.as_array().and_then(|args| args.first()?.as_str()) == Some("nothing") => None,
        _ => reviver(key, value),
    }))
    .await;
    let deep = format!("42[\"deep\",{}{}]", "[".repeat(200), "]".repeat(200));
    let place = format!("451-[\"e\",{PLACEHOLDER},\"place\"]");
    for bad in
        ["42[\"reserve\"]", "42[\"nameless\"]", "42[\"nothing\"]", "42[\"panic\"]", &place, &deep]
    {
        let (mut peer, _) = Peer::socketio(server.address).await;
        peer.send_text(bad).await;
        peer.expect_close(1002).await;
    }
    until(|| server.of("/").unwrap().sockets().is_empty()).await;
    assert_eq!(server.metrics().violations, 6);
}

/// Nobody else's session is touched, in whose wake-up it may be that the packet is written.
#[tokio::test]
async fn a_packet_that_a_replacer_spoils_is_not_sent() {
    let server = serve(builder().replacer(|key, value| match value.as_str() {
        Some("reserve") => Some("connect".into()),
        Some("nameless") => None,
        _ => replacer(key, value),
    }))
    .await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    sync(&mut peer).await;
    let deep = (0..200).fold(Value::Null, |inner, _| vec![inner].into());
    let lobby = || server.of("/").unwrap().to("lobby");
    lobby().emit("reserve", ()).unwrap();
    lobby().emit("nameless", ()).unwrap();
    lobby().emit("e", "panic").unwrap();
    lobby().emit("e", deep).unwrap();
    lobby().emit("e", "calm").unwrap();
    peer.expect_text("42[\"e\",\"calm\"]").await;
    // An ack is one, too.
    peer.send_text("421[\"echo\",[\"pan\",\"ic\"],1]").await;
    peer.expect_text("431[[\"pan\",\"ic\"],\"1n\"]").await;
}

/// A poll that waits waits on: nothing is no answer to it.
#[tokio::test]
async fn a_poll_is_not_answered_by_what_a_replacer_spoils() {
    let drop = |key: &str, value: Value| (value.as_str() != Some(key)).then_some(value);
    let server = serve(Server::builder().namespace(root()).replacer(drop)).await;
    let (polling, _) = Polling::socketio(server.address).await;
    let mut poll = polling.begin_poll().await;
    server.emit("0", 1).unwrap();
    until(|| server.metrics().sessions.buffered_bytes == 0).await;
    server.emit("e", 1).unwrap();
    assert_eq!(poll.recv_http().await.text(), "42[\"e\",1]");
}

#[tokio::test]
async fn each_server_of_a_cluster_replaces_and_revives_for_its_own_clients() {
    let bus = Bus::default();
    let site = async |name: &'static str| {
        let replacer = move |_: &str, value: Value| {
            Some(if value.as_str() == Some("who") { name.into() } else { value })
        };
        let reviver = move |_: &str, value: Value| {
            Some(if value.as_str() == Some("me") { name.into() } else { value })
        };
        let builder = Server::builder().namespace(root()).adapter(bus.factory(name, false));
        let server = serve(builder.replacer(replacer).reviver(reviver)).await;
        let (peer, _) = Peer::socketio(server.address).await;
        (server, peer)
    };
    let mut sites = [site("a").await, site("b").await];
    let everyone = sites[0].0.timeout(Duration::from_secs(600));
    let asked = everyone.emit_with_acks::<String>("ask", "who").unwrap();
    for ((_, peer), name) in sites.iter_mut().zip(["a", "b"]) {
        let text = peer.recv_text().await;
        let id =
            text.strip_prefix("42").and_then(|rest| rest.split('[').next()).unwrap_or_default();
        assert_eq!(text, format!("42{id}[\"ask\",\"{name}\"]"));
        peer.send_text(&format!("43{id}[\"me\"]")).await;
    }
    let mut answers: Vec<String> = within(asked.all()).await.values().collect();
    answers.sort();
    assert_eq!(answers, ["a", "b"]);
}

/// It runs where no event of its namespace waits for it, compressed or not.
#[tokio::test]
async fn a_replacer_may_emit() {
    for recovery in [false, true] {
        let io: Arc<OnceLock<Server>> = Arc::default();
        let emitter = io.clone();
        let mut builder = Server::builder()
            .namespace(chat())
            .per_message_deflate(deflate::Config::default())
            .replacer(move |_, value| {
                if value.as_str() == Some("e") {
                    emitter.get().unwrap().emit("replaced", 1).unwrap();
                }
                Some(value)
            });
        if recovery {
            builder = builder.connection_state_recovery(Recovery::memory());
        }
        let server = serve(builder).await;
        let _ = io.set(server.io.clone());
        let offer = "permessage-deflate; client_max_window_bits";
        let (mut peer, _) = Peer::deflating(server.address, TARGET, offer).await;
        assert!(peer.recv_text().await.starts_with("0{"));
        peer.join("/").await;
        // Not here, where nobody would see that it comes to no end.
        let io = server.io.clone();
        std::thread::spawn(move || io.emit("e", "long".repeat(1000)).unwrap());
        let mut heard = [peer.recv_text().await, peer.recv_text().await];
        heard.sort();
        assert!(heard[0].starts_with("42[\"e\",\"longlong"), "{heard:?}");
        assert!(heard[1].starts_with("42[\"replaced\",1"), "{heard:?}");
    }
}

/// The log has what was emitted.
#[tokio::test]
async fn what_was_missed_is_replaced_when_it_is_sent() {
    let (note, mut journal) = journal();
    let builder = builder().connection_state_recovery(Recovery::memory());
    let namespace = chat().on_disconnect(move |_: Socket| note.write("gone"));
    let server = serve(builder.namespace(namespace)).await;
    let mut peer = Peer::engineio(server.address).await;
    peer.send_text("40").await;
    let reply = peer.recv_text().await;
    let pid = reply.split('"').nth(7).unwrap().to_owned();
    sync(&mut peer).await;
    let lobby = || server.of("/").unwrap().to("lobby");
    lobby().emit("e", 1).unwrap();
    let heard = peer.recv_text().await;
    let offset = heard.strip_prefix("42[\"e\",\"1n\",\"").and_then(|rest| rest.strip_suffix("\"]"));
    let offset = offset.unwrap_or_else(|| panic!("{heard}")).to_owned();
    drop(peer);
    assert_eq!(journal.next().await, "gone");
    lobby().emit("e", 2).unwrap();
    let mut peer = Peer::engineio(server.address).await;
    peer.send_text(&format!("40{{\"pid\":\"{pid}\",\"offset\":\"{offset}\"}}")).await;
    assert!(peer.recv_text().await.contains(&pid));
    let missed = peer.recv_text().await;
    assert!(missed.starts_with("42[\"e\",\"2n\",\""), "{missed}");
}

/// On a websocket as in a poll, and whatever is decided about the client's parser before it is written.
#[tokio::test]
async fn an_initial_packet_is_not_rewritten() {
    let server = serve(builder().initial_packet("2[\"n\",1]").allow_eio3(true)).await;
    let target = "/socket.io/?EIO=3&transport=websocket";
    let mut peer = Peer::websocket(server.address, target).await;
    assert!(peer.recv_text().await.starts_with("0{"));
    peer.expect_text("42[\"n\",1]").await;
    peer.expect_text("40").await;
}
