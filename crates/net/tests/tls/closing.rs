//! How a stream through TLS ends.

use std::io::ErrorKind;

use sockeye_net::tls::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::pipe::pipe;
use crate::{connected, pair, shake, within};

#[tokio::test]
async fn one_side_ends_and_the_other_goes_on() {
    let (mut client, mut server) = connected(pipe(100_000)).await;
    within(client.write_all(b"a question")).await.expect("the server reads");
    within(client.shutdown()).await.expect("the server reads");
    let mut question = Vec::new();
    within(server.read_to_end(&mut question)).await.expect("a proper end");
    assert_eq!(question, b"a question");
    within(server.write_all(b"an answer")).await.expect("the client reads");
    within(server.shutdown()).await.expect("the client reads");
    let mut answer = Vec::new();
    within(client.read_to_end(&mut answer)).await.expect("a proper end");
    assert_eq!(answer, b"an answer");
    // And stays ended.
    assert_eq!(within(client.read(&mut [0; 8])).await.expect("a proper end"), 0);
}

#[tokio::test]
async fn an_end_without_a_word_is_no_end_of_data() {
    let (mut client, mut server) = connected(pipe(100_000)).await;
    within(client.write_all(b"only half of")).await.expect("the server reads");
    drop(client);
    let mut received = Vec::new();
    let error = within(server.read_to_end(&mut received)).await.expect_err("it was cut");
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
    assert_eq!(received, b"only half of");
    // Asked again, it says so again.
    let error = within(server.read(&mut [0; 8])).await.expect_err("it was cut");
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}

/// How many bytes the client sends in its handshake, and how many more for what it has to say.
async fn lengths(said: &[&[u8]]) -> (usize, usize) {
    let (client, _server) = pipe(100_000);
    let (mut client, _server) = connected((client, _server)).await;
    let shaken = client.get_ref().written();
    for said in said {
        within(client.write_all(said)).await.expect("there is room");
    }
    within(client.shutdown()).await.expect("there is room");
    (shaken, client.get_ref().written() - shaken)
}

#[tokio::test]
async fn a_stream_cut_anywhere_is_never_whole() {
    let said: [&[u8]; 3] = [b"one", b"two", b"three"];
    let pair = pair();
    let (shaken, length) = lengths(&said).await;
    let mut prefixes = Vec::new();
    for cut in 0..=length {
        let (client, server) = pipe(100_000);
        let (client, server) = shake(&pair, (client.cut_after(shaken + cut), server)).await;
        let mut client = client.expect("the server is trusted");
        let mut server = server.expect("the client shakes hands");
        for said in said {
            // What is cut off cannot be written.
            let _ = within(client.write_all(said)).await;
        }
        let _ = within(client.shutdown()).await;
        drop(client);
        let mut received = Vec::new();
        let ended = within(server.read_to_end(&mut received)).await;
        assert!(b"onetwothree".starts_with(&received[..]), "{received:?}");
        match ended {
            Ok(_) => assert_eq!((cut, &received[..]), (length, &b"onetwothree"[..])),
            Err(error) => {
                assert!(cut < length, "all came");
                assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
            }
        }
        prefixes.push(received);
    }
    prefixes.dedup();
    assert_eq!(prefixes, [&b""[..], b"one", b"onetwo", b"onetwothree"]);
}

#[tokio::test]
async fn a_changed_byte_is_an_error_and_the_peer_is_told() {
    let said: [&[u8]; 1] = [b"the price is 100"];
    let (shaken, length) = lengths(&said).await;
    // Behind the head of the record, which says how long it is.
    for position in (shaken + 5..shaken + 5 + said[0].len() + 17).step_by(3) {
        assert!(position < shaken + length);
        let (client, server) = pipe(100_000);
        let (client, server) = shake(&pair(), (client.flip_at(position), server)).await;
        let mut client = client.expect("the server is trusted");
        let mut server = server.expect("the client shakes hands");
        within(client.write_all(said[0])).await.expect("there is room");
        let mut received = Vec::new();
        let error = within(server.read_to_end(&mut received)).await.expect_err("it was changed");
        assert_eq!((error.kind(), &received[..]), (ErrorKind::InvalidData, &b""[..]), "{error}");
        // For reading and for writing, from now on.
        let error = within(server.read(&mut [0; 8])).await.expect_err("it stays broken");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        let error = within(server.write(b"hello")).await.expect_err("it stays broken");
        assert_eq!(error.kind(), ErrorKind::InvalidData);

        let error = within(client.read(&mut [0; 8])).await.expect_err("it was told");
        let inner = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
        assert!(matches!(inner, Some(Error::Refused(alert)) if alert == "BadRecordMac"), "{error}");
    }
}

#[tokio::test]
async fn what_came_before_an_error_is_read() {
    let (shaken, first) = lengths(&[b"good"]).await;
    let close = lengths(&[]).await.1;
    let (client, server) = pipe(100_000);
    let flip = shaken + first - close + 8;
    let (mut client, mut server) = connected((client.flip_at(flip), server)).await;
    within(client.write_all(b"good")).await.expect("there is room");
    within(client.write_all(b"bad")).await.expect("there is room");
    let mut buffer = [0; 100];
    let count = within(server.read(&mut buffer)).await.expect("that part is good");
    assert_eq!(&buffer[..count], b"good");
    let error = within(server.read(&mut buffer)).await.expect_err("it was changed");
    assert_eq!(error.kind(), ErrorKind::InvalidData);
}

#[tokio::test]
async fn what_comes_behind_the_end_is_nothing() {
    let (mut client, mut server) = connected(pipe(100_000)).await;
    within(client.write_all(b"all")).await.expect("there is room");
    within(client.shutdown()).await.expect("there is room");
    let mut received = [0; 3];
    within(server.read_exact(&mut received)).await.expect("it came");
    for _ in 0..3 {
        assert_eq!(within(server.read(&mut [0; 8])).await.expect("a proper end"), 0);
    }
}
