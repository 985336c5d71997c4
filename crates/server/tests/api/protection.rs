//! What the server bears of clients that are many, fast or slow, and what it counts of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sockeye_server::{Data, HandshakeRefusal, Rate, Server, ServerBuilder, Socket, TurnedAway};
use sockeye_testkit::deadline::DEADLINE;
use sockeye_testkit::peer::{self, Message, Peer, Response, TARGET};
use sockeye_testkit::polling::{Polling, request};
use tokio::sync::Notify;

use crate::harness::{
    DropNote, FACES, Running, UPGRADE, expect_end, journal, root, serve, sync, until, within,
};

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const BUNDLE: &str = "GET /socket.io/socket.io.js HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// What time may be measured wrong by: the server's clock ticks in milliseconds.
const TICK: Duration = Duration::from_millis(20);

fn builder() -> ServerBuilder {
    Server::builder().namespace(root())
}

fn get(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
}

/// Asks on a connection that is kept alive.
async fn ask(peer: &mut Peer, request: &str) -> Response {
    peer.send_bytes(request.as_bytes()).await;
    peer.recv_http().await
}

/// Opens a session and returns its id, or nothing and the refusal.
async fn open(peer: &mut Peer) -> Result<String, Response> {
    let response = ask(peer, &get(POLLING, "")).await;
    if response.status != 200 {
        return Err(response);
    }
    Ok(response.text()["0{\"sid\":\"".len()..][..20].to_owned())
}

async fn open_soon(peer: &mut Peer) -> String {
    within(async {
        loop {
            if let Ok(sid) = open(peer).await {
                break sid;
            }
        }
    })
    .await
}

fn assert_refused(response: &Response, status: u16, message: &str) {
    assert_eq!(response.status, status, "{}", response.head);
    let body = format!("{{\"code\":3,\"message\":\"{message}\"}}");
    assert_eq!(response.text(), body);
    let retry_after: u32 = response.header("retry-after").unwrap().parse().unwrap();
    assert!(retry_after > 0);
}

/// A websocket, as soon as there is room for it.
async fn websocket_soon(server: &Running) -> Peer {
    within(async {
        loop {
            let mut peer = Peer::connect(server.address).await;
            peer.try_send_bytes(get(TARGET, UPGRADE).as_bytes()).await;
            if peer.recv_http_or_end().await.is_some_and(|response| response.status == 101) {
                peer.recv_text().await;
                break peer;
            }
        }
    })
    .await
}

