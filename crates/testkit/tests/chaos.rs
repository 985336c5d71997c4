//! What the chaos proxy does to connections, seen from both of their ends.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sockeye_testkit::chaos::{Chaos, Direction, Ending};
use sockeye_testkit::deadline::DEADLINE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// A proxy, and a place to connect behind it.
async fn chaos() -> (Chaos, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    (Chaos::start(listener.local_addr().expect("it is bound")), listener)
}

/// Both ends of a new connection through the proxy: the client's, the server's.
async fn connect(chaos: &Chaos, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let connection = async {
        let client = TcpStream::connect(chaos.address()).await?;
        let (server, _) = listener.accept().await?;
        Ok::<_, std::io::Error>((client, server))
    };
    timeout(DEADLINE, connection).await.expect("in time").expect("both ends connect")
}

async fn send(stream: &mut TcpStream, bytes: &[u8]) {
    let sent = timeout(DEADLINE, stream.write_all(bytes)).await;
    assert!(matches!(sent, Ok(Ok(()))), "{sent:?}");
}

#[track_caller]
fn recv<'a>(stream: &'a mut TcpStream, bytes: &'a [u8]) -> impl Future<Output = ()> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        let mut read = vec![0; bytes.len()];
        let end = timeout(DEADLINE, stream.read_exact(&mut read)).await;
        assert!(matches!(end, Ok(Ok(_))), "{caller}: {end:?}");
        assert_eq!(String::from_utf8_lossy(&read), String::from_utf8_lossy(bytes), "{caller}");
    }
}

/// What still comes until the stream ends, and how it does.
async fn recv_end(stream: &mut TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
    let mut read = Vec::new();
    let end = timeout(DEADLINE, stream.read_to_end(&mut read)).await.expect("the stream ends");
    (read, end.err().map(|error| error.kind()))
}

#[tokio::test]
async fn without_a_fault_bytes_and_ends_pass_in_both_directions() {
    let (chaos, listener) = chaos().await;
    assert_eq!(chaos.connections(), 0);
    let (mut client, mut server) = connect(&chaos, &listener).await;
    assert_eq!(chaos.connections(), 1);
    let large: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
    tokio::join!(send(&mut client, &large), recv(&mut server, &large));
    tokio::join!(send(&mut server, &large), recv(&mut client, &large));
    client.shutdown().await.unwrap();
    assert_eq!(recv_end(&mut server).await, (vec![], None));
    send(&mut server, b"the other half is open").await;
    recv(&mut client, b"the other half is open").await;
    drop(server);
    assert_eq!(recv_end(&mut client).await, (vec![], None));
    chaos.connections_wait(0).await;
}

