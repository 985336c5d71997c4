//! Opening a session on a plain connection.

use std::sync::Arc;

use http::HeaderMap;
use sockeye_net::http::Answer;

use super::{Answering, Engine, Refused, merge_cors, shake_hands};
use crate::handler::Handler;
use crate::request::Request;
use crate::shared::{Form, Shared};
use crate::task::Upgraded;

impl Engine {
    /// Answers a request for a plain connection: opens a session, whose messages go to the handler that
    /// `handler` makes, or says in an HTTP response why not. Who may open one is decided as for every
    /// other session.
    pub fn answer_plain<H: Handler>(
        &self,
        request: Request,
        handler: impl FnOnce(&Arc<Shared>) -> H::Plain + Send + 'static,
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
            merge_cors(&headers, &mut answer);
            answer
        })
    }

    async fn open_plain<H: Handler>(
        &self,
        request: &Request,
        handler: impl FnOnce(&Arc<Shared>) -> H::Plain,
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use http::HeaderValue;
    use http::header::{ORIGIN, VARY};

    use super::*;
    use crate::config::Config;
    use crate::cors::Cors;
    use crate::fixture::Scribe;

    #[tokio::test]
    async fn what_the_application_says_an_answer_varies_by_stays_in_it() {
        let cors = Cors::origins(["https://a.example", "https://b.example"]).build().unwrap();
        let mut config = Config { cors: Some(cors), ..Config::default() };
        config.hooks.headers(|headers, _| {
            headers.insert(VARY, HeaderValue::from_static("Accept-Language"));
        });
        let request = http::Request::builder()
            .header("host", "a.example")
            .header(ORIGIN, "https://a.example")
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .body(())
            .unwrap();
        let peer = SocketAddr::from(([127, 0, 0, 1], 4000));
        let engine = Engine::new(config);
        let request = engine.request(request.into_parts().0, peer);
        let answering = engine.answer_plain::<Scribe>(request, |_| Scribe::default());
        let Answer::Upgrade(response, _) = answering.await else { panic!("it is let in") };
        let varies: Vec<_> = response.headers().get_all(VARY).iter().collect();
        assert_eq!(varies, ["Accept-Language, Origin"]);
    }
}
