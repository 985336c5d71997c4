//! Requests as RFC 9113 and RFC 8441 forbid them, and what is made of those that they allow.

use std::net::SocketAddr;
use std::sync::Arc;

use http::Response;
use sockeye_net::Listening;
use sockeye_net::addresses::Limits;
use sockeye_net::http::{Answer, Endpoint, Incoming, connect_protocol, full};
use sockeye_net::rate::Rate;
use sockeye_net::websocket::Server;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::peer::Peer;
use crate::raw::{CONNECT, DATA, END_STREAM, GET, HEADERS, Raw, WINDOW_UPDATE, frame};
use crate::requests::Never;
use crate::{echo, serve, within};

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const REFUSED_STREAM: u32 = 7;

/// Serves an endpoint for as long as the sender lives.
async fn host(endpoint: impl Endpoint) -> (SocketAddr, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let closing = watch::Sender::new(false);
    tokio::spawn(sockeye_net::accept(listener, endpoint, Arc::default(), closing.subscribe()));
    (address, closing)
}

/// Says of a request what it is told, whatever it asks for.
#[derive(Clone)]
struct Teller;

impl Endpoint for Teller {
    type Successor = Never;

    fn answer(
        &self,
        request: http::Request<Incoming>,
        _: SocketAddr,
    ) -> impl Future<Output = Answer<Self::Successor>> + Send + use<> {
        let lines = |name| {
            let lines = request.headers().get_all(name).iter();
            lines.map(|line| line.to_str().expect("text")).collect::<Vec<_>>().join(" | ")
        };
        let text = format!(
            "{} {:?} cookie={} host={}",
            request.method(),
            connect_protocol(request.extensions()),
            lines("cookie"),
            lines("host")
        );
        std::future::ready(Answer::Http(Response::new(full(text))))
    }
}

#[tokio::test]
async fn crumbs_of_cookies_are_one_line_again() {
    let (address, _closing) = host(Teller).await;
    let mut raw = Raw::client(address).await;
    for (id, crumbs, whole) in [
        (1, &["a=1"][..], "a=1"),
        (3, &["a=1", "b=2", "c=3"], "a=1; b=2; c=3"),
        (5, &["a=1; b=2", "c=3"], "a=1; b=2; c=3"),
        (7, &[], ""),
    ] {
        let crumbs: Vec<_> = crumbs.iter().map(|crumb| ("cookie", *crumb)).collect();
        raw.headers(id, END_STREAM, &[GET, &crumbs].concat()).await;
        let (_, body) = raw.answer(id).await.expect("an answer");
        assert_eq!(body, format!("GET None cookie={whole} host=a"));
    }
}

#[tokio::test]
async fn a_host_that_is_not_the_authority_is_refused() {
    let (address, _closing) = host(Teller).await;
    let mut raw = Raw::client(address).await;
    for (id, authority, hosts, status) in [
        (1, Some("a:80"), &["a:80"][..], 200),
        (3, Some("A:80"), &["a:80"], 200),
        (5, None, &["a"], 200),
        (7, Some("a"), &["b"], 400),
        (9, Some("a"), &["a", "b"], 400),
        (11, Some("a"), &["a:1"], 400),
        (13, None, &["a", "b"], 400),
        (15, Some("u:p@a"), &[], 400),
        (17, None, &[], 400),
    ] {
        let mut lines = GET[..3].to_vec();
        lines.extend(authority.map(|authority| (":authority", authority)));
        lines.extend(hosts.iter().map(|host| ("host", *host)));
        raw.headers(id, END_STREAM, &lines).await;
        let (head, body) = raw.answer(id).await.expect("an answer");
        assert_eq!(head.status(), status, "{authority:?} {hosts:?}: {body}");
    }
}

#[tokio::test]
async fn a_success_that_is_no_websocket_is_none() {
    let (address, _closing) = host(Teller).await;
    let mut peer = Peer::connect(address).await;
    let version = ("sec-websocket-version", "13");
    let (status, _, body) = peer.ask(http::Method::CONNECT, Some("websocket"), &[version]).await;
    // Any success would say that the stream is a WebSocket's from here on (RFC 8441 §5).
    assert_eq!(status, 400, "{body}");
    assert!(body.contains("no WebSocket"), "{body}");
}

