//! The server's side: one identity, which can be replaced while connections live.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, UnbufferedServerConnection,
};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite};

use super::error::Error;
use super::identity::{Files, Identity, IdentityError, IdentityProblem, provider};
use super::session::Role;
use super::stream::Stream;
use super::{HTTP_1_1, built_in};
use crate::wheel::sleep;

/// What a server of this build speaks, the preferred one first.
#[cfg(feature = "http2")]
const SPOKEN: &[&[u8]] = &[super::H2, HTTP_1_1];
#[cfg(not(feature = "http2"))]
const SPOKEN: &[&[u8]] = &[HTTP_1_1];

/// How a server speaks TLS: who it is, and which protocols it offers.
///
/// TLS 1.3 and 1.2, one identity whatever name a client asks for, no client certificates.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    identity: Identity,
    files: Option<Files>,
    alpn: Vec<Vec<u8>>,
    check_every: Duration,
}

impl ServerConfig {
    /// A server that is who it is for good.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            files: None,
            alpn: SPOKEN.iter().map(|protocol| protocol.to_vec()).collect(),
            check_every: Duration::from_secs(10),
        }
    }

    /// A server whose certificates and key are in two PEM files (or one), which may be replaced while it runs:
    /// see [`Acceptor::watch`].
    ///
    /// # Errors
    ///
    /// As [`Identity::from_pem_files`] says.
    pub fn from_pem_files(
        certificates: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, IdentityError> {
        let files = Files::new(certificates.as_ref(), key.as_ref());
        let identity = files.read()?.parse()?;
        Ok(Self { files: Some(files), ..Self::new(identity) })
    }

    /// The protocols that are offered (RFC 7301), the preferred one first. A client that speaks of
    /// protocols, and of none of these, is refused. Default: `h2`, if there is the feature `http2`, and
    /// `http/1.1`.
    #[must_use]
    pub fn alpn<P: Into<Vec<u8>>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// How often [`Acceptor::watch`] looks into the files. Default: 10 s.
    #[must_use]
    pub fn check_every(mut self, interval: Duration) -> Self {
        self.check_every = interval;
        self
    }
}

/// Who we are at the moment.
struct Present(RwLock<Arc<CertifiedKey>>);

impl Present {
    fn get(&self) -> Arc<CertifiedKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, key: Arc<CertifiedKey>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = key;
    }
}

impl fmt::Debug for Present {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Present(..)")
    }
}

impl ResolvesServerCert for Present {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }
}

/// The files of an acceptor, and who was found in them last.
#[derive(Debug)]
struct Watched {
    files: Files,
    check_every: Duration,
    present: Arc<Present>,
    /// Two who reload at once do so one after the other.
    reloading: Mutex<()>,
}

/// What came of looking into the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// There is nobody new in them.
    Unchanged,
    /// New connections see who is in them now. Those that are open live on.
    Replaced,
}

/// Shakes hands with clients. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Acceptor {
    config: Arc<rustls::ServerConfig>,
    watched: Option<Arc<Watched>>,
}

impl Acceptor {
    /// The same acceptor, which does not offer this protocol.
    #[cfg(feature = "http2")]
    pub(crate) fn without(&self, protocol: &[u8]) -> Self {
        let mut config = rustls::ServerConfig::clone(&self.config);
        config.alpn_protocols.retain(|offered| offered != protocol);
        Self { config: Arc::new(config), watched: self.watched.clone() }
    }

    /// An acceptor that speaks TLS as the configuration says.
    ///
    /// # Errors
    ///
    /// If there is no cryptography, or what there is of it can do neither TLS 1.3 nor 1.2: see the
    /// [module](super).
    pub fn new(config: ServerConfig) -> Result<Self, IdentityError> {
        let ServerConfig { identity, files, alpn, check_every } = config;
        let present = Arc::new(Present(RwLock::new(identity.key)));
        let versions = rustls::ServerConfig::builder_with_provider(provider()?)
            .with_safe_default_protocol_versions()
            .map_err(|error| IdentityProblem::BadKey(error.to_string()))?;
        let mut config = versions.with_no_client_auth().with_cert_resolver(present.clone());
        config.alpn_protocols = alpn;
        // A ticket that the client keeps costs us nothing, however many reconnect at once. Where nobody makes
        // tickets, rustls remembers the last 256 sessions.
        if let Some(ticketer) = built_in::ticketer() {
            config.ticketer = ticketer;
            config.session_storage = Arc::new(NoServerSessionStorage {});
        }
        let watched = files.map(|files| {
            Arc::new(Watched { files, check_every, present, reloading: Mutex::new(()) })
        });
        Ok(Self { config: Arc::new(config), watched })
    }

    /// For what [`ServerConfig`] does not offer, such as client certificates or several identities. The version
    /// of rustls may move with any release of ours; its `max_early_data_size` must be 0.
    #[must_use]
    pub fn from_rustls(config: Arc<rustls::ServerConfig>) -> Self {
        Self { config, watched: None }
    }

    /// Shakes hands with a client that has just connected.
    ///
    /// There is no deadline in it; a listener gives it that of its [`Listening`](crate::Listening). Dropping the
    /// future drops the connection.
    ///
    /// # Errors
    ///
    /// If the client went away or is not one to speak with. It is sent the alert for that.
    pub async fn accept<S>(&self, stream: S) -> Result<Stream<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let server = UnbufferedServerConnection::new(self.config.clone())?;
        Stream::new(stream, Role::Server(server)).shake_hands().await
    }

    /// Looks into the files now, and lets new connections see who is in them, if the key belongs to the
    /// certificate. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// If there is nobody proper in them, which is also how it looks while one of two files has been written
    /// and the other one has not. All stays as it was then.
    pub fn reload(&self) -> Result<Reload, IdentityError> {
        let Some(watched) = &self.watched else { return Ok(Reload::Unchanged) };
        let _one = watched.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let found = watched.files.read()?.parse()?;
        let present = watched.present.get();
        // A key belongs to its certificate: another key has another one.
        if found.key.cert == present.cert {
            return Ok(Reload::Unchanged);
        }
        watched.present.set(found.key);
        Ok(Reload::Replaced)
    }

    /// [Reloads](Self::reload) every [so often](ServerConfig::check_every), and logs what came of it: a good
    /// pair of files once, and what is wrong with a bad one once. Ends at once if there are no files, else never;
    /// dropping the future ends the watch.
    ///
    /// The files are read and compared each time. So nothing depends on their times, and links that point
    /// elsewhere from now on are followed. A [listener](crate::accept()) does this by itself.
    pub async fn watch(&self) {
        let Some(watched) = &self.watched else { return };
        let mut said: Option<String> = None;
        loop {
            sleep(watched.check_every).await;
            let this = self.clone();
            // A file may be on a disk that sleeps, or on a network.
            let Ok(reloaded) = tokio::task::spawn_blocking(move || this.reload()).await else {
                continue;
            };
            match reloaded {
                Ok(Reload::Unchanged) => said = None,
                Ok(Reload::Replaced) => {
                    said = None;
                    tracing::info!(
                        "new TLS connections see the certificate that has been put in place"
                    );
                }
                Err(error) => {
                    let error = error.to_string();
                    if said.as_ref() != Some(&error) {
                        tracing::error!(%error, "the TLS certificate stays the one before");
                        said = Some(error);
                    }
                }
            }
        }
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("watched", &self.watched).finish_non_exhaustive()
    }
}
