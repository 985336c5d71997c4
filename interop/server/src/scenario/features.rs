//! The namespaces that `interop/scenario/features-server.mjs` describes.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use sockeye::{
    Ack, Args, Broadcast, Data, EventName, Failure, HandlerId, Handshake, Namespace, NamespaceName,
    Refusal, RemoteSocket, ServerSide, Socket, State, Value,
};

use crate::Running;
use crate::root::{basics, headers};

/// The namespaces `/lab-…`.
pub(crate) fn lab(running: Running) -> Namespace {
    let told = Arc::new(AtomicU32::new(0));
    let hear = told.clone();
    let namespace = basics(Namespace::matching("/lab-{name}"))
        .state(running)
        .state(told)
        .on_server_side("told", move |_: ServerSide| {
            hear.fetch_add(1, Ordering::Relaxed);
        })
        .on("headers", headers)
        .on("namespace", |NamespaceName(name): NamespaceName| name)
        .on("exists", |State(io): State<Running>, Data(name): Data<String>| {
            io.get().is_some_and(|io| io.namespaces().contains(&name))
        })
        .on("query", |handshake: Handshake, Data(names): Data<Vec<String>>| {
            names.iter().map(|name| handshake.query(name)).collect::<Vec<Option<String>>>()
        })
        .on("set data", |socket: Socket, Data(name): Data<Value>| {
            socket.set_data(&serde_json::json!({ "name": name })).ok();
        })
        .on("fetch", fetch)
        .on("fetch handshake", fetch_handshake)
        .on("select", select)
        .on("ask them", ask_them)
        .on("server side", server_side);
    listeners(namespace)
}

/// The namespaces `/crowd-…`.
pub(crate) fn crowd(running: Running) -> Namespace {
    Namespace::matching("/crowd-{name}").state(running).on("echo", crate::echo).on(
        "everywhere",
        |State(io): State<Running>, Data(event): Data<String>| {
            if let Some(crowd) = io.get().and_then(|io| io.parent("/crowd-{name}")) {
                crowd.emit(&event, ()).ok();
            }
        },
    )
}

/// The sockets to do something to: each list of rooms was a call of `to` or `except`.
#[derive(Deserialize)]
struct Route {
    from: String,
    #[serde(default)]
    to: Vec<Vec<String>>,
    #[serde(default)]
    except: Vec<Vec<String>>,
}

impl Route {
    fn of(self, socket: &Socket) -> Broadcast {
        let mut target = if self.from == "socket" { socket.broadcast() } else { socket.everyone() };
        for rooms in self.to {
            target = target.to(rooms);
        }
        for rooms in self.except {
            target = target.except(rooms);
        }
        target
    }
}

#[derive(Deserialize)]
struct Named {
    name: Option<Value>,
}

/// In an order that all servers have: that of the values as JSON.
fn by_json(mut values: Vec<Value>) -> Vec<Value> {
    values.sort_by_key(|value| serde_json::to_string(value).unwrap_or_default());
    values
}

async fn fetch(socket: Socket, Data((route,)): Data<(Route,)>) -> (Vec<Value>,) {
    let found = route.of(&socket).fetch_sockets().await.found;
    let describe = |socket: &RemoteSocket| {
        let mut rooms: Vec<_> =
            socket.rooms().iter().filter(|room| ***room != *socket.id()).collect();
        rooms.sort_unstable();
        let rooms = rooms.into_iter().map(|room| Value::String(room.to_string())).collect();
        let name = socket.data::<Named>().and_then(|data| data.name);
        Value::Array(vec![name.unwrap_or_default(), Value::Array(rooms)])
    };
    (by_json(found.iter().map(describe).collect()),)
}

async fn fetch_handshake(socket: Socket) -> Result<(Vec<Value>,), String> {
    let own = socket.everyone().to(socket.id()).fetch_sockets().await.found;
    let handshake = own.first().ok_or("it is not there")?.handshake::<Value>();
    let Value::Object(mut handshake) = handshake.map_err(|error| error.to_string())? else {
        return Err("it is no object".to_owned());
    };
    let mut fields: Vec<_> =
        handshake.iter().map(|(key, _)| Value::String(key.to_string())).collect();
    fields = by_json(fields);
    let flavour = handshake.get("query").and_then(|query| query.get("flavour")).cloned();
    let mut take = |name: &str| handshake.remove(name).unwrap_or_default();
    let told = vec![
        Value::Array(fields),
        take("xdomain"),
        take("secure"),
        take("auth"),
        flavour.unwrap_or_default(),
    ];
    Ok((told,))
}

fn select(
    socket: Socket,
    ack: Ack,
    Data((route, what, rooms)): Data<(Route, String, Option<Vec<String>>)>,
) {
    ack.send(());
    let target = route.of(&socket);
    let rooms = rooms.unwrap_or_default();
    match &*what {
        "join" => target.join(rooms),
        "leave" => target.leave(rooms),
        "disconnect all" => target.disconnect_clients(),
        _ => target.disconnect(),
    }
}

async fn ask_them(
    socket: Socket,
    Data((route, timeout, event)): Data<(Route, u64, String)>,
    Data(Args(mut args)): Data<Args>,
) -> Result<(Value,), String> {
    let args = Args(args.split_off(3));
    let target = route.of(&socket).timeout(Duration::from_millis(timeout));
    let asked = target.emit_with_acks::<Value>(&event, args).map_err(|error| error.to_string())?;
    let responses = asked.all().await;
    let error =
        if responses.missing.is_empty() { Value::Null } else { "operation has timed out".into() };
    let answers = by_json(responses.values().collect());
    Ok((Value::Array(vec![error, Value::Array(answers)]),))
}

