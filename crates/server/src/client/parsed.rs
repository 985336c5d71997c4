//! Clients with another parser than the default one.

use std::ops::ControlFlow;
use std::task::Context;

use sockeye_socketio::parser::Message;
use sockeye_transport::Flow;

use super::Client;

impl Client {
    /// Takes a message by the client's parser, which its first message decides; `None` if that is the
    /// default one.
    pub(super) fn receive_parsed(
        &mut self,
        message: impl FnOnce() -> Message,
        cx: &mut Context<'_>,
    ) -> Option<Flow> {
        if self.native || self.server.core.config.parsers.is_none() {
            return None;
        }
        let server = self.server.clone();
        let config = &server.core.config;
        let parsers = config.parsers.as_deref()?;
        let message = message();
        if self.link.session.parsing().is_none() {
            match parsers.choose(&message) {
                Some(chosen) => self.link.session.set_parsing(chosen.clone()),
                None => {
                    self.speak_default();
                    return None;
                }
            }
        }
        let decoded = self.link.session.parsing()?.decode(message, &config.socketio)?;
        let event = decoded.as_ref().map_err(|error| *error);
        let event = event.and_then(|parsed| self.protocol.receive_parsed(&config.socketio, parsed));
        Some(match event {
            Ok(Some(event)) => self.handle(event, cx),
            Ok(None) => ControlFlow::Continue(()),
            Err(error) => self.fail(&error),
        })
    }

    /// The client's parser is the default one: as it is, or with a replacer.
    pub(super) fn speak_default(&mut self) {
        self.native = true;
        let parsers = self.server.core.config.parsers.as_deref();
        if let Some(replaced) = parsers.and_then(|parsers| parsers.replaced.as_ref()) {
            self.link.session.set_parsing(replaced.clone());
        }
    }
}
