//! From a name to a connection.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use sockeye_net::dial::{Error, Options, Phase, Timeouts, connect};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::server::{Conversation, SHORT, listen, target, tells, within};

/// Opens one WebSocket on a listener.
async fn welcome(listener: TcpListener) -> Conversation {
    let (stream, _) = within(listener.accept()).await.expect("a client");
    let mut client = Conversation { stream };
    let answer = client.request().await.switching("");
    client.say(answer).await;
    client
}

/// An address that nobody listens on: the port was free a moment ago, and the socket keeps it.
fn refusing() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
    let address = socket.local_addr().expect("it is bound");
    (socket, address)
}

/// An address that does not answer: a listener whose queue is full, so that the kernel drops what comes.
struct Silent {
    address: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl Silent {
    async fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
        let listener = socket.listen(1).expect("it can listen");
        let address = listener.local_addr().expect("it is bound");
        let mut queued = Vec::new();
        // The queue is full when a connection is not made at once.
        while let Ok(stream) =
            tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await
        {
            queued.push(stream.expect("it connects"));
        }
        Self { address, _listener: listener, _queued: queued }
    }
}

#[tokio::test]
async fn localhost_is_reached_in_either_family() {
    let families: [(SocketAddr, &str); 2] =
        [((Ipv4Addr::LOCALHOST, 0).into(), "IPv4"), ((Ipv6Addr::LOCALHOST, 0).into(), "IPv6")];
    for (address, family) in families {
        let listener = match TcpListener::bind(address).await {
            Ok(listener) => listener,
            Err(error) if address.is_ipv6() => {
                eprintln!("this machine has no IPv6: {error}");
                continue;
            }
            Err(error) => panic!("{family}: {error}"),
        };
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(welcome(listener));
        let url = target(&format!("ws://localhost:{}", address.port()));
        let opened = within(connect(&url, &Options::default())).await.expect(family);
        assert_eq!(opened.peer, address, "{family}");
        serving.await.unwrap();
    }
}

#[tokio::test]
async fn an_address_that_refuses_makes_way_for_the_next() {
    let (listener, address) = listen().await;
    let serving = tokio::spawn(welcome(listener));
    let (_kept, dead) = refusing();
    let options = Options {
        addresses: vec![dead, address],
        // The next address must not wait for this.
        attempt_delay: Duration::MAX,
        ..Options::default()
    };
    let url = target("ws://chat.example/");
    let opened = within(connect(&url, &options)).await.unwrap();
    assert_eq!(opened.peer, address);
    serving.await.unwrap();
}

#[tokio::test]
async fn an_address_that_does_not_answer_gets_company() {
    let (listener, address) = listen().await;
    let serving = tokio::spawn(welcome(listener));
    let silent = Silent::new().await;
    let options = Options {
        addresses: vec![silent.address, address],
        attempt_delay: SHORT,
        // What saves the day must be the second attempt, not the end of the first.
        timeouts: Timeouts { tcp: Duration::MAX, total: Duration::MAX, ..Timeouts::default() },
        ..Options::default()
    };
    let opened = within(connect(&target("ws://chat.example/"), &options)).await.unwrap();
    assert_eq!(opened.peer, address);
    serving.await.unwrap();
}

#[tokio::test]
async fn every_attempt_that_failed_is_told() {
    let silent = Silent::new().await;
    let (_kept, dead) = refusing();
    let options = Options {
        addresses: vec![silent.address, dead],
        attempt_delay: Duration::ZERO,
        timeouts: Timeouts { tcp: SHORT, ..Timeouts::default() },
        ..Options::default()
    };
    let error = within(connect(&target("ws://chat.example/"), &options)).await.unwrap_err();
    assert_eq!(error.phase(), Some(Phase::Tcp));
    let (dead, silent) = (dead.to_string(), silent.address.to_string());
    tells(&error, &["chat.example", &dead, "refused", &silent, "no answer within 300ms"]);
    let Error::Tcp { attempts, .. } = error else { panic!("{error:?}") };
    assert_eq!(attempts.len(), 2);
}

#[tokio::test]
async fn the_limit_for_everything_ends_connecting_too() {
    let silent = Silent::new().await;
    let options = Options {
        addresses: vec![silent.address],
        timeouts: Timeouts { total: SHORT, ..Timeouts::default() },
        ..Options::default()
    };
    let error = within(connect(&target("ws://chat.example/"), &options)).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { phase: Phase::Tcp, is_total: true, .. }), "{error:?}");
}

#[tokio::test]
async fn a_name_without_an_address_is_an_error_of_dns() {
    // RFC 6761 §6.4: there is none, and no resolver asks for it.
    let url = target("ws://nothing.invalid/");
    let error = within(connect(&url, &Options::default())).await.unwrap_err();
    assert_eq!(error.phase(), Some(Phase::Dns), "{error:?}");
    tells(&error, &["nothing.invalid"]);
}
