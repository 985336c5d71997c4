//! Behind somebody else's server, which speaks HTTP/2 on hyper.

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use sockeye_net::websocket::{Options, Server, Upgrade, Why};
use tokio::net::TcpListener;

use crate::{client, echo, within};

async fn upgrade(mut request: Request) -> Response {
    match Upgrade::judge(&mut request, &Options::default().into()) {
        Ok(upgrade) => upgrade.run(echo).map(axum::body::Body::new),
        Err(refused) => refused.into_response().map(axum::body::Body::new),
    }
    .into_response()
}

#[tokio::test]
async fn an_upgrade_and_a_service_take_streams_of_hypers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let server = Server::new(echo);
    let router =
        Router::new().route("/upgrade", any(upgrade)).route_service("/service", server.service());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(router.clone());
            tokio::spawn(async move {
                let mut http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                http2.enable_connect_protocol();
                http2.serve_connection(TokioIo::new(stream), service).await
            });
        }
    });
    let client = client();
    for path in ["upgrade", "service"] {
        let socket = client.connect(&format!("ws://{address}/{path}")).await;
        let mut socket = socket.unwrap_or_else(|error| panic!("{path}: {error}"));
        for size in [0, 1, 70_000, 900_000] {
            socket.send(vec![7; size]).expect("open");
            assert_eq!(within(socket.recv()).await.expect("an echo").len(), size);
        }
        socket.close(sockeye_net::websocket::CloseCode::NORMAL, "");
        let ending = within(socket.closed()).await;
        assert!(ending.clean && matches!(ending.why, Why::Local(..)), "{ending}");
    }
    let error = client.connect(&format!("ws://{address}/nothing")).await.expect_err("refused");
    assert!(error.to_string().contains("404"), "{error}");
}
