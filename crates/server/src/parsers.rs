//! Which parser a client speaks.

use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use sockeye_socketio::parser::Message;
use sockeye_socketio::rewrite::{Rewrite, revive};
use sockeye_socketio::{Error, Limits, Malformed, Parser};
use sockeye_transport::Parsing;

/// A server's parsers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parsers {
    /// The one of all clients that no other recognizes; `None`: the default one.
    main: Option<Arc<Parsing>>,
    also: Vec<Arc<Parsing>>,
    /// The default one, where it has a replacer.
    pub(crate) replaced: Option<Arc<Parsing>>,
    /// That of the default one.
    reviver: Option<Reviver>,
}

#[derive(Clone)]
struct Reviver(Arc<Rewrite>);

impl fmt::Debug for Reviver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reviver")
    }
}

impl Parsers {
    pub(crate) fn set_main(&mut self, parser: impl Parser + 'static) {
        self.main = Some(Arc::new(Parsing::new(0, Arc::new(parser))));
    }

    pub(crate) fn add(&mut self, parser: impl Parser + 'static) {
        let number = self.also.len() + 1;
        assert!(number < Parsing::MAX, "a server has at most {} parsers", Parsing::MAX);
        self.also.push(Arc::new(Parsing::new(number as u8, Arc::new(parser))));
    }

    pub(crate) fn set_replacer(&mut self, replacer: Box<Rewrite>) {
        self.replaced = Some(Arc::new(Parsing::replaced(replacer)));
    }

    pub(crate) fn set_reviver(&mut self, reviver: Arc<Rewrite>) {
        self.reviver = Some(Reviver(reviver));
    }

    /// What the default parser reads for this text of one of its clients. A reviver that panics could not read it.
    pub(crate) fn revive<'a>(&self, text: &'a str, limits: &Limits) -> Result<Cow<'a, str>, Error> {
        let Some(Reviver(reviver)) = &self.reviver else { return Ok(Cow::Borrowed(text)) };
        let revive = AssertUnwindSafe(|| revive(text, limits, &**reviver));
        catch_unwind(revive).unwrap_or_else(|_| {
            tracing::error!(target: "socket.io-parser", "a reviver panicked");
            Err(Malformed::Other.into())
        })
    }

    /// The parser of the client whose first message this is; `None`: the default one.
    pub(crate) fn choose(&self, first: &Message) -> Option<&Arc<Parsing>> {
        let also = self.also.iter().find(|parsing| parsing.recognizes(first));
        also.or(self.main.as_ref())
    }
}
