//! The client that browsers load from the server: Sockeye's own, or the official bundles.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use sockeye_net::http::{Body, full};
use sockeye_transport::Encoding;
use tokio::sync::OnceCell;

/// Sockeye's client as a classic script, which defines `io`.
const SCRIPT: &str = include_str!("../client/socket.io.js");

/// What makes the same script an ES module.
const MODULE_END: &str = include_str!("../client/esm-tail.js");

/// The files under the server's path, by name.
pub(crate) struct Bundle {
    files: HashMap<Box<str>, Arc<File>>,
}

struct File {
    content: Bytes,
    /// By their encodings, each made when the first client accepts it.
    encoded: [OnceCell<Bytes>; Encoding::ALL.len()],
    content_type: &'static str,
    etag: HeaderValue,
}

impl File {
    fn new(name: &str, content: Bytes) -> Arc<Self> {
        let content_type = if name.ends_with(".map") {
            "application/json; charset=utf-8"
        } else {
            "application/javascript; charset=utf-8"
        };
        // Two different files of one name and length and hash are less likely than a bug here.
        let etag = format!("\"{:x}-{:x}\"", content.len(), fnv(&content));
        let etag = HeaderValue::try_from(etag).expect("hexadecimal digits are a header's value");
        Arc::new(Self { content, encoded: Default::default(), content_type, etag })
    }

    /// None if the runtime ends meanwhile.
    async fn encoded(self: Arc<Self>, encoding: Encoding) -> Option<Bytes> {
        if let Some(made) = self.encoded[encoding as usize].get() {
            return Some(made.clone());
        }
        // In a task of its own: whoever leaves meanwhile would have it made for nothing, and again by the next.
        let made = tokio::spawn(async move {
            let compress =
                async || encoding.compress(self.content.clone()).await.map(Bytes::from).ok_or(());
            self.encoded[encoding as usize].get_or_try_init(compress).await.ok().cloned()
        });
        made.await.ok()?
    }
}

/// Fowler, Noll and Vo's hash: it names a version of a file, nothing more.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl Default for Bundle {
    /// Sockeye's own client, under the names of the official one.
    fn default() -> Self {
        let module = format!("{SCRIPT}\n{MODULE_END}");
        let mut files = HashMap::new();
        for name in ["socket.io.js", "socket.io.min.js"] {
            files.insert(name.into(), File::new(name, Bytes::from_static(SCRIPT.as_bytes())));
        }
        for name in ["socket.io.esm.js", "socket.io.esm.min.js"] {
            files.insert(name.into(), File::new(name, Bytes::from(module.clone())));
        }
        Self { files }
    }
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.files.keys()).finish()
    }
}

impl Bundle {
    pub(crate) fn none() -> Self {
        Self { files: HashMap::new() }
    }

    pub(crate) fn from_dir(dir: &Path) -> io::Result<Self> {
        let mut files = HashMap::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let served = name.starts_with("socket.io.")
                && (name.ends_with(".js") || name.ends_with(".js.map"));
            if served {
                let content = Bytes::from(fs::read(entry.path())?);
                files.insert(name.as_str().into(), File::new(&name, content));
            }
        }
        if !files.contains_key("socket.io.js") {
            let message = format!("no socket.io.js in {}", dir.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        Ok(Self { files })
    }

    /// The answer to a request for `name`, if there is such a file.
    pub(crate) fn answer(
        &self,
        name: &str,
        request: &HeaderMap,
    ) -> Option<impl Future<Output = Response<Body>> + Send + use<>> {
        let file = self.files.get(name)?.clone();
        tracing::debug!(target: "socket.io:server", name, "serves the client");
        let known = request.get_all(IF_NONE_MATCH).iter().any(|known| {
            known.to_str().is_ok_and(|known| {
                known.split(',').any(|tag| {
                    tag.trim().trim_start_matches("W/").as_bytes() == file.etag.as_bytes()
                })
            })
        });
        let encoding = Encoding::smallest(request.get_all(ACCEPT_ENCODING));
        Some(async move {
            let mut response = Response::new(full(Bytes::new()));
            if known {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
            } else if let Some(encoding) = encoding
                && let Some(encoded) = file.clone().encoded(encoding).await
            {
                *response.body_mut() = full(encoded);
                response.headers_mut().insert(CONTENT_ENCODING, encoding.header());
            } else {
                *response.body_mut() = full(file.content.clone());
            }
            let headers = response.headers_mut();
            headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.content_type));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=0"));
            headers.insert(ETAG, file.etag.clone());
            response
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye_testkit::deadline::until;
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    /// Or else clients that never wait could have it begun again and again.
    #[tokio::test]
    async fn what_is_compressed_for_somebody_who_leaves_is_kept() {
        let file = File::new("socket.io.js", SCRIPT.into());
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let files = [("socket.io.js".into(), file.clone())].into_iter().collect();
        let answer = Bundle { files }.answer("socket.io.js", &headers).unwrap();
        {
            let mut answer = pin!(answer);
            let pending = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx).is_pending())).await;
            assert!(pending, "the script is compressed on a thread of its own");
        }
        until(|| file.encoded[Encoding::Gzip as usize].initialized()).await;
    }
}
