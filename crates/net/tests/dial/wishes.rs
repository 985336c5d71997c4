//! What the options ask for reaches the server, and what it says to that reaches the caller.

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};
use sockeye_net::dial::{Error, Options, OptionsError, connect};
use sockeye_websocket::handshake::client::Refusal;

use crate::server::{answered_to, serve, target, tells, within};

fn offering(subprotocols: &[&str], extensions: Option<&str>) -> Options {
    Options {
        subprotocols: subprotocols.iter().map(|&name| name.to_owned()).collect(),
        extensions: extensions.map(str::to_owned),
        ..Options::default()
    }
}

fn switching(lines: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {{accept}}\r\n{lines}\r\n"
    )
}

#[tokio::test]
async fn headers_and_offers_are_sent() {
    let (address, serving) = serve(async move |mut client| client.request().await).await;
    let mut headers = HeaderMap::new();
    headers.append(header::ORIGIN, HeaderValue::from_static("https://example.com"));
    headers.append(header::COOKIE, HeaderValue::from_static("a=1"));
    headers.append(header::COOKIE, HeaderValue::from_static("b=2"));
    headers.append(HeaderName::from_static("x-token"), HeaderValue::from_static("t"));
    let options = Options {
        headers,
        ..offering(&["v2.chat", "chat"], Some("permessage-deflate; client_max_window_bits"))
    };
    let url = target(&format!("ws://user:pass@{address}/"));
    within(connect(&url, &options)).await.expect_err("the server leaves");
    let request = serving.await.unwrap();
    assert_eq!(request.value("origin"), "https://example.com");
    assert_eq!(request.values("cookie"), ["a=1", "b=2"]);
    assert_eq!(request.value("x-token"), "t");
    assert_eq!(request.value("authorization"), "Basic dXNlcjpwYXNz");
    assert_eq!(request.value("sec-websocket-protocol"), "v2.chat, chat");
    let extensions = request.value("sec-websocket-extensions");
    assert_eq!(extensions, "permessage-deflate; client_max_window_bits");
}

#[tokio::test]
async fn impossible_options_are_refused_before_anything_is_sent() {
    let headers =
        HeaderMap::from_iter([(header::SEC_WEBSOCKET_KEY, HeaderValue::from_static("mine"))]);
    let options = Options { headers, ..Options::default() };
    // Nobody listens on port 1: an attempt would be another error.
    let error = within(connect(&target("ws://127.0.0.1:1"), &options)).await.unwrap_err();
    let Error::Options(OptionsError::Header(name)) = &error else { panic!("{error:?}") };
    assert_eq!(name, header::SEC_WEBSOCKET_KEY);
    assert_eq!(error.phase(), None);
    tells(&error, &["sec-websocket-key"]);
}

#[tokio::test]
async fn the_chosen_subprotocol_is_handed_over() {
    let options = offering(&["chat", "news"], None);
    let opened = answered_to(&options, switching("Sec-WebSocket-Protocol: news\r\n")).await;
    assert_eq!(opened.unwrap().subprotocol.as_deref(), Some("news"));
    let opened = answered_to(&options, switching("")).await;
    assert_eq!(opened.unwrap().subprotocol, None);

    for (lines, refusal) in [
        ("Sec-WebSocket-Protocol: other\r\n", Refusal::SubprotocolNotOffered("other".to_owned())),
        (
            "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: news\r\n",
            Refusal::SubprotocolRepeated,
        ),
    ] {
        let error = answered_to(&options, switching(lines)).await.unwrap_err();
        let Error::Handshake(found) = error else { panic!("{error:?}") };
        assert_eq!(found, refusal);
    }
}

#[tokio::test]
async fn what_is_said_of_extensions_is_handed_over_as_it_came() {
    let options = offering(&[], Some("permessage-deflate"));
    let lines = "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=\"12\"\r\n\
                 Sec-WebSocket-Extensions: x\r\n";
    let opened = answered_to(&options, switching(lines)).await.unwrap();
    assert_eq!(opened.extensions, ["permessage-deflate; server_max_window_bits=\"12\"", "x"]);
    let opened = answered_to(&options, switching("")).await.unwrap();
    assert!(opened.extensions.is_empty());
}