#[tokio::test]
async fn a_reset_of_one_end_reaches_the_other() {
    let (chaos, listener) = chaos().await;
    let (mut client, server) = connect(&chaos, &listener).await;
    server.set_zero_linger().unwrap();
    drop(server);
    assert_eq!(recv_end(&mut client).await, (vec![], Some(ErrorKind::ConnectionReset)));
    chaos.connections_wait(0).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_reset() {
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let chaos = Chaos::start(nowhere);
    let mut client = TcpStream::connect(chaos.address()).await.unwrap();
    assert_eq!(recv_end(&mut client).await, (vec![], Some(ErrorKind::ConnectionReset)));
}

#[tokio::test]
async fn a_delay_holds_one_direction_back() {
    let (chaos, listener) = chaos().await;
    let (mut client, mut server) = connect(&chaos, &listener).await;
    let delay = Duration::from_millis(80);
    chaos.delay(Direction::Up, delay);
    let start = Instant::now();
    send(&mut client, b"up").await;
    recv(&mut server, b"up").await;
    assert!(start.elapsed() >= delay);
    client.shutdown().await.unwrap();
    assert_eq!(recv_end(&mut server).await, (vec![], None));
    assert!(start.elapsed() >= 2 * delay);
    send(&mut server, b"down").await;
    recv(&mut client, b"down").await;
}

#[tokio::test]
async fn a_stall_keeps_everything_until_it_ends() {
    let (chaos, listener) = chaos().await;
    let (mut client, mut server) = connect(&chaos, &listener).await;
    chaos.stall(Direction::Down);
    send(&mut server, b"down").await;
    // Behind it, so the proxy has had its chance.
    for _ in 0..10 {
        send(&mut client, b"up").await;
        recv(&mut server, b"up").await;
    }
    let read = client.try_read(&mut [0]);
    assert!(matches!(&read, Err(error) if error.kind() == ErrorKind::WouldBlock), "{read:?}");
    chaos.resume(Direction::Down);
    recv(&mut client, b"down").await;
}

#[tokio::test]
async fn a_stall_is_felt_by_the_sender_in_the_end() {
    let (chaos, listener) = chaos().await;
    let (mut client, mut server) = connect(&chaos, &listener).await;
    let server = tokio::spawn(async move { recv_end(&mut server).await.1 });
    // More than the kernel's buffers hold.
    let much = vec![7; 16 << 20];
    send(&mut client, &much).await;
    chaos.stall(Direction::Up);
    assert!(timeout(Duration::from_millis(500), client.write_all(&much)).await.is_err());
    // An end by order needs no room in any buffer.
    chaos.cut(Ending::Reset);
    assert_eq!(recv_end(&mut client).await.1, Some(ErrorKind::ConnectionReset));
    assert_eq!(server.await.unwrap(), Some(ErrorKind::ConnectionReset));
    chaos.connections_wait(0).await;
}

#[tokio::test]
async fn slices_are_written_one_by_one() {
    let (chaos, listener) = chaos().await;
    chaos.slice(Direction::Up, 3);
    let (mut client, mut server) = connect(&chaos, &listener).await;
    let bytes = b"a message that is cut into many slices";
    send(&mut client, bytes).await;
    let mut read = [0; 64];
    // Whoever reads late may find several, but between the first and the last others have a turn.
    let first = timeout(DEADLINE, server.read(&mut read)).await.unwrap().unwrap();
    assert!(first < bytes.len());
    recv(&mut server, &bytes[first..]).await;
    chaos.calm();
    send(&mut client, bytes).await;
    recv(&mut server, bytes).await;
}

#[tokio::test]
async fn a_cut_comes_after_exactly_so_many_bytes() {
    for (ending, error) in [(Ending::Fin, None), (Ending::Reset, Some(ErrorKind::ConnectionReset))]
    {
        let (chaos, listener) = chaos().await;
        let (mut client, mut server) = connect(&chaos, &listener).await;
        send(&mut client, b"before").await;
        recv(&mut server, b"before").await;
        chaos.cut_after(Direction::Up, 5, ending);
        send(&mut server, b"other direction").await;
        recv(&mut client, b"other direction").await;
        send(&mut client, b"abc").await;
        recv(&mut server, b"abc").await;
        send(&mut client, b"defg").await;
        recv(&mut server, b"de").await;
        assert_eq!(recv_end(&mut server).await, (vec![], error));
        assert_eq!(recv_end(&mut client).await, (vec![], error));
        // A later connection has its own count.
        let (mut client, mut server) = connect(&chaos, &listener).await;
        send(&mut client, b"fresh!").await;
        recv(&mut server, b"fresh").await;
        assert_eq!(recv_end(&mut server).await, (vec![], error));
    }
}

#[tokio::test]
async fn a_cut_that_is_taken_back_does_not_come() {
    let (chaos, listener) = chaos().await;
    let (mut client, mut server) = connect(&chaos, &listener).await;
    chaos.cut_after(Direction::Up, 5, Ending::Reset);
    send(&mut client, b"abc").await;
    recv(&mut server, b"abc").await;
    chaos.calm();
    send(&mut client, b"defghi").await;
    recv(&mut server, b"defghi").await;
}

#[tokio::test]
async fn half_a_close_leaves_the_other_half() {
    let (chaos, listener) = chaos().await;
    let (mut client, mut server) = connect(&chaos, &listener).await;
    chaos.half_close(Direction::Down);
    assert_eq!(recv_end(&mut client).await, (vec![], None));
    send(&mut server, b"to nobody").await;
    send(&mut client, b"up").await;
    recv(&mut server, b"up").await;
    assert_eq!(chaos.connections(), 1);
    // It was for that connection alone.
    let (mut other, mut server) = connect(&chaos, &listener).await;
    send(&mut server, b"down").await;
    recv(&mut other, b"down").await;
}

#[tokio::test]
async fn a_cut_of_all_ends_what_is_open_and_nothing_later() {
    for (ending, error) in [(Ending::Fin, None), (Ending::Reset, Some(ErrorKind::ConnectionReset))]
    {
        let (chaos, listener) = chaos().await;
        let (mut client, mut server) = connect(&chaos, &listener).await;
        let (mut other, _server) = connect(&chaos, &listener).await;
        // What nobody has read by then does not make a reset of a goodbye.
        chaos.stall(Direction::Up);
        send(&mut client, b"unread").await;
        chaos.cut(ending);
        assert_eq!(recv_end(&mut client).await, (vec![], error));
        assert_eq!(recv_end(&mut server).await, (vec![], error));
        assert_eq!(recv_end(&mut other).await, (vec![], error));
        chaos.resume(Direction::Up);
        let (mut client, mut server) = connect(&chaos, &listener).await;
        send(&mut client, b"later").await;
        recv(&mut server, b"later").await;
    }
}

#[tokio::test]
async fn dropping_the_proxy_ends_everything() {
    let (chaos, listener) = chaos().await;
    let (mut client, mut server) = connect(&chaos, &listener).await;
    let address = chaos.address();
    drop(chaos);
    recv_end(&mut client).await;
    recv_end(&mut server).await;
    assert!(is_refused(address).await);
}

async fn is_refused(address: SocketAddr) -> bool {
    matches!(TcpStream::connect(address).await, Err(error) if error.kind() == ErrorKind::ConnectionRefused)
}

#[tokio::test]
async fn an_upgrade_is_taken_out_of_requests_of_later_connections() {
    let request = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    let (chaos, listener) = chaos().await;
    let (mut before, mut server) = connect(&chaos, &listener).await;
    chaos.strip_upgrade();
    send(&mut before, request).await;
    recv(&mut server, request).await;
    let (mut client, mut server) = connect(&chaos, &listener).await;
    for half in [&request[..30], &request[30..]] {
        send(&mut client, half).await;
        tokio::task::yield_now().await;
    }
    recv(&mut server, b"GET / HTTP/1.1\r\n\r\n").await;
    send(&mut server, b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\n\r\n").await;
    recv(&mut client, b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\n\r\n").await;
    // What is not a whole head when the client ends it is not lost.
    send(&mut client, b"GET / HT").await;
    client.shutdown().await.unwrap();
    assert_eq!(recv_end(&mut server).await, (b"GET / HT".to_vec(), None));
}
