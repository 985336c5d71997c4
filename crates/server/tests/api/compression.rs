//! permessage-deflate: what is agreed on, which frames are compressed, and what comes compressed.

use bytes::Bytes;
use sockeye_server::deflate::{self, Compression, Compressor, Context, WindowBits};
use sockeye_server::engine::{Connection, Engine};
use sockeye_server::{Args, Data, JsonParser, MsgpackParser, Namespace, Server, ServerBuilder};
use sockeye_testkit::peer::{Message, Peer, TARGET};
use sockeye_testkit::polling::Polling;
use sockeye_websocket::OpCode;
use tokio::net::TcpListener;

use crate::harness::{FACES, Running, root, serve, with_reasons, with_sockets};

/// What browsers offer.
const OFFER: &str = "permessage-deflate; client_max_window_bits";

/// The answer to it without context takeover.
const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// FIN, RSV1 and the opcode.
const COMPRESSED_TEXT: u8 = 0xC1;
const COMPRESSED_BINARY: u8 = 0xC2;
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;

fn echoing() -> Namespace {
    root().on("echo", |Data(args): Data<Args>| args)
}

fn builder() -> ServerBuilder {
    Server::builder().namespace(echoing()).per_message_deflate(deflate::Config::default())
}

/// Both ends may take their context over.
fn takeover() -> deflate::Config {
    let context = Context { takeover: true, ..Context::default() };
    deflate::Config { client: context, server: context, ..deflate::Config::default() }
}

/// A client that offers compression, with the answer; its open packet was read.
async fn engineio(server: &Running, target: &str, offer: &str) -> (Peer, Option<String>) {
    let (mut peer, answer) = Peer::deflating(server.address, target, offer).await;
    assert!(peer.recv_text().await.starts_with("0{\"sid\":\""));
    (peer, answer)
}

/// The same in the namespace `/`.
async fn socketio(server: &Running, offer: &str) -> (Peer, Option<String>) {
    let (mut peer, answer) = engineio(server, TARGET, offer).await;
    peer.join("/").await;
    (peer, answer)
}

/// An event whose packet has so many bytes.
fn event(bytes: usize) -> (String, String) {
    let data = "x".repeat(bytes - "42[\"e\",\"\"]".len());
    let packet = format!("42[\"e\",\"{data}\"]");
    assert_eq!(packet.len(), bytes);
    (data, packet)
}

/// Text that no window hides from who looks for it again.
fn noise(bytes: usize) -> String {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + (state >> 24) as u8 % 26)
    };
    (0..bytes).map(|_| next()).collect()
}

/// A client's frame, compressed, be it larger by that.
fn compressed(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let always = Compression { threshold: 0, ..Compression::default() };
    let mut compressor = Compressor::new(WindowBits::MAX, &always);
    assert!(compressor.append(&mut frame, opcode, payload, Some([1, 2, 3, 4])));
    frame
}

#[tokio::test]
async fn nothing_is_compressed_unless_both_want_it() {
    let server = serve(Server::builder().namespace(echoing())).await;
    let (mut peer, answer) = socketio(&server, OFFER).await;
    assert_eq!(answer, None);
    let (data, packet) = event(5000);
    server.emit("e", &data).unwrap();
    assert_eq!(peer.recv_frame().await, (TEXT, packet.clone().into_bytes()));

    let server = serve(builder()).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    server.emit("e", &data).unwrap();
    assert_eq!(peer.recv_frame().await, (TEXT, packet.into_bytes()));
}

#[tokio::test]
async fn messages_are_compressed_from_the_threshold_on() {
    for face in FACES {
        let server = face.serve(builder()).await;
        let (mut peer, answer) = socketio(&server, OFFER).await;
        assert_eq!(answer.as_deref(), Some(ANSWER), "{face:?}");
        let (below, packet) = event(1023);
        server.emit("e", &below).unwrap();
        assert_eq!(peer.recv_frame().await, (TEXT, packet.into_bytes()));
        let (above, packet) = event(1024);
        server.emit("e", &above).unwrap();
        let (first, payload) = peer.recv_frame().await;
        assert_eq!(first, COMPRESSED_TEXT);
        assert!(payload.len() < 50, "{} bytes", payload.len());
        server.emit("e", &above).unwrap();
        peer.expect_text(&packet).await;
    }
}

