//! What an application hears of sessions beneath Socket.IO: packet by packet, and what becomes of them.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use sockeye_server::engine::{Connection, Engine};
use sockeye_server::{
    Data, MsgpackParser, PacketType, Server, SessionData, SessionEvent, SessionPacket, Socket,
};
use sockeye_testkit::peer::{Message, Peer};
use sockeye_testkit::polling::Polling;
use tokio::net::TcpListener;

use crate::harness::{FACES, Journal, Note, journal, root, serve, sync, within};

/// An event as one line: what comes begins with `>`, what is queued with `+`, what goes with `<`.
fn line(event: SessionEvent<'_>) -> String {
    let packet = |sign, SessionPacket { kind, data }: SessionPacket<'_>| {
        let kind = char::from(kind.as_byte());
        match data {
            SessionData::Text(data) => format!("{sign} {kind}{data}"),
            SessionData::Binary(bytes) => format!("{sign} {kind}{bytes:?}"),
        }
    };
    match event {
        SessionEvent::Received(came) => packet('>', came),
        SessionEvent::Queued(queued) => packet('+', queued),
        SessionEvent::Sent(went) => packet('<', went),
        SessionEvent::Closed(reason) => format!("closed: {reason}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Without what the open packet carries: it has an id in it.
fn told(note: &Note<String>, event: SessionEvent<'_>) {
    let line = line(event);
    let opens = line.contains(" 0{");
    note.write(if opens { line[..3].to_owned() } else { line });
}

async fn expect(heard: &mut Journal<String>, lines: &[&str]) {
    heard.expect(lines.iter().map(|line| (*line).to_owned())).await;
}

/// Comes, is queued, goes: the way of a Socket.IO client's first packets on a websocket.
async fn join(heard: &mut Journal<String>, id: &str) {
    expect(heard, &["+ 0", "opened", "< 0", "> 40"]).await;
    let joined = format!("40{{\"sid\":\"{id}\"}}");
    expect(heard, &[&format!("+ {joined}"), &format!("< {joined}")]).await;
}

#[tokio::test]
async fn each_packet_is_told_of_on_a_websocket() {
    for face in FACES {
        let (note, mut heard) = journal();
        let builder = Server::builder()
            .namespace(root().on("blob", |Data(blob): Data<Bytes>| (blob, "seen")))
            .ping_interval(Duration::from_millis(300))
            .on_session_event(move |_, event| told(&note, event));
        let server = face.serve(builder).await;
        let (mut peer, id) = Peer::socketio(server.address).await;
        join(&mut heard, &id).await;
        peer.send_text(r#"451-7["blob",{"_placeholder":true,"num":0}]"#).await;
        peer.send_binary(&[1, 2]).await;
        expect(&mut heard, &[r#"> 451-7["blob",{"_placeholder":true,"num":0}]"#, "> 4[1, 2]"])
            .await;
        let answer = r#"461-7[{"_placeholder":true,"num":0},"seen"]"#;
        expect(&mut heard, &[&format!("+ {answer}"), "+ 4[1, 2]"]).await;
        expect(&mut heard, &[&format!("< {answer}"), "< 4[1, 2]"]).await;
        peer.expect_text(answer).await;
        peer.expect_binary(&[1, 2]).await;
        peer.expect_text("2").await;
        expect(&mut heard, &["+ 2", "< 2"]).await;
        peer.send_text("3").await;
        expect(&mut heard, &["> 3", "heartbeat"]).await;
        drop(peer);
        expect(&mut heard, &["closed: transport close"]).await;
    }
}

#[tokio::test]
async fn polling_and_its_upgrade_are_told_of() {
    for face in FACES {
        let (note, mut heard) = journal();
        let builder = Server::builder()
            .namespace(root())
            .on_session_event(move |_, event| told(&note, event));
        let server = face.serve(builder).await;
        let (client, id) = Polling::socketio(server.address).await;
        expect(&mut heard, &["+ 0", "< 0", "opened", "> 40"]).await;
        let joined = format!("40{{\"sid\":\"{id}\"}}");
        expect(&mut heard, &[&format!("+ {joined}"), &format!("< {joined}")]).await;
        // Its probe is no packet of the session, as in Node.
        let mut peer = client.upgrade().await;
        expect(&mut heard, &["upgrading", "upgraded"]).await;
        sync(&mut peer).await;
        expect(&mut heard, &["> 42999[\"sync\"]", "+ 43999[]", "< 43999[]"]).await;
        peer.send_text("1").await;
        peer.expect_close(1005).await;
        drop(peer);
        expect(&mut heard, &["> 1", "closed: transport close"]).await;
    }
}

#[tokio::test]
async fn a_session_that_the_server_ends_is_told_of_once() {
    let (note, mut heard) = journal();
    let namespace = root().on("leave", |socket: Socket| socket.disconnect_client());
    let builder =
        Server::builder().namespace(namespace).on_session_event(move |_, event| told(&note, event));
    let server = serve(builder).await;
    let (mut peer, id) = Peer::socketio(server.address).await;
    join(&mut heard, &id).await;
    peer.send_text("42[\"leave\"]").await;
    peer.expect_text("41").await;
    expect(&mut heard, &["> 42[\"leave\"]", "+ 41"]).await;
    peer.expect_close(1005).await;
    drop(peer);
    expect(&mut heard, &["< 41", "closed: forced close"]).await;
    server.close().await;
    heard.expect_nothing();
}

#[tokio::test]
async fn a_broadcast_is_told_of_for_each_who_gets_it() {
    let (note, mut heard) = journal();
    let namespace = root().on("all", |socket: Socket| drop(socket.everyone().emit("news", 1)));
    let builder = Server::builder().namespace(namespace).on_session_event(move |session, event| {
        let line = line(event);
        if line.ends_with("[\"news\",1]") {
            note.write((session.id(), line[..1].to_owned()));
        }
    });
    let server = serve(builder).await;
    let (mut first, _) = Peer::socketio(server.address).await;
    let (mut second, _) = Peer::socketio(server.address).await;
    first.send_text("42[\"all\"]").await;
    first.expect_text("42[\"news\",1]").await;
    second.expect_text("42[\"news\",1]").await;
    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(heard.next().await);
    }
    let signs: String = told.iter().map(|(_, sign)| &**sign).collect();
    assert_eq!(signs, "++<<");
    assert!(told[0].0 != told[1].0 && told[2].0 != told[3].0, "{told:?}");
    heard.expect_nothing();
}

/// A message that breaks the protocol is no packet.
#[tokio::test]
async fn of_what_is_no_packet_only_the_end_is_told() {
    for (wrong, reason) in [("9", "parse error"), ("", "parse error"), ("b!", "parse error")] {
        let (note, mut heard) = journal();
        let builder = Server::builder()
            .namespace(root())
            .on_session_event(move |_, event| told(&note, event));
        let server = serve(builder).await;
        let (mut peer, id) = Peer::socketio(server.address).await;
        join(&mut heard, &id).await;
        peer.send_text(wrong).await;
        drop(peer);
        expect(&mut heard, &[&format!("closed: {reason}")]).await;
    }
}

#[tokio::test]
async fn a_client_of_revision_3_shows_its_life_by_pings() {
    let (note, mut heard) = journal();
    let builder = Server::builder()
        .namespace(root())
        .allow_eio3(true)
        .on_session_event(move |_, event| told(&note, event));
    let server = serve(builder).await;
    let mut peer = Peer::websocket(server.address, "/socket.io/?EIO=3&transport=websocket").await;
    expect(&mut heard, &["+ 0", "opened", "+ 40", "< 0", "< 40"]).await;
    peer.send_text("2").await;
    expect(&mut heard, &["> 2", "heartbeat", "+ 3", "< 3"]).await;
}

#[tokio::test]
async fn packets_go_in_the_form_of_the_clients_parser() {
    let (note, mut heard) = journal();
    let builder = Server::builder()
        .namespace(root())
        .also_parser(MsgpackParser)
        .on_session_event(move |_, event| note.write(line(event)));
    let server = serve(builder).await;
    let mut peer = Peer::engineio(server.address).await;
    for _ in 0..3 {
        heard.next().await;
    }
    // {"type":0,"nsp":"/"}
    let connect = b"\x82\xa4type\x00\xa3nsp\xa1/";
    peer.send_binary(connect).await;
    assert_eq!(heard.next().await, format!("> 4{connect:?}"));
    let queued = heard.next().await;
    assert!(queued.starts_with("+ 40{\"sid\":"), "{queued}");
    let sent = match peer.recv().await {
        Message::Binary(sent) => format!("< 4{sent:?}"),
        other => panic!("its parser does not say {other:?}"),
    };
    assert_eq!(heard.next().await, sent);
}

#[tokio::test]
async fn what_has_no_packets_is_not_told_of() {
    let (note, mut heard) = journal();
    let builder = Server::builder()
        .namespace(root())
        .plain("/plain", "/")
        .on_session_event(move |_, event| told(&note, event));
    let server = serve(builder).await;
    let mut plain = Peer::websocket(server.address, "/plain").await;
    assert!(plain.recv_text().await.starts_with("{\"connected\""));
    plain.send_text("{\"event\":\"sync\",\"id\":1}").await;
    plain.recv_text().await;
    drop(plain);
    server.close().await;
    heard.expect_nothing();
}

#[tokio::test]
async fn a_panic_of_who_hears_ends_nothing() {
    let builder =
        Server::builder().namespace(root()).on_session_event(|_, _| panic!("as the test wants it"));
    let server = serve(builder).await;
    let (client, _) = Polling::socketio(server.address).await;
    let mut peer = client.upgrade().await;
    sync(&mut peer).await;
}

#[tokio::test]
async fn a_session_is_known_by_its_id() {
    let (note, mut heard) = journal();
    let namespace = root().on("who", |socket: Socket| socket.session_id().to_string());
    let builder = Server::builder().namespace(namespace).on_session_event(move |session, event| {
        if let SessionEvent::Received(packet) = event
            && packet.kind == PacketType::Message
        {
            let address = session.handshake().address();
            let (transport, revision) = (session.transport(), session.revision().number());
            note.write((session.id().to_string(), address, transport.as_str(), revision));
        }
    });
    let server = serve(builder).await;
    let (client, _) = Polling::socketio(server.address).await;
    let (sid, address, transport, revision) = heard.next().await;
    assert_eq!((&*sid, transport, revision), (client.sid(), "polling", 4));
    assert!(address.ip().is_loopback());
    client.post("421[\"who\"]").await;
    assert_eq!(client.poll().await, format!("431[\"{sid}\"]"));
}

/// Also what waits for room, and what is said before anybody asked.
#[tokio::test]
async fn raw_sessions_are_told_of_alike() {
    let (note, mut heard) = journal();
    let engine = Engine::builder()
        .initial_packet("welcome")
        .on_session_event(move |_, event| told(&note, event))
        .build(|mut connection: Connection| async move {
            while let Some(message) = connection.recv().await {
                let sender = connection.sender();
                sender.send_wait(message).await.unwrap();
                sender.drained().await;
                sender.send("drained").unwrap();
            }
        });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let serving = engine.clone();
    tokio::spawn(async move { serving.serve_listener(listener).await });
    let client = within(Polling::open_at(address, "/engine.io/")).await;
    expect(&mut heard, &["+ 0", "< 0", "+ 4welcome", "< 4welcome", "opened"]).await;
    client.post("4hello").await;
    expect(&mut heard, &["> 4hello", "+ 4hello"]).await;
    heard.expect_nothing();
    assert_eq!(client.poll().await, "4hello");
    expect(&mut heard, &["< 4hello", "+ 4drained"]).await;
    assert_eq!(client.poll().await, "4drained");
    expect(&mut heard, &["< 4drained"]).await;
}
