//! Clients behind proxies: whose word about an address counts, and whose does not.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sockeye_server::{
    ForwardedBy, Request, Server, ServerBuilder, Socket, TrustedProxies, TurnedAway,
};
use sockeye_testkit::chaos::{Chaos, Direction};
use sockeye_testkit::peer::{Peer, TARGET};
use sockeye_testkit::polling::request;

use crate::harness::{
    FACES, Journal, UPGRADE, expect_end, journal, root, serve, sync, until, with_sockets, within,
};

/// The signature of version 2.
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn trusting<const N: usize>(networks: [&str; N], by: ForwardedBy) -> ServerBuilder {
    Server::builder().trusted_proxies(TrustedProxies::new(networks, by).unwrap())
}

/// Notes the address of every client, as the application is asked about it and as its socket has it.
fn with_addresses(builder: ServerBuilder) -> (ServerBuilder, Journal<SocketAddr>) {
    let (note, addresses) = journal();
    let asked = note.clone();
    let namespace = root().on_connect(move |socket: Socket| {
        note.write(socket.handshake().address());
    });
    let builder = builder.namespace(namespace).allow_request(move |request: &Request| {
        asked.write(request.address);
        async { Ok::<(), String>(()) }
    });
    (builder, addresses)
}

fn upgrade(headers: &str) -> String {
    format!("GET {TARGET} HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}{headers}\r\n")
}

/// A websocket, behind these bytes and with these headers.
async fn websocket(address: SocketAddr, before: &[u8], headers: &str) -> Peer {
    let mut peer = Peer::connect(address).await;
    peer.send_bytes(&[before, upgrade(headers).as_bytes()].concat()).await;
    let response = peer.recv_http().await;
    assert_eq!(response.status, 101, "{}", response.head);
    assert!(peer.recv_text().await.starts_with('0'));
    peer.join("/").await;
    peer
}

fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [BINARY, &[command, family], &length, rest].concat()
}

/// 203.0.113.9 port 1234, to 10.0.0.1 port 80.
const V4: &[u8] = &[203, 0, 113, 9, 10, 0, 0, 1, 4, 210, 0, 80];

#[tokio::test]
async fn a_trusted_proxy_names_its_client_in_the_header_that_was_agreed() {
    let cases = [
        (ForwardedBy::XForwardedFor, "X-Forwarded-For: 203.0.113.7\r\n", "203.0.113.7:0"),
        (ForwardedBy::XForwardedFor, "X-Forwarded-For: 203.0.113.7:4711\r\n", "203.0.113.7:4711"),
        (ForwardedBy::XForwardedFor, "X-Forwarded-For: 2001:db8::7\r\n", "[2001:db8::7]:0"),
        // Written as one of IPv6, it is that of IPv4.
        (ForwardedBy::XForwardedFor, "X-Forwarded-For: ::ffff:203.0.113.7\r\n", "203.0.113.7:0"),
        // What the client claimed before its proxy wrote.
        (ForwardedBy::XForwardedFor, "X-Forwarded-For: 6.6.6.6, 203.0.113.7\r\n", "203.0.113.7:0"),
        (
            ForwardedBy::XForwardedFor,
            "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.7\r\n",
            "203.0.113.7:0",
        ),
        // Another trusted one in between.
        (ForwardedBy::XForwardedFor, "X-Forwarded-For: 203.0.113.7, 10.1.2.3\r\n", "203.0.113.7:0"),
        (ForwardedBy::Forwarded, "Forwarded: for=203.0.113.7\r\n", "203.0.113.7:0"),
        (ForwardedBy::Forwarded, "Forwarded: for=\"[2001:db8::7]:47\"\r\n", "[2001:db8::7]:47"),
        (
            ForwardedBy::Forwarded,
            "Forwarded: for=6.6.6.6, for=203.0.113.7;proto=https, for=10.1.2.3\r\n",
            "203.0.113.7:0",
        ),
        (
            ForwardedBy::Forwarded,
            "Forwarded: for=203.0.113.7\r\nX-Forwarded-For: 6.6.6.6\r\n",
            "203.0.113.7:0",
        ),
    ];
    for face in FACES {
        for (by, headers, expected) in cases {
            let (builder, mut addresses) =
                with_addresses(trusting(["127.0.0.1", "10.0.0.0/8"], by));
            let server = face.serve(builder).await;
            let expected: SocketAddr = expected.parse().unwrap();
            let _peer = websocket(server.address, b"", headers).await;
            addresses.expect([expected, expected]).await;
            let target = "/socket.io/?EIO=4&transport=polling";
            let opened = request(server.address, "GET", target, headers, b"").await;
            let mut opened = opened;
            assert_eq!(opened.recv_http().await.status, 200, "{face:?}");
            addresses.expect([expected]).await;
        }
    }
}

