//! How both endpoints agree on [`Params`]: from header values to header values (RFC 7692 §7.1).

use alloc::{
    string::{String, ToString as _},
    sync::Arc,
};
use core::{error, fmt};

use super::{
    Budget, Compression, Config, Context, Grant, Params, WindowBits,
    header::{Extension, Param, extensions},
};
use crate::connection::Role;

const NAME: &str = "permessage-deflate";

/// A parameter of permessage-deflate (RFC 7692 §7.1). Its `Display` is its name on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// §7.1.1.1
    ServerNoContextTakeover,
    /// §7.1.1.2
    ClientNoContextTakeover,
    /// §7.1.2.1
    ServerMaxWindowBits,
    /// §7.1.2.2
    ClientMaxWindowBits,
}

impl Parameter {
    const ALL: [Self; 4] = [
        Self::ServerNoContextTakeover,
        Self::ClientNoContextTakeover,
        Self::ServerMaxWindowBits,
        Self::ClientMaxWindowBits,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::ServerNoContextTakeover => "server_no_context_takeover",
            Self::ClientNoContextTakeover => "client_no_context_takeover",
            Self::ServerMaxWindowBits => "server_max_window_bits",
            Self::ClientMaxWindowBits => "client_max_window_bits",
        }
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a server's answer ends the handshake: the client has to fail the connection (RFC 6455 §4.1,
/// RFC 7692 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerError {
    /// The header does not keep to its grammar (RFC 6455 §9.1).
    Malformed,
    /// It names an extension that was not offered.
    NotOffered,
    /// It accepts permessage-deflate twice.
    AcceptedTwice,
    /// It has a parameter that permessage-deflate does not know.
    ParameterUnknown,
    /// It has this parameter twice.
    ParameterRepeated(Parameter),
    /// This parameter has a value that it cannot have, or none where it needs one.
    ValueInvalid(Parameter),
    /// This parameter was demanded, and the answer does not have it.
    ParameterMissing(Parameter),
    /// This parameter has a larger value than was offered.
    WindowTooLarge(Parameter),
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("Sec-WebSocket-Extensions is malformed"),
            Self::NotOffered => f.write_str("the server accepts an extension that was not offered"),
            Self::AcceptedTwice => f.write_str("the server accepts permessage-deflate twice"),
            Self::ParameterUnknown => {
                f.write_str("the server accepts permessage-deflate with an unknown parameter")
            }
            Self::ParameterRepeated(parameter) => {
                write!(f, "the server accepts permessage-deflate with {parameter} twice")
            }
            Self::ValueInvalid(parameter) => {
                write!(f, "the server accepts permessage-deflate with a wrong value of {parameter}")
            }
            Self::ParameterMissing(parameter) => {
                write!(f, "the server accepts permessage-deflate, but not {parameter}")
            }
            Self::WindowTooLarge(parameter) => {
                write!(
                    f,
                    "the server accepts permessage-deflate with more {parameter} than offered"
                )
            }
        }
    }
}

impl error::Error for AnswerError {}

/// The parameters of one offer or answer.
#[derive(Default)]
struct Stated {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<WindowBits>,
    /// In an offer it may come without a value.
    client_max_window_bits: Option<Option<WindowBits>>,
}

impl Stated {
    fn parse(extension: &Extension<'_>) -> Result<Self, AnswerError> {
        let mut stated = Self::default();
        for param in extension.params() {
            let Param { name, value } = param.map_err(|_| AnswerError::Malformed)?;
            let parameter = Parameter::ALL
                .into_iter()
                .find(|known| known.name().as_bytes().eq_ignore_ascii_case(name))
                .ok_or(AnswerError::ParameterUnknown)?;
            let bits = value.as_deref().map(window_bits);
            let repeated = match (parameter, bits) {
                (Parameter::ServerNoContextTakeover, None) => {
                    core::mem::replace(&mut stated.server_no_context_takeover, true)
                }
                (Parameter::ClientNoContextTakeover, None) => {
                    core::mem::replace(&mut stated.client_no_context_takeover, true)
                }
                (Parameter::ServerMaxWindowBits, Some(Some(bits))) => {
                    stated.server_max_window_bits.replace(bits).is_some()
                }
                (Parameter::ClientMaxWindowBits, None) => {
                    stated.client_max_window_bits.replace(None).is_some()
                }
                (Parameter::ClientMaxWindowBits, Some(Some(bits))) => {
                    stated.client_max_window_bits.replace(Some(bits)).is_some()
                }
                _ => return Err(AnswerError::ValueInvalid(parameter)),
            };
            if repeated {
                return Err(AnswerError::ParameterRepeated(parameter));
            }
        }
        Ok(stated)
    }
}