#[tokio::test]
async fn malformed_requests_end_their_stream_and_nothing_else() {
    let mut raw = Raw::client(serve(&Server::new(echo)).await).await;
    let without = |name: &str| -> Vec<_> {
        CONNECT.iter().copied().filter(|(found, _)| *found != name).collect()
    };
    let with = |lines: &[_], name, value| [lines, &[(name, value)]].concat();
    let requests = [
        with(GET, "connection", "upgrade"),
        with(GET, "upgrade", "websocket"),
        with(GET, "transfer-encoding", "chunked"),
        with(GET, "keep-alive", "1"),
        with(GET, "proxy-connection", "keep-alive"),
        with(GET, "te", "gzip"),
        with(GET, ":path", "/twice"),
        with(GET, ":status", "200"),
        with(CONNECT, "connection", "upgrade"),
        [&[(":protocol", "websocket")], GET].concat(),
        without(":scheme"),
        without(":path"),
    ];
    for (request, id) in requests.iter().zip((1..).step_by(2)) {
        raw.headers(id, END_STREAM, request).await;
        assert_eq!(raw.answer(id).await, Err(PROTOCOL_ERROR), "{request:?}");
    }
    raw.open(101).await;
    // A window of more than there is, and a body that is not as long as its head says.
    raw.send(&frame(WINDOW_UPDATE, 0, 101, &[0x7F, 0xFF, 0xFF, 0xFF])).await;
    assert_eq!(raw.answer(101).await, Err(FLOW_CONTROL_ERROR));
    // What h2 takes for a broken connection, as it may (RFC 9113 §5.4.1).
    for broken in [with(GET, "Accept", "uppercase"), with(GET, ":unknown", "x")] {
        let mut raw = Raw::client(serve(&Server::new(echo)).await).await;
        raw.headers(1, END_STREAM, &broken).await;
        assert!(raw.ends_with(PROTOCOL_ERROR).await, "{broken:?}");
    }
    let mut post = with(GET, "content-length", "3");
    post[0].1 = "POST";
    let (address, _closing) = host(crate::requests::Mirror).await;
    let mut raw = Raw::client(address).await;
    raw.headers(1, 0, &post).await;
    raw.send(&frame(DATA, END_STREAM, 1, b"four")).await;
    assert_eq!(raw.answer(1).await, Err(PROTOCOL_ERROR));
    raw.headers(3, 0, &post).await;
    raw.send(&frame(DATA, END_STREAM, 3, b"two")).await;
    assert_eq!(raw.answer(3).await.expect("an answer").1, "two");
}

#[tokio::test]
async fn who_asks_before_it_sends_its_body_is_told_to_go_on_or_why_not() {
    let mut post = [GET, &[("expect", "100-continue")]].concat();
    post[0].1 = "POST";
    let (address, _closing) = host(crate::requests::Mirror).await;
    let mut raw = Raw::client(address).await;
    raw.headers(1, 0, &post).await;
    let go_on = raw.next_of(HEADERS).await.expect("an answer");
    assert_eq!((go_on.status(), go_on.flags & END_STREAM), (100, 0));
    raw.send(&frame(DATA, END_STREAM, 1, b"body")).await;
    let (head, body) = raw.answer(1).await.expect("an answer");
    assert_eq!((head.status(), &*body), (200, "body"));
    let mut raw = Raw::client(serve(&Server::new(echo)).await).await;
    raw.headers(1, 0, &post).await;
    assert_eq!(raw.next_of(HEADERS).await.expect("an answer").status(), 405);
}

#[tokio::test]
async fn the_last_stream_that_there_is_can_be_a_websocket() {
    let mut raw = Raw::client(serve(&Server::new(echo)).await).await;
    let last = (1 << 31) - 1;
    raw.open(last).await;
    raw.send(&frame(DATA, 0, last, b"\x81\x81\0\0\0\0x")).await;
    assert_eq!(raw.next_of(DATA).await.expect("an echo").payload, b"\x81\x01x");
    // Numbers go up only (RFC 9113 §5.1.1).
    raw.headers(1, END_STREAM, GET).await;
    assert!(raw.ends_with(PROTOCOL_ERROR).await);
}

#[tokio::test]
async fn more_streams_than_there_may_be_are_refused() {
    let http2 = Some(sockeye_net::Http2 { max_streams: 2, ..Default::default() });
    let mut raw = Raw::client(serve(&Server::builder(echo).http2(http2).build()).await).await;
    raw.open(1).await;
    raw.open(3).await;
    raw.headers(5, 0, CONNECT).await;
    assert_eq!(raw.answer(5).await, Err(REFUSED_STREAM));
    raw.send(&frame(DATA, 0, 3, b"\x81\x81\0\0\0\0x")).await;
    assert_eq!(raw.next_of(DATA).await.expect("an echo").payload, b"\x81\x01x");
}

