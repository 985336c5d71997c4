//! Opening a session on a plain connection.

use std::sync::Arc;

use http::HeaderMap;
use sockeye_net::http::Answer;

use super::{Answering, Engine, Refused, shake_hands};
use crate::handler::Handler;
use crate::request::Request;
use crate::shared::{Form, Shared};
use crate::task::Upgraded;

impl Engine {
    /// Answers a request for a plain connection: opens a session, whose messages go to the handler that
    /// `handler` makes, or says in an HTTP response why not. Who may open one is decided as for every
    /// other session.
    pub fn answer_plain<H: Handler, P: Handler>(
        &self,
        request: Request,
        handler: impl FnOnce(&Arc<Shared>) -> P + Send + 'static,
    ) -> Answering<H> {
        let engine = self.clone();
        Box::pin(async move {
            let mut headers = HeaderMap::new();
            engine.apply_cors(&request, &mut headers);
            let mut answer = match engine.pass(request).await {
                Err(response) => Answer::Http(response),
                Ok(request) => {
                    engine.open_plain(&request, handler).await.unwrap_or_else(|refused| {
                        Answer::Http(engine.refuse(&request, request.is_upgrade(), &refused))
                    })
                }
            };
            match &mut answer {
                Answer::Http(response) => response.headers_mut().extend(headers),
                Answer::Upgrade(response, _) => response.headers_mut().extend(headers),
            }
            answer
        })
    }

    async fn open_plain<H: Handler, P: Handler>(
        &self,
        request: &Request,
        handler: impl FnOnce(&Arc<Shared>) -> P,
    ) -> Result<Answer<Upgraded<H>>, Refused> {
        // What is no handshake is not counted, and the application is not asked about it.
        let mut response = shake_hands(request)?;
        let admission = self.admit(request, Form::Plain, false).await?;
        let session = self.open(request, admission, Form::Plain, None, handler).await?;
        session.shared().set_deflating(self.agree(request, &mut response));
        self.config().hooks.edit(response.headers_mut(), request, true);
        Ok(Answer::Upgrade(response, Upgraded::plain(session)))
    }
}
