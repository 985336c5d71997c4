//! The flags of `sockeye serve` that are options of its server.

use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use sockeye::admin::{Admin, Mode};
use sockeye::tls::{Acceptor, IdentityError, ServerConfig};
use sockeye::{Cors, ForwardedBy, Recovery, ServerBuilder, Transport, TrustedProxies, deflate};

/// What the server is told. What is not given has the library's default, which is that of the official
/// server where it has one.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of the server")]
pub(crate) struct Options {
    /// The path under which Socket.IO clients find the server; the chat page has the rest.
    #[arg(long, default_value = "/socket.io", value_parser = path)]
    pub(crate) path: String,

    /// The PEM file with the certificate, and those that vouch for it, to serve https:// and wss:// by. It
    /// is read again when it changes.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The PEM file with the key of the certificate.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// The transports that clients may use.
    #[arg(long, value_delimiter = ',', default_value = "polling,websocket")]
    transports: Vec<TransportName>,

    /// Clients of the JavaScript versions 2.x may connect, too.
    #[arg(long = "allow-eio3")]
    allow_eio3: bool,

    /// An origin whose pages may use the server, besides its own: `https://app.example`; `*` is every
    /// one. May be given several times. Without it, pages of other origins cannot poll, but may open a
    /// websocket.
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    cors_origin: Vec<String>,

    /// The address or network of a proxy whose word about a client's address counts: `10.0.0.0/8`. May be
    /// given several times.
    #[arg(long, value_name = "NETWORK", value_parser = network)]
    trusted_proxy: Vec<String>,

    /// The header in which the trusted proxies name the client.
    #[arg(
        long,
        value_name = "HEADER",
        default_value = "x-forwarded-for",
        requires = "trusted_proxy"
    )]
    forwarded_by: HeaderName,

    /// Connections of trusted proxies begin with a PROXY header, version 1 or 2.
    #[arg(long, requires = "trusted_proxy")]
    proxy_protocol: bool,

    /// The most connections, and the most clients, at a time. [default: no limit]
    #[arg(long, value_name = "N")]
    max_connections: Option<NonZeroUsize>,

    /// The same for each address, which for IPv6 is a /64. [default: no limit]
    #[arg(long, value_name = "N")]
    max_connections_per_address: Option<NonZeroUsize>,

    /// How long after a pong the next ping is sent: `25s`, `500ms`, `2m`. [default: 25s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    ping_interval: Option<Duration>,

    /// How long a pong may take before its client is regarded as gone. [default: 20s]
    #[arg(long, value_name = "TIME", value_parser = time)]
    ping_timeout: Option<Duration>,

    /// Let clients that come back within two minutes be what they were: their ids, rooms and missed events are
    /// kept in this directory, or without one in memory.
    #[arg(long, value_name = "DIRECTORY", num_args = 0..=1)]
    recovery: Option<Option<PathBuf>>,

    /// Serve the official Admin UI's namespace /admin, to whoever has this name and the password of this
    /// bcrypt hash: `admin:$2b$10$..`. The page is at https://admin.socket.io, which is then an origin
    /// (--cors-origin), or wherever its files are served.
    #[arg(long, value_name = "NAME:HASH", value_parser = admin)]
    admin: Option<Admin>,

    /// Admins only look on.
    #[arg(long, requires = "admin")]
    admin_read_only: bool,

    /// Admins see statistics, and no single sockets.
    #[arg(long, requires = "admin")]
    admin_production: bool,

    /// The most bytes of one message, and of one POST, from a client. [default: 1000000]
    #[arg(long, value_name = "BYTES")]
    max_payload: Option<NonZeroUsize>,

    /// Compress messages of 1 KiB and more over websockets, for clients that offer it (permessage-deflate).
    /// Answers to polls are compressed in any case.
    #[arg(long)]
    compression: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TransportName {
    Polling,
    Websocket,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum HeaderName {
    XForwardedFor,
    Forwarded,
}

impl Options {
    /// Hands them to the server that is being built.
    pub(crate) fn apply(&self, mut builder: ServerBuilder) -> ServerBuilder {
        builder = builder.path(&self.path);
        builder = builder.transports(self.transports.iter().map(|name| match name {
            TransportName::Polling => Transport::Polling,
            TransportName::Websocket => Transport::Websocket,
        }));
        builder = builder.allow_eio3(self.allow_eio3);
        if let Some(cors) = cors(&self.cors_origin) {
            builder = builder.cors(cors);
        }
        if !self.trusted_proxy.is_empty() {
            let by = match self.forwarded_by {
                HeaderName::XForwardedFor => ForwardedBy::XForwardedFor,
                HeaderName::Forwarded => ForwardedBy::Forwarded,
            };
            let proxies = TrustedProxies::new(&self.trusted_proxy, by);
            builder = builder
                .trusted_proxies(proxies.expect("each was parsed"))
                .proxy_protocol(self.proxy_protocol);
        }
        if let Some(connections) = self.max_connections {
            builder = builder.max_connections(connections.get());
        }
        if let Some(connections) = self.max_connections_per_address {
            builder = builder.max_connections_per_address(connections.get());
        }
        if let Some(interval) = self.ping_interval {
            builder = builder.ping_interval(interval);
        }
        if let Some(timeout) = self.ping_timeout {
            builder = builder.ping_timeout(timeout);
        }
        if let Some(admin) = &self.admin {
            let mode = if self.admin_production { Mode::Production } else { Mode::Development };
            builder = builder.admin(admin.clone().mode(mode).read_only(self.admin_read_only));
        }
        if let Some(bytes) = self.max_payload {
            builder = builder.max_payload(bytes.get());
        }
        if self.compression {
            builder = builder.per_message_deflate(deflate::Config::default());
        }
        builder
    }

    /// What lets clients be recovered, if that was asked for.
    pub(crate) fn recovery(&self) -> io::Result<Option<Recovery>> {
        Ok(match &self.recovery {
            None => None,
            Some(None) => Some(Recovery::memory()),
            Some(Some(directory)) => Some(Recovery::disk(directory)?),
        })
    }

    /// What speaks TLS, if that was asked for.
    pub(crate) fn tls(&self) -> Result<Option<Acceptor>, IdentityError> {
        let Some((certificate, key)) = self.tls_cert.as_ref().zip(self.tls_key.as_ref()) else {
            return Ok(None);
        };
        Acceptor::new(ServerConfig::from_pem_files(certificate, key)?).map(Some)
    }

    /// Where the page finds the browser client, as attributes of its `script`, and what else that has to
    /// know.
    pub(crate) fn client(&self) -> String {
        let Self { path, transports, .. } = self;
        let only = |name| transports.iter().all(|other| *other == name);
        let transports = match () {
            () if only(TransportName::Polling) => " data-transports=\"polling\"",
            () if only(TransportName::Websocket) => " data-transports=\"websocket\"",
            () => "",
        };
        format!("src=\"{path}/socket.io.js\"{transports}")
    }
}

fn cors(origins: &[String]) -> Option<Cors> {
    let builder = match origins {
        [] => return None,
        origins if origins.iter().any(|origin| origin == "*") => Cors::any(),
        // Whoever is named may send cookies along, as the Admin UI's page wants to.
        origins => Cors::origins(origins).credentials(true),
    };
    Some(builder.build().expect("each was parsed"))
}

fn path(text: &str) -> Result<String, String> {
    let path = text.trim_matches('/');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    if path.is_empty() {
        return Err("the path / is the chat page's".to_owned());
    }
    if !path.bytes().all(is_plain) || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("it is made of letters, digits and -._~ between slashes".to_owned());
    }
    Ok(format!("/{path}"))
}

