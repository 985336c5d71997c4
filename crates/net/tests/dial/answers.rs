//! What a server may answer to the handshake, and what comes of it.

use http::StatusCode;
use sockeye_net::dial::{Error, Options, Phase, Rejection, connect};
use sockeye_websocket::handshake::client::Refusal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::server::{answered_to, serve, speak, target, tells, told, within};

const GOOD: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Accept: {accept}\r\n\r\n";

async fn answered(answer: impl Into<String>) -> Result<sockeye_net::dial::Opened, Error> {
    answered_to(&Options::default(), answer).await
}

async fn rejected(answer: impl Into<String>) -> (Rejection, String) {
    let error = answered(answer).await.expect_err("no WebSocket");
    assert_eq!(error.phase(), Some(Phase::Http));
    let text = told(&error);
    let Error::Rejected(rejection) = error else { panic!("{error:?}") };
    (*rejection, text)
}

#[tokio::test]
async fn a_good_answer_opens_a_websocket() {
    let (address, serving) = serve(async move |mut client| {
        let request = client.request().await;
        client.say(request.switching("Server: test\r\n")).await;
        (request, client)
    })
    .await;
    let url = format!("ws://{address}/chat?room=1");
    let mut opened = within(connect(&target(&url), &Options::default())).await.unwrap();
    let (request, mut server) = serving.await.unwrap();

    assert!(request.head.starts_with("GET /chat?room=1 HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(request.value("host"), address.to_string());
    assert_eq!(request.value("upgrade"), "websocket");
    assert_eq!(request.value("connection"), "Upgrade");
    assert_eq!(request.value("sec-websocket-version"), "13");
    assert_eq!(request.head.lines().count(), 7, "nothing else: {}", request.head);

    assert_eq!(opened.peer, address);
    assert_eq!(opened.headers["server"], "test");
    assert!(opened.leftover.is_empty());
    assert_eq!(opened.subprotocol, None);
    assert!(opened.extensions.is_empty());
    speak(&mut opened, &mut server).await;
    // And its end is seen.
    drop(server);
    assert!(within(opened.io.read_u8()).await.is_err());
}

#[tokio::test]
async fn every_handshake_has_its_own_key() {
    let mut keys = Vec::new();
    for _ in 0..2 {
        let (address, serving) = serve(async move |mut client| client.request().await).await;
        let url = target(&format!("ws://{address}"));
        within(connect(&url, &Options::default())).await.expect_err("the server leaves");
        keys.push(serving.await.unwrap().value("sec-websocket-key").to_owned());
    }
    assert_ne!(keys[0], keys[1]);
    assert!(keys.iter().all(|key| key.len() == 24), "{keys:?}");
}

#[tokio::test]
async fn a_broken_rule_of_the_handshake_is_named() {
    for (from, to, refusal) in [
        ("Upgrade: websocket\r\n", "", Refusal::Upgrade(None)),
        ("Upgrade: websocket", "Upgrade: h2c", Refusal::Upgrade(Some("h2c".into()))),
        ("Connection: Upgrade\r\n", "", Refusal::Connection(None)),
        ("Connection: Upgrade", "Connection: close", Refusal::Connection(Some("close".into()))),
        ("Sec-WebSocket-Accept: {accept}\r\n", "", Refusal::AcceptMissing),
        (
            "Sec-WebSocket-Accept: {accept}\r\n",
            "Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Accept: {accept}\r\n",
            Refusal::AcceptRepeated,
        ),
        ("{accept}", "{accept}=", Refusal::AcceptWrong("?".into())),
        (
            "Connection: Upgrade\r\n",
            "Connection: Upgrade\r\nSec-WebSocket-Protocol: chat\r\n",
            Refusal::SubprotocolUnasked("chat".into()),
        ),
        (
            "Connection: Upgrade\r\n",
            "Connection: Upgrade\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
            Refusal::ExtensionUnasked("permessage-deflate".into()),
        ),
    ] {
        let answer = GOOD.replace(from, to);
        assert_ne!(answer, GOOD);
        let error = answered(answer).await.expect_err("a rule is broken");
        assert_eq!(error.phase(), Some(Phase::Handshake), "{error:?}");
        tells(&error, &[]);
        match (&error, refusal) {
            (Error::Handshake(Refusal::AcceptWrong(found)), Refusal::AcceptWrong(_)) => {
                assert!(found.ends_with("=="), "{found}");
            }
            (Error::Handshake(found), refusal) => assert_eq!(*found, refusal),
            (error, _) => panic!("{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_redirect_is_refused_and_names_where_to() {
    for (status, location, to) in [
        (301, "https://elsewhere.example/chat", "https://elsewhere.example/chat"),
        (302, "/login?back=%2F", "ws://{host}/login?back=%2F"),
        (303, "login", "ws://{host}/login"),
        (307, "//elsewhere.example", "ws://elsewhere.example/"),
        (308, "https://[broken", "https://[broken"),
    ] {
        let (address, serving) = serve(async move |mut client| {
            client.request().await;
            let head = format!("HTTP/1.1 {status} X\r\nLocation: {location}\r\n");
            client.say(head + "Content-Length: 1000\r\n\r\n").await;
            client
        })
        .await;
        let url = target(&format!("ws://{address}/"));
        let error = within(connect(&url, &Options::default())).await.unwrap_err();
        serving.await.unwrap().assert_ended().await;
        let expected = to.replace("{host}", &address.to_string());
        tells(&error, &[&expected, &status.to_string()]);
        let Error::Redirected { status: found, to } = error else { panic!("{error:?}") };
        assert_eq!((found.as_u16(), to), (status, expected));
    }
    // Others than these are no redirects, nor is one that leads nowhere.
    for answer in [
        "HTTP/1.1 304 Not Modified\r\nLocation: /a\r\n\r\n",
        "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n",
    ] {
        rejected(answer).await;
    }
}

#[tokio::test]
async fn an_ordinary_answer_is_told_with_its_headers_and_its_bodys_start() {
    let (rejection, text) = rejected(
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 10\r\n\r\n\
         Who are u?and what is this",
    )
    .await;
    assert_eq!(rejection.status, StatusCode::UNAUTHORIZED);
    assert_eq!(rejection.headers["www-authenticate"], "Basic realm=\"x\"");
    assert_eq!(rejection.body, "Who are u?");
    assert!(text.contains("401 Unauthorized") && text.contains("Who are u?"), "{text}");

    let (rejection, text) = rejected("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!((rejection.status, &*rejection.body), (StatusCode::NOT_FOUND, ""));
    assert!(text.ends_with("404 Not Found"), "{text}");

    let chunked =
        "HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert_eq!(rejected(chunked).await.0.body, "abcde");
}

#[tokio::test]
async fn of_a_body_a_kilobyte_is_kept() {
    let head = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100000\r\n\r\n";
    let (rejection, _) = rejected(format!("{head}{}", "x".repeat(100_000))).await;
    assert_eq!(rejection.body, "x".repeat(1024));
    // The character that is cut in two is left out, others that are wrong are marked.
    let (rejection, _) = rejected(format!("{head}x{}", "\u{e4}".repeat(50_000))).await;
    assert_eq!(rejection.body, format!("x{}", "\u{e4}".repeat(511)));
    let whole = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 1024\r\n\r\n";
    let (rejection, _) = rejected(format!("{whole}{}", "x".repeat(1024))).await;
    assert_eq!(rejection.body.len(), 1024);
}

#[tokio::test]
async fn of_a_body_that_breaks_off_the_beginning_is_kept() {
    let (address, serving) = serve(async move |mut client| {
        client.request().await;
        client.say("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 100\r\n\r\nbroken").await;
    })
    .await;
    let url = target(&format!("ws://{address}"));
    let error = within(connect(&url, &Options::default())).await.unwrap_err();
    serving.await.unwrap();
    tells(&error, &["502 Bad Gateway", "broken"]);
}

#[tokio::test]
async fn what_is_no_http_is_told() {
    for (answer, words) in [
        ("SSH-2.0-OpenSSH_9.2\r\n", "invalid HTTP version"),
        ("HTTP/2 101\r\n\r\n", "invalid HTTP version"),
        ("HTTP/1.1 1e1 X\r\n\r\n", "invalid HTTP status"),
        ("HTTP/1.1 101 X\r\na b: c\r\n\r\n", "invalid HTTP header"),
        ("\u{16}\u{3}\u{1}\u{0}", "invalid HTTP"),
    ] {
        let error = answered(answer).await.expect_err("not HTTP");
        assert_eq!(error.phase(), Some(Phase::Http), "{answer:?}");
        tells(&error, &["no HTTP answer", words]);
    }
}

#[tokio::test]
async fn an_informational_answer_is_passed_over() {
    let opened = answered(format!("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{GOOD}")).await;
    assert!(opened.unwrap().headers.get("link").is_none());
}

/// A server that answers by this many bytes of a good answer and then leaves.
async fn cut(length: usize) -> Error {
    let (address, serving) = serve(async move |mut client| {
        let answer = client.request().await.switching("");
        client.say(&answer.as_bytes()[..length]).await;
    })
    .await;
    let url = target(&format!("ws://{address}"));
    let error = within(connect(&url, &Options::default())).await.expect_err("half a head");
    serving.await.expect("the script ends");
    error
}

#[tokio::test]
async fn a_head_that_breaks_off_at_any_byte_is_told() {
    for length in 0..GOOD.len() - "{accept}".len() + 28 {
        let error = cut(length).await;
        assert_eq!(error.phase(), Some(Phase::Http), "{length}: {error:?}");
        tells(&error, &["closed before the answer's head was complete"]);
    }
}

#[tokio::test]
async fn a_head_in_two_pieces_opens_a_websocket_wherever_it_is_cut() {
    let length = GOOD.len() - "{accept}".len() + 28;
    for cut in 0..=length {
        let (address, serving) = serve(async move |mut client| {
            let mut answer = client.request().await.switching("").into_bytes();
            assert_eq!(answer.len(), length);
            answer.extend(b"\x81\x02hi");
            let (first, second) = answer.split_at(cut);
            client.say(first).await;
            tokio::task::yield_now().await;
            client.say(second).await;
            client
        })
        .await;
        let url = target(&format!("ws://{address}"));
        let mut opened = within(connect(&url, &Options::default())).await.unwrap();
        let server = serving.await.unwrap();
        // Not one of the bytes behind the head is lost, wherever they are.
        let mut frame = opened.leftover.to_vec();
        while frame.len() < 4 {
            frame.push(within(opened.io.read_u8()).await.expect("four bytes"));
        }
        assert_eq!(frame, b"\x81\x02hi", "cut at {cut}");
        drop(server);
    }
}

#[tokio::test]
async fn bytes_right_behind_the_answer_are_handed_over() {
    let behind = "\u{82}frames, frames, frames".repeat(1000);
    let mut opened = answered(format!("{GOOD}{behind}")).await.unwrap();
    assert!(!opened.leftover.is_empty());
    let mut all = opened.leftover.to_vec();
    within(opened.io.shutdown()).await.unwrap();
    let mut rest = vec![0; behind.len() - all.len()];
    within(opened.io.read_exact(&mut rest)).await.unwrap();
    all.extend(rest);
    assert!(all == behind.as_bytes());
}
