//! Who we are in TLS: a chain of certificates and the private key to its first one.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

/// No file of certificates is that large: `/dev/zero` is.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// A certificate with those that lead to its issuer, and its private key: known to belong together.
#[derive(Clone)]
pub struct Identity {
    pub(super) key: Arc<CertifiedKey>,
}

impl Identity {
    /// From two PEM files: the certificates, our own first, and the key as PKCS#8, PKCS#1 or SEC1. Both may be
    /// the same file.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] names the file and says what is wrong with it.
    pub fn from_pem_files(
        certificates: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, IdentityError> {
        Files::new(certificates.as_ref(), key.as_ref()).read()?.parse()
    }

    /// The same from memory.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] says what is wrong.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        Self::parse(certificates, key)
            .map_err(|(_, problem)| IdentityError { files: None, problem })
    }

    /// From DER: the certificates, our own first, and the key as PKCS#8, PKCS#1 or SEC1.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] says what is wrong.
    pub fn from_der(
        certificates: impl IntoIterator<Item = Vec<u8>>,
        key: &[u8],
    ) -> Result<Self, IdentityError> {
        let chain = certificates.into_iter().map(CertificateDer::from).collect();
        let key = PrivateKeyDer::try_from(key).map(|key| key.clone_key());
        key.map_err(|what| (Part::Key, IdentityProblem::BadKey(what.into())))
            .and_then(|key| Self::join(chain, key))
            .map_err(|(_, problem)| IdentityError { files: None, problem })
    }

    /// The certificates in DER, our own first.
    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.key.cert.iter().map(AsRef::as_ref)
    }

    fn parse(certificates: &[u8], key: &[u8]) -> Result<Self, (Part, IdentityProblem)> {
        let chain = CertificateDer::pem_slice_iter(certificates).collect::<Result<Vec<_>, _>>();
        let chain = chain
            .map_err(|error| (Part::Certificates, IdentityProblem::BadPem(error.to_string())))?;
        if chain.is_empty() {
            return Err((Part::Certificates, IdentityProblem::NoCertificate));
        }
        // The older form has headers inside, which no longer count as PEM.
        let is_encrypted = [&b"-----BEGIN ENCRYPTED PRIVATE KEY"[..], b"Proc-Type: 4,ENCRYPTED"]
            .iter()
            .any(|mark| key.windows(mark.len()).any(|window| window == *mark));
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
            let problem = match error {
                _ if is_encrypted => IdentityProblem::EncryptedKey,
                rustls::pki_types::pem::Error::NoItemsFound => IdentityProblem::NoKey,
                error => IdentityProblem::BadPem(error.to_string()),
            };
            (Part::Key, problem)
        })?;
        Self::join(chain, key)
    }

    fn join(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, (Part, IdentityProblem)> {
        if chain.is_empty() {
            return Err((Part::Certificates, IdentityProblem::NoCertificate));
        }
        let Some(provider) = super::provider() else {
            return Err((Part::Key, IdentityProblem::NoProvider));
        };
        match CertifiedKey::from_der(chain, key, &provider) {
            Ok(key) => Ok(Self { key: Arc::new(key) }),
            Err(rustls::Error::InconsistentKeys(_)) => {
                Err((Part::Both, IdentityProblem::KeyMismatch))
            }
            Err(error @ rustls::Error::InvalidCertificate(_)) => {
                Err((Part::Certificates, IdentityProblem::BadCertificate(error.to_string())))
            }
            Err(error) => Err((Part::Key, IdentityProblem::BadKey(error.to_string()))),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("certificates", &self.key.cert.len())
            .finish_non_exhaustive()
    }
}

/// Where a problem is.
#[derive(Clone, Copy, Debug)]
enum Part {
    Certificates,
    Key,
    Both,
}

/// The two files of an identity.
#[derive(Clone, Debug)]
pub(super) struct Files {
    certificates: PathBuf,
    key: PathBuf,
}

/// What was in them.
pub(super) struct Contents<'a> {
    files: &'a Files,
    certificates: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    pub(super) fn new(certificates: &Path, key: &Path) -> Self {
        Self { certificates: certificates.to_owned(), key: key.to_owned() }
    }

    pub(super) fn read(&self) -> Result<Contents<'_>, IdentityError> {
        Ok(Contents { files: self, certificates: read(&self.certificates)?, key: read(&self.key)? })
    }
}

