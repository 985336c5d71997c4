//! A request's head as those above expect it: as HTTP/1.1 would have had it.

use http::HeaderValue;
use http::header::HOST;
use http::request::Parts;

use crate::http::join_cookies;

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
