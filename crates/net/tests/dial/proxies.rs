//! Proxies of both kinds: willing, demanding, refusing, confused.

use std::net::SocketAddr;
use std::time::Duration;

use sockeye_net::dial::{
    Credentials, Error, Opened, Options, Phase, Proxy, ProxyError, Timeouts, connect,
};
use tokio::task::JoinHandle;

use crate::server::{Conversation, Request, SHORT, serve, speak, target, tells, within};

const URL: &str = "ws://chat.example:3000/x";

fn through(proxy: Proxy) -> Options {
    Options { proxy: Some(proxy), ..Options::default() }
}

fn http(address: SocketAddr) -> Options {
    through(format!("http://{address}").parse().expect("a proxy"))
}

fn socks(address: SocketAddr) -> Options {
    through(format!("socks5://{address}").parse().expect("a proxy"))
}

fn with_credentials(options: Options) -> Options {
    let given = Some(Credentials { user: "Aladdin".into(), password: "open sesame".into() });
    let proxy = options.proxy.map(|proxy| match proxy {
        Proxy::Http { host, port, .. } => Proxy::Http { host, port, credentials: given },
        Proxy::Socks5 { host, port, .. } => Proxy::Socks5 { host, port, credentials: given },
    });
    Options { proxy, ..options }
}

