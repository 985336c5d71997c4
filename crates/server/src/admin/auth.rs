//! Who is an admin.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::connect::Refusal;
use crate::socket::Socket;

/// The most sessions that are remembered: a page keeps its session's id instead of the password, and after so
/// many others have come it asks for the password again.
const SESSIONS: usize = 1000;

/// The most passwords that wait to be checked. Each costs a thread a good part of a second, and anybody may
/// come with one: they are checked one after the other, and nobody has to wait for more than these.
const WAITING: usize = 16;

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
    /// Places in the line for the check.
    places: Semaphore,
    /// The front of it.
    turn: tokio::sync::Mutex<()>,
    /// Random ids of admins who have given the password, the latest last. As numbers they are compared in a
    /// time that does not tell how much of one was right.
    sessions: Mutex<VecDeque<u64>>,
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
        Ok(Self(Some(Arc::new(Basic::new(username, hash)))))
    }

    /// Lets only admins in.
    pub(super) async fn admit(&self, socket: &Socket) -> Result<(), Refusal> {
        let admitted = self.judge(socket).await;
        if admitted.is_err() {
            let address = socket.handshake().address();
            tracing::warn!(target: "socket.io-admin", %address, "somebody who is no admin is refused");
        }
        admitted
    }

    async fn judge(&self, socket: &Socket) -> Result<(), Refusal> {
        let Some(basic) = &self.0 else { return Ok(()) };
        let refused = || Refusal::new("invalid credentials");
        let credentials: Credentials = socket.auth_as().ok_or_else(refused)?;
        if credentials.session_id.is_some_and(|id| basic.knows(&id)) {
            return Ok(());
        }
        let username = credentials.username.ok_or_else(refused)?;
        let password = credentials.password.ok_or_else(refused)?;
        let is_there = || socket.disconnect_reason().is_none();
        basic.check(&username, password, is_there).await?;
        let id = basic.remember().map_err(|_| Refusal::new("internal error"))?;
        socket.emit("session", &id).map_err(|_| refused())
    }
}

impl Basic {
    fn new(username: String, hash: String) -> Self {
        Self {
            username,
            hash,
            places: Semaphore::new(WAITING),
            turn: tokio::sync::Mutex::default(),
            sessions: Mutex::default(),
        }
    }

    /// Checks a name and its password, if somebody still waits for it.
    async fn check(
        &self,
        username: &str,
        password: String,
        is_wanted: impl Fn() -> bool,
    ) -> Result<(), Refusal> {
        let busy = |_| Refusal::new("too many attempts");
        let _place = self.places.try_acquire().map_err(busy)?;
        let _turn = self.turn.lock().await;
        if !is_wanted() {
            return Err(Refusal::new("nobody waits for it"));
        }
        let hash = self.hash.clone();
        // Meant to take long, and as long for a wrong name.
        let checked = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash));
        let is_right = checked.await.is_ok_and(|checked| checked.unwrap_or(false));
        if is_right && username == self.username {
            Ok(())
        } else {
            Err(Refusal::new("invalid credentials"))
        }
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, VecDeque<u64>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn knows(&self, id: &str) -> bool {
        let Ok(id) = u64::from_str_radix(id, 16) else { return false };
        self.sessions().contains(&id)
    }

    /// A new session, of 64 random bits in hexadecimal digits as the official server's are.
    fn remember(&self) -> Result<String, getrandom::Error> {
        let id = getrandom::u64()?;
        let mut sessions = self.sessions();
        if sessions.len() >= SESSIONS {
            sessions.pop_front();
        }
        sessions.push_back(id);
        Ok(format!("{id:016x}"))
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Basic" } else { "None" })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// Of the password `sesame`.
    const HASH: &str = "$2a$04$ynjDaQ.mtOsrdqeY9zjRNOWHzZQ2oc4dHCm5HG3ghs/56gbJbAFqi";

    fn basic() -> Basic {
        Basic::new("ann".to_owned(), HASH.to_owned())
    }

    #[tokio::test]
    async fn passwords_are_checked_one_after_the_other_and_few_wait() {
        let basic = basic();
        type Check<'a> = Pin<Box<dyn Future<Output = Result<(), Refusal>> + 'a>>;
        let check = || -> Check<'_> { Box::pin(basic.check("ann", "sesame".to_owned(), || true)) };
        let poll =
            |check: &mut Check<'_>| check.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let first = basic.turn.lock().await;
        let mut line: Vec<_> = (0..WAITING).map(|_| check()).collect();
        assert!(line.iter_mut().all(|check| poll(check).is_pending()));
        let Poll::Ready(Err(refusal)) = poll(&mut check()) else { panic!("it waits") };
        assert_eq!(refusal.message, "too many attempts");
        // Who goes away leaves the place to another.
        line.pop();
        line.push(check());
        drop(first);
        for check in line {
            assert!(check.await.is_ok());
        }
        let gone = basic.check("ann", "sesame".to_owned(), || false);
        assert!(gone.await.is_err());
    }

    #[test]
    fn a_session_is_known_until_many_have_come_behind_it() {
        let basic = basic();
        assert!(!basic.knows("") && !basic.knows("0000000000000000"));
        let first = basic.remember().unwrap();
        assert!(basic.knows(&first));
        for _ in 0..SESSIONS {
            assert!(basic.knows(&basic.remember().unwrap()));
        }
        assert!(!basic.knows(&first));
        assert_eq!(basic.sessions().len(), SESSIONS);
    }
}