/// A decimal number from 8 to 15 without leading zeros (RFC 7692 §7.1.2).
fn window_bits(value: &[u8]) -> Option<WindowBits> {
    WindowBits::new(match value {
        [digit @ b'8'..=b'9'] => digit - b'0',
        [b'1', digit @ b'0'..=b'5'] => 10 + digit - b'0',
        _ => return None,
    })
}

fn is_deflate(extension: &Extension<'_>) -> bool {
    extension.name.eq_ignore_ascii_case(NAME.as_bytes())
}

/// A server's acceptance of permessage-deflate. Its `Display` is the value of
/// `Sec-WebSocket-Extensions` in the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    params: Params,
    states_server_window: bool,
    states_client_window: bool,
}

impl Answer {
    /// What is agreed on by this answer.
    #[must_use]
    pub const fn params(&self) -> Params {
        self.params
    }

    /// The same without context takeover in either direction, which a server may always choose (RFC
    /// 7692 §7.1.1).
    #[must_use]
    pub const fn without_takeover(mut self) -> Self {
        self.params = self.params.without_takeover();
        self
    }

    /// Keeps context takeover only if the budget grants its [memory](Params::memory). The grant
    /// belongs to the connection.
    #[must_use]
    pub fn within(self, budget: &Arc<Budget>, compression: &Compression) -> (Self, Option<Grant>) {
        match self.params.memory(Role::Server, compression) {
            0 => (self, None),
            bytes => match budget.grant(bytes) {
                Some(grant) => (self, Some(grant)),
                None => (self.without_takeover(), None),
            },
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Params { client, server } = self.params;
        f.write_str(NAME)?;
        if !server.takeover {
            write!(f, "; {}", Parameter::ServerNoContextTakeover)?;
        }
        if !client.takeover {
            write!(f, "; {}", Parameter::ClientNoContextTakeover)?;
        }
        if self.states_server_window {
            write!(f, "; {}={}", Parameter::ServerMaxWindowBits, server.window.get())?;
        }
        if self.states_client_window {
            write!(f, "; {}={}", Parameter::ClientMaxWindowBits, client.window.get())?;
        }
        Ok(())
    }
}

/// A server's answer to the values of all `Sec-WebSocket-Extensions` headers of a request: the first
/// offer of permessage-deflate that is valid is accepted. `None` if there is none, which a response
/// without the header says.
///
/// Offers of other extensions, with unknown parameters, or with values that are not allowed are
/// passed over, as are elements that are malformed. Every valid offer can be met, because whatever a
/// client demands is less than what we would do.
///
/// A browser offers `client_max_window_bits` without a value; it gets one only if the configuration
/// asks for a smaller window than it would use anyway.
#[must_use]
pub fn answer<'a>(values: impl IntoIterator<Item = &'a [u8]>, config: &Config) -> Option<Answer> {
    let offer = values
        .into_iter()
        .flat_map(extensions)
        .flatten()
        .filter(is_deflate)
        .find_map(|offer| Stated::parse(&offer).ok())?;
    let server_window = offer.server_max_window_bits.unwrap_or(WindowBits::MAX);
    // Who does not offer the parameter does not understand it either (RFC 7692 §7.1.2.2).
    let client_window = match offer.client_max_window_bits {
        Some(hint) => config.client.window.min(hint.unwrap_or(WindowBits::MAX)),
        None => WindowBits::MAX,
    };
    Some(Answer {
        params: Params {
            client: Context {
                takeover: config.client.takeover && !offer.client_no_context_takeover,
                window: client_window,
            },
            server: Context {
                takeover: config.server.takeover && !offer.server_no_context_takeover,
                window: config.server.window.min(server_window),
            },
        },
        states_server_window: offer.server_max_window_bits.is_some()
            || config.server.window < WindowBits::MAX,
        states_client_window: match offer.client_max_window_bits {
            None => false,
            Some(None) => config.client.window < WindowBits::MAX,
            Some(Some(_)) => true,
        },
    })
}

