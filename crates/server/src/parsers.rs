//! Which parser a client speaks.

use std::sync::Arc;

use sockeye_hub::MAX_PARSERS;
use sockeye_socketio::Parser;
use sockeye_socketio::parser::Message;
use sockeye_transport::Parsing;

/// A server's parsers, the default one aside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parsers {
    /// The one of all clients that no other recognizes; `None`: the default one.
    main: Option<Arc<Parsing>>,
    also: Vec<Arc<Parsing>>,
}

impl Parsers {
    pub(crate) fn set_main(&mut self, parser: impl Parser + 'static) {
        self.main = Some(Arc::new(Parsing::new(0, Arc::new(parser))));
    }

    pub(crate) fn add(&mut self, parser: impl Parser + 'static) {
        let number = self.also.len() + 1;
        assert!(number < MAX_PARSERS, "a server has at most {MAX_PARSERS} parsers");
        self.also.push(Arc::new(Parsing::new(number as u8, Arc::new(parser))));
    }

    /// The parser of the client whose first message this is; `None`: the default one.
    pub(crate) fn choose(&self, first: &Message) -> Option<&Arc<Parsing>> {
        let also = self.also.iter().find(|parsing| parsing.recognizes(first));
        also.or(self.main.as_ref())
    }
}