#[tokio::test]
async fn a_word_that_does_not_count_leaves_the_socket_its_address() {
    let all = ["127.0.0.1", "10.0.0.0/8"];
    let cases = [
        // Not from a trusted proxy.
        (["10.0.0.0/8"; 2], ForwardedBy::XForwardedFor, "X-Forwarded-For: 203.0.113.7\r\n"),
        (["10.0.0.0/8"; 2], ForwardedBy::Forwarded, "Forwarded: for=203.0.113.7\r\n"),
        // Not in the header that was agreed.
        (all, ForwardedBy::XForwardedFor, "Forwarded: for=203.0.113.7\r\n"),
        (all, ForwardedBy::Forwarded, "X-Forwarded-For: 203.0.113.7\r\n"),
        // Nothing, or nothing that can be read.
        (all, ForwardedBy::XForwardedFor, ""),
        (all, ForwardedBy::XForwardedFor, "X-Forwarded-For: unknown\r\n"),
        (all, ForwardedBy::XForwardedFor, "X-Forwarded-For: 6.6.6.6, 300.1.1.1\r\n"),
        (all, ForwardedBy::Forwarded, "Forwarded: for=_hidden\r\n"),
    ];
    for face in FACES {
        for (networks, by, headers) in cases {
            let (builder, mut addresses) = with_addresses(trusting(networks, by));
            let server = face.serve(builder).await;
            let _peer = websocket(server.address, b"", headers).await;
            for _ in 0..2 {
                let address = addresses.next().await;
                assert_eq!(address.ip().to_string(), "127.0.0.1", "{face:?} {headers}");
                assert_ne!(address.port(), 0);
            }
        }
        // And without trusted proxies there is nobody whose word counts.
        let (builder, mut addresses) = with_addresses(Server::builder());
        let server = face.serve(builder).await;
        let spoofed = "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n";
        let _peer = websocket(server.address, b"", spoofed).await;
        assert_eq!(addresses.next().await.ip().to_string(), "127.0.0.1", "{face:?}");
    }
}

#[tokio::test]
async fn a_trusted_proxy_says_whether_its_client_speaks_tls() {
    let (forwarded, x) = (ForwardedBy::Forwarded, ForwardedBy::XForwardedFor);
    for face in FACES {
        for (networks, by, headers, secure) in [
            ("127.0.0.1", x, "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n", true),
            ("127.0.0.1", x, "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: http\r\n", false),
            ("127.0.0.1", x, "", false),
            ("127.0.0.1", forwarded, "Forwarded: for=203.0.113.7;proto=https\r\n", true),
            ("127.0.0.1", forwarded, "X-Forwarded-Proto: https\r\n", false),
            ("10.0.0.0/8", x, "X-Forwarded-Proto: https\r\n", false),
        ] {
            let (namespace, mut sockets) = with_sockets(root());
            let server = face.serve(trusting([networks], by).namespace(namespace)).await;
            let _peer = websocket(server.address, b"", headers).await;
            let socket = sockets.next().await;
            assert_eq!(socket.handshake().is_secure(), secure, "{face:?} {headers}");
            let record = serde_json::to_value(socket.handshake_record()).unwrap();
            assert_eq!(record["secure"], secure, "{face:?} {headers}");
        }
    }
}

