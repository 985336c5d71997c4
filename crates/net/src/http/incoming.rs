//! The body of a request, whatever version of HTTP it comes by.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::BoxError;
#[cfg(feature = "http2")]
use crate::http2;

/// The body of a request that came to a listener of ours.
///
/// What is not read of it holds its client back: that of HTTP/2 by the stream's window.
pub struct Incoming(Kind);

enum Kind {
    Empty,
    Http1(hyper::body::Incoming),
    #[cfg(feature = "http2")]
    Http2(http2::Incoming),
}

impl Incoming {
    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self(Kind::Empty)
    }
}

impl From<hyper::body::Incoming> for Incoming {
    fn from(body: hyper::body::Incoming) -> Self {
        Self(Kind::Http1(body))
    }
}

#[cfg(feature = "http2")]
impl From<http2::Incoming> for Incoming {
    fn from(body: http2::Incoming) -> Self {
        Self(Kind::Http2(body))
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Http1(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            #[cfg(feature = "http2")]
            Kind::Http2(body) => body.poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Http1(body) => body.is_end_stream(),
            #[cfg(feature = "http2")]
            Kind::Http2(body) => body.is_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Http1(body) => body.size_hint(),
            #[cfg(feature = "http2")]
            Kind::Http2(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Empty => "Empty",
            Kind::Http1(_) => "Http1(..)",
            #[cfg(feature = "http2")]
            Kind::Http2(_) => "Http2(..)",
        })
    }
}
