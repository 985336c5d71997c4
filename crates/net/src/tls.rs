//! TLS by rustls, in both roles: an [`Acceptor`] and a [`Connector`] make a [`Stream`] out of another stream.
//!
//! There has to be cryptography: that of the feature `tls-aws-lc-rs` or `tls-ring`, unless the application
//! has installed a process-wide default of rustls' own (`CryptoProvider::install_default`), which then counts.
//!
//! # What an idle connection costs
//!
//! On the server, with TLS 1.3 and ring, 3433 bytes beyond what its TCP socket costs: `tests/tls_memory.rs`
//! measures and limits that. These are the blocks:
//!
//! | bytes | |
//! |---|---|
//! | 1240 | [`Stream`]: rustls' connection (1088), the socket (32), and what is held while there is any of it |
//! | 1120 | the keys of the two ciphers, 560 each |
//! | 640 | room for 16 pieces of handshake messages, which rustls keeps |
//! | 224 | the secrets to make the next keys of |
//! | 192 | two empty queues of rustls |
//! | 17 | the protocol agreed on (ALPN) |
//!
//! AWS-LC has 0.2 KB more, on the heap of C. Tickets cost nothing: the client keeps them.
//!
//! By rustls' usual interface, as tokio-rustls has it, it is 4.1 KB more, because a read buffer of 4096 bytes
//! stays; that is what this module is for. To go below 3 KB the ciphers would have to be taken out of rustls,
//! whose interface for kernel TLS gives their secrets: some 1.9 KB a connection, for a record layer of our own
//! with its sequence numbers, key updates and alerts.

mod acceptor;
mod buffers;
mod connector;
mod error;
mod identity;
mod session;
mod stream;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use acceptor::{Acceptor, Reload, ServerConfig};
pub use connector::{ClientConfig, Connector};
pub use error::{CertificateFault, Error};
pub use identity::{Identity, IdentityError, IdentityProblem};
pub use stream::Stream;

/// HTTP/1.1 among protocols (RFC 7301 §6).
pub const HTTP_1_1: &[u8] = b"http/1.1";

/// HTTP/2 among protocols (RFC 9113 §3.1).
pub const H2: &[u8] = b"h2";

/// What there is to say where there is no cryptography.
const NO_PROVIDER: &str = "this build has no cryptography for TLS: it needs the feature `tls-aws-lc-rs` or \
                           `tls-ring`, or a rustls provider that the application installs";

/// The application's choice, else the build's.
fn provider() -> Option<Arc<CryptoProvider>> {
    CryptoProvider::get_default().cloned().or_else(built_in::provider)
}

/// The provider that the features have chosen.
mod built_in {
    use std::sync::Arc;

    use rustls::crypto::CryptoProvider;
    use rustls::server::ProducesTickets;

    #[cfg(feature = "tls-aws-lc-rs")]
    use rustls::crypto::aws_lc_rs as chosen;
    #[cfg(all(feature = "tls-ring", not(feature = "tls-aws-lc-rs")))]
    use rustls::crypto::ring as chosen;

    #[cfg(any(feature = "tls-aws-lc-rs", feature = "tls-ring"))]
    pub(super) fn provider() -> Option<Arc<CryptoProvider>> {
        Some(Arc::new(chosen::default_provider()))
    }

    /// What makes tickets of sessions, which clients keep for us; its keys change every six hours.
    #[cfg(any(feature = "tls-aws-lc-rs", feature = "tls-ring"))]
    pub(super) fn ticketer() -> Option<Arc<dyn ProducesTickets>> {
        chosen::Ticketer::new().ok()
    }

    #[cfg(not(any(feature = "tls-aws-lc-rs", feature = "tls-ring")))]
    pub(super) fn provider() -> Option<Arc<CryptoProvider>> {
        None
    }

    #[cfg(not(any(feature = "tls-aws-lc-rs", feature = "tls-ring")))]
    pub(super) fn ticketer() -> Option<Arc<dyn ProducesTickets>> {
        None
    }
}
