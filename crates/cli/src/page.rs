//! The chat page's files, built into the program, as an axum router: what is asked for outside of
//! Socket.IO's path. `page/PROTOCOL.md` has the table.

use std::hash::{DefaultHasher, Hasher};

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sockeye::Bytes;

const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct File {
    path: &'static str,
    content_type: &'static str,
    content: &'static str,
}

const FILES: [File; 7] = [
    File {
        path: "/",
        content_type: "text/html; charset=utf-8",
        content: include_str!("../page/index.html"),
    },
    File {
        path: "/chat.css",
        content_type: "text/css; charset=utf-8",
        content: include_str!("../page/chat.css"),
    },
    File {
        path: "/chat.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("../page/chat.js"),
    },
    File {
        path: "/connection.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("../page/connection.js"),
    },
    File {
        path: "/view.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("../page/view.js"),
    },
    File {
        path: "/state.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("../page/state.js"),
    },
    File {
        path: "/favicon.svg",
        content_type: "image/svg+xml",
        content: include_str!("../page/favicon.svg"),
    },
];

/// What stands in the page for the browser client.
const CLIENT: &str = "src=\"/socket.io/socket.io.js\"";

/// The files; everything else is 404. `client` is what stands in the page for the browser client: the
/// attributes of its `script`.
pub(crate) fn router(client: &str) -> Router {
    let not_found = || async { guarded((StatusCode::NOT_FOUND, "not found\n")) };
    FILES.iter().fold(Router::new().fallback(not_found), |router, file| {
        let content = Bytes::from(file.content.replace(CLIENT, client));
        let etag = etag(&content);
        let answer =
            move |headers: HeaderMap| async move { file.answer(&headers, &etag, content.clone()) };
        router.route(file.path, get(answer))
    })
}

impl File {
    fn answer(&self, request: &HeaderMap, etag: &HeaderValue, content: Bytes) -> Response {
        let mut response = if is_known(request, etag) {
            guarded(StatusCode::NOT_MODIFIED)
        } else {
            guarded(content)
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        // Kept, but asked about each time: another version of the program has another page.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(ETAG, etag.clone());
        response
    }
}

/// A response with what keeps strangers' content from running in it.
fn guarded(response: impl IntoResponse) -> Response {
    let mut response = response.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn etag(content: &[u8]) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    hasher.write(content);
    HeaderValue::try_from(format!("\"{:016x}\"", hasher.finish()))
        .expect("quoted hexadecimal digits are a header's value")
}

/// Whether the client has this version already (RFC 9110 §13.1.2, weak comparison).
fn is_known(request: &HeaderMap, etag: &HeaderValue) -> bool {
    request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|tags| {
        tags.split(',').map(str::trim).any(|tag| {
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(tags: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static(tags))])
    }

    #[test]
    fn a_known_version_is_not_sent_again() {
        let etag = HeaderValue::from_static("\"a\"");
        for tags in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            let answer = FILES[0].answer(&asks(tags), &etag, Bytes::new());
            assert_eq!(answer.status(), StatusCode::NOT_MODIFIED, "{tags}");
            assert_eq!(answer.headers()[ETAG], etag, "{tags}");
        }
        for tags in ["\"b\"", "a", ""] {
            let answer = FILES[0].answer(&asks(tags), &etag, Bytes::new());
            assert_eq!(answer.status(), StatusCode::OK, "{tags}");
        }
    }

    #[test]
    fn the_page_names_the_browser_client_once() {
        for file in FILES {
            let named = file.content.matches(CLIENT).count();
            assert_eq!(named, usize::from(file.path == "/"), "{}", file.path);
        }
    }

    #[test]
    fn versions_have_different_tags() {
        assert_ne!(etag(b"a"), etag(b"b"));
    }
}
