//! What handlers take, return and survive.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sockeye_server::{Ack, Data, EventName, Handshake, Namespace, Server, Socket, State};
use sockeye_testkit::peer::Peer;
use tokio::sync::Semaphore;

use crate::harness::{FACES, journal, root, serve, serve_namespace, sync};

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Point {
    x: i32,
    y: i32,
}

/// Sends each packet and expects each answer.
async fn ask(peer: &mut Peer, cases: &[(&str, &str)]) {
    for (packet, answer) in cases {
        peer.send_text(packet).await;
        peer.expect_text(answer).await;
    }
}

#[tokio::test]
async fn up_to_eight_extractors_async_or_not() {
    let namespace = root()
        .state(7_u64)
        .state("state")
        .on("0", || 0)
        .on("1", |Data(n): Data<u32>| n)
        .on("2", |Data(n): Data<u32>, socket: Socket| (n, socket.namespace().to_owned()))
        .on("3", |_: Socket, Data(n): Data<u32>, State(state): State<u64>| (n, state))
        .on(
            "8",
            |_: Socket,
             EventName(name): EventName,
             handshake: Handshake,
             a: State<u64>,
             b: State<&'static str>,
             Data(all): Data<(u32, u32)>,
             Data(first): Data<u32>,
             ack: Ack| {
                let transport = handshake.query("transport");
                ack.send((name.into_string(), transport, *a, *b, all, first));
            },
        )
        .on("a0", async || 0)
        .on("a1", async |Data(n): Data<u32>| n)
        .on(
            "a8",
            |socket: Socket,
             EventName(name): EventName,
             _: Handshake,
             a: State<u64>,
             b: State<&'static str>,
             Data(all): Data<(u32, u32)>,
             Data(first): Data<u32>,
             c: State<u64>| async move {
                tokio::task::yield_now().await;
                (name.into_string(), socket.namespace().to_owned(), *a, *b, all, first, *c)
            },
        );
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    ask(
        &mut peer,
        &[
            (r#"421["0"]"#, "431[0]"),
            (r#"421["1",5]"#, "431[5]"),
            (r#"421["2",5]"#, r#"431[5,"/"]"#),
            (r#"421["3",5]"#, "431[5,7]"),
            (r#"421["8",5,6]"#, r#"431["8","websocket",7,"state",[5,6],5]"#),
            (r#"421["a0"]"#, "431[0]"),
            (r#"421["a1",5]"#, "431[5]"),
            (r#"421["a8",5,6]"#, r#"431["a8","/",7,"state",[5,6],5,7]"#),
        ],
    )
    .await;
}

#[tokio::test]
async fn functions_are_handlers_too() {
    async fn add(Data((a, b)): Data<(i64, i64)>) -> i64 {
        a + b
    }
    fn name(socket: Socket) -> String {
        socket.namespace().to_owned()
    }
    let server = serve_namespace(root().on("add", add).on("name", name)).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    ask(&mut peer, &[(r#"420["add",2,3]"#, "430[5]"), (r#"420["name"]"#, r#"430["/"]"#)]).await;
}

#[tokio::test]
async fn what_a_handler_returns_is_the_ack() {
    let namespace = root()
        .on("unit", || ())
        .on("value", || "v")
        .on("tuple", || ("a", 1, true))
        .on("one", || ("a",))
        .on("vec", || vec![1, 2])
        .on("none", || None::<u8>)
        .on("struct", || Point { x: 1, y: 2 })
        .on("binary", || Bytes::from_static(b"\x01"))
        .on("ok", || Ok::<_, String>("fine"))
        .on("ok unit", || Ok::<_, String>(()))
        .on("ok tuple", || Ok::<_, String>(("a", 1)))
        .on("err", || Err::<(), _>("bad"))
        .on("err struct", || Err::<(), _>(Point { x: 1, y: 2 }))
        .on("async", || async {
            tokio::task::yield_now().await;
            ("later", 1)
        })
        .on("async err", || async {
            tokio::task::yield_now().await;
            Err::<(), _>("bad")
        });
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    ask(
        &mut peer,
        &[
            (r#"420["unit"]"#, "430[]"),
            (r#"421["value"]"#, r#"431["v"]"#),
            (r#"422["tuple"]"#, r#"432["a",1,true]"#),
            (r#"423["one"]"#, r#"433["a"]"#),
            (r#"424["vec"]"#, "434[[1,2]]"),
            (r#"425["none"]"#, "435[null]"),
            (r#"426["struct"]"#, r#"436[{"x":1,"y":2}]"#),
            (r#"427["ok"]"#, r#"437["fine"]"#),
            (r#"428["ok unit"]"#, "438[]"),
            (r#"429["ok tuple"]"#, r#"439["a",1]"#),
            (r#"4210["err"]"#, r#"4310[{"error":"bad"}]"#),
            (r#"4211["err struct"]"#, r#"4311[{"error":{"x":1,"y":2}}]"#),
            (r#"4212["async"]"#, r#"4312["later",1]"#),
            (r#"4213["async err"]"#, r#"4313[{"error":"bad"}]"#),
            (r#"4214["binary"]"#, r#"461-14[{"_placeholder":true,"num":0}]"#),
        ],
    )
    .await;
    peer.expect_binary(b"\x01").await;
    // Who asks for no ack gets none, whatever is returned.
    for event in ["unit", "value", "err", "binary"] {
        peer.send_text(&format!("42[\"{event}\"]")).await;
    }
    sync(&mut peer).await;
}

#[tokio::test]
async fn what_data_takes() {
    let namespace = root()
        .on("string", |Data(text): Data<String>| text)
        .on("pair", |Data((a, b)): Data<(String, u32)>| (a, b))
        .on("option", |Data((a, b)): Data<(String, Option<u32>)>| (a, b))
        .on("nothing", |Data(()): Data<()>| ())
        .on("struct", |Data(point): Data<Point>| point)
        .on("vec", |Data(all): Data<Vec<u8>>| all)
        .on("value", |Data(value): Data<serde_json::Value>| value);
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    ask(
        &mut peer,
        &[
            (r#"420["string","a"]"#, r#"430["a"]"#),
            (r#"420["string","a","ignored"]"#, r#"430["a"]"#),
            (r#"420["pair","a",7]"#, r#"430["a",7]"#),
            (r#"420["pair","a",7,8]"#, r#"430["a",7]"#),
            (r#"420["option","a",7]"#, r#"430["a",7]"#),
            (r#"420["option","a",null]"#, r#"430["a",null]"#),
            (r#"420["option","a"]"#, r#"430["a",null]"#),
            (r#"420["nothing"]"#, "430[]"),
            (r#"420["nothing",1,2]"#, "430[]"),
            (r#"420["struct",{"y":2,"x":1,"z":3}]"#, r#"430[{"x":1,"y":2}]"#),
            (r#"420["vec",[1,2]]"#, "430[[1,2]]"),
            (r#"420["value",{"a":[null,1.5]}]"#, r#"430[{"a":[null,1.5]}]"#),
            (r#"420["string","\"\\\u0041…"]"#, r#"430["\"\\A…"]"#),
        ],
    )
    .await;
}

#[tokio::test]
async fn extractors_that_fail_answer_with_an_error() {
    let (note, mut called) = journal();
    let namespace = root()
        .on("number", move |Data(n): Data<u8>| note.write(n))
        .on("state", |State(never_given): State<Vec<u8>>| never_given);
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    for packet in [
        r#"421["number"]"#,
        r#"421["number","1"]"#,
        r#"421["number",256]"#,
        r#"421["number",null]"#,
        r#"421["state"]"#,
    ] {
        peer.send_text(packet).await;
        let answer = peer.recv_text().await;
        assert!(answer.starts_with(r#"431[{"error":""#), "{packet}: {answer}");
        assert!(answer.ends_with("\"}]"), "{packet}: {answer}");
        assert!(!answer.contains("Vec"), "the server's types are not the client's business");
    }
    // Without an ack it is only logged.
    peer.send_text(r#"42["number","1"]"#).await;
    sync(&mut peer).await;
    called.expect_nothing();
}

#[tokio::test]
async fn handlers_start_in_the_order_of_arrival() {
    for face in FACES {
        let (note, mut noted) = journal();
        let later = note.clone();
        let namespace = root()
            .on("sync", {
                let note = note.clone();
                move |Data(n): Data<u32>| note.write(n)
            })
            .on("async", move |Data(n): Data<u32>| {
                let note = later.clone();
                async move {
                    note.write(n);
                    tokio::task::yield_now().await;
                }
            });
        let builder = Server::builder().namespace(namespace).max_running_handlers(3);
        let server = face.serve(builder).await;
        let (mut peer, _) = Peer::socketio(server.address).await;
        for n in 0..200 {
            let event = if n % 3 == 0 { "sync" } else { "async" };
            peer.send_text(&format!("42[\"{event}\",{n}]")).await;
        }
        noted.expect(0..200).await;
    }
}

#[tokio::test]
async fn an_ack_answered_by_hand() {
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    let (note, mut wanted) = journal();
    let namespace = root()
        .on("by hand", move |ack: Ack| {
            note.write(ack.is_wanted());
            let gate = waiting.clone();
            tokio::spawn(async move {
                gate.acquire().await.unwrap().forget();
                ack.send(("late", 1));
            });
            "this is no answer"
        })
        .on("dropped", |_: Ack| "nor is this");
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.send_text(r#"421["by hand"]"#).await;
    peer.send_text(r#"422["dropped"]"#).await;
    wanted.expect([true]).await;
    sync(&mut peer).await;
    gate.add_permits(1);
    peer.expect_text(r#"431["late",1]"#).await;

    peer.send_text(r#"42["by hand"]"#).await;
    wanted.expect([false]).await;
    gate.add_permits(1);
    sync(&mut peer).await;
}

#[tokio::test]
async fn of_several_handlers_the_first_answer_wins() {
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    let (note, mut noted) = journal();
    let done = note.clone();
    let namespace = root()
        .on("e", move || {
            let (gate, note) = (waiting.clone(), done.clone());
            async move {
                gate.acquire().await.unwrap().forget();
                note.write("slow");
                "slow"
            }
        })
        .on("e", move || {
            note.write("quick");
            "quick"
        })
        .on("e", |_: Ack| "never")
        .on("rejects", |_: Data<u8>| "never")
        .on("rejects", || "never second");
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.send_text(r#"421["e"]"#).await;
    peer.expect_text(r#"431["quick"]"#).await;
    noted.expect(["quick"]).await;
    gate.add_permits(1);
    noted.expect(["slow"]).await;
    sync(&mut peer).await;
    // A handler that could not be called has answered: with its error.
    peer.send_text(r#"422["rejects"]"#).await;
    assert!(peer.recv_text().await.starts_with(r#"432[{"error":"#));
    sync(&mut peer).await;
}

#[tokio::test]
async fn without_a_handler_there_is_no_ack() {
    let server = serve_namespace(root()).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    peer.send_text(r#"421["unknown",1]"#).await;
    sync(&mut peer).await;
}

#[tokio::test]
async fn fallbacks_take_what_nobody_else_does() {
    let namespace = root().on("known", || "known").on_fallback(
        |EventName(name): EventName, Data(data): Data<Option<u32>>| {
            (format!("fallback: {name}"), data)
        },
    );
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    ask(
        &mut peer,
        &[
            (r#"420["known"]"#, r#"430["known"]"#),
            (r#"421["unknown",5]"#, r#"431["fallback: unknown",5]"#),
            (r#"422[7]"#, r#"432["fallback: 7",null]"#),
            (r#"423["sync"]"#, "433[]"),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_panic_takes_no_place_of_others() {
    fn panics() {
        panic!("on purpose, within a test");
    }
    for face in FACES {
        let namespace = root()
            .on("sync panic", panics)
            .on("inline panic", || async { panics() })
            .on("later panic", || async {
                tokio::task::yield_now().await;
                panics();
            })
            .on_disconnect(panics);
        let builder = Server::builder().namespace(namespace).max_running_handlers(1);
        let server = face.serve(builder).await;
        let (mut peer, _) = Peer::socketio(server.address).await;
        for _ in 0..3 {
            for event in ["sync panic", "inline panic", "later panic"] {
                // More often than there are places for handlers: none is lost.
                peer.send_text(&format!("427[\"{event}\"]")).await;
                peer.expect_text(r#"437[{"error":"internal error"}]"#).await;
                peer.expect_text("41").await;
                peer.join("/").await;
            }
        }
        sync(&mut peer).await;
        peer.finish().await;
        peer.expect_eof().await;
        let (mut peer, _) = Peer::socketio(server.address).await;
        sync(&mut peer).await;
    }
}

#[tokio::test]
async fn a_panic_in_one_handler_does_not_keep_another_from_the_event() {
    let (note, mut noted) = journal();
    let namespace = root()
        .on("e", || -> () { panic!("on purpose, within a test") })
        .on("e", move || note.write("called"));
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    ask(&mut peer, &[(r#"420["e"]"#, r#"430[{"error":"internal error"}]"#)]).await;
    noted.expect(["called"]).await;
    peer.expect_text("41").await;
}

/// The sender is not to wait for an answer that will never come.
#[tokio::test]
async fn an_answer_that_cannot_be_encoded() {
    let namespace = root().on("e", || std::collections::HashMap::from([(vec![1], 2)]));
    let server = serve_namespace(namespace).await;
    let (mut peer, _) = Peer::socketio(server.address).await;
    ask(&mut peer, &[(r#"420["e"]"#, r#"430[{"error":"internal error"}]"#)]).await;
    sync(&mut peer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_clients_at_once() {
    let namespace = root().on("echo", |Data(n): Data<u64>| async move {
        tokio::task::yield_now().await;
        n
    });
    let other = Namespace::new("/other");
    let server = serve(Server::builder().namespace(namespace).namespace(other)).await;
    let clients = (0..8).map(|client: u64| {
        let address = server.address;
        tokio::spawn(async move {
            let (mut peer, _) = Peer::socketio(address).await;
            for n in 0..100 {
                let value = client * 1000 + n;
                peer.send_text(&format!("42{n}[\"echo\",{value}]")).await;
                peer.expect_text(&format!("43{n}[{value}]")).await;
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
}
