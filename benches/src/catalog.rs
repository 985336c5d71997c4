//! The servers and the scenarios. A new server is a program in `src/bin` and a line in [`SERVERS`].

use crate::workload::{Kind, Workload};

/// A server program.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    /// Its name on the command line and in the table.
    pub name: &'static str,
    /// Its program, beside `quick`.
    pub binary: &'static str,
    /// What it can be measured with.
    pub serves: &'static [Kind],
    /// For a Socket.IO server, the server that is the WebSocket below it: its events are compared
    /// with that one's echo.
    pub own_echo: Option<&'static str>,
}

const WEBSOCKET: &[Kind] = &[Kind::Echo, Kind::IdleWebsocket];
const SOCKETIO: &[Kind] = &[Kind::Event, Kind::Broadcast, Kind::IdleSocketio];

/// In the table's order.
pub const SERVERS: &[Server] = &[
    Server { name: "floor-tokio", binary: "floor-tokio", serves: WEBSOCKET, own_echo: None },
    Server {
        name: "floor-epoll",
        binary: "floor-epoll",
        serves: &[Kind::Broadcast],
        own_echo: None,
    },
    Server {
        name: "fastwebsockets",
        binary: "peer-fastwebsockets",
        serves: WEBSOCKET,
        own_echo: None,
    },
    Server { name: "sockeye-ws", binary: "sockeye-ws", serves: WEBSOCKET, own_echo: None },
    Server { name: "sockeye-plain", binary: "sockeye-plain", serves: WEBSOCKET, own_echo: None },
    Server { name: "socketioxide", binary: "peer-socketioxide", serves: SOCKETIO, own_echo: None },
    Server {
        name: "sockeye-io",
        binary: "sockeye-io",
        serves: SOCKETIO,
        own_echo: Some("sockeye-ws"),
    },
];

/// One thing that is measured.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its name in the table.
    pub title: &'static str,
    /// What the generator does.
    pub workload: Workload,
    /// The scenario and the server that are 1.00.
    pub floor: Option<(&'static str, &'static str)>,
}

/// In the table's order.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "echo-1",
        title: "WebSocket echo, 64 connections, 20 B, 1 in flight",
        workload: Workload { kind: Kind::Echo, clients: 64, in_flight: 1, payload: 20 },
        floor: Some(("echo-1", "floor-tokio")),
    },
    Scenario {
        name: "echo-16",
        title: "WebSocket echo, 64 connections, 20 B, 16 in flight",
        workload: Workload { kind: Kind::Echo, clients: 64, in_flight: 16, payload: 20 },
        floor: Some(("echo-16", "floor-tokio")),
    },
    Scenario {
        name: "echo-16k",
        title: "WebSocket echo, 64 connections, 16 KiB, 1 in flight",
        workload: Workload { kind: Kind::Echo, clients: 64, in_flight: 1, payload: 16 * 1024 },
        floor: Some(("echo-16k", "floor-tokio")),
    },
    Scenario {
        name: "event-1",
        title: "Socket.IO event and ack, 64 connections, 20 B, 1 in flight",
        workload: Workload { kind: Kind::Event, clients: 64, in_flight: 1, payload: 20 },
        floor: Some(("echo-1", "floor-tokio")),
    },
    Scenario {
        name: "event-16",
        title: "Socket.IO event and ack, 64 connections, 20 B, 16 in flight",
        workload: Workload { kind: Kind::Event, clients: 64, in_flight: 16, payload: 20 },
        floor: Some(("echo-16", "floor-tokio")),
    },
    Scenario {
        name: "broadcast-1000",
        title: "Broadcast to 1 000, 20 B, one at a time",
        workload: Workload { kind: Kind::Broadcast, clients: 1000, in_flight: 1, payload: 20 },
        floor: Some(("broadcast-1000", "floor-epoll")),
    },
    Scenario {
        name: "broadcast-1000x8",
        title: "Broadcast to 1 000, 20 B, eight at a time",
        workload: Workload { kind: Kind::Broadcast, clients: 1000, in_flight: 8, payload: 20 },
        floor: Some(("broadcast-1000x8", "floor-epoll")),
    },
    Scenario {
        name: "broadcast-10000",
        title: "Broadcast to 10 000, 20 B, one at a time",
        workload: Workload { kind: Kind::Broadcast, clients: 10_000, in_flight: 1, payload: 20 },
        floor: Some(("broadcast-10000", "floor-epoll")),
    },
    Scenario {
        name: "idle-websocket",
        title: "Idle WebSocket, resident bytes per connection",
        workload: Workload { kind: Kind::IdleWebsocket, clients: 4000, in_flight: 1, payload: 20 },
        floor: None,
    },
    Scenario {
        name: "idle-socketio",
        title: "Idle Socket.IO, resident bytes per connection",
        workload: Workload { kind: Kind::IdleSocketio, clients: 4000, in_flight: 1, payload: 20 },
        floor: None,
    },
];
