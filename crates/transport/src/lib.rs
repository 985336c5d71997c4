//! Engine.IO on tokio: the session's task and its transports.