#[tokio::test]
async fn the_threshold_is_the_applications() {
    let mut config = deflate::Config::default();
    config.compression.threshold = 0;
    let server = serve(builder().per_message_deflate(config)).await;
    let (mut peer, _) = socketio(&server, OFFER).await;
    let (data, _) = event(40);
    server.emit("e", &data).unwrap();
    assert_eq!(peer.recv_frame().await.0, COMPRESSED_TEXT);
    // A control frame never is.
    peer.send_frame(0x89, &[b'x'; 100]).await;
    assert_eq!(peer.recv_frame().await, (0x8A, vec![b'x'; 100]));
    // What would become larger goes as it is.
    let binary = Bytes::from_static(&[1, 2, 3]);
    server.emit("e", binary.clone()).unwrap();
    assert_eq!(peer.recv_frame().await.0, TEXT);
    assert_eq!(peer.recv_frame().await, (BINARY, binary.to_vec()));
}

#[tokio::test]
async fn a_window_that_is_asked_for_is_kept_to() {
    let server = serve(builder()).await;
    // Repeated from farther away than a window of 9 bits reaches.
    let data = noise(2000).repeat(2);
    let packet = format!("42[\"e\",\"{data}\"]");
    let mut sizes = Vec::new();
    for bits in [9, 15] {
        let offer = format!("permessage-deflate; server_max_window_bits={bits}");
        let (mut peer, answer) = socketio(&server, &offer).await;
        assert_eq!(answer, Some(format!("{ANSWER}; server_max_window_bits={bits}")));
        server.emit("e", &data).unwrap();
        let (first, payload) = peer.recv_frame().await;
        assert_eq!(first, COMPRESSED_TEXT);
        sizes.push(payload.len());
        server.emit("e", &data).unwrap();
        peer.expect_text(&packet).await;
    }
    assert!(sizes[0] > sizes[1] * 3 / 2, "{sizes:?}");
}

#[tokio::test]
async fn attachments_are_compressed_one_by_one() {
    let server = serve(builder()).await;
    let (mut peer, _) = socketio(&server, OFFER).await;
    let (large, small) = (Bytes::from(vec![7; 20_000]), Bytes::from_static(b"small"));
    server.emit("e", (large.clone(), small.clone())).unwrap();
    assert_eq!(peer.recv_frame().await.0, TEXT);
    let (first, payload) = peer.recv_frame().await;
    assert_eq!(first, COMPRESSED_BINARY);
    assert!(payload.len() < 200, "{} bytes", payload.len());
    assert_eq!(peer.recv_frame().await, (BINARY, small.to_vec()));
    server.emit("e", (large.clone(), small.clone())).unwrap();
    peer.recv_text().await;
    peer.expect_binary(&large).await;
    peer.expect_binary(&small).await;
}

