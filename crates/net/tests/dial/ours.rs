//! Our own server on the other side.

use sockeye_net::dial::{Error, Options, Proxy, connect};
use sockeye_net::masks;
use sockeye_websocket::mask;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use crate::common::Site;
use crate::server::{listen, serve, target, tells, within};

#[tokio::test]
async fn our_own_server_opens_a_websocket_and_echoes() {
    let (listener, address) = listen().await;
    let closing = watch::Sender::new(false);
    let accepting = tokio::spawn(sockeye_net::accept(
        listener,
        Site::new(),
        Default::default(),
        closing.subscribe(),
    ));

    let url = target(&format!("ws://localhost:{}/echo", address.port()));
    let mut opened = within(connect(&url, &Options::default())).await.unwrap();
    assert_eq!(opened.peer, address);
    let key = masks::fresh();
    let mut payload = *b"hello";
    mask::apply(key, 0, &mut payload);
    let frame = [&[0x81, 0x85][..], &key, &payload].concat();
    within(opened.io.write_all(&frame)).await.unwrap();
    let mut echo = [0; 7];
    within(opened.io.read_exact(&mut echo)).await.unwrap();
    assert_eq!(echo, *b"\x81\x05hello");

    let url = target(&format!("http://{address}/hello"));
    let error = within(connect(&url, &Options::default())).await.unwrap_err();
    tells(&error, &["200 OK", "hello"]);

    drop(opened);
    closing.send_replace(true);
    within(accepting).await.unwrap();
}

#[tokio::test]
async fn our_own_server_is_reached_through_a_tunnel() {
    let (listener, address) = listen().await;
    let closing = watch::Sender::new(false);
    let accepting = tokio::spawn(sockeye_net::accept(
        listener,
        Site::new(),
        Default::default(),
        closing.subscribe(),
    ));
    // A proxy that does what it is asked.
    let (proxy, proxying) = serve(async move |mut client| {
        let request = client.request().await;
        let to = request.head.split(' ').nth(1).expect("a target").to_owned();
        let mut server = within(tokio::net::TcpStream::connect(to)).await.expect("the target");
        client.say("HTTP/1.0 200 OK\r\n\r\n").await;
        let _ = within(tokio::io::copy_bidirectional(&mut client.stream, &mut server)).await;
    })
    .await;

    let proxy = Proxy::Http { host: "localhost".into(), port: proxy.port(), credentials: None };
    let options = Options { proxy: Some(proxy), ..Options::default() };
    let url = target(&format!("ws://{address}/nowhere"));
    let error = within(connect(&url, &options)).await.unwrap_err();
    let Error::Rejected(rejection) = &error else { panic!("{error:?}") };
    assert_eq!((rejection.status.as_u16(), &*rejection.body), (404, "not found"));
    within(proxying).await.unwrap();

    closing.send_replace(true);
    within(accepting).await.unwrap();
}
