//! Our client of plain WebSockets, for the servers of other implementations, which tell it what to do.
//!
//! `sockeye-websocket-client [OPTION..] URL` opens one connection, sends every message back with its type, and writes
//! what becomes of it to standard output, as lines of JSON: that it is open and how it ended (`plain.rs`), or in
//! which step there came to be none.
//!
//! | option | is |
//! |---|---|
//! | `--commands` | instead of sending messages back, does what they say: see `plain.rs` |
//! | `--subprotocol NAME` | is offered, by the order of these options |
//! | `--compression none` | is not offered, or `alone` (the default), or with context `takeover`; any message is compressed that may be |
//! | `--window BITS` | is offered for both sides' compression |
//! | `--authority FILE` | is who is trusted with TLS; by default the system's certificates |
//!
//! `sockeye-websocket-client --certificate NAME` writes a new certificate for this name, of its own authority, and
//! its key, and ends.

use std::error::Error;
use std::sync::Arc;

use serde::Serialize;
use sockeye::tls::{ClientConfig, Connector};
use sockeye::websocket::deflate::{Compression, Config, Context, WindowBits};
use sockeye::websocket::{Client, ConnectError, Options};
use sockeye_interop::plain;

/// What the command line says.
struct Wishes {
    url: String,
    obeys: bool,
    options: Options,
    authority: Option<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [option, name] = arguments.as_slice()
        && option == "--certificate"
    {
        return write_certificate(name);
    }
    let wishes = Wishes::read(arguments)?;
    let mut client = Client::new().options(wishes.options);
    if let Some(file) = wishes.authority {
        let config = ClientConfig::new().roots_from_pem_file(file)?;
        client = client.tls(Arc::new(Connector::new(config)?));
    }
    match client.connect(&wishes.url).await {
        Err(error) => println!("{}", serde_json::to_string(&Refused::new(&error))?),
        // In this task, which is not the connection's.
        Ok(mut socket) => {
            let subprotocol = socket.subprotocol().map(str::to_owned);
            println!("{}", serde_json::to_string(&Opened { subprotocol })?);
            if wishes.obeys {
                plain::obey(&mut socket).await;
            } else {
                plain::echo(&mut socket).await;
            }
            plain::report(&socket, wishes.url.parse::<http::Uri>()?.path()).await;
        }
    }
    Ok(())
}

impl Wishes {
    fn read(arguments: Vec<String>) -> Result<Self, Box<dyn Error>> {
        let (mut url, mut obeys, mut authority) = (None, false, None);
        let (mut compresses, mut context) = (true, Context::default());
        let mut subprotocols = Vec::new();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument}: what?"));
            match argument.as_str() {
                "--commands" => obeys = true,
                "--subprotocol" => subprotocols.push(value()?),
                "--compression" => match value()?.as_str() {
                    "none" => compresses = false,
                    "alone" => context.takeover = false,
                    "takeover" => context.takeover = true,
                    other => return Err(format!("--compression {other}?").into()),
                },
                "--window" => {
                    context.window = WindowBits::new(value()?.parse()?).ok_or("8 to 15 bits")?;
                }
                "--authority" => authority = Some(value()?),
                _ => url = Some(argument),
            }
        }
        let compression = Compression { threshold: 0, ..Compression::default() };
        let config = Config { client: context, server: context, compression };
        let compression = compresses.then_some(config);
        let options = Options { subprotocols, compression, ..Options::default() };
        Ok(Self { url: url.ok_or("which URL?")?, obeys, options, authority })
    }
}

/// There is a connection.
#[derive(Serialize)]
struct Opened {
    subprotocol: Option<String>,
}

/// Why there is no connection.
#[derive(Serialize)]
struct Refused {
    /// The step that failed.
    refused: Option<String>,
    /// The status of an ordinary answer.
    status: Option<u16>,
    /// With its causes.
    error: String,
}

impl Refused {
    fn new(error: &ConnectError) -> Self {
        let status = match error {
            ConnectError::Rejected(rejection) => Some(rejection.status.as_u16()),
            ConnectError::Redirected { status, .. } => Some(status.as_u16()),
            _ => None,
        };
        let refused = error.phase().map(|phase| format!("{phase:?}"));
        let mut whole = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            whole = format!("{whole}: {error}");
            cause = error.source();
        }
        Self { refused, status, error: whole }
    }
}

/// A certificate and whom to trust for it, in PEM.
#[derive(Serialize)]
struct Certificate {
    authority: String,
    certificate: String,
    key: String,
}

fn write_certificate(name: &str) -> Result<(), Box<dyn Error>> {
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
        KeyUsagePurpose,
    };

    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "the tests' authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new([name.to_owned()])?.signed_by(&key, &authority)?;
    let all = Certificate {
        authority: authority.pem(),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    };
    println!("{}", serde_json::to_string(&all)?);
    Ok(())
}