#[tokio::test]
async fn what_does_not_become_smaller_goes_as_it_is() {
    let server = serve(builder()).await;
    let (mut peer, _) = socketio(&server, OFFER).await;
    let mut state = 1_u64;
    let random: Vec<u8> = (0..20_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    server.emit("e", Bytes::from(random.clone())).unwrap();
    assert_eq!(peer.recv_frame().await.0, TEXT);
    assert_eq!(peer.recv_frame().await, (BINARY, random));
}

/// Every form in one room, over several windows: all hear the same.
#[tokio::test]
async fn a_broadcast_reaches_everybody_in_the_form_that_was_agreed_on() {
    let server = serve(builder().plain("/plain", "/")).await;
    let (mut wide, _) = socketio(&server, OFFER).await;
    let (mut narrow, _) = socketio(&server, "permessage-deflate; server_max_window_bits=10").await;
    let (mut base64, _) = engineio(&server, &format!("{TARGET}&b64=1"), OFFER).await;
    base64.join("/").await;
    let (mut as_it_is, _) = Peer::socketio(server.address).await;
    let (mut plain, answer) = Peer::deflating(server.address, "/plain", OFFER).await;
    assert_eq!(answer.as_deref(), Some(ANSWER));
    plain.recv_text().await;
    let (polling, _) = Polling::socketio(server.address).await;

    let text = "text ".repeat(300);
    let binary = Bytes::from(vec![b'b'; 3000]);
    let encoded = "YmJi".repeat(1000);
    let event = format!("451-[\"e\",\"{text}\",{{\"_placeholder\":true,\"num\":0}}]");
    for round in 0..2 {
        server.emit("e", (&text, binary.clone())).unwrap();
        for peer in [&mut wide, &mut narrow, &mut as_it_is] {
            peer.expect_text(&event).await;
            peer.expect_binary(&binary).await;
        }
        base64.expect_text(&event).await;
        base64.expect_text(&format!("b{encoded}")).await;
        let said =
            format!("{{\"event\":\"e\",\"args\":[\"{text}\",{{\"$binary\":\"{encoded}\"}}]}}");
        plain.expect_text(&said).await;
        if round == 0 {
            assert_eq!(polling.poll().await, format!("{event}\u{1e}b{encoded}"));
        }
    }
    server.emit("e", &text).unwrap();
    for peer in [&mut wide, &mut narrow, &mut base64, &mut plain] {
        assert_eq!(peer.recv_frame().await.0, COMPRESSED_TEXT);
    }
    assert_eq!(as_it_is.recv_frame().await.0, TEXT);
}

/// In revision 3 binary has a type before it, or is base64 behind two letters.
#[tokio::test]
async fn revision_3_is_compressed_in_its_own_forms() {
    const TARGET_V3: &str = "/socket.io/?EIO=3&transport=websocket";
    for config in [deflate::Config::default(), takeover()] {
        let server = serve(builder().allow_eio3(true).per_message_deflate(config)).await;
        let (mut native, _) = socketio(&server, OFFER).await;
        let (mut peer, answer) = engineio(&server, TARGET_V3, OFFER).await;
        assert!(answer.is_some());
        let (mut base64, _) = engineio(&server, &format!("{TARGET_V3}&b64=1"), OFFER).await;
        peer.expect_text("40").await;
        base64.expect_text("40").await;
        let binary = vec![b'b'; 3000];
        let event = "451-[\"e\",{\"_placeholder\":true,\"num\":0}]";
        for _ in 0..2 {
            server.emit("e", Bytes::from(binary.clone())).unwrap();
            for peer in [&mut native, &mut peer, &mut base64] {
                peer.expect_text(event).await;
            }
            native.expect_binary(&binary).await;
            peer.expect_binary(&[&[4], &binary[..]].concat()).await;
            base64.expect_text(&format!("b4{}", "YmJi".repeat(1000))).await;
        }
        server.emit("e", Bytes::from(binary)).unwrap();
        for (peer, first) in [(&mut peer, COMPRESSED_BINARY), (&mut base64, COMPRESSED_TEXT)] {
            peer.recv_frame().await;
            assert_eq!(peer.recv_frame().await.0, first);
        }
        // And the other way.
        let (mut peer, _) = engineio(&server, TARGET_V3, OFFER).await;
        peer.expect_text("40").await;
        peer.send_text("451-2[\"echo\",{\"_placeholder\":true,\"num\":0}]").await;
        peer.send_bytes(&compressed(OpCode::Binary, &[&[4], &[9; 3000][..]].concat())).await;
        peer.expect_text("461-2[{\"_placeholder\":true,\"num\":0}]").await;
        peer.expect_binary(&[&[4], &[9; 3000][..]].concat()).await;
    }
}

/// The threshold is that of the messages which the client's parser makes.
#[tokio::test]
async fn other_parsers_are_compressed_in_their_own_forms() {
    for config in [deflate::Config::default(), takeover()] {
        let builder = builder().also_parser(MsgpackParser).also_parser(JsonParser);
        let server = serve(builder.per_message_deflate(config)).await;
        let (mut native, _) = socketio(&server, OFFER).await;
        let (mut msgpack, _) = engineio(&server, TARGET, OFFER).await;
        msgpack.send_binary(b"\x82\xa4type\x00\xa3nsp\xa1/").await;
        let (mut json, _) = engineio(&server, TARGET, OFFER).await;
        json.send_text("4{\"type\":0,\"nsp\":\"/\"}").await;
        msgpack.recv().await;
        json.recv_text().await;

        let text = "text".repeat(500);
        let binary = Bytes::from(vec![7; 2000]);
        let sevens = "7,".repeat(1999) + "7";
        for round in 0..3 {
            server.emit("e", (&text, binary.clone())).unwrap();
            let packed = [
                b"\x83\xa4type\x02\xa4data\x93\xa1e\xda\x07\xd0",
                text.as_bytes(),
                b"\xc5\x07\xd0",
                &binary,
                b"\xa3nsp\xa1/",
            ]
            .concat();
            let said = format!(
                "4{{\"type\":2,\"data\":[\"e\",\"{text}\",{{\"type\":\"Buffer\",\"data\":[{sevens}]}}],\
                 \"nsp\":\"/\"}}"
            );
            if round < 2 {
                msgpack.expect_binary(&packed).await;
                json.expect_text(&said).await;
            } else {
                assert_eq!(msgpack.recv_frame().await.0, COMPRESSED_BINARY);
                assert_eq!(json.recv_frame().await.0, COMPRESSED_TEXT);
            }
            let event = format!("451-[\"e\",\"{text}\",{{\"_placeholder\":true,\"num\":0}}]");
            native.expect_text(&event).await;
            native.expect_binary(&binary).await;
        }
        // Of 995 bytes, one parser makes 1005, one 1019 and one 1033.
        let (data, _) = event(1005);
        server.emit("e", &data).unwrap();
        assert_eq!(native.recv_frame().await.0, TEXT);
        assert_eq!(msgpack.recv_frame().await.0, BINARY);
        assert_eq!(json.recv_frame().await.0, COMPRESSED_TEXT);
        // And the other way.
        let (mut msgpack, _) = engineio(&server, TARGET, OFFER).await;
        let connect = b"\x82\xa4type\x00\xa3nsp\xa1/";
        msgpack.send_bytes(&compressed(OpCode::Binary, connect)).await;
        msgpack.recv().await;
    }
}

#[tokio::test]
async fn what_comes_compressed_is_heard() {
    let server = serve(builder().plain("/plain", "/")).await;
    let (mut peer, _) = socketio(&server, OFFER).await;
    let long = "long ".repeat(1000);
    peer.send_bytes(&compressed(OpCode::Text, format!("421[\"echo\",\"{long}\"]").as_bytes()))
        .await;
    peer.expect_text(&format!("431[\"{long}\"]")).await;
    // Binary, behind a text that is not compressed.
    peer.send_text("451-2[\"echo\",{\"_placeholder\":true,\"num\":0}]").await;
    peer.send_bytes(&compressed(OpCode::Binary, &[9; 3000])).await;
    peer.expect_text("461-2[{\"_placeholder\":true,\"num\":0}]").await;
    peer.expect_binary(&[9; 3000]).await;

    let (mut plain, _) = Peer::deflating(server.address, "/plain", OFFER).await;
    plain.recv_text().await;
    let message = format!("{{\"event\":\"echo\",\"args\":[\"{long}\"],\"id\":1}}");
    plain.send_bytes(&compressed(OpCode::Text, message.as_bytes())).await;
    plain.expect_text(&format!("{{\"ack\":1,\"args\":[\"{long}\"]}}")).await;
}

/// Neither declared nor compressed is it larger than the limit.
#[tokio::test]
async fn a_bomb_ends_its_connection_at_the_limit() {
    let (namespace, mut reasons) = with_reasons(echoing());
    let builder = Server::builder().namespace(namespace).plain("/plain", "/");
    let builder = builder.per_message_deflate(deflate::Config::default()).max_payload(100_000);
    let server = serve(builder).await;
    let bomb = compressed(OpCode::Text, &[b'4'; 100_001]);
    assert!(bomb.len() < 1000);
    let (mut peer, _) = socketio(&server, OFFER).await;
    peer.send_bytes(&bomb).await;
    peer.expect_close(1009).await;
    reasons.expect(["transport error"]).await;
    let (mut plain, _) = Peer::deflating(server.address, "/plain", OFFER).await;
    plain.recv_text().await;
    plain.send_bytes(&bomb).await;
    plain.expect_close(1009).await;
    reasons.expect(["transport error"]).await;
    // One that probes has the same limit.
    let (client, _) = Polling::socketio(server.address).await;
    let target = format!("{TARGET}&sid={}", client.sid());
    let (mut probe, _) = Peer::deflating(server.address, &target, OFFER).await;
    probe.send_bytes(&bomb).await;
    probe.expect_close(1009).await;
    client.post("421[\"sync\"]").await;
    assert_eq!(client.poll().await, "431[]");
}

#[tokio::test]
async fn a_compressed_frame_that_was_not_agreed_on_is_refused() {
    for builder in [builder(), Server::builder().namespace(root())] {
        let server = serve(builder).await;
        let (mut peer, _) = Peer::socketio(server.address).await;
        peer.send_bytes(&compressed(OpCode::Text, &[b'4'; 2000])).await;
        peer.expect_close(1002).await;
    }
}

#[tokio::test]
async fn a_session_that_upgrades_is_compressed_from_then_on() {
    for face in FACES {
        let (namespace, mut sockets) = with_sockets(echoing());
        let builder = Server::builder().namespace(namespace);
        let server = face.serve(builder.per_message_deflate(deflate::Config::default())).await;
        let (client, _) = Polling::socketio(server.address).await;
        let socket = sockets.next().await;
        let target = format!("{TARGET}&sid={}", client.sid());
        let (mut peer, answer) = Peer::deflating(server.address, &target, OFFER).await;
        assert_eq!(answer.as_deref(), Some(ANSWER), "{face:?}");
        peer.send_bytes(&compressed(OpCode::Text, b"2probe")).await;
        assert_eq!(peer.recv_frame().await, (TEXT, b"3probe".to_vec()));
        // Queued for polling, and written by the websocket.
        let (data, packet) = event(2000);
        socket.emit("e", &data).unwrap();
        peer.send_text("5").await;
        assert_eq!(peer.recv_frame().await.0, COMPRESSED_TEXT, "{face:?}");
        socket.emit("e", &data).unwrap();
        peer.expect_text(&packet).await;
        let long = "long ".repeat(1000);
        let echo = format!("421[\"echo\",\"{long}\"]");
        peer.send_bytes(&compressed(OpCode::Text, echo.as_bytes())).await;
        peer.expect_text(&format!("431[\"{long}\"]")).await;
    }
}

#[tokio::test]
async fn context_is_taken_over_where_the_configuration_has_it() {
    let server = serve(builder().per_message_deflate(takeover())).await;
    let (mut peer, answer) = socketio(&server, OFFER).await;
    assert_eq!(answer.as_deref(), Some("permessage-deflate"));
    let data = noise(3000);
    let packet = format!("42[\"e\",\"{data}\"]");
    let mut sizes = Vec::new();
    for _ in 0..2 {
        server.emit("e", &data).unwrap();
        let (first, payload) = peer.recv_frame().await;
        assert_eq!(first, COMPRESSED_TEXT);
        sizes.push(payload.len());
    }
    assert!(sizes[1] < sizes[0] / 10, "{sizes:?}");
    // One that reads it with its own context: binary and text refer to one another.
    let (mut reader, _) = socketio(&server, OFFER).await;
    let (mut other, _) = socketio(&server, "permessage-deflate; server_no_context_takeover").await;
    for _ in 0..3 {
        server.emit("e", &data).unwrap();
        server.emit("e", Bytes::from(data.clone().into_bytes())).unwrap();
        for peer in [&mut reader, &mut other] {
            peer.expect_text(&packet).await;
            peer.recv_text().await;
            peer.expect_binary(data.as_bytes()).await;
        }
    }
    // And the other way.
    let mut compressor = Compressor::new(WindowBits::MAX, &Compression::default());
    for id in 1..4 {
        let mut frame = Vec::new();
        let echo = format!("42{id}[\"echo\",\"{data}\"]");
        assert!(compressor.append(&mut frame, OpCode::Text, echo.as_bytes(), Some([4, 3, 2, 1])));
        assert_eq!(frame.len() < 500, id > 1);
        reader.send_bytes(&frame).await;
        reader.expect_text(&format!("43{id}[\"{data}\"]")).await;
    }
}

#[tokio::test]
async fn a_budget_that_is_used_up_leaves_compression_without_takeover() {
    let (own, window) = (Compression::default().compressor_size(WindowBits::MAX), 32 * 1024);
    let builder = builder().per_message_deflate(takeover()).takeover_budget(own + window);
    let server = serve(builder).await;
    let (first, answer) = socketio(&server, OFFER).await;
    assert_eq!(answer.as_deref(), Some("permessage-deflate"));
    let (mut second, answer) = socketio(&server, OFFER).await;
    assert_eq!(answer.as_deref(), Some(ANSWER));
    let (data, packet) = event(2000);
    for _ in 0..2 {
        server.emit("e", &data).unwrap();
        second.expect_text(&packet).await;
    }
    drop(first);
    crate::harness::until(|| server.clients() == 1).await;
    // Given back with the session, which may outlive its entry by a moment.
    crate::harness::within(async {
        while socketio(&server, OFFER).await.1.as_deref() != Some("permessage-deflate") {}
    })
    .await;
}

#[tokio::test]
async fn events_that_are_not_to_be_compressed_are_not() {
    for face in FACES {
        let (namespace, mut sockets) = with_sockets(root());
        let config = deflate::Config::default();
        let builder = Server::builder().namespace(namespace).per_message_deflate(config);
        let server = face.serve(builder).await;
        let (mut peer, _) = socketio(&server, OFFER).await;
        let socket = sockets.next().await;
        let (data, packet) = event(2000);
        for (compress, first) in [(false, TEXT), (true, COMPRESSED_TEXT)] {
            server.compress(compress).emit("e", &data).unwrap();
            socket.compress(compress).emit("e", &data).unwrap();
            for _ in 0..2 {
                let (found, payload) = peer.recv_frame().await;
                assert_eq!(found, first, "{face:?}");
                assert_eq!(payload == packet.as_bytes(), !compress);
            }
        }
    }
}

#[tokio::test]
async fn raw_engines_compress_what_they_are_not_told_to_leave() {
    let engine = Engine::builder().per_message_deflate(deflate::Config::default());
    let engine = engine.build(|mut connection: Connection| async move {
        while let Some(message) = connection.recv().await {
            connection.send(message.clone()).unwrap();
            connection.sender().send_uncompressed(message).unwrap();
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { engine.serve_listener(listener).await });
    let target = "/engine.io/?EIO=4&transport=websocket";
    let (mut peer, answer) = Peer::deflating(address, target, OFFER).await;
    assert_eq!(answer.as_deref(), Some(ANSWER));
    peer.recv_text().await;
    let message = format!("4{}", "m".repeat(2000));
    peer.send_bytes(&compressed(OpCode::Text, message.as_bytes())).await;
    assert_eq!(peer.recv_frame().await.0, COMPRESSED_TEXT);
    assert_eq!(peer.recv_frame().await, (TEXT, message.into_bytes()));
    peer.send_bytes(&compressed(OpCode::Binary, &[5; 2000])).await;
    assert_eq!(peer.recv_frame().await.0, COMPRESSED_BINARY);
    assert_eq!(peer.recv_frame().await, (BINARY, vec![5; 2000]));
}

/// The order of what one emitter says is the same, compressed or not.
#[tokio::test]
async fn small_and_large_messages_stay_in_order() {
    let server = serve(builder()).await;
    let (mut peer, _) = socketio(&server, OFFER).await;
    let namespace = server.of("/").unwrap();
    for n in 0..50_usize {
        namespace.emit("n", (n, "y".repeat(n * 100))).unwrap();
    }
    for n in 0..50_usize {
        let expected = format!("42[\"n\",{n},\"{}\"]", "y".repeat(n * 100));
        assert_eq!(peer.recv().await, Message::Text(expected));
    }
}
