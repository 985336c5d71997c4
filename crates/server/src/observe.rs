//! Who looks on, and wants to know of each socket and event.

use bytes::Bytes;
use sockeye_hub::Packet;

use crate::server::Server;
use crate::socket::Socket;

/// Is told of what happens to sockets, by whatever thread it happens on.
pub(crate) trait Observer: Send + Sync {
    /// The server has been built. It must not be kept alive by this.
    fn begin(&self, server: &Server);

    /// Whether it wants to know at the moment: cheap, since it is asked about every event.
    fn is_watching(&self) -> bool;

    /// A socket was let into its namespace.
    fn connected(&self, socket: &Socket);

    /// A socket that had been connected has left; it is in no room any more.
    fn disconnected(&self, socket: &Socket, reason: &str);

    /// A socket's session goes on over a websocket.
    fn upgraded(&self, socket: &Socket);

    /// A socket's data were set.
    fn data_set(&self, socket: &Socket);

    /// A socket has joined a room.
    fn joined(&self, socket: &Socket, room: &str);

    /// A socket has left a room.
    fn left(&self, socket: &Socket, room: &str);

    /// An event has come from a client.
    fn received(&self, socket: &Socket, name: &str, args: &str, attachments: &[Bytes]);

    /// A packet was queued for a client.
    fn sent(&self, socket: &Socket, packet: &Packet);
}