#[tokio::test]
async fn a_proxy_header_names_the_client_of_the_whole_connection() {
    let mut with_fields = V4.to_vec();
    with_fields.extend_from_slice(&[0x04, 0, 3, 1, 2, 3]);
    let mut v6 = vec![0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    v6.extend_from_slice(&[0; 16]);
    v6.extend_from_slice(&[0, 47, 0, 80]);
    let cases: [(&[u8], Option<&str>); 8] = [
        (b"PROXY TCP4 203.0.113.9 10.0.0.1 1234 80\r\n", Some("203.0.113.9:1234")),
        (b"PROXY TCP6 2001:db8::7 ::1 47 80\r\n", Some("[2001:db8::7]:47")),
        (b"PROXY UNKNOWN\r\n", None),
        (&v2(0x21, 0x11, V4), Some("203.0.113.9:1234")),
        (&v2(0x21, 0x11, &with_fields), Some("203.0.113.9:1234")),
        (&v2(0x21, 0x21, &v6), Some("[2001:db8::7]:47")),
        // The balancer's own.
        (&v2(0x20, 0x00, b""), None),
        (&v2(0x20, 0x11, V4), None),
    ];
    let builder = trusting(["127.0.0.1"], ForwardedBy::XForwardedFor).proxy_protocol(true);
    let (builder, mut addresses) = with_addresses(builder);
    let server = serve(builder).await;
    let chaos = Chaos::start(server.address);
    for sliced in [false, true] {
        if sliced {
            chaos.slice(Direction::Up, 1);
        }
        for (header, expected) in cases {
            let mut peer = websocket(chaos.address(), header, "").await;
            sync(&mut peer).await;
            for _ in 0..2 {
                let address = addresses.next().await;
                match expected {
                    Some(expected) => assert_eq!(address, expected.parse().unwrap()),
                    None => assert_eq!(address.ip().to_string(), "127.0.0.1"),
                }
            }
        }
    }
    // Every request of the connection is this client's.
    let mut peer = Peer::connect(server.address).await;
    peer.send_bytes(b"PROXY TCP4 203.0.113.9 10.0.0.1 1234 80\r\n").await;
    let open = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for _ in 0..3 {
        peer.send_bytes(open.as_bytes()).await;
        assert_eq!(peer.recv_http().await.status, 200);
        addresses.expect(["203.0.113.9:1234".parse().unwrap()]).await;
    }
    // That client is no trusted proxy, so what it says in a header does not count.
    let spoofed = "X-Forwarded-For: 6.6.6.6\r\n";
    let header = b"PROXY TCP4 203.0.113.9 10.0.0.1 1234 80\r\n";
    let _peer = websocket(server.address, header, spoofed).await;
    addresses.expect(["203.0.113.9:1234".parse().unwrap()]).await;
    assert_eq!(server.metrics().turned_away.total(), 0);
}

/// Two proxies in a row, of which the first one speaks HTTP and the second one does not.
#[tokio::test]
async fn a_proxy_behind_a_proxy_header_has_a_word_as_well() {
    let builder =
        trusting(["127.0.0.1", "10.0.0.0/8"], ForwardedBy::XForwardedFor).proxy_protocol(true);
    let (builder, mut addresses) = with_addresses(builder);
    let server = serve(builder).await;
    let header = b"PROXY TCP4 10.0.0.9 10.0.0.1 1234 80\r\n";
    let _peer = websocket(server.address, header, "X-Forwarded-For: 203.0.113.7\r\n").await;
    addresses.expect(["203.0.113.7:0".parse().unwrap()]).await;
}

#[tokio::test]
async fn a_trusted_connection_without_a_proper_proxy_header_is_ended_and_counted() {
    let plain = upgrade("");
    let cases: [&[u8]; 9] = [
        plain.as_bytes(),
        b"PROXY TCP4 203.0.113.9 10.0.0.1 1234\r\n",
        b"PROXY TCP4 203.0.113.9 10.0.0.1 1234 80\n",
        b"PROXY TCP4 2001:db8::7 10.0.0.1 1234 80\r\n",
        b"PROXY TCP4 203.0.113.9 10.0.0.1 1234 99999\r\n",
        &[b"PROXY TCP4 ", &[b'1'; 200][..]].concat(),
        &v2(0x31, 0x11, V4),
        &v2(0x21, 0x11, &V4[..8]),
        &v2(0x21, 0x11, &[0; 5000]),
    ];
    let builder = trusting(["127.0.0.1"], ForwardedBy::XForwardedFor).proxy_protocol(true);
    let server = serve(builder.namespace(root())).await;
    for (nth, case) in (1..).zip(cases) {
        let mut peer = Peer::connect(server.address).await;
        peer.try_send_bytes(case).await;
        expect_end(&mut peer).await;
        until(|| server.metrics().turned_away.get(TurnedAway::ProxyHeader) == nth).await;
    }
    // A health check.
    Peer::connect(server.address).await.finish().await;
    let all = cases.len() as u64 + 1;
    until(|| server.metrics().turned_away.get(TurnedAway::ProxyHeader) == all).await;
    assert_eq!(server.metrics().turned_away.total(), all);
    assert_eq!(server.metrics().refusals.total(), 0);
}

#[tokio::test]
async fn a_trusted_proxy_that_says_nothing_is_cut_off_in_time() {
    const PATIENCE: Duration = Duration::from_millis(150);
    let builder = trusting(["127.0.0.1"], ForwardedBy::XForwardedFor).proxy_protocol(true);
    let server = serve(builder.namespace(root()).head_timeout(PATIENCE)).await;
    for (nth, said) in (1..).zip([&b""[..], b"PROXY", b"PROXY TCP4 203.0.113.9 ", &BINARY[..7]]) {
        let begun = Instant::now();
        let mut peer = Peer::connect(server.address).await;
        peer.send_bytes(said).await;
        expect_end(&mut peer).await;
        assert!(begun.elapsed() >= PATIENCE, "{:?}", begun.elapsed());
        until(|| server.metrics().turned_away.get(TurnedAway::HeadTimeout) == nth).await;
    }
    assert_eq!(server.metrics().turned_away.total(), 4);
}

/// A balancer keeps connections ready.
#[tokio::test]
async fn a_closing_server_does_not_wait_for_a_proxy_header() {
    let builder = trusting(["127.0.0.1"], ForwardedBy::XForwardedFor).proxy_protocol(true);
    let hour = Duration::from_secs(3600);
    let server = serve(builder.head_timeout(hour).grace(hour)).await;
    let mut silent = Peer::connect(server.address).await;
    // Accepted after it, so that the server has both.
    let mut other = Peer::connect(server.address).await;
    other.send_bytes(b"GET / HTTP/1.1\r\n").await;
    expect_end(&mut other).await;
    within(server.close()).await;
    expect_end(&mut silent).await;
}

#[tokio::test]
async fn nobody_else_is_asked_for_a_proxy_header_nor_believed_one() {
    let builder = trusting(["10.0.0.0/8"], ForwardedBy::XForwardedFor).proxy_protocol(true);
    let (builder, mut addresses) = with_addresses(builder);
    let server = serve(builder).await;
    let mut peer = websocket(server.address, b"", "").await;
    sync(&mut peer).await;
    assert_eq!(addresses.next().await.ip().to_string(), "127.0.0.1");
    // It is no HTTP.
    for header in [&b"PROXY TCP4 203.0.113.9 10.0.0.1 1234 80\r\n"[..], &v2(0x21, 0x11, V4)] {
        let mut peer = Peer::connect(server.address).await;
        peer.send_bytes(&[header, upgrade("").as_bytes()].concat()).await;
        assert_eq!(peer.recv_http().await.status, 400);
    }
    assert_eq!(server.metrics().turned_away.total(), 0);
    assert_eq!(server.clients(), 1);
}

#[tokio::test]
async fn clients_behind_a_proxy_count_for_their_own_addresses() {
    let builder = trusting(["127.0.0.1"], ForwardedBy::XForwardedFor).namespace(root());
    let server = serve(builder.proxy_protocol(true).max_connections_per_address(1)).await;
    let of = |address: &str| format!("PROXY TCP4 {address} 10.0.0.1 1234 80\r\n");
    let first = websocket(server.address, of("203.0.113.1").as_bytes(), "").await;
    let mut second = websocket(server.address, of("203.0.113.2").as_bytes(), "").await;
    let mut third = Peer::connect(server.address).await;
    third.send_bytes((of("203.0.113.1") + &upgrade("")).as_bytes()).await;
    expect_end(&mut third).await;
    assert_eq!(server.metrics().turned_away.get(TurnedAway::TooMany), 1);
    drop(first);
    until(|| server.clients() == 1).await;
    // Its place at the gate is free as soon as its task is gone.
    within(async {
        loop {
            let mut peer = Peer::connect(server.address).await;
            peer.try_send_bytes((of("203.0.113.1") + &upgrade("")).as_bytes()).await;
            if peer.recv_http_or_end().await.is_some_and(|response| response.status == 101) {
                break;
            }
        }
    })
    .await;
    sync(&mut second).await;
}

#[tokio::test]
async fn clients_that_a_header_names_count_for_their_own_addresses() {
    for face in FACES {
        let builder = trusting(["127.0.0.1"], ForwardedBy::XForwardedFor).namespace(root());
        let server = face.serve(builder.max_connections_per_address(1)).await;
        let open = async |address: &str| {
            let headers = format!("X-Forwarded-For: {address}\r\n");
            let target = "/socket.io/?EIO=4&transport=polling";
            request(server.address, "GET", target, &headers, b"").await.recv_http().await.status
        };
        assert_eq!(open("203.0.113.1").await, 200, "{face:?}");
        assert_eq!(open("203.0.113.1").await, 503, "{face:?}");
        assert_eq!(open("203.0.113.2").await, 200, "{face:?}");
        // One customer's network of IPv6.
        assert_eq!(open("2001:db8::1").await, 200, "{face:?}");
        assert_eq!(open("2001:db8::2").await, 503, "{face:?}");
        assert_eq!(open("2001:db8:0:1::1").await, 200, "{face:?}");
    }
}