async fn server_side(socket: Socket, State(told): State<Arc<AtomicU32>>) -> u32 {
    socket.everyone().server_side_emit("told", ()).ok();
    tokio::time::sleep(Duration::from_millis(20)).await;
    told.load(Ordering::Relaxed)
}

/// What the handlers of one socket have written down, and what they are.
#[derive(Default)]
struct Notes {
    journal: Vec<String>,
    watching: Vec<(String, HandlerId)>,
    times: u32,
}

/// The socket's notes.
fn note<R>(socket: &Socket, write: impl FnOnce(&mut Notes) -> R) -> R {
    let notes = socket.extension::<Arc<Mutex<Notes>>>().unwrap_or_else(|| {
        let notes = Arc::default();
        socket.insert_extension(Arc::clone(&notes));
        notes
    });
    write(&mut notes.lock().unwrap_or_else(PoisonError::into_inner))
}

fn line(socket: &Socket, line: String) {
    note(socket, |notes| notes.journal.push(line));
}

fn listeners(namespace: Namespace) -> Namespace {
    namespace
        .packet_middleware(
            |EventName(event)| {
                if &*event == "forbidden" { Err("not allowed") } else { Ok(()) }
            },
        )
        .on_error(|socket: &Socket, _: &str, failure: &Failure| {
            if let Failure::Refused(error) = failure {
                line(socket, format!("error {}", error.trim_matches('"')));
            }
        })
        .on("listen", |socket: Socket| {
            let told = |way| {
                move |socket: Socket, EventName(event): EventName, Data(Args(args)): Data<Args>| {
                    let args = serde_json::to_string(&args).unwrap_or_default();
                    line(&socket, format!("{way} {event} {args}"));
                }
            };
            socket.on_any(told("in"));
            socket.on_any_outgoing(told("out"));
        })
        .on("watch", |socket: Socket, Data((event, once)): Data<(String, bool)>| {
            let watch = |socket: Socket, EventName(event): EventName, Data(value): Data<String>| {
                line(&socket, format!("watched {event} {value}"));
            };
            let id = if once { socket.once(&event, watch) } else { socket.on(&event, watch) };
            note(&socket, |notes| notes.watching.push((event, id)));
        })
        .on("unwatch", |socket: Socket, Data(event): Data<String>| {
            for (watched, id) in note(&socket, |notes| std::mem::take(&mut notes.watching)) {
                if watched == event {
                    socket.off(id);
                } else {
                    note(&socket, |notes| notes.watching.push((watched, id)));
                }
            }
        })
        .on("doubled", |socket: Socket, Data(value): Data<String>| {
            line(&socket, format!("one {value}"))
        })
        .on("doubled", |socket: Socket, Data(value): Data<String>| {
            line(&socket, format!("two {value}"))
        })
        .on(
            "journal",
            |socket: Socket| (note(&socket, |notes| std::mem::take(&mut notes.journal)),),
        )
        .on("slow answer", async |Data((ms, value)): Data<(u64, Value)>| {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            value
        })
        .on("flaky", |socket: Socket, ack: Ack, Data(n): Data<u32>| {
            let times = note(&socket, |notes| {
                notes.times += 1;
                notes.times
            });
            if times % n == 0 {
                ack.send(times);
            }
        })
        .on("message", |socket: Socket, Data(args): Data<Args>| {
            socket.send(args).ok();
        })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Credentials {
    refuse: Option<String>,
    data: Option<String>,
    ticket: Option<String>,
}

/// The order in which the middlewares of one socket ran.
type Order = Arc<Mutex<Vec<&'static str>>>;

fn order(socket: &Socket) -> Order {
    socket.extension().unwrap_or_else(|| {
        let order = Order::default();
        socket.insert_extension(order.clone());
        order
    })
}

fn pass(word: &'static str, socket: &Socket, auth: Option<Credentials>) -> Result<(), Refusal> {
    order(socket).lock().unwrap_or_else(PoisonError::into_inner).push(word);
    let Credentials { refuse, data, .. } = auth.unwrap_or_default();
    if refuse.as_deref() != Some(word) {
        return Ok(());
    }
    let refusal = Refusal::new(format!("refused by {word}"));
    let data = match data.as_deref() {
        Some("object") => serde_json::json!({ "a": [1, { "b": null }] }),
        Some("array") => serde_json::json!([1, "two"]),
        Some("string") => "why".into(),
        Some("number") => 7.into(),
        Some("false") => false.into(),
        Some("null") => serde_json::Value::Null,
        _ => return Err(refusal),
    };
    Err(refusal.with_data(data))
}

type Auth = Data<Option<Credentials>>;

/// The namespaces `/guarded-…`.
pub(crate) fn guarded() -> Namespace {
    Namespace::matching("/guarded-{name}")
        .middleware(|socket: Socket, Data(auth): Auth| pass("first", &socket, auth))
        .middleware(async |socket: Socket, Data(auth): Auth| {
            tokio::time::sleep(Duration::from_millis(5)).await;
            pass("second", &socket, auth)
        })
        .middleware(|socket: Socket, Data(auth): Auth| pass("third", &socket, auth))
        .on_connect(|socket: Socket| {
            let order = order(&socket).lock().unwrap_or_else(PoisonError::into_inner).clone();
            socket.emit("order", (order,)).ok();
        })
        .on("echo", crate::echo)
}

/// The namespaces `/member-…`.
pub(crate) fn member() -> Namespace {
    Namespace::dynamic("members", async |name: String, auth: Option<Value>| {
        let ticket = auth.as_ref().and_then(|auth| auth.get("ticket")).and_then(Value::as_str);
        name.starts_with("/member-") && ticket == Some("valid")
    })
    .on("echo", crate::echo)
}
