//! Engine.IO on tokio: sessions and their transports.
//!
//! A session is one task, which owns the Engine.IO state and whatever [`Handler`] the layer above put on
//! it. On a websocket its driver is [`sockeye_net::Driver`]; while it polls, it has one of its own,
//! which requests reach through a door. Other tasks reach a session through its [`Shared`] part: they
//! leave packets in its outbox, or ask it to close.
//!
//! | file | holds |
//! |---|---|
//! | `engine` | the judge of requests: by the rules of Engine.IO and of WebSocket, in the order of the official server's checks |
//! | `sessions` | who is there |
//! | `session`, `shared`, `handler`, `entry`, `throttle` | one session: its task's part, everyone's part, who it is for, what waits in its outbox, how fast its client may send |
//! | `task`, `polling`, `door` | how it is driven while it polls, and how requests reach it |
//! | `requests`, `reply`, `compress`, `answer`, `fault` | GET, POST, what they are answered, and what they can do wrong |
//! | `events` | what happens to sessions, for an application that listens |
//! | `ending` | why a session ends, and what its client is told of it |
//! | `engine/plain`, `session/plain` | sessions on plain connections, without Engine.IO: how they open, and what they do otherwise |
//! | `probe` | a websocket on its way to become a session's transport |
//! | `deflate` | compression of what goes over websockets |
//! | `config`, `cookie`, `cors`, `hooks`, `middleware`, `handshake`, `request` | the options, and what is known of a client |
//!
//! What waits in an outbox is a logical packet whose wire form is chosen when it is taken out: so what
//! was queued while polling is right after an upgrade.

mod answer;
mod compress;
mod config;
mod cookie;
mod cors;
mod deflate;
mod door;
mod ending;
mod engine;
mod entry;
mod events;
mod fault;
#[cfg(test)]
mod fixture;
mod handler;
mod handshake;
mod hooks;
mod middleware;
mod parsing;
mod polling;
mod probe;
mod reply;
mod request;
mod requests;
mod session;
mod sessions;
mod shared;
mod task;
mod throttle;
mod traffic;

pub use compress::Encoding;
pub use config::Config;
pub use cookie::{Cookie, SameSite};
pub use cors::{Cors, CorsBuilder, CorsError};
pub use ending::Ending;
pub use engine::{Answering, Engine};
pub use entry::Entry;
pub use events::{SessionData, SessionEvent, SessionPacket, SessionRef};
pub use fault::Fault;
pub use handler::{Flow, Handler};
pub use handshake::{Handshake, KeepExtensions, KeepHeaders};
pub use hooks::{ConnectionError, Forbidden, Hooks};
pub use middleware::Halt;
pub use parsing::Parsing;
pub use request::Request;
pub use session::Session;
pub use sessions::Census;
pub use shared::Shared;
pub use task::{Task, Upgraded};
pub use traffic::Volume;
