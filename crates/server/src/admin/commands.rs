//! What an admin may do to other namespaces.

use std::sync::Weak;

use sockeye_socketio::{Args, Value};

use super::LateServer;
use crate::Data;
use crate::namespace::Namespace;
use crate::operators::Broadcast;
use crate::server::Server;

/// Adds the handlers. Who is to be reached: a room's name, or a socket's id, or nothing for everyone.
pub(super) fn register(namespace: Namespace, server: &LateServer) -> Namespace {
    let [first, second, third, fourth] = [(); 4].map(|()| server.clone());
    namespace
        .on("emit", move |Data(Args(mut args)): Data<Args>| {
            if args.len() < 3 {
                return;
            }
            let rest = args.split_off(3);
            let [path, filter, event] = &args[..] else { return };
            if let (Some(whom), Some(event)) = (select(&first, path, filter), event.as_str()) {
                let _ = whom.emit(event, Args(rest));
            }
        })
        .on("join", move |Data((path, room, filter)): Data<(Value, String, Option<Value>)>| {
            if let Some(whom) = select(&second, &path, &filter.unwrap_or(Value::Null)) {
                whom.join(&room);
            }
        })
        .on("leave", move |Data((path, room, filter)): Data<(Value, String, Option<Value>)>| {
            if let Some(whom) = select(&third, &path, &filter.unwrap_or(Value::Null)) {
                whom.leave(&room);
            }
        })
        .on(
            "_disconnect",
            move |Data((path, close, filter)): Data<(Value, Value, Option<Value>)>| {
                let Some(whom) = select(&fourth, &path, &filter.unwrap_or(Value::Null)) else {
                    return;
                };
                if close.as_bool() == Some(true) {
                    whom.disconnect_clients();
                } else {
                    whom.disconnect();
                }
            },
        )
}

fn select(server: &LateServer, path: &Value, filter: &Value) -> Option<Broadcast> {
    let inner = server.get().and_then(Weak::upgrade)?;
    let whom = Server { inner }.of(path.as_str()?)?;
    // Which command, and whose, is in the handler's span.
    tracing::debug!(target: "socket.io-admin", namespace = path.as_str(), to = filter.as_str(), "an admin's command");
    match filter {
        Value::String(room) if !room.is_empty() => Some(whom.to(&**room)),
        // As in JavaScript, where what is not true means everyone.
        Value::Null | Value::String(_) => Some(whom),
        _ => None,
    }
}
