//! Who is an admin.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;

use crate::connect::Refusal;
use crate::socket::Socket;

/// The most sessions that are remembered: a page keeps its session's id instead of the password, and after so
/// many others have come it asks for the password again.
const SESSIONS: usize = 1000;

/// What was given as a password's hash is none that bcrypt makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAHash;

impl fmt::Display for NotAHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the password must be a valid bcrypt hash")
    }
}

impl std::error::Error for NotAHash {}

/// How admins prove that they are some.
#[derive(Clone)]
pub(super) struct Auth(Option<Arc<Basic>>);

struct Basic {
    username: String,
    hash: String,
    /// Random ids of admins who have given the password, the latest last.
    sessions: Mutex<VecDeque<Box<str>>>,
}

/// What the page sends as `auth`.
#[derive(Deserialize)]
struct Credentials {
    username: Option<String>,
    password: Option<String>,
    #[serde(rename = "sessionId")]
    session_id: Option<String>,
}

impl Auth {
    pub(super) fn none() -> Self {
        Self(None)
    }

    pub(super) fn basic(username: &str, hash: &str) -> Result<Self, NotAHash> {
        // Compared with something, it says whether it could be compared at all.
        let (username, hash) = (username.to_owned(), hash.to_owned());
        hash.parse::<bcrypt::HashParts>().map_err(|_| NotAHash)?;
        Ok(Self(Some(Arc::new(Basic { username, hash, sessions: Mutex::default() }))))
    }

    /// Lets only admins in.
    pub(super) async fn admit(&self, socket: &Socket) -> Result<(), Refusal> {
        let Some(basic) = &self.0 else { return Ok(()) };
        let refused = || Refusal::new("invalid credentials");
        let credentials: Credentials = socket.auth_as().ok_or_else(refused)?;
        if credentials.session_id.is_some_and(|id| basic.knows(&id)) {
            return Ok(());
        }
        if credentials.username.as_deref() != Some(&*basic.username) {
            return Err(refused());
        }
        let password = credentials.password.ok_or_else(refused)?;
        let hash = basic.hash.clone();
        // Meant to take long.
        let checked = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash));
        if !checked.await.is_ok_and(|checked| checked.unwrap_or(false)) {
            return Err(refused());
        }
        let id = basic.remember().map_err(|_| Refusal::new("internal error"))?;
        socket.emit("session", &id).map_err(|_| refused())
    }
}

impl Basic {
    fn sessions(&self) -> std::sync::MutexGuard<'_, VecDeque<Box<str>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn knows(&self, id: &str) -> bool {
        self.sessions().iter().any(|known| **known == *id)
    }

    /// A new session, of 64 random bits in hexadecimal digits as the official server's are.
    fn remember(&self) -> Result<Box<str>, getrandom::Error> {
        let id: Box<str> = format!("{:016x}", getrandom::u64()?).into();
        let mut sessions = self.sessions();
        if sessions.len() >= SESSIONS {
            sessions.pop_front();
        }
        sessions.push_back(id.clone());
        Ok(id)
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Basic" } else { "None" })
    }
}
