//! A user name and a password, kept out of logs.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use url::Url;

use super::target::UrlError;

/// A user name and a password. `Debug` does not show the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name.
    pub user: String,
    /// The password; empty for none.
    pub password: String,
}

impl Credentials {
    /// What a URL has in front of its `@`, decoded.
    pub(super) fn of(url: &Url) -> Result<Option<Self>, UrlError> {
        if url.username().is_empty() && url.password().is_none() {
            return Ok(None);
        }
        let decode = |text| {
            let decoded = percent_decode_str(text).decode_utf8();
            decoded
                .map(|text| text.into_owned())
                .map_err(|_| UrlError::Credentials("are not UTF-8"))
        };
        let user = decode(url.username())?;
        if user.contains(':') {
            // RFC 7617 §2: the first colon ends the name.
            return Err(UrlError::Credentials("have a ':' in the user name"));
        }
        Ok(Some(Self { user, password: decode(url.password().unwrap_or_default())? }))
    }

    /// The value of `Authorization` or `Proxy-Authorization` (RFC 7617 §2).
    pub(super) fn basic(&self) -> HeaderValue {
        let encoded = STANDARD.encode(format!("{}:{}", self.user, self.password));
        let value = HeaderValue::try_from(format!("Basic {encoded}"));
        let mut value = value.expect("base64 is ASCII");
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}
