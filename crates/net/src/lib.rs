//! WebSocket on tokio: the connection driver, the timer wheel, listening, the hand-over from hyper.
