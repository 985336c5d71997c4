//! WebSocket, Engine.IO and Socket.IO: the facade over Sockeye's crates.