/// A client's offer: the value of `Sec-WebSocket-Extensions` in its request.
///
/// It always offers `client_max_window_bits`, so that the server may choose a window, and
/// `client_no_context_takeover` unless the configuration wants takeover. What it demands of the
/// server is what the configuration denies it.
#[must_use]
pub fn offer(config: &Config) -> String {
    Offer(config).to_string()
}

struct Offer<'a>(&'a Config);

impl fmt::Display for Offer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Config { client, server, .. } = self.0;
        f.write_str(NAME)?;
        if !server.takeover {
            write!(f, "; {}", Parameter::ServerNoContextTakeover)?;
        }
        if !client.takeover {
            write!(f, "; {}", Parameter::ClientNoContextTakeover)?;
        }
        if server.window < WindowBits::MAX {
            write!(f, "; {}={}", Parameter::ServerMaxWindowBits, server.window.get())?;
        }
        write!(f, "; {}", Parameter::ClientMaxWindowBits)?;
        if client.window < WindowBits::MAX {
            write!(f, "={}", client.window.get())?;
        }
        Ok(())
    }
}

/// Judges the values of all `Sec-WebSocket-Extensions` headers of a response, to a request with the
/// [`offer`] of this configuration, or without one where it is `None`. `Ok(None)` means that the
/// server declined.
///
/// # Errors
///
/// The first rule that the answer breaks: the client has to fail the connection.
pub fn judge_answer<'a>(
    values: impl IntoIterator<Item = &'a [u8]>,
    config: Option<&Config>,
) -> Result<Option<Params>, AnswerError> {
    let mut params = None;
    for extension in values.into_iter().flat_map(extensions) {
        let extension = extension.map_err(|_| AnswerError::Malformed)?;
        let config = config.filter(|_| is_deflate(&extension)).ok_or(AnswerError::NotOffered)?;
        if params.is_some() {
            return Err(AnswerError::AcceptedTwice);
        }
        params = Some(judge_parameters(&Stated::parse(&extension)?, config)?);
    }
    Ok(params)
}

fn judge_parameters(answer: &Stated, config: &Config) -> Result<Params, AnswerError> {
    if !config.server.takeover && !answer.server_no_context_takeover {
        return Err(AnswerError::ParameterMissing(Parameter::ServerNoContextTakeover));
    }
    let server_window = answer.server_max_window_bits.unwrap_or(WindowBits::MAX);
    if server_window > config.server.window {
        let parameter = Parameter::ServerMaxWindowBits;
        return Err(match answer.server_max_window_bits {
            Some(_) => AnswerError::WindowTooLarge(parameter),
            None => AnswerError::ParameterMissing(parameter),
        });
    }
    let client_window = match answer.client_max_window_bits {
        None => config.client.window,
        Some(None) => return Err(AnswerError::ValueInvalid(Parameter::ClientMaxWindowBits)),
        Some(Some(bits)) if bits > config.client.window => {
            return Err(AnswerError::WindowTooLarge(Parameter::ClientMaxWindowBits));
        }
        Some(Some(bits)) => bits,
    };
    Ok(Params {
        client: Context {
            takeover: config.client.takeover && !answer.client_no_context_takeover,
            window: client_window,
        },
        server: Context { takeover: !answer.server_no_context_takeover, window: server_window },
    })
}
