//! The client's side: whom we trust, and who we are if we are asked.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, UnbufferedClientConnection};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite};
#[cfg(feature = "dial")]
use tokio::net::TcpStream;

use super::HTTP_1_1;
use super::error::Error;
use super::identity::{self, Identity, IdentityError, IdentityProblem, provider};
use super::session::Role;
use super::stream::Stream;

/// How a client speaks TLS: whom it trusts, who it is, and which protocols it offers.
///
/// TLS 1.3 and 1.2. A session with a server is resumed where that server allows it.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    trust: Trust,
    identity: Option<Identity>,
    alpn: Vec<Vec<u8>>,
}

#[derive(Clone, Debug)]
enum Trust {
    /// Whom the operating system trusts.
    System,
    /// Only these.
    Roots(Vec<CertificateDer<'static>>),
    Anybody,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl ClientConfig {
    /// A client that trusts whom the operating system trusts.
    ///
    /// On Linux these are the certificates where OpenSSL has them, or where the variables `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR` say; elsewhere the operating system itself is asked.
    #[must_use]
    pub fn new() -> Self {
        Self { trust: Trust::System, identity: None, alpn: vec![HTTP_1_1.to_vec()] }
    }

    /// Trusts only those whom these certificates in PEM are of.
    ///
    /// # Errors
    ///
    /// If there are none in it.
    pub fn roots_from_pem(self, pem: &[u8]) -> Result<Self, IdentityError> {
        Ok(Self { trust: Trust::Roots(identity::roots(pem)?), ..self })
    }

    /// The same from a file.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or there are none in it.
    pub fn roots_from_pem_file(self, file: impl AsRef<Path>) -> Result<Self, IdentityError> {
        let pem = identity::read(file.as_ref())?;
        self.roots_from_pem(&pem).map_err(|error| error.of_file(file.as_ref()))
    }

    /// Who the client is, for a server that asks for a certificate. Default: nobody.
    #[must_use]
    pub fn identity(self, identity: Identity) -> Self {
        Self { identity: Some(identity), ..self }
    }

    /// The protocols that are offered (RFC 7301), the preferred one first. Default: `http/1.1`.
    #[must_use]
    pub fn alpn<P: Into<Vec<u8>>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.alpn = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// **Trusts whoever answers**, so that anybody on the way can read and change everything. For development
    /// with certificates of nobody's; [`roots_from_pem`](Self::roots_from_pem) does that without the danger.
    #[must_use]
    pub fn dangerous_accept_any_certificate(self) -> Self {
        Self { trust: Trust::Anybody, ..self }
    }
}

/// Shakes hands with servers. Cheap to clone; all clones share the sessions that can be resumed.
#[derive(Clone)]
pub struct Connector {
    config: Arc<rustls::ClientConfig>,
}

#[cfg(feature = "dial")]
impl crate::dial::Secure for Connector {
    fn secure<'a>(&'a self, stream: TcpStream, host: &'a str) -> crate::dial::Securing<'a> {
        Box::pin(async move { Ok(crate::Io::from(self.connect(host, stream).await?)) })
    }

    #[cfg(feature = "http2")]
    fn secure_offering<'a>(
        &'a self,
        stream: TcpStream,
        host: &'a str,
        protocols: &'a [&'a [u8]],
    ) -> crate::dial::Securing<'a> {
        let mut config = rustls::ClientConfig::clone(&self.config);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let offering = Self { config: Arc::new(config) };
        Box::pin(async move { Ok(crate::Io::from(offering.connect(host, stream).await?)) })
    }
}

impl Connector {
    /// Reads the system's certificates, if those are trusted; so it may block for some milliseconds.
    ///
    /// # Errors
    ///
    /// If the system has no certificates, a given one is none, or there is no cryptography: see the
    /// [module](super).
    pub fn new(config: ClientConfig) -> Result<Self, IdentityError> {
        let ClientConfig { trust, identity, alpn } = config;
        let provider = provider()?;
        let bad = |error: rustls::Error| IdentityProblem::BadCertificate(error.to_string());
        let versions = rustls::ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(bad)?;
        let trusting = match trust {
            Trust::System => versions.with_platform_verifier().map_err(bad)?,
            Trust::Roots(certificates) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates {
                    roots.add(certificate).map_err(bad)?;
                }
                versions.with_root_certificates(roots)
            }
            Trust::Anybody => {
                tracing::warn!("a TLS client trusts whoever answers: anybody may listen");
                versions.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            }
        };
        let mut config = match identity {
            None => trusting.with_no_client_auth(),
            Some(identity) => trusting.with_client_cert_resolver(Arc::new(Own::new(identity))),
        };
        config.alpn_protocols = alpn;
        Ok(Self { config: Arc::new(config) })
    }

    /// For what [`ClientConfig`] does not offer. The version of rustls may move with any release of ours.
    #[must_use]
    pub fn from_rustls(config: Arc<rustls::ClientConfig>) -> Self {
        Self { config }
    }

    /// Shakes hands with the server at `host`, whose certificate has to be for that: a name, which the server is
    /// told (SNI), or an IP address as a URL has it, with or without brackets.
    ///
    /// There is no deadline in it. Dropping the future drops the connection.
    ///
    /// # Errors
    ///
    /// If the server went away, is not one to be trusted, or not one to speak with. It is sent the alert for
    /// that.
    pub async fn connect<S>(&self, host: &str, stream: S) -> Result<Stream<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| Error::Host(host.into()))?;
        let client = UnbufferedClientConnection::new(self.config.clone(), name)?;
        Stream::new(stream, Role::Client(client)).shake_hands().await
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

/// A client's own certificate, for whoever asks.
#[derive(Debug)]
struct Own(SingleCertAndKey);

impl Own {
    fn new(identity: Identity) -> Self {
        Self(SingleCertAndKey::from(CertifiedKey::clone(&identity.key)))
    }
}

impl ResolvesClientCert for Own {
    fn resolve(
        &self,
        root_hint_subjects: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        ResolvesClientCert::resolve(&self.0, root_hint_subjects, schemes)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// See [`ClientConfig::dangerous_accept_any_certificate`]. That the server has the key to the certificate it
/// shows is checked all the same.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
