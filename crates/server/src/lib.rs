//! The server API: namespaces, sockets, rooms, acks, the tower service.