fn origin(text: &str) -> Result<String, String> {
    if text != "*" {
        Cors::origins([text]).build().map_err(|error| error.to_string())?;
    }
    Ok(text.to_owned())
}

fn network(text: &str) -> Result<String, String> {
    let parsed = TrustedProxies::new([text], ForwardedBy::XForwardedFor);
    parsed.map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn admin(text: &str) -> Result<Admin, String> {
    let (name, hash) = text.split_once(':').ok_or("it is a name, a colon and a bcrypt hash")?;
    Admin::with_password(name, hash).map_err(|error| error.to_string())
}

/// A [`time`], or none at all.
pub(crate) fn window(text: &str) -> Result<Duration, String> {
    if text == "0s" { Ok(Duration::ZERO) } else { time(text) }
}

fn time(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: Option<u64> = number.parse().ok().filter(|number| *number > 0);
    let milliseconds = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        _ => None,
    };
    number
        .zip(milliseconds)
        .and_then(|(number, milliseconds)| number.checked_mul(milliseconds))
        .map(Duration::from_millis)
        .ok_or_else(|| "it is a positive number with ms, s or m behind it".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn parse(args: &[&str]) -> Options {
        Cli::try_parse_from([&["sockeye"], args].concat()).unwrap().options
    }

    #[test]
    fn the_page_is_told_where_its_client_is() {
        for (args, client) in [
            (&[][..], "src=\"/socket.io/socket.io.js\""),
            (&["--path", "chat/v2/"], "src=\"/chat/v2/socket.io.js\""),
            (
                &["--transports", "websocket"],
                "src=\"/socket.io/socket.io.js\" data-transports=\"websocket\"",
            ),
        ] {
            assert_eq!(parse(args).client(), client);
        }
    }

    #[test]
    fn times_have_a_unit() {
        for (text, milliseconds) in [("25s", 25_000), ("500ms", 500), ("2m", 120_000)] {
            assert_eq!(time(text), Ok(Duration::from_millis(milliseconds)));
        }
        assert_eq!(window("0s"), Ok(Duration::ZERO));
        for text in ["", "s", "25", "0s", "-1s", "1.5s", "1h", "99999999999999999999s"] {
            time(text).unwrap_err();
        }
    }
}
