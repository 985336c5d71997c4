//! The seam between dialling and TLS.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sockeye_net::Io;
use sockeye_net::dial::{Error, Options, Phase, Secure, Securing, Timeouts, connect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::{SHORT, serve, speak, target, tells, within};

/// A "TLS" that greets the server by its name and then speaks in clear.
#[derive(Debug)]
struct Greeting;

impl Secure for Greeting {
    fn secure<'a>(&'a self, mut stream: TcpStream, host: &'a str) -> Securing<'a> {
        Box::pin(async move {
            stream.write_all(format!("<{host}>").as_bytes()).await?;
            match stream.read_u8().await? {
                b'y' => Ok(Io::boxed(stream)),
                _ => Err(io::Error::other("the certificate is someone else's").into()),
            }
        })
    }
}

fn options() -> Options {
    Options { tls: Some(Arc::new(Greeting)), ..Options::default() }
}

#[tokio::test]
async fn a_secure_target_goes_through_tls() {
    let (address, serving) = serve(async move |mut client| {
        assert_eq!(client.read(14).await, b"<chat.example>");
        client.say("y").await;
        let request = client.request().await;
        client.say(request.switching("") + "\u{1}early").await;
        (request, client)
    })
    .await;
    let options = Options { addresses: vec![address], ..options() };
    let mut opened = within(connect(&target("wss://chat.example/x"), &options)).await.unwrap();
    let (request, mut server) = serving.await.unwrap();
    assert_eq!(request.value("host"), "chat.example");
    let mut early = opened.leftover.to_vec();
    while early.len() < 6 {
        early.push(within(opened.io.read_u8()).await.unwrap());
    }
    assert_eq!(early, b"\x01early");
    speak(&mut opened, &mut server).await;
}

#[tokio::test]
async fn without_tls_a_secure_target_is_an_error_before_anything_is_sent() {
    for url in ["wss://127.0.0.1:1", "https://127.0.0.1:1"] {
        let error = within(connect(&target(url), &Options::default())).await.unwrap_err();
        assert!(matches!(error, Error::WithoutTls), "{error:?}");
        assert_eq!(error.phase(), None);
        tells(&error, &["built without TLS"]);
    }
}

#[tokio::test]
async fn a_plain_target_does_not_touch_tls() {
    #[derive(Debug, Default)]
    struct Counting(AtomicUsize);
    impl Secure for Counting {
        fn secure<'a>(&'a self, _: TcpStream, _: &'a str) -> Securing<'a> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Err("unasked".into()) })
        }
    }
    let counting = Arc::new(Counting::default());
    let (address, serving) = serve(async move |mut client| {
        let answer = client.request().await.switching("");
        client.say(answer).await;
        client
    })
    .await;
    let options = Options { tls: Some(counting.clone()), ..Options::default() };
    within(connect(&target(&format!("ws://{address}")), &options)).await.unwrap();
    serving.await.unwrap();
    assert_eq!(counting.0.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn an_error_of_tls_keeps_its_cause() {
    let (address, serving) = serve(async move |mut client| {
        client.read(11).await;
        client.say("n").await;
        client.assert_ended().await;
    })
    .await;
    let url = target(&format!("wss://{address}"));
    let error = within(connect(&url, &options())).await.unwrap_err();
    serving.await.unwrap();
    assert_eq!(error.phase(), Some(Phase::Tls));
    tells(&error, &["no TLS", "127.0.0.1", "someone else's"]);
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls_is_given_up() {
    let (address, serving) = serve(async move |mut client| {
        client.read(11).await;
        client.assert_ended().await;
    })
    .await;
    let timeouts = Timeouts { tls: SHORT, ..Timeouts::default() };
    let url = target(&format!("wss://{address}"));
    let error = within(connect(&url, &Options { timeouts, ..options() })).await.unwrap_err();
    serving.await.unwrap();
    assert!(
        matches!(error, Error::Timeout { phase: Phase::Tls, limit: SHORT, is_total: false, .. }),
        "{error:?}"
    );
}