/// The target, behind a proxy that has done its part.
async fn be_the_target(client: &mut Conversation) {
    let request = client.request().await;
    assert!(request.head.starts_with("GET /x HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(request.value("host"), "chat.example:3000");
    assert!(request.values("proxy-authorization").is_empty());
    client.say(request.switching("") + "early").await;
}

async fn assert_open(opened: Result<Opened, Error>, proxy: SocketAddr, server: &mut Conversation) {
    use tokio::io::AsyncReadExt as _;

    let mut opened = opened.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(opened.peer, proxy);
    let mut early = opened.leftover.to_vec();
    while early.len() < 5 {
        early.push(within(opened.io.read_u8()).await.expect("five bytes"));
    }
    assert_eq!(early, b"early");
    speak(&mut opened, server).await;
}

/// An HTTP proxy that answers this to `CONNECT`, and waits for the end if that is a refusal.
async fn http_proxy(answer: &'static str) -> (SocketAddr, JoinHandle<(Request, Conversation)>) {
    serve(async move |mut client| {
        let request = client.request().await;
        client.say(answer).await;
        (request, client)
    })
    .await
}

async fn refused_by_http(answer: &'static str) -> Error {
    let (address, proxying) = http_proxy(answer).await;
    let error = within(connect(&target(URL), &http(address))).await.expect_err("refused");
    proxying.await.expect("the script ends").1.assert_ended().await;
    assert_eq!(error.phase(), Some(Phase::Proxy), "{error:?}");
    tells(&error, &["the proxy", &format!("http://{address}")]);
    error
}

#[tokio::test]
async fn an_http_proxy_makes_a_tunnel() {
    let (address, proxying) = serve(async move |mut client| {
        let request = client.request().await;
        client.say("HTTP/1.1 200 Connection established\r\n\r\n").await;
        be_the_target(&mut client).await;
        (request, client)
    })
    .await;
    let opened = within(connect(&target(URL), &http(address))).await;
    let (request, mut server) = proxying.await.unwrap();
    let first = "CONNECT chat.example:3000 HTTP/1.1\r\n";
    assert!(request.head.starts_with(first), "{}", request.head);
    assert_eq!(request.value("host"), "chat.example:3000");
    assert!(request.values("proxy-authorization").is_empty());
    assert_open(opened, address, &mut server).await;
}

#[tokio::test]
async fn an_http_proxy_is_told_a_default_port_and_an_ipv6_address() {
    for (url, authority) in [("ws://chat.example", "chat.example:80"), ("ws://[::1]:7", "[::1]:7")]
    {
        let (address, proxying) = http_proxy("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n").await;
        within(connect(&target(url), &http(address))).await.expect_err("refused");
        let (request, _) = proxying.await.unwrap();
        let first = format!("CONNECT {authority} HTTP/1.1\r\n");
        assert!(request.head.starts_with(&first), "{}", request.head);
    }
}

#[tokio::test]
async fn an_http_proxy_gets_its_credentials() {
    let (address, proxying) = serve(async move |mut client| {
        let request = client.request().await;
        client.say("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n").await;
        be_the_target(&mut client).await;
        (request, client)
    })
    .await;
    let opened = within(connect(&target(URL), &with_credentials(http(address)))).await;
    let (request, mut server) = proxying.await.unwrap();
    let basic = request.value("proxy-authorization");
    assert_eq!(basic, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert_open(opened, address, &mut server).await;
}

#[tokio::test]
async fn an_http_proxys_refusal_is_told_with_its_body() {
    let error = refused_by_http(
        "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\
         Content-Length: 8\r\n\r\nWho r u?",
    )
    .await;
    tells(&error, &["407 Proxy Authentication Required", "Who r u?"]);
    let Error::Proxy { source: ProxyError::Rejected(rejection), .. } = error else {
        panic!("{error:?}")
    };
    assert_eq!(rejection.headers["proxy-authenticate"], "Basic");
}

#[tokio::test]
async fn an_http_proxys_refusal_is_told_though_its_body_does_not_end() {
    let (address, proxying) =
        http_proxy("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 99\r\n\r\nBecau").await;
    let timeouts = Timeouts { proxy: Duration::from_secs(1), ..Timeouts::default() };
    let options = Options { timeouts, ..http(address) };
    let error = within(connect(&target(URL), &options)).await.unwrap_err();
    proxying.await.unwrap().1.assert_ended().await;
    tells(&error, &["502 Bad Gateway", "Becau"]);
}

#[tokio::test]
async fn an_http_proxy_that_speaks_for_the_target_is_not_believed() {
    let error = refused_by_http("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101 Switching").await;
    let Error::Proxy { source: ProxyError::Early(count), .. } = error else { panic!("{error:?}") };
    assert!(count > 0);
}

#[tokio::test]
async fn an_http_proxy_that_speaks_no_http_is_told() {
    let error = refused_by_http("\u{5}\u{0}\u{5}\u{0}\u{0}\u{1}").await;
    assert!(matches!(error, Error::Proxy { source: ProxyError::Http(_), .. }), "{error:?}");
    // Nor is an upgrade a tunnel.
    let error = refused_by_http("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n").await;
    tells(&error, &["101"]);
}

/// What a SOCKS client says for this target without credentials (RFC 1928 §3, §4): the greeting, and the
/// request.
const HELLO: &[u8] = b"\x05\x01\x00";
const CONNECT: &[u8] = b"\x05\x01\x00\x03\x0cchat.example\x0b\xb8";
const CONNECTED: &[u8] = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00";

#[tokio::test]
async fn a_socks_proxy_connects_and_resolves() {
    for reply in [
        CONNECTED,
        b"\x05\x00\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50",
        b"\x05\x00\x00\x03\x05proxy\x00\x50",
    ] {
        let (address, proxying) = serve(async move |mut client| {
            assert_eq!(client.read(HELLO.len()).await, HELLO);
            client.say(b"\x05\x00").await;
            assert_eq!(client.read(CONNECT.len()).await, CONNECT);
            client.say(reply).await;
            be_the_target(&mut client).await;
            client
        })
        .await;
        let opened = within(connect(&target(URL), &socks(address))).await;
        assert_open(opened, address, &mut proxying.await.unwrap()).await;
    }
}

#[tokio::test]
async fn a_socks_proxy_is_told_addresses_as_addresses() {
    for (url, request) in [
        ("ws://10.0.0.1:7/", &b"\x05\x01\x00\x01\x0a\x00\x00\x01\x00\x07"[..]),
        ("ws://[::1]/", b"\x05\x01\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50"),
    ] {
        let (address, proxying) = serve(async move |mut client| {
            client.read(HELLO.len()).await;
            client.say(b"\x05\x00").await;
            assert_eq!(client.read(request.len()).await, request);
        })
        .await;
        within(connect(&target(url), &socks(address))).await.expect_err("the proxy leaves");
        proxying.await.unwrap();
    }
}

#[tokio::test]
async fn a_socks_proxy_gets_its_credentials() {
    let (address, proxying) = serve(async move |mut client| {
        let hello = client.read(3).await;
        assert_eq!(hello[0], 5);
        // The client may offer both ways, and must offer this one.
        let mut methods = vec![hello[2]];
        methods.extend(client.read(usize::from(hello[1]) - 1).await);
        assert!(methods.contains(&2), "{methods:?}");
        client.say(b"\x05\x02").await;
        assert_eq!(client.read(21).await, b"\x01\x07Aladdin\x0bopen sesame");
        client.say(b"\x01\x00").await;
        assert_eq!(client.read(CONNECT.len()).await, CONNECT);
        client.say(CONNECTED).await;
        be_the_target(&mut client).await;
        client
    })
    .await;
    let opened = within(connect(&target(URL), &with_credentials(socks(address)))).await;
    assert_open(opened, address, &mut proxying.await.unwrap()).await;
}

/// One answer for each message of the client.
type Answers = &'static [&'static [u8]];

/// A SOCKS proxy that answers this to the first messages of the client, and waits for the end.
async fn refused_by_socks(answers: Answers, credentials: bool) -> Error {
    let (address, proxying) = serve(async move |mut client| {
        for answer in answers {
            // Whatever the client says first; its messages come whole.
            client.stream.readable().await.expect("the client speaks");
            let mut message = [0; 512];
            let _ = client.stream.try_read(&mut message);
            client.say(answer).await;
        }
        client
    })
    .await;
    let options = if credentials { with_credentials(socks(address)) } else { socks(address) };
    let error = within(connect(&target(URL), &options)).await.expect_err("refused");
    drop(proxying.await.expect("the script ends"));
    assert_eq!(error.phase(), Some(Phase::Proxy), "{error:?}");
    tells(&error, &["the proxy", &format!("socks5://{address}")]);
    error
}

#[tokio::test]
async fn a_socks_proxys_refusal_is_told() {
    let refusals: [(Answers, _, _); _] = [
        (&[b"\x05\xff"], false, "No acceptable auth methods"),
        (&[b"\x05\x02"], false, "Authorization required"),
        (&[b"\x05\x02", b"\x01\x01"], true, "Password auth failure"),
        (&[b"\x05\x00", b"\x05\x02\x00\x01"], false, "not allowed by ruleset"),
        (&[b"\x05\x00", b"\x05\x04\x00\x01"], false, "Host unreachable"),
        (&[b"\x05\x00", b"\x05\x05\x00\x01"], false, "Connection refused"),
    ];
    for (answers, credentials, words) in refusals {
        let error = refused_by_socks(answers, credentials).await;
        assert!(matches!(error, Error::Proxy { source: ProxyError::Socks(_), .. }), "{error:?}");
        tells(&error, &["it refuses", words]);
    }
}

#[tokio::test]
async fn a_socks_proxy_that_speaks_something_else_is_told() {
    let confused: [Answers; _] = [
        &[b"HTTP/1.1 400 Bad Request\r\n\r\n"],
        &[b"\x04\x5a"],
        &[b"\x05\x00", b"\x04\x00\x00\x01\x00\x00"],
        &[b"\x05\x00", b"\x05\x00\x07\x01\x00\x00"],
        &[b"\x05\x00", b"\x05\x00\x00\x09\x00\x00"],
    ];
    for answers in confused {
        let error = refused_by_socks(answers, false).await;
        assert!(matches!(error, Error::Proxy { source: ProxyError::NotSocks, .. }), "{error:?}");
        tells(&error, &["not SOCKS 5"]);
    }
}

#[tokio::test]
async fn a_socks_proxy_that_leaves_is_told() {
    let (address, proxying) = serve(async move |mut client| {
        client.read(HELLO.len()).await;
        client.say(b"\x05").await;
    })
    .await;
    let error = within(connect(&target(URL), &socks(address))).await.unwrap_err();
    proxying.await.unwrap();
    assert!(matches!(error, Error::Proxy { source: ProxyError::Io(_), .. }), "{error:?}");
}

#[tokio::test]
async fn a_proxy_that_says_nothing_is_given_up() {
    for to in [http, socks] {
        let (address, proxying) = serve(async move |mut client| {
            client.read(1).await;
            client
        })
        .await;
        let timeouts = Timeouts { proxy: SHORT, ..Timeouts::default() };
        let options = Options { timeouts, ..to(address) };
        let error = within(connect(&target(URL), &options)).await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Timeout { phase: Phase::Proxy, limit: SHORT, is_total: false, .. }
            ),
            "{error:?}"
        );
        drop(proxying.await.unwrap());
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_an_error_of_tcp_that_names_it() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let error = within(connect(&target(URL), &http(address))).await.unwrap_err();
    assert_eq!(error.phase(), Some(Phase::Tcp));
    tells(&error, &[&address.to_string(), "refused"]);
}
