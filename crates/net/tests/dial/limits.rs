//! Servers that say too much, too slowly, or nothing.

use std::time::Duration;

use sockeye_net::dial::{Error, Options, Phase, Timeouts, connect};

use crate::server::{SHORT, answered_to, serve, target, tells, within};

fn http(limit: Duration) -> Options {
    let timeouts = Timeouts { http: limit, ..Timeouts::default() };
    Options { timeouts, ..Options::default() }
}

#[tokio::test]
async fn an_endless_head_is_refused_at_its_limit() {
    let (address, serving) = serve(async move |mut client| {
        client.request().await;
        client.say("HTTP/1.1 101 Switching Protocols\r\n").await;
        let line = format!("X: {}\r\n", "x".repeat(100));
        let mut said = 0;
        // Until the client has gone; what the sockets' buffers take is no limit of ours.
        while said < 64 * 1024 * 1024 {
            use tokio::io::AsyncWriteExt as _;
            if within(client.stream.write_all(line.as_bytes())).await.is_err() {
                return true;
            }
            said += line.len();
        }
        false
    })
    .await;
    let url = target(&format!("ws://{address}"));
    let error = within(connect(&url, &Options::default())).await.unwrap_err();
    assert_eq!(error.phase(), Some(Phase::Http));
    tells(&error, &["the answer's head has more than 16384 bytes or 100 lines"]);
    assert!(within(serving).await.unwrap(), "the client goes away");
}

#[tokio::test]
async fn one_endless_line_is_refused_at_its_limit() {
    let answer = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(100_000));
    let error = answered_to(&Options::default(), answer).await.unwrap_err();
    tells(&error, &["the answer's head has more than 16384 bytes"]);
}

#[tokio::test]
async fn a_head_below_the_limit_is_read() {
    let line = format!("X: {}\r\n", "x".repeat(90));
    let lines = line.repeat(80);
    let answer = format!("HTTP/1.1 418 Teapot\r\n{lines}Content-Length: 2\r\n\r\nhi");
    let error = answered_to(&Options::default(), answer).await.unwrap_err();
    let Error::Rejected(rejection) = error else { panic!("{error:?}") };
    assert_eq!(rejection.headers.get_all("x").iter().count(), 80);
    assert_eq!(rejection.body, "hi");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let (address, serving) = serve(async move |mut client| {
        client.request().await;
        client.assert_ended().await;
    })
    .await;
    let url = target(&format!("ws://{address}"));
    let error = within(connect(&url, &http(SHORT))).await.unwrap_err();
    assert!(
        matches!(error, Error::Timeout { phase: Phase::Http, limit: SHORT, is_total: false, .. }),
        "{error:?}"
    );
    tells(&error, &["HTTP", "300ms"]);
    serving.await.unwrap();
}

#[tokio::test]
async fn a_head_that_does_not_end_is_given_up() {
    let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n";
    let error = answered_to(&http(SHORT), answer).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { phase: Phase::Http, .. }), "{error:?}");
}

#[tokio::test]
async fn the_limit_for_everything_is_told_as_such() {
    let timeouts = Timeouts { total: SHORT, ..Timeouts::default() };
    let options = Options { timeouts, ..Options::default() };
    let error = answered_to(&options, "HTTP/1.1").await.unwrap_err();
    assert!(
        matches!(error, Error::Timeout { phase: Phase::Http, limit: SHORT, is_total: true, .. }),
        "{error:?}"
    );
    tells(&error, &["HTTP", "300ms", "everything"]);
}

#[tokio::test]
async fn a_body_that_does_not_end_is_told_as_far_as_it_came() {
    let answer = "HTTP/1.1 403 Forbidden\r\nContent-Length: 1000\r\n\r\nNo, bec";
    let error = answered_to(&http(Duration::from_secs(1)), answer).await.unwrap_err();
    let Error::Rejected(rejection) = error else { panic!("{error:?}") };
    assert_eq!(rejection.status, 403);
    assert_eq!(rejection.body, "No, bec");
}

#[tokio::test]
async fn no_limit_is_no_limit() {
    let never = Duration::MAX;
    let timeouts =
        Timeouts { dns: never, tcp: never, proxy: never, tls: never, http: never, total: never };
    let options = Options { timeouts, ..Options::default() };
    let answer = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nNo";
    let error = answered_to(&options, answer).await.unwrap_err();
    tells(&error, &["403 Forbidden", "No"]);
}
