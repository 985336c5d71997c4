//! Why TLS failed, and whose fault it is.

use std::fmt;
use std::io;

use rustls::CertificateError;

/// Why TLS with a peer failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The stream below failed or ended.
    Io(io::Error),
    /// What the peer sends is not TLS, in all probability.
    NotTls,
    /// There is no version, cipher or protocol that both sides speak.
    Incompatible(String),
    /// The peer's certificate is not to be trusted.
    Certificate(CertificateFault),
    /// The peer ended TLS with this alert (RFC 8446 §6.2): it does not like something of ours.
    Refused(String),
    /// The peer broke the protocol.
    PeerMisbehaved(String),
    /// What was to be connected to has no name that could stand in a certificate.
    Host(String),
    /// Something on our side: no random numbers, no time, a provider that cannot do what it was asked.
    Internal(String),
}

/// What is wrong with a peer's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateFault {
    /// It is somebody else's.
    WrongHost {
        /// Whom we wanted to speak to.
        expected: String,
        /// Whose certificate it is.
        presented: Vec<String>,
    },
    /// Nobody whom we trust has issued it.
    UnknownIssuer,
    /// Its time is over.
    Expired,
    /// Its time has not come, or our clock is slow.
    NotValidYet,
    /// Its issuer has taken it back.
    Revoked,
    /// The peer has shown none.
    Missing,
    /// Anything else.
    Other(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the connection under TLS failed: {error}"),
            Self::NotTls => f.write_str("the peer does not speak TLS"),
            Self::Incompatible(what) => write!(f, "the peer's TLS and ours do not fit: {what}"),
            Self::Certificate(fault) => write!(f, "the peer's certificate {fault}"),
            Self::Refused(alert) => write!(f, "the peer ended TLS with the alert {alert}"),
            Self::PeerMisbehaved(what) => write!(f, "the peer misbehaved in TLS: {what}"),
            Self::Host(host) => write!(f, "no certificate can be for the host {host:?}"),
            Self::Internal(what) => write!(f, "TLS failed on our side: {what}"),
        }
    }
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongHost { expected, presented } if presented.is_empty() => {
                write!(f, "is not for {expected}, nor for any other host")
            }
            Self::WrongHost { expected, presented } => {
                write!(f, "is not for {expected}, but for {}", presented.join(", "))
            }
            Self::UnknownIssuer => f.write_str("was issued by nobody who is trusted here"),
            Self::Expired => f.write_str("has expired"),
            Self::NotValidYet => f.write_str("is not valid yet"),
            Self::Revoked => f.write_str("has been revoked"),
            Self::Missing => f.write_str("is missing"),
            Self::Other(what) => write!(f, "is not acceptable: {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Io(error) => error,
            Error::Host(_) => Self::new(io::ErrorKind::InvalidInput, error),
            error => Self::new(io::ErrorKind::InvalidData, error),
        }
    }
}

impl From<rustls::Error> for Error {
    fn from(error: rustls::Error) -> Self {
        use rustls::{Error as Tls, InvalidMessage, PeerIncompatible};
        match error {
            // What comes first of every record, and in a text of another protocol is a letter.
            Tls::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) => Self::NotTls,
            Tls::AlertReceived(alert) => Self::Refused(format!("{alert:?}")),
            Tls::InvalidCertificate(error) => Self::Certificate(error.into()),
            Tls::NoCertificatesPresented => Self::Certificate(CertificateFault::Missing),
            Tls::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::Tls12NotOfferedOrEnabled,
            ) => Self::Incompatible("it does not speak TLS 1.2 or 1.3".into()),
            Tls::PeerIncompatible(what) => Self::Incompatible(format!("{what:?}")),
            Tls::NoApplicationProtocol => {
                Self::Incompatible("it offers no protocol (ALPN) of ours".into())
            }
            error @ (Tls::General(_)
            | Tls::Other(_)
            | Tls::EncryptError
            | Tls::HandshakeNotComplete
            | Tls::FailedToGetCurrentTime
            | Tls::FailedToGetRandomBytes
            | Tls::BadMaxFragmentSize
            | Tls::InconsistentKeys(_)) => Self::Internal(error.to_string()),
            error => Self::PeerMisbehaved(error.to_string()),
        }
    }
}

impl From<CertificateError> for CertificateFault {
    fn from(error: CertificateError) -> Self {
        match error {
            CertificateError::NotValidForNameContext { expected, presented } => Self::WrongHost {
                expected: expected.to_str().into_owned(),
                presented: presented.iter().map(|name| bare(name).to_owned()).collect(),
            },
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotValidYet
            }
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::Revoked => Self::Revoked,
            error => Self::Other(error.to_string()),
        }
    }
}

/// The name in `DnsName("example.org")`, which is how it is presented.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, inner)| inner.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_presented_name_is_shown_bare() {
        assert_eq!(bare("DnsName(\"example.org\")"), "example.org");
        assert_eq!(bare("IpAddress(127.0.0.1)"), "127.0.0.1");
        assert_eq!(bare("example.org"), "example.org");
    }
}