#[tokio::test]
async fn compressed_messages_come_and_go_as_ever() {
    let mut peer = Peer::connect(serve(&Server::new(echo)).await).await;
    let mut stream = peer.open(&[("sec-websocket-extensions", "permessage-deflate")]).await;
    // "Hello", compressed (RFC 7692 §7.2.3.1), and a message that is worth compressing.
    stream.send(b"\xC1\x87\0\0\0\0\xF2\x48\xCD\xC9\xC9\x07\0");
    assert_eq!(stream.read(7).await, b"\x81\x05Hello");
    stream.send(&[&b"\x81\xFE\x10\0\0\0\0\0"[..], &[b'a'; 4096]].concat().leak()[..]);
    let head = stream.read_some().await;
    assert_eq!(head[0], 0xC1, "the answer is compressed");
    assert!(head.len() < 100, "{}", head.len());
}

/// A server with limits at its gate, which says of whom it opened a WebSocket to.
async fn limited(limits: Limits) -> (Peer, Peer) {
    let listening = Listening { limits, ..Listening::default() };
    let address = serve(&Server::builder(echo).listening(listening).build()).await;
    (Peer::connect(address).await, Peer::connect(address).await)
}

#[tokio::test]
async fn a_judge_that_panics_ends_its_own_stream() {
    let judge = |request: &http::Request<()>| match request.uri().path() {
        "/" => Ok(()),
        path => panic!("as {path} wished"),
    };
    let server = Server::builder(echo).judge(judge).build();
    let mut peer = Peer::connect(serve(&server).await).await;
    let mut lives = peer.open(&[]).await;
    let version = ("sec-websocket-version", "13");
    let (answer, _sender) =
        peer.request(http::Method::CONNECT, "/panic", Some("websocket"), &[version]).await;
    let error = within(answer).await.expect_err("no answer");
    assert_eq!(error.reason(), Some(h2::Reason::INTERNAL_ERROR), "{error}");
    lives.send(b"\x81\x81\0\0\0\0x");
    assert_eq!(lives.read(3).await, b"\x81\x01x");
}

#[tokio::test]
async fn a_websocket_counts_as_a_connection_wherever_it_is() {
    let limits = Limits { max_open_per_address: 4, ..Limits::default() };
    let (mut one, mut other) = limited(limits).await;
    let version = ("sec-websocket-version", "13");
    let websocket = Some("websocket");
    // The first of a connection is what the connection counts for.
    let first = one.open(&[]).await;
    let others = [one.open(&[]).await, one.open(&[]).await];
    let (status, _, body) = one.ask(http::Method::CONNECT, websocket, &[version]).await;
    assert_eq!(status, 429, "{body}");
    let (status, ..) = one.ask(http::Method::OPTIONS, None, &[]).await;
    assert_eq!(status, 405, "a request counts for nothing");
    let _own = other.open(&[]).await;
    // What closes leaves its place to another one, on whichever connection.
    close(first).await;
    let again = within(one.open_at_last()).await;
    for stream in others {
        close(stream).await;
    }
    let mut rest = Vec::new();
    for _ in 0..2 {
        rest.push(within(other.open_at_last()).await);
    }
    let (status, _, body) = other.ask(http::Method::CONNECT, websocket, &[version]).await;
    assert_eq!(status, 429, "{body}");
    drop((again, rest));
}

async fn close(mut stream: crate::peer::Stream) {
    stream.send(b"\x88\x80\0\0\0\0");
    assert_eq!(stream.rest().await.expect("a good end"), b"\x88\0");
}

#[tokio::test]
async fn websockets_are_opened_no_faster_than_connections() {
    let rate = Some(Rate { burst: 4, per_second: 0 });
    let limits = Limits { rate_per_address: rate, ..Limits::default() };
    let listening = Listening { limits, ..Listening::default() };
    let address = serve(&Server::builder(echo).listening(listening).build()).await;
    let mut peer = Peer::connect(address).await;
    // The first one comes with its connection; whoever opens it anew pays for that.
    for _ in 0..4 {
        close(peer.open(&[]).await).await;
    }
    let version = ("sec-websocket-version", "13");
    let (status, _, body) = peer.ask(http::Method::CONNECT, Some("websocket"), &[version]).await;
    assert_eq!(status, 429, "{body}");
    assert!(body.contains("too fast"), "{body}");
}
