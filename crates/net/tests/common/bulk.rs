//! A hundred megabytes of text, and as much of binary.

use tokio_tungstenite::tungstenite::Message;

/// Each message is another one.
pub(crate) fn megabytes() -> impl Iterator<Item = Message> {
    (0..100).flat_map(|number| {
        let mut text = format!("{number}: 雪 😀 ");
        text += &"0123456789 snow ".repeat((1_000_000 - text.len()) / 16);
        [Message::text(text.clone()), Message::binary(text.into_bytes())]
    })
}