fn turned_away(server: &Running, why: TurnedAway) -> u64 {
    server.metrics().turned_away.get(why)
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_until_one_leaves() {
    for per_address in [false, true] {
        let (builder, why) = if per_address {
            (builder().max_connections_per_address(2), TurnedAway::TooMany)
        } else {
            (builder().max_connections(2), TurnedAway::Full)
        };
        let server = serve(builder).await;
        let (mut websocket, _) = Peer::socketio(server.address).await;
        // One that has said nothing yet counts, too.
        let mut silent = Peer::connect(server.address).await;
        for nth in 1..=3 {
            let mut third = Peer::connect(server.address).await;
            expect_end(&mut third).await;
            assert_eq!(turned_away(&server, why), nth);
        }
        sync(&mut websocket).await;
        assert_eq!(ask(&mut silent, BUNDLE).await.status, 200);
        drop(silent);
        let mut next = websocket_soon(&server).await;
        next.join("/").await;
        sync(&mut next).await;
        // One that has upgraded gives its place back as well.
        next.finish().await;
        next.expect_eof().await;
        let mut last = websocket_soon(&server).await;
        last.join("/").await;
        sync(&mut websocket).await;
        assert_eq!(server.clients(), 2);
    }
}

#[tokio::test]
async fn clients_beyond_the_limit_get_a_503_until_one_leaves() {
    for per_address in [false, true] {
        for face in FACES {
            let limited = |builder: ServerBuilder| match per_address {
                false => builder.max_connections(2),
                true => builder.max_connections_per_address(2),
            };
            let server = face.serve(limited(builder())).await;
            // Where the server owns its connections, this is one of them.
            let mut peer = Peer::connect(server.address).await;
            let first = open(&mut peer).await.unwrap();
            let _second = open(&mut peer).await.unwrap();
            let refused = open(&mut peer).await.unwrap_err();
            assert_refused(&refused, 503, "Too many sessions");
            let mut upgrade = Peer::connect(server.address).await;
            let refused = ask(&mut upgrade, &get(TARGET, UPGRADE)).await;
            assert_eq!((refused.status, refused.text()), (503, "Too many sessions"), "{face:?}");
            assert!(refused.header("retry-after").is_some());
            upgrade.expect_eof().await;
            drop(upgrade);
            let refusals = server.metrics().refusals;
            assert_eq!(refusals.get(HandshakeRefusal::TooManySessions), 2);
            assert_eq!((refusals.total(), server.clients()), (2, 2));

            let close = format!(
                "POST {POLLING}&sid={first} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1"
            );
            assert_eq!(ask(&mut peer, &close).await.text(), "ok");
            let third = open_soon(&mut peer).await;
            assert_refused(&open(&mut peer).await.unwrap_err(), 503, "Too many sessions");

            // One that has upgraded.
            let target = format!("/socket.io/?EIO=4&transport=websocket&sid={third}");
            let mut websocket = within(async {
                loop {
                    let mut peer = Peer::connect(server.address).await;
                    peer.try_send_bytes(get(&target, UPGRADE).as_bytes()).await;
                    match peer.recv_http_or_end().await {
                        Some(response) if response.status == 101 => break peer,
                        // The connection before it may not be gone yet.
                        _ => {}
                    }
                }
            })
            .await;
            websocket.send_text("2probe").await;
            websocket.expect_text("3probe").await;
            websocket.send_text("5").await;
            websocket.join("/").await;
            sync(&mut websocket).await;
            assert_refused(&open(&mut peer).await.unwrap_err(), 503, "Too many sessions");
            websocket.finish().await;
            websocket.expect_eof().await;
            let _fourth = open_soon(&mut peer).await;
            assert_eq!(server.clients(), 2, "{face:?}");
        }
    }
}

#[tokio::test]
async fn a_handshake_that_is_refused_or_given_up_takes_no_place() {
    for face in FACES {
        let (note, mut notes) = journal();
        let go = Arc::new(Notify::new());
        let wait = go.clone();
        let builder = builder().max_connections_per_address(3).allow_request(move |request| {
            let slow = request.query("slow").is_some();
            let no = request.query("no").is_some();
            let dropped = DropNote("dropped", note.clone());
            let wait = wait.clone();
            async move {
                let dropped = dropped;
                if slow {
                    dropped.1.write("asked");
                    wait.notified().await;
                }
                if no { Err("no") } else { Ok(()) }
            }
        });
        let server = face.serve(builder).await;
        let mut peer = Peer::connect(server.address).await;
        for _ in 0..10 {
            assert_eq!(ask(&mut peer, &get(&format!("{POLLING}&no=1"), "")).await.status, 403);
            notes.expect(["dropped"]).await;
        }
        for websocket in [false, true] {
            for _ in 0..5 {
                let (target, headers) = if websocket { (TARGET, UPGRADE) } else { (POLLING, "") };
                let mut given_up = Peer::connect(server.address).await;
                given_up.send_bytes(get(&format!("{target}&slow=1"), headers).as_bytes()).await;
                notes.expect(["asked"]).await;
                given_up.reset();
                notes.expect(["dropped"]).await;
            }
        }
        // All of them are free: as many sessions as may be.
        let sessions = [open_soon(&mut peer).await, open_soon(&mut peer).await];
        let third = open_soon(&mut peer).await;
        assert!(!sessions.contains(&third));
        let refused = open(&mut peer).await.unwrap_err();
        assert_refused(&refused, 503, "Too many sessions");
        assert_eq!(server.clients(), 3, "{face:?}");
        go.notify_waiters();
    }
}

#[tokio::test]
async fn clients_that_connect_too_fast_get_a_429() {
    for face in FACES {
        let rate = Rate { burst: 3, per_second: 0 };
        let server = face.serve(builder().handshake_rate(rate)).await;
        let mut peer = Peer::connect(server.address).await;
        // A place that is free again is no token.
        let first = open(&mut peer).await.unwrap();
        let leaving = format!(
            "POST {POLLING}&sid={first} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1"
        );
        assert_eq!(ask(&mut peer, &leaving).await.text(), "ok");
        let _second = open(&mut peer).await.unwrap();
        let (mut websocket, _) = Peer::socketio(server.address).await;
        for nth in 1..=3 {
            assert_refused(&open(&mut peer).await.unwrap_err(), 429, "Too many handshakes");
            let refusals = server.metrics().refusals;
            assert_eq!(refusals.get(HandshakeRefusal::TooManyHandshakes), nth, "{face:?}");
        }
        let refused = request(server.address, "GET", TARGET, UPGRADE, b"").await.recv_http().await;
        assert_eq!((refused.status, refused.text()), (429, "Too many handshakes"));
        assert!(refused.header("retry-after").is_some());
        // Those that are connected may send what they like.
        for _ in 0..10 {
            sync(&mut websocket).await;
        }
    }
}

#[tokio::test]
async fn a_client_that_was_too_fast_may_connect_later() {
    for face in FACES {
        let server = face.serve(builder().handshake_rate(Rate { burst: 2, per_second: 5 })).await;
        let mut peer = Peer::connect(server.address).await;
        let begun = Instant::now();
        for _ in 0..4 {
            open_soon(&mut peer).await;
        }
        // Two of them had to wait for a token.
        assert!(begun.elapsed() + TICK >= Duration::from_millis(400), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn an_address_that_opens_connections_too_fast_finds_them_closed() {
    let server = serve(builder().connection_rate(Rate { burst: 2, per_second: 5 })).await;
    let begun = Instant::now();
    let (mut first, _) = Peer::socketio(server.address).await;
    drop(Peer::connect(server.address).await);
    let mut third = Peer::connect(server.address).await;
    // On a slow machine a token may have come back meanwhile.
    if begun.elapsed() < Duration::from_millis(150) {
        expect_end(&mut third).await;
        assert_eq!(turned_away(&server, TurnedAway::TooFast), 1);
    }
    sync(&mut first).await;
    let mut later = websocket_soon(&server).await;
    later.join("/").await;
    assert!(begun.elapsed() + TICK >= Duration::from_millis(200), "{:?}", begun.elapsed());
}

/// Sends numbers as fast as it can, and answers pings; when the last echo came.
async fn echo_over_websocket(server: &Running, numbers: u32, padding: &str) -> Duration {
    let (mut peer, _) = Peer::socketio(server.address).await;
    let begun = Instant::now();
    let all: Vec<u8> = (0..numbers)
        .flat_map(|n| peer::text_frame(&format!("42{n}[\"echo\",{n},\"{padding}\"]")))
        .collect();
    peer.send_bytes(&all).await;
    let mut next = 0;
    while next < numbers {
        match peer.recv_text().await.as_str() {
            "2" => peer.send_text("3").await,
            echo => {
                assert_eq!(echo, format!("43{next}[{next}]"));
                next += 1;
            }
        }
    }
    let took = begun.elapsed();
    // It is still there after some more beats.
    for _ in 0..3 {
        peer.expect_text("2").await;
        peer.send_text("3").await;
    }
    took
}

/// The same by polling: the official client has one POST on its way at a time.
async fn echo_over_polling(server: &Running, numbers: u32, padding: &str) -> Duration {
    let (client, _) = Polling::socketio(server.address).await;
    let begun = Instant::now();
    let all: Vec<_> = (0..numbers).map(|n| format!("42{n}[\"echo\",{n},\"{padding}\"]")).collect();
    let mut post = Some(client.begin_post(&all.join("\u{1e}")).await);
    let (mut next, mut pings) = (0, 0);
    let mut took = None;
    while pings < 3 || took.is_none() {
        for packet in client.poll().await.split('\u{1e}') {
            if packet == "2" {
                if let Some(mut post) = post.take() {
                    assert_eq!(post.recv_http().await.text(), "ok");
                }
                client.post("3").await;
                pings += usize::from(next == numbers);
            } else {
                assert_eq!(packet, format!("43{next}[{next}]"));
                next += 1;
            }
        }
        if next == numbers {
            took.get_or_insert(begun.elapsed());
        }
    }
    took.unwrap()
}

fn echoing() -> ServerBuilder {
    let namespace = root().on("echo", |Data((n, _)): Data<(u32, String)>| n);
    Server::builder()
        .namespace(namespace)
        .ping_interval(Duration::from_millis(100))
        .ping_timeout(Duration::from_millis(600))
}

#[tokio::test]
async fn a_client_with_too_many_packets_is_read_from_more_slowly_and_loses_nothing() {
    // Forty too many, and the CONNECT.
    let least = Duration::from_millis(400);
    for face in FACES {
        let rate = Rate { burst: 20, per_second: 100 };
        let server = face.serve(echoing().packet_rate(rate)).await;
        let took = echo_over_websocket(&server, 60, "").await;
        assert!(took + TICK >= least, "{face:?}: {took:?}");
        let took = echo_over_polling(&server, 60, "").await;
        assert!(took + TICK >= least, "{face:?}: {took:?}");
        assert_eq!(server.metrics().violations, 0);
        assert_eq!(server.metrics().faults.total(), 0);
    }
}

#[tokio::test]
async fn a_client_with_too_many_bytes_is_read_from_more_slowly_and_loses_nothing() {
    // Forty thousand too many, but for the last packet, which may make debts.
    let least = Duration::from_millis(380);
    let padding = "x".repeat(1000);
    for face in FACES {
        let rate = Rate { burst: 20_000, per_second: 100_000 };
        let server = face.serve(echoing().byte_rate(rate)).await;
        let took = echo_over_websocket(&server, 60, &padding).await;
        assert!(took + TICK >= least, "{face:?}: {took:?}");
        let took = echo_over_polling(&server, 60, &padding).await;
        assert!(took + TICK >= least, "{face:?}: {took:?}");
        assert_eq!(server.metrics().faults.total(), 0);
    }
}

/// Longer than the heartbeat bears: it waits meanwhile.
#[tokio::test]
async fn a_client_that_may_not_be_read_from_is_not_given_up() {
    for face in FACES {
        let rate = Rate { burst: 1000, per_second: 2000 };
        let server = face.serve(echoing().byte_rate(rate)).await;
        // 1.4 seconds of debt, behind which the pongs have to wait.
        let padding = "x".repeat(3900);
        let took = echo_over_websocket(&server, 2, &padding).await;
        assert!(took + TICK >= Duration::from_millis(1400), "{face:?}: {took:?}");
        let took = echo_over_polling(&server, 2, &padding).await;
        assert!(took + TICK >= Duration::from_millis(1400), "{face:?}: {took:?}");
    }
}

/// Nor does the client give the server up: it hears a ping in every interval, though its pongs lie unread.
#[tokio::test]
async fn a_client_that_may_not_be_read_from_hears_pings_all_the_same() {
    let rate = Rate { burst: 1000, per_second: 4000 };
    let server = serve(
        builder()
            .byte_rate(rate)
            .ping_interval(Duration::from_millis(150))
            .ping_timeout(Duration::from_secs(2)),
    )
    .await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    // A second of debt.
    peer.send_text(&format!("421[\"sync\",\"{}\"]", "x".repeat(4986))).await;
    peer.send_text("422[\"sync\"]").await;
    peer.expect_text("431[]").await;
    let mut pings = 0;
    loop {
        match peer.recv_text().await.as_str() {
            "2" => {
                pings += 1;
                peer.send_text("3").await;
            }
            said => {
                assert_eq!(said, "432[]");
                break;
            }
        }
    }
    assert!(pings >= 3, "{pings} pings in a second");
}

/// One client's speed is no other's business.
#[tokio::test]
async fn a_slowed_client_slows_no_other() {
    let rate = Rate { burst: 20, per_second: 1 };
    let server = serve(builder().packet_rate(rate)).await;
    let (mut fast, _) = Peer::socketio(server.address).await;
    let flood: Vec<u8> = (0..1000).flat_map(|_| peer::text_frame("42[\"nothing\"]")).collect();
    fast.send_bytes(&flood).await;
    let (mut other, _) = Peer::socketio(server.address).await;
    for _ in 0..10 {
        sync(&mut other).await;
    }
    // It can be sent to, and is noticed when it leaves.
    server.emit("news", ()).unwrap();
    fast.expect_text("42[\"news\"]").await;
    other.expect_text("42[\"news\"]").await;
}

#[tokio::test]
async fn a_head_that_does_not_come_in_time_ends_the_connection() {
    const PATIENCE: Duration = Duration::from_millis(150);
    let server = serve(builder().head_timeout(PATIENCE)).await;
    let heads =
        ["", "GET /socket.io/?EIO=4&transport=poll", "GET / HTTP/1.1\r\nHost: localhost\r\n"];
    for (nth, head) in (1..).zip(heads) {
        let begun = Instant::now();
        let mut peer = Peer::connect(server.address).await;
        peer.send_bytes(head.as_bytes()).await;
        if let Some(answer) = peer.recv_http_or_end().await {
            assert_eq!(answer.status, 408, "{}", answer.head);
            expect_end(&mut peer).await;
        }
        assert!(begun.elapsed() >= PATIENCE, "{:?}", begun.elapsed());
        until(|| turned_away(&server, TurnedAway::HeadTimeout) == nth).await;
    }
    assert_eq!(server.metrics().turned_away.total(), 3);
}

/// A byte now and then does not help.
#[tokio::test]
async fn a_head_that_trickles_in_is_cut_off_all_the_same() {
    const PATIENCE: Duration = Duration::from_millis(150);
    let server = serve(builder().head_timeout(PATIENCE)).await;
    let begun = Instant::now();
    let mut peer = Peer::connect(server.address).await;
    peer.send_bytes(b"GET / HTTP/1.1\r\nX-Long: ").await;
    while turned_away(&server, TurnedAway::HeadTimeout) == 0 {
        peer.try_send_bytes(b"x").await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(begun.elapsed() < DEADLINE);
    }
    assert!(begun.elapsed() >= PATIENCE);
}

#[tokio::test]
async fn a_connection_that_is_kept_alive_must_be_used_in_time() {
    const PATIENCE: Duration = Duration::from_millis(800);
    let server = serve(builder().head_timeout(PATIENCE)).await;
    let mut peer = Peer::connect(server.address).await;
    let mut begun = Instant::now();
    for _ in 0..3 {
        assert_eq!(ask(&mut peer, BUNDLE).await.status, 200);
        begun = Instant::now();
        tokio::time::sleep(PATIENCE / 4).await;
    }
    expect_end(&mut peer).await;
    assert!(begun.elapsed() + TICK >= PATIENCE, "{:?}", begun.elapsed());
    until(|| turned_away(&server, TurnedAway::HeadTimeout) == 1).await;
}

#[tokio::test]
async fn what_has_had_its_head_may_take_longer_than_one() {
    const PATIENCE: Duration = Duration::from_millis(500);
    let server = serve(builder().head_timeout(PATIENCE)).await;
    let (mut websocket, _) = Peer::socketio(server.address).await;
    let (client, _) = Polling::socketio(server.address).await;
    let mut poll = client.begin_poll().await;
    let mut post = Peer::connect(server.address).await;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 13\r\n\r\n421[",
        client.target()
    );
    post.send_bytes(head.as_bytes()).await;
    tokio::time::sleep(PATIENCE * 2).await;
    post.send_bytes(b"\"sync\",1]"[..9].as_ref()).await;
    assert_eq!(post.recv_http().await.text(), "ok");
    assert_eq!(poll.recv_http().await.text(), "431[]");
    sync(&mut websocket).await;
}

#[tokio::test]
async fn a_client_that_asks_for_much_and_reads_nothing_is_cut_off() {
    const PATIENCE: Duration = Duration::from_millis(200);
    let server = serve(builder().write_timeout(PATIENCE)).await;
    let begun = Instant::now();
    let mut peer = Peer::connect(server.address).await;
    let requests = BUNDLE.repeat(2000);
    peer.try_send_bytes(requests.as_bytes()).await;
    until(|| turned_away(&server, TurnedAway::WriteTimeout) == 1).await;
    assert!(begun.elapsed() >= PATIENCE, "{:?}", begun.elapsed());
    assert_eq!(server.metrics().turned_away.total(), 1);
    drop(peer);
}

/// The same with what a session has to say. What was on its way is lost, which its client knows: it is
/// gone when it misses a heartbeat.
#[tokio::test]
async fn a_poll_that_is_not_read_is_cut_off() {
    const PATIENCE: Duration = Duration::from_millis(200);
    let (note, mut sockets) = journal();
    let namespace = root().on_connect(move |socket: Socket| note.write(socket));
    let builder = Server::builder().namespace(namespace).max_buffered_bytes(64 * 1024 * 1024);
    let builder = builder.ping_interval(Duration::from_secs(1)).ping_timeout(PATIENCE);
    let server = serve(builder.write_timeout(PATIENCE)).await;
    let (client, _) = Polling::socketio(server.address).await;
    let socket = sockets.next().await;
    let text = "x".repeat(900_000);
    for _ in 0..30 {
        socket.emit("news", &text).unwrap();
    }
    let mut peer = Peer::connect(server.address).await;
    let poll = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", client.target());
    peer.try_send_bytes(poll.repeat(30).as_bytes()).await;
    until(|| turned_away(&server, TurnedAway::WriteTimeout) == 1).await;
    until(|| server.clients() == 0).await;
    drop(peer);
}

#[tokio::test]
async fn a_slow_but_steady_reader_gets_all() {
    const PATIENCE: Duration = Duration::from_millis(500);
    const REQUESTS: usize = 400;
    let server = serve(builder().write_timeout(PATIENCE)).await;
    let mut peer = Peer::connect(server.address).await;
    peer.send_bytes(BUNDLE.repeat(REQUESTS).as_bytes()).await;
    let begun = Instant::now();
    for nth in 0..REQUESTS {
        assert_eq!(peer.recv_http().await.status, 200, "{nth}");
        if nth % 4 == 0 {
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    }
    assert!(begun.elapsed() > PATIENCE * 2);
    assert_eq!(server.metrics().turned_away.total(), 0);
    assert_eq!(ask(&mut peer, BUNDLE).await.status, 200);
}

/// On a websocket the time does not count, only what waits.
#[tokio::test]
async fn a_websocket_that_reads_nothing_is_not_cut_off_by_time() {
    const PATIENCE: Duration = Duration::from_millis(500);
    let (note, mut sockets) = journal();
    let namespace = root().on_connect(move |socket: Socket| note.write(socket));
    let builder = Server::builder().namespace(namespace).max_buffered_bytes(200_000);
    let server = serve(builder.write_timeout(PATIENCE).head_timeout(PATIENCE)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    let socket = sockets.next().await;
    let text = "x".repeat(100_000);
    let (mut sent, mut full) = (0, 0);
    while full < 20 {
        match socket.try_emit("news", &text) {
            Ok(()) => (sent, full) = (sent + 1, 0),
            Err(_) => {
                full += 1;
                tokio::time::sleep(PATIENCE / 10).await;
            }
        }
    }
    for _ in 0..sent {
        let came = peer.recv().await;
        assert!(matches!(came, Message::Text(came) if came.starts_with("42[\"news\",\"x")));
    }
    peer.send_text("421[\"nothing\"]").await;
    server.emit("still here", ()).unwrap();
    peer.expect_text("42[\"still here\"]").await;
    assert_eq!(server.metrics().turned_away.total(), 0);
}
