//! What one `load` is told to do, and what it answers.

use std::io;

use clap::{Args, ValueEnum};

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// WebSocket text messages come back as they are.
    Echo,
    /// Socket.IO events `echo` with a string, each acked with the same string.
    Event,
    /// A Socket.IO event `broadcast` with a string and a count makes the server emit `news` with
    /// the string to everybody, count times.
    Broadcast,
    /// WebSocket connections that have echoed one message and now do nothing.
    IdleWebsocket,
    /// Socket.IO connections that had one event acked and now do nothing.
    IdleSocketio,
}

impl Kind {
    /// Whether the clients speak Socket.IO, and not plain WebSocket.
    pub fn is_socketio(self) -> bool {
        matches!(self, Self::Event | Self::Broadcast | Self::IdleSocketio)
    }

    /// Whether memory is measured, and not a rate.
    pub fn is_idle(self) -> bool {
        matches!(self, Self::IdleWebsocket | Self::IdleSocketio)
    }
}

/// What is done, and how much of it.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// What the clients do.
    #[arg(long)]
    pub kind: Kind,
    /// Connections.
    #[arg(long)]
    pub clients: usize,
    /// Messages that each client sends in one write, waiting for all answers before the next; or
    /// broadcasts at a time, waiting until every client has them all.
    #[arg(long, default_value_t = 1)]
    pub in_flight: usize,
    /// Bytes of text in each message.
    #[arg(long, default_value_t = 20)]
    pub payload: usize,
}

impl Workload {
    /// As `load` reads it from its command line.
    pub fn to_args(self) -> Vec<String> {
        let kind = self.kind.to_possible_value().map(|value| value.get_name().to_owned());
        vec![
            format!("--kind={}", kind.unwrap_or_default()),
            format!("--clients={}", self.clients),
            format!("--in-flight={}", self.in_flight),
            format!("--payload={}", self.payload),
        ]
    }
}

/// What one `load` has measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measurement {
    /// Of [`Kind::Echo`], [`Kind::Event`] and [`Kind::Broadcast`].
    Rate {
        /// Answers, or deliveries, that arrived in the interval.
        messages: u64,
        /// The interval's length in seconds.
        wall: f64,
        /// CPU seconds that the server used in it.
        server_cpu: f64,
        /// CPU seconds that the generator used in it.
        generator_cpu: f64,
    },
    /// Of the idle kinds.
    Memory {
        /// Resident bytes by which the server grew for each connection.
        bytes_per_connection: f64,
    },
}

impl Measurement {
    /// One line, read back by [`Measurement::from_line`].
    pub fn to_line(self) -> String {
        match self {
            Self::Rate { messages, wall, server_cpu, generator_cpu } => {
                format!("rate {messages} {wall} {server_cpu} {generator_cpu}")
            }
            Self::Memory { bytes_per_connection } => format!("memory {bytes_per_connection}"),
        }
    }

    /// Reads what [`Measurement::to_line`] wrote.
    pub fn from_line(line: &str) -> io::Result<Self> {
        let numbers: Vec<f64> = line.split(' ').skip(1).flat_map(str::parse).collect();
        match (line.split(' ').next(), &numbers[..]) {
            (Some("rate"), &[messages, wall, server_cpu, generator_cpu]) => {
                Ok(Self::Rate { messages: messages as u64, wall, server_cpu, generator_cpu })
            }
            (Some("memory"), &[bytes_per_connection]) => Ok(Self::Memory { bytes_per_connection }),
            _ => Err(io::Error::other(format!("not a measurement: {line:?}"))),
        }
    }

    /// What the table shows: messages per CPU-second of the server, or bytes per connection.
    pub fn value(self) -> f64 {
        match self {
            Self::Rate { messages, server_cpu, .. } => messages as f64 / server_cpu,
            Self::Memory { bytes_per_connection } => bytes_per_connection,
        }
    }
}
