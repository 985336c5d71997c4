//! A protocol that has enough: reading stops, nothing is lost, and nothing else stops.

use std::sync::atomic::Ordering;

use sockeye_websocket::Limits;
use tokio::io::AsyncWriteExt;

use crate::peer::{Connection, ROOMY, connect, pipe, tcp, text};
use crate::script::{Ended, Script, settle};

#[tokio::test]
async fn nothing_is_read_during_a_stall_and_nothing_is_lost_by_it() {
    for capacity in [7, 50, 64 * 1024] {
        let Connection { peer, script, .. } =
            pipe(capacity, Script::new(ROOMY, Limits::default()), b"");
        let (reader, mut writer) = tokio::io::split(peer.0);
        let mut said = vec!["echo before".to_owned(), "stall".to_owned()];
        said.extend((0..200).map(|n| format!("echo {n}")));
        said.extend(["stall".to_owned(), "echo after".to_owned()]);
        let bytes: Vec<u8> = said.iter().flat_map(|said| text(said)).collect();
        let saying = tokio::spawn(async move {
            writer.write_all(&bytes).await.expect("the driver reads");
            writer
        });
        let mut peer = crate::peer::Peer(reader);
        peer.hears("echo before").await;
        settle().await;
        assert_eq!(script.messages(), said[..2], "nothing behind the stall");

        script.resume();
        for n in 0..200 {
            peer.hears(&format!("echo {n}")).await;
        }
        settle().await;
        assert_eq!(script.messages(), said[..203], "nothing behind the second stall");

        script.resume();
        peer.hears("echo after").await;
        assert_eq!(script.messages(), said);
        drop(saying.await.expect("it does not panic"));
    }
}

#[tokio::test]
async fn bytes_behind_the_handshake_survive_a_stall() {
    let script = Script::new(ROOMY, Limits::default());
    script.shared().stalled.store(true, Ordering::Release);
    let leftover = [text("echo one"), text("echo two")].concat();
    let Connection { mut peer, script, .. } = pipe(1000, script, &leftover);
    peer.say("echo three").await;
    settle().await;
    assert_eq!(script.messages(), [""; 0]);
    script.resume();
    for text in ["echo one", "echo two", "echo three"] {
        peer.hears(text).await;
    }
}

#[tokio::test]
async fn writing_and_timeouts_go_on_during_a_stall() {
    let Connection { mut peer, script, .. } = connect();
    peer.say("timeout 30").await;
    peer.say("stall").await;
    script.until(|record| record.messages.len() == 2).await;
    script.push("news").expect("there is room");
    peer.hears("news").await;
    script.until(|record| record.timeouts.len() == 1).await;
    script.word.store(true, Ordering::Release);
    script.outbox.notify();
    script.until(|record| record.word == 1).await;
}

#[tokio::test]
async fn a_peer_that_hangs_up_during_a_stall_is_noticed() {
    for unread in [0, 100_000] {
        let mut connection = tcp(Limits::default()).await;
        connection.peer.say("stall").await;
        connection.script.until(|record| record.messages.len() == 1).await;
        connection.peer.send(&text(&"x".repeat(unread))).await;
        within_shutdown(&mut connection).await;
        connection.done().await;
        assert_eq!(connection.script.ended(), [Ended::Lost]);
    }
}

async fn within_shutdown(connection: &mut Connection<tokio::net::TcpStream>) {
    let shutdown = connection.peer.0.shutdown();
    crate::script::within(shutdown).await.expect("a TCP socket can be shut down");
}

#[tokio::test]
async fn a_reset_during_a_stall_is_noticed() {
    let mut connection = tcp(Limits::default()).await;
    connection.peer.say("stall").await;
    connection.script.until(|record| record.messages.len() == 1).await;
    connection.peer.0.set_zero_linger().expect("a TCP socket");
    let Connection { peer, script, driver } = connection;
    drop(peer);
    crate::script::within(driver).await.expect("the driver does not panic");
    assert_eq!(script.ended().len(), 1);
}
