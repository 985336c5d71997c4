//! A request's head as those above expect it: as HTTP/1.1 would have had it.

use http::header::{COOKIE, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

/// Whose the request is, according to itself, contradicts itself or is missing.
#[derive(Debug)]
pub(super) struct Malformed;

impl Malformed {
    pub(super) const WHY: &str =
        "The request needs one host without a user: ':authority', and 'host' must be the same.";
}

/// Puts the authority into `Host`, where whoever judges origins looks for it, and the crumbs of `Cookie` together.
///
/// # Errors
///
/// If there is no host, or if there are several (RFC 9113 §8.3.1): two readers of such a request could take it for
/// two requests.
pub(super) fn settle(parts: &mut Parts) -> Result<(), Malformed> {
    join_cookies(&mut parts.headers);
    let mut hosts = parts.headers.get_all(HOST).iter();
    let (host, another) = (hosts.next(), hosts.next());
    let Some(authority) = parts.uri.authority() else {
        return if host.is_some() && another.is_none() { Ok(()) } else { Err(Malformed) };
    };
    let authority = authority.as_str().as_bytes();
    let is_same = host.is_none_or(|host| host.as_bytes().eq_ignore_ascii_case(authority));
    if !is_same || another.is_some() || authority.contains(&b'@') {
        return Err(Malformed);
    }
    if host.is_none() {
        let host = HeaderValue::from_bytes(authority).map_err(|_| Malformed)?;
        parts.headers.insert(HOST, host);
    }
    Ok(())
}

/// A client may send `Cookie` in pieces, so that they compress better (RFC 9113 §8.2.3). Browsers do.
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else { return };
    let mut whole = first.as_bytes().to_vec();
    for crumb in [second].into_iter().chain(crumbs) {
        whole.extend_from_slice(b"; ");
        whole.extend_from_slice(crumb.as_bytes());
    }
    let whole = HeaderValue::from_bytes(&whole).expect("every part is a header's value");
    headers.insert(COOKIE, whole);
}
