//! WebSocket on tokio.
//!
//! The sans-IO core below ([`sockeye_websocket`]) knows the protocol; this crate gives it sockets,
//! time and a task:
//!
//! * [`Driver`]: the one future of a connection, over whatever [`Protocol`] an upper layer speaks;
//! * [`http`]: hyper's part of a connection's life and the hand-over from it;
//! * [`accept`](accept()): the listening side, with its [`Gate`];
//! * [`proxy`]: what a load balancer says about a client before HTTP;
//! * [`TrustedProxies`]: what HTTP proxies say about a client, and which of them is believed;
//! * [`addresses`]: how much one client may have open and how fast it may come, by [`rate`];
//! * `http2`: many WebSockets over one connection, with the feature of that name;
//! * `tls`: the same streams through TLS, in both roles, with the feature of that name;
//! * [`wheel`]: timers that cost an idle connection next to nothing;
//! * `dial`: the client's way to an open WebSocket, with the feature of that name;
//! * [`masks`]: the keys that a client masks its frames with;
//! * [`clock`]: the `now` of all cores.
//!
//! Who wants WebSocket alone compiles this crate, `sockeye-websocket` and `sockeye-outbox`.

mod accept;
pub mod addresses;
mod budget;
pub mod clock;
mod compressors;
mod cork;
#[cfg(feature = "dial")]
pub mod dial;
mod driver;
mod forwarded;
mod gate;
pub mod http;
#[cfg(feature = "http2")]
mod http2;
mod io;
mod jam;
pub mod masks;
mod patient;
mod phase;
mod protocol;
pub mod proxy;
pub mod rate;
mod scratch;
#[cfg(feature = "tls")]
pub mod tls;
pub mod websocket;
pub mod wheel;
mod wire;

pub use accept::accept;
pub use compressors::with_compressors;
pub use cork::{Cork, SHARE_FROM};
pub use driver::Driver;
pub use forwarded::{ForwardedBy, NetworkError, TrustedProxies};
pub use gate::{Gate, Listening, TurnedAway};
#[cfg(feature = "http2")]
pub use http2::{Http2, KeepAlive};
pub use io::{Io, Stream};
pub use protocol::{Cause, Close, Intake, Message, Protocol};
pub use wire::{SharedWriter, Wired, Writer, flush, flush_later, wake_up};
