//! Who we are, by files that may be wrong in many ways.

use std::path::PathBuf;

use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use sockeye_net::tls::{ClientConfig, Identity, IdentityError, IdentityProblem, ServerConfig};

use crate::authority::Authority;

/// A directory that goes with the test.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sockeye-tls-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory for temporary files");
        Self(path)
    }

    /// Writes a file as those do who replace one: all of it at once.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let (path, new) = (self.0.join(name), self.0.join(format!("{name}.new")));
        std::fs::write(&new, content).expect("it can be written");
        std::fs::rename(&new, &path).expect("it can be renamed");
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn refused(certificates: &str, key: &str) -> IdentityError {
    Identity::from_pem(certificates.as_bytes(), key.as_bytes()).expect_err("that is wrong")
}

#[test]
fn each_fault_is_named_with_its_file() {
    let directory = Directory::new("faults");
    let authority = Authority::new();
    let (one, other) = (authority.issue(&["one"]), authority.issue(&["other"]));
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let legacy = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: \
                  AES-128-CBC,00\n\nMAA=\n-----END RSA PRIVATE KEY-----\n";
    let cut = &one.key[..one.key.len() / 2];
    let no_base64 = one.certificate.replacen("MI", "??", 1);
    let no_der = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let no_key = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    let cases: [(&str, &str, &[&str], &str); 11] = [
        ("", &one.key, &["cert"], "no certificate"),
        (&one.key, &one.key, &["cert"], "no certificate"),
        (&one.certificate, "", &["key"], "no private key"),
        (&one.certificate, &one.certificate, &["key"], "no private key"),
        (&one.certificate, &other.key, &["key", "cert"], "does not belong"),
        (&one.certificate, encrypted, &["key"], "encrypted"),
        (&one.certificate, legacy, &["key"], "encrypted"),
        (&one.certificate, cut, &["key"], "not proper PEM"),
        (&no_base64, &one.key, &["cert"], "not proper PEM"),
        (no_der, &one.key, &["cert"], "no proper certificate"),
        (&one.certificate, no_key, &["key"], "no proper private key"),
    ];
    for (certificates, key, files, said) in cases {
        let paths = [("cert", certificates), ("key", key)]
            .map(|(name, content)| directory.write(&format!("{name}.pem"), content));
        let error = ServerConfig::from_pem_files(&paths[0], &paths[1]).expect_err(said);
        let named: Vec<_> = error.files().iter().filter_map(|file| file.file_stem()).collect();
        assert_eq!(named, files, "{error}");
        assert!(error.to_string().contains(said), "{error}");
        assert!(error.to_string().starts_with(&*error.files()[0].to_string_lossy()), "{error}");
        let in_memory = refused(certificates, key);
        assert!(
            in_memory.files().is_empty() && in_memory.to_string().contains(said),
            "{in_memory}"
        );
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let directory = Directory::new("absent");
    let issued = Authority::new().issue(&["one"]);
    let certificate = directory.write("cert.pem", &issued.certificate);
    let absent = certificate.with_file_name("absent.pem");
    for (certificate, key) in [(&absent, &certificate), (&certificate, &absent)] {
        let error = Identity::from_pem_files(certificate, key).expect_err("it is not there");
        assert_eq!(error.files(), std::slice::from_ref(&absent));
        assert!(matches!(error.problem(), IdentityProblem::Unreadable(_)), "{error}");
        assert!(std::error::Error::source(&error).is_some());
    }
    let error = ClientConfig::new().roots_from_pem_file(&absent).expect_err("it is not there");
    assert_eq!(error.files(), [absent]);
}

#[test]
fn roots_must_be_there() {
    let directory = Directory::new("roots");
    let file = directory.write("roots.pem", "# nobody\n");
    let error = ClientConfig::new().roots_from_pem_file(&file).expect_err("nobody is in it");
    assert_eq!(error.files(), [file]);
    assert!(matches!(error.problem(), IdentityProblem::NoCertificate), "{error}");
}

#[test]
fn one_file_may_hold_both() {
    let directory = Directory::new("both");
    let issued = Authority::new().issue(&["one"]);
    let both = directory.write("both.pem", &[issued.key, issued.certificate].concat());
    let identity = Identity::from_pem_files(&both, &both).expect("both are in it");
    assert_eq!(identity.certificates().count(), 1);
}

#[test]
fn keys_of_every_kind_are_taken() {
    // Sees to the cryptography.
    let _ = Authority::new();
    for algorithm in [&PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let key = KeyPair::generate_for(algorithm).expect("random numbers");
        let params = rcgen::CertificateParams::new(vec!["one".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate");
        let pem = certificate.pem();
        Identity::from_pem(pem.as_bytes(), key.serialize_pem().as_bytes()).expect("PKCS#8");
        let der = certificate.der().to_vec();
        Identity::from_der([der], key.serialized_der()).expect("PKCS#8");
    }
    Identity::from_der([], &[]).expect_err("there is nothing");
    Identity::from_der([], &[1, 2, 3]).expect_err("that is no key");
}

/// PKCS#1 and SEC1 as openssl writes them: kept here, because the crate that makes the other certificates
/// writes PKCS#8 only.
#[test]
fn older_kinds_of_keys_are_taken() {
    let _ = Authority::new();
    for (certificate, key) in [
        (include_str!("keys/rsa.crt.pem"), include_str!("keys/rsa.pkcs1.pem")),
        (include_str!("keys/ec.crt.pem"), include_str!("keys/ec.sec1.pem")),
    ] {
        assert!(!key.contains("BEGIN PRIVATE KEY"));
        Identity::from_pem(certificate.as_bytes(), key.as_bytes()).expect("they match");
    }
}
