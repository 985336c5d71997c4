//! Whatever step it is in: dropped, it closes what it had opened.

use std::sync::Arc;

use sockeye_net::Io;
use sockeye_net::dial::{Options, Secure, Securing, connect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::server::{serve, target, within};

/// A "TLS" that says `hi`, waits for one byte, and speaks in clear.
#[derive(Debug)]
struct Hi;

impl Secure for Hi {
    fn secure<'a>(&'a self, mut stream: TcpStream, _: &'a str) -> Securing<'a> {
        Box::pin(async move {
            stream.write_all(b"hi").await?;
            stream.read_u8().await?;
            Ok(Io::boxed(stream))
        })
    }
}

/// Drops a client when the server has heard `until` and has said each answer to what came before it.
async fn dropped(url: &str, proxy: Option<&str>, until: &[(&'static str, &'static str)]) {
    let (arrived, arrival) = oneshot::channel();
    let script = until.to_vec();
    let (address, serving) = serve(async move |mut client| {
        for (heard, answer) in script {
            let mut said = Vec::new();
            while !said.ends_with(heard.as_bytes()) {
                said.push(within(client.stream.read_u8()).await.expect("the client speaks"));
            }
            client.say(answer).await;
        }
        arrived.send(()).expect("the test waits");
        client.assert_ended().await;
    })
    .await;
    let options = Options {
        addresses: vec![address],
        proxy: proxy.map(|scheme| format!("{scheme}://proxy.example").parse().expect("a proxy")),
        tls: Some(Arc::new(Hi)),
        ..Options::default()
    };
    let target = target(url);
    tokio::select! {
        opened = connect(&target, &options) => panic!("{url} {proxy:?}: {opened:?}"),
        arrived = within(arrival) => arrived.expect("the server runs"),
    }
    within(serving).await.expect("the connection ends");
}

#[tokio::test]
async fn dropped_in_any_step_it_closes_the_connection() {
    const END: &str = "\r\n\r\n";
    let established = "HTTP/1.1 200 OK\r\n\r\n";
    for (url, proxy, until) in [
        ("ws://a/", None, &[(END, "")][..]),
        ("ws://a/", None, &[(END, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: webs")]),
        ("ws://a/", None, &[(END, "HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nNo")]),
        ("wss://a/", None, &[("hi", "")]),
        ("wss://a/", None, &[("hi", "!"), (END, "")]),
        ("ws://a/", Some("http"), &[(END, "")]),
        ("ws://a/", Some("http"), &[(END, "HTTP/1.1 200 O")]),
        ("ws://a/", Some("http"), &[(END, "HTTP/1.1 403 Forbidden\r\n\r\nNo")]),
        ("ws://a/", Some("http"), &[(END, established), (END, "")]),
        ("wss://a/", Some("http"), &[(END, established), ("hi", "")]),
        ("ws://a/", Some("socks5"), &[("\x05\x01\0", "")]),
        ("ws://a/", Some("socks5"), &[("\x05\x01\0", "\x05\0"), ("a\0\x50", "\x05\0\0")]),
    ] {
        dropped(url, proxy, until).await;
    }
}
