//! What is logged, and how that is chosen: by `-v`, by `RUST_LOG`, and by `DEBUG`, as users of the official
//! server have it in their fingers.

use std::env;
use std::io::{self, IsTerminal};

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt, FilterFn, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use crate::{Failure, wants_colours};

/// Sends the log to stderr: stdout is for what was asked for.
pub(crate) fn start(verbose: u8) -> Result<(), Failure> {
    let filter = match env::var(EnvFilter::DEFAULT_ENV) {
        Ok(filter) if !filter.is_empty() => {
            EnvFilter::try_new(filter).map_err(|error| Failure::LogFilter(error.to_string()))?
        }
        _ => EnvFilter::new(match verbose {
            0 => "warn",
            1 => "info",
            _ => "debug",
        }),
    };
    let colours = io::stderr().is_terminal() && wants_colours();
    let layer = fmt::layer().with_writer(io::stderr).with_ansi(colours);
    let scopes = Scopes::parse(&env::var("DEBUG").unwrap_or_default());
    if scopes.is_empty() {
        tracing_subscriber::registry().with(layer.with_filter(filter)).init();
    } else {
        tracing_subscriber::registry().with(layer.with_filter(filter.or(scopes.filter()))).init();
    }
    Ok(())
}

/// The scopes that `DEBUG` names, as the npm package `debug` reads it: names separated by commas or blanks,
/// `*` for anything, and a `-` in front of what is not wanted. The names are those of the official server:
/// `engine:socket`, `socket.io:client`.
#[derive(Debug, Default)]
struct Scopes {
    wanted: Vec<String>,
    unwanted: Vec<String>,
}

impl Scopes {
    fn parse(variable: &str) -> Self {
        let mut scopes = Self::default();
        for name in variable.split([',', ' ']).filter(|name| !name.is_empty()) {
            match name.strip_prefix('-') {
                Some(name) => scopes.unwanted.push(name.to_owned()),
                None => scopes.wanted.push(name.to_owned()),
            }
        }
        scopes
    }

    fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    fn contains(&self, scope: &str) -> bool {
        let any = |names: &[String]| names.iter().any(|name| matches(name, scope));
        any(&self.wanted) && !any(&self.unwanted)
    }

    fn filter(self) -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
        filter_fn(move |metadata| {
            // What is no scope of the official server is left to RUST_LOG: `DEBUG=*` is not about hyper.
            let target = metadata.target();
            let scope = SCOPES.iter().any(|scope| {
                let rest = target.strip_prefix(scope);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '-']))
            });
            scope && *metadata.level() <= Level::DEBUG && self.contains(target)
        })
    }
}

/// What the names of all scopes begin with.
const SCOPES: [&str; 2] = ["engine", "socket.io"];

/// Whether a pattern with `*` for anything matches the whole name.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_have_anything_in_the_place_of_a_star() {
        for (pattern, name) in [
            ("*", "engine"),
            ("engine", "engine"),
            ("engine*", "engine"),
            ("engine*", "engine:socket"),
            ("*:socket", "engine:socket"),
            ("s*.io:*t", "socket.io:client"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("engine", "engine:socket"),
            ("engine:*", "engine"),
            ("*:ws", "engine:socket"),
            ("", "engine"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn scopes_are_wanted_and_unwanted() {
        let scopes = Scopes::parse("socket.io*, engine,-socket.io:parser");
        for scope in ["socket.io:client", "engine"] {
            assert!(scopes.contains(scope), "{scope}");
        }
        for scope in ["socket.io:parser", "engine:socket"] {
            assert!(!scopes.contains(scope), "{scope}");
        }
        assert!(Scopes::parse(" ,-engine").is_empty());
    }
}
