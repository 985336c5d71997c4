//! How much one peer may ask for.

/// The limits of one connection. They are handed to each call rather than stored, so that an idle
/// connection stays small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Attachments of one packet. Default: 10, as in Node since `socket.io-parser` 4.2.6.
    pub max_attachments: u32,
    /// Bytes of all attachments of one packet together. Default: 10 000 000, which is what Node's
    /// defaults come to (ten messages of a million bytes).
    pub max_attachment_bytes: usize,
    /// Milliseconds from a packet, or from its last attachment, to its next one. Node waits for
    /// ever. Default: 60 000; that is longer than the default heartbeat lets any one message take.
    pub attachment_timeout: u64,
    /// Namespaces that one connection may be in, or be joining. Node has no limit. Default: 64.
    pub max_namespaces: usize,
    /// Bytes of a namespace's name. Node has no limit. Default: 512.
    pub max_namespace_bytes: usize,
    /// Milliseconds after which a connection that never joined a namespace is closed
    /// (`connectTimeout` in Node). Default: 45 000.
    pub connect_timeout: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_attachments: 10,
            max_attachment_bytes: 10_000_000,
            attachment_timeout: 60_000,
            max_namespaces: 64,
            max_namespace_bytes: 512,
            connect_timeout: 45_000,
        }
    }
}
