//! Sans-IO WebSocket (RFC 6455): frames, messages, the opening and the closing handshake.