impl Contents<'_> {
    pub(super) fn parse(&self) -> Result<Identity, IdentityError> {
        Identity::parse(&self.certificates, &self.key).map_err(|(part, problem)| {
            let (certificates, key) = (&self.files.certificates, &self.files.key);
            let files = match part {
                Part::Certificates => vec![certificates.clone()],
                Part::Key => vec![key.clone()],
                Part::Both => vec![key.clone(), certificates.clone()],
            };
            IdentityError { files: Some(files), problem }
        })
    }
}

/// Why there is no identity.
#[derive(Debug)]
pub struct IdentityError {
    /// The files at fault, if it was to come from files.
    files: Option<Vec<PathBuf>>,
    problem: IdentityProblem,
}

/// What is wrong with a certificate or a key.
#[derive(Debug)]
#[non_exhaustive]
pub enum IdentityProblem {
    /// The file could not be read.
    Unreadable(io::Error),
    /// It is cut, or has something between its marks that is no base64.
    BadPem(String),
    /// There is no certificate in it.
    NoCertificate,
    /// There is no private key in it.
    NoKey,
    /// The key needs a password, for which there is nobody to ask.
    EncryptedKey,
    /// It is a certificate by its marks only.
    BadCertificate(String),
    /// It is a key by its marks only, or of a kind that is not known.
    BadKey(String),
    /// The key is not that of the first certificate.
    KeyMismatch,
    /// This build has no cryptography: see the [module](super).
    NoProvider,
}

impl IdentityError {
    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> &IdentityProblem {
        &self.problem
    }

    pub(super) fn of_file(self, file: &Path) -> Self {
        Self { files: Some(vec![file.to_owned()]), ..self }
    }

    /// The files at fault; none if it is about bytes in memory.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        self.files.as_deref().unwrap_or_default()
    }
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, file) in self.files().iter().enumerate() {
            write!(f, "{}{}", if number == 0 { "" } else { ", " }, file.display())?;
        }
        if self.files.is_some() {
            f.write_str(": ")?;
        }
        self.problem.fmt(f)
    }
}

impl fmt::Display for IdentityProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Self::BadPem(what) => write!(f, "not proper PEM: {what}"),
            Self::NoCertificate => f.write_str("no certificate in it"),
            Self::NoKey => f.write_str("no private key in it (PKCS#8, PKCS#1 or SEC1 in PEM)"),
            Self::EncryptedKey => f.write_str(
                "the private key is encrypted; `openssl pkey -in FILE -out NEW` takes the password off",
            ),
            Self::BadCertificate(what) => write!(f, "no proper certificate: {what}"),
            Self::BadKey(what) => write!(f, "no proper private key: {what}"),
            Self::KeyMismatch => {
                f.write_str("the private key does not belong to the first certificate")
            }
            Self::NoProvider => f.write_str(super::NO_PROVIDER),
        }
    }
}

impl std::error::Error for IdentityError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            IdentityProblem::Unreadable(error) => Some(error),
            _ => None,
        }
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    let mut bytes = Vec::new();
    let length = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
    let read = match length {
        Ok(length) if length as u64 > MAX_FILE => {
            Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 4 MiB"))
        }
        Ok(_) => Ok(bytes),
        Err(error) => Err(error),
    };
    read.map_err(|error| IdentityError::from(IdentityProblem::Unreadable(error)).of_file(path))
}

/// The certificates in PEM of those who are trusted.
pub(super) fn roots(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let problem = match CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>() {
        Ok(roots) if !roots.is_empty() => return Ok(roots),
        Ok(_) => IdentityProblem::NoCertificate,
        Err(error) => IdentityProblem::BadPem(error.to_string()),
    };
    Err(IdentityError { files: None, problem })
}

impl From<IdentityProblem> for IdentityError {
    fn from(problem: IdentityProblem) -> Self {
        Self { files: None, problem }
    }
}

/// The provider, or why there is none.
pub(super) fn provider() -> Result<Arc<CryptoProvider>, IdentityError> {
    super::provider().ok_or_else(|| IdentityProblem::NoProvider.into())
}
