//! The namespace `/`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sockeye::{AckError, Args, Data, DisconnectReason, Handshake, Namespace, Socket, Value};

use crate::{drop_me, echo, whoami};

/// What `collect` has gathered.
type List = Arc<Mutex<Vec<Value>>>;

pub(crate) fn namespace() -> Namespace {
    basics(Namespace::new("/")).on_connect(connect).on("headers", headers).on(
        "chat message",
        |socket: Socket, Data(text): Data<Value>| {
            socket.everyone().emit("chat message", text).ok();
        },
    )
}

/// What it has in common with other namespaces.
pub(crate) fn basics(namespace: Namespace) -> Namespace {
    namespace
        .on_disconnect(gone)
        .on("echo", echo)
        .on("", |socket: Socket, Data(args): Data<Args>| {
            socket.emit("", args).ok();
        })
        .on("42", |socket: Socket, Data(args): Data<Args>| {
            socket.emit("42", args).ok();
        })
        .on("types", |Data(Args(args)): Data<Args>| args.iter().map(type_name).collect::<Vec<_>>())
        .on("nothing", || {})
        .on("never", |_: sockeye::Ack| {})
        // The type lets nobody answer twice.
        .on("twice", || "first")
        .on("ask", ask)
        .on("ask many", ask_many)
        .on("whoami", whoami)
        .on("join", |socket: Socket, Data(rooms): Data<OneOrMany>| {
            for room in rooms.into_vec() {
                socket.join(&room);
            }
        })
        .on("leave", |socket: Socket, Data(room): Data<String>| {
            socket.leave(&room);
        })
        .on("rooms", |socket: Socket| {
            let mut rooms = socket.rooms();
            rooms.retain(|room| **room != *socket.id());
            rooms.sort_unstable();
            rooms
        })
        .on("relay", relay)
        .on("count", |socket: Socket, Data(n): Data<u32>| {
            for i in 0..n {
                socket.emit("number", i).ok();
            }
            n
        })
        .on("stream", stream)
        .on("collect", |socket: Socket, Data(value): Data<Value>| {
            let list = socket.extension::<List>().unwrap_or_default();
            list.lock().unwrap_or_else(PoisonError::into_inner).push(value);
            socket.insert_extension::<List>(list);
        })
        .on("collected", |socket: Socket| {
            let list = socket.remove_extension::<List>().unwrap_or_default();
            std::mem::take(&mut *list.lock().unwrap_or_else(PoisonError::into_inner))
        })
        .on("drop me", drop_me)
}

pub(crate) fn headers(handshake: Handshake, Data(names): Data<Vec<String>>) -> Vec<Option<String>> {
    names.iter().map(|name| handshake.header(name).map(str::to_owned)).collect()
}

#[derive(Serialize)]
struct Welcome {
    auth: Value,
    flavour: Option<String>,
}

fn connect(socket: Socket, handshake: Handshake, Data(auth): Data<Option<Value>>) {
    let auth = auth.unwrap_or_else(|| Value::Object(Default::default()));
    socket.emit("welcome", Welcome { auth, flavour: handshake.query("flavour") }).ok();
    socket.emit("second", ()).ok();
}

#[derive(Deserialize)]
struct Auth {
    name: String,
}

fn gone(socket: Socket, reason: DisconnectReason) {
    if let Some(Auth { name }) = socket.auth_as() {
        socket.everyone().to("observers").emit("gone", (name, reason.as_str())).ok();
    }
}

async fn ask(socket: Socket, Data((event, value, timeout)): Data<(String, Value, u64)>) {
    let answer = socket.emit_with_ack::<Value>(&event, value);
    let asked = match answer.timeout(Duration::from_millis(timeout)).await {
        Ok(answer) => socket.emit("asked", ("answer", answer)),
        Err(AckError::Timeout) => socket.emit("asked", ("error", "operation has timed out")),
        Err(error) => socket.emit("asked", ("error", error.to_string())),
    };
    asked.ok();
}

async fn ask_many(socket: Socket, Data((event, n)): Data<(String, u32)>) {
    let asked: Vec<_> = (0..n).map(|i| socket.emit_with_ack::<Value>(&event, i)).collect();
    let mut answers = Vec::new();
    for answer in asked {
        match answer.await {
            Ok(answer) => answers.push(answer),
            Err(_) => return,
        }
    }
    socket.emit("asked many", (answers,)).ok();
}

async fn stream(socket: Socket, Data((from, to, batch)): Data<(u32, u32, usize)>) -> u32 {
    let numbers: Vec<u32> = (from..to).collect();
    for (i, batch) in numbers.chunks(batch.max(1)).enumerate() {
        if i > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for number in batch {
            socket.emit("number", *number).ok();
        }
    }
    to
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(room) => vec![room],
            Self::Many(rooms) => rooms,
        }
    }
}

#[derive(Deserialize)]
struct Route {
    from: String,
    to: Option<Vec<String>>,
    except: Option<Vec<String>>,
    local: Option<bool>,
    volatile: Option<bool>,
}

fn relay(socket: Socket, Data(route): Data<Route>, Data(Args(mut args)): Data<Args>) {
    let named = |rooms: Vec<String>| -> Vec<String> {
        let own = |room| if room == "self" { socket.id().to_owned() } else { room };
        rooms.into_iter().map(own).collect()
    };
    let mut target = if route.from == "socket" { socket.broadcast() } else { socket.everyone() };
    if let Some(rooms) = route.to {
        target = target.to(named(rooms));
    }
    if let Some(rooms) = route.except {
        target = target.except(named(rooms));
    }
    if route.local == Some(true) {
        target = target.local();
    }
    if route.volatile == Some(true) {
        target = target.volatile();
    }
    let rest = args.split_off(2);
    if let Some(event) = args.get(1).and_then(Value::as_str) {
        target.emit(event, Args(rest)).ok();
    }
}

fn type_name(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "boolean".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(_) => "array".to_owned(),
        Value::Object(_) => "object".to_owned(),
        Value::Binary(bytes) => format!("binary:{}", bytes.len()),
    }
}
