//! A socket's way into its namespace, and out: the user's code on both.
//!
//! ```text
//! CONNECT ──▶ ask: the middleware ──▶ the reply ──▶ greet: on_connect ──▶ events ──▶ left: on_disconnect
//! ```
//!
//! Both ways in are futures that are polled once on the spot: most are done by then. What has to wait becomes
//! a task, which leaves word in the socket's link.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sockeye_handler::{Called, Context as _, Event, Failure};
use sockeye_net::wheel::sleep;
use sockeye_recovery::Claim;
use sockeye_socketio::DisconnectReason;
use tracing::Instrument as _;

use super::NO_NAMESPACE;
use crate::children::Children;
use crate::connect::{Connecting, Refusal};
use crate::link::{Command, Finding, Found, Link};
use crate::server::Inner;
use crate::socket::Socket;

/// Asks the dynamic namespaces, in order, whether one has this name; `None` if they answer through the link.
pub(super) fn find(server: &Inner, link: &Arc<Link>, finding: &Finding) -> Option<Found> {
    let running = match poll_once(finding, search(server.children.clone(), finding.clone()), lost) {
        Ok(found) => return Some(found),
        Err(running) => running,
    };
    let timeout = server.core.config.socketio.connect_timeout;
    let (link, finding) = (link.clone(), finding.clone());
    server.core.spawn(Box::pin(async move {
        let found = in_time(timeout, caught(&finding, running, lost)).await;
        link.push(Command::Found(finding, found));
    }));
    None
}

async fn search(children: Arc<Children>, finding: Finding) -> Found {
    for parent in &children.parents {
        if let Some(captures) = parent.takes(&finding.path, finding.auth.as_deref()).await {
            return Ok((parent.clone(), captures));
        }
    }
    Err(Refusal::new(NO_NAMESPACE))
}

/// What a panic of a function that decides about names comes to.
fn lost(finding: &Finding) -> Found {
    tracing::error!(
        target: "socket.io:parent-namespace",
        namespace = &*finding.path, "what decides whether it is there panicked"
    );
    Err(Refusal::new("internal error"))
}

/// Asks the middleware; `None` if it answers through the link.
pub(super) fn ask(socket: &Socket) -> Option<Result<(), Refusal>> {
    let namespace = &socket.inner.namespace;
    let skips = namespace.journal.as_ref().is_some_and(|journal| journal.skip_middlewares);
    if namespace.middleware.is_empty() || (skips && socket.recovered()) {
        return Some(Ok(()));
    }
    let asking = pass(socket.clone()).instrument(socket.span("connect"));
    let running = match poll_once(socket, asking, refused) {
        Ok(answer) => return Some(answer),
        Err(running) => running,
    };
    let server = &socket.inner.namespace.server;
    let timeout = server.config.socketio.connect_timeout;
    let word = socket.clone();
    server.spawn(Box::pin(async move {
        let answer = in_time(timeout, caught(&word, running, refused)).await;
        word.inner.link.push(Command::Answered(word.clone(), answer));
    }));
    None
}

/// Greets a client that has come back, and tells it what it missed; `false` if its end is told through
/// the link, as another answer.
pub(super) fn catch_up(socket: &Socket) -> bool {
    let Some((_, membership)) = socket.journal() else { return true };
    let Some(claim) = membership.take_claim() else { return true };
    socket.greet();
    let Err(running) = poll_once(socket, missed(socket.clone(), claim), |_| ()) else {
        return true;
    };
    let word = socket.clone();
    socket.inner.namespace.server.spawn(Box::pin(async move {
        caught(&word, running, |_| ()).await;
        word.inner.link.push(Command::Answered(word.clone(), Ok(())));
    }));
    false
}

async fn missed(socket: Socket, claim: Claim) {
    if let Some((journal, _)) = socket.journal() {
        journal.catch_up(socket.clone(), claim).await;
    }
}

/// Runs the connect handlers; `false` if their end is told through the link.
pub(super) fn greet(socket: &Socket) -> bool {
    if socket.inner.namespace.connect.is_empty() {
        return true;
    }
    let welcoming = welcome(socket.clone()).instrument(socket.span("connect"));
    let Err(running) = poll_once(socket, welcoming, ended) else { return true };
    let word = socket.clone();
    socket.inner.namespace.server.spawn(Box::pin(async move {
        caught(&word, running, ended).await;
        if word.inner.link.push(Command::Greeted(word.clone())).is_some() {
            // The session is over; for the handlers the socket was there.
            left(&word);
        }
    }));
    false
}

/// Runs the disconnect handlers of a socket that was connected.
pub(super) fn left(socket: &Socket) {
    if let Some(observer) = socket.inner.namespace.server.observer()
        && !socket.is_replaced()
    {
        let reason = socket.disconnect_reason().map_or("", DisconnectReason::as_str);
        observer.disconnected(socket, reason);
    }
    let handlers = &socket.inner.namespace.disconnect;
    sockeye_handler::run(socket, &mut Event::new("disconnect", "", &[]), handlers);
}

async fn pass(socket: Socket) -> Result<(), Refusal> {
    for middleware in &socket.inner.namespace.middleware {
        match middleware.call(&socket) {
            Connecting::Answered(answer) => answer?,
            Connecting::Running(running) => running.await?,
        }
        if socket.disconnect_reason().is_some() {
            // There is nobody left to decide about.
            break;
        }
    }
    Ok(())
}

async fn welcome(socket: Socket) {
    for handler in &socket.inner.namespace.connect {
        let called = {
            let auth = socket.auth().unwrap_or_default();
            handler.call(&socket, &mut Event::new("connect", auth, &[]))
        };
        let error = match called {
            Ok(Called::Done(error)) => error,
            Ok(Called::Running(running)) => running.await,
            Err(rejection) => {
                socket.failed("connect", Failure::Rejected(rejection.message().to_owned().into()));
                socket.disconnect();
                return;
            }
        };
        if let Some(error) = error {
            socket.failed("connect", Failure::Returned(error));
        }
    }
}

/// What a panic of a middleware comes to.
fn refused(socket: &Socket) -> Result<(), Refusal> {
    tracing::error!(
        target: "socket.io:namespace",
        socket = socket.id(), namespace = socket.namespace(), "a middleware panicked"
    );
    Err(Refusal::new("internal error"))
}

/// What a panic of a connect handler comes to.
fn ended(socket: &Socket) {
    socket.failed("connect", Failure::Panicked);
}

/// What decides whether somebody gets in has as long for it as a client has to join its first namespace: a wait
/// without an end would keep a task for each client that came.
async fn in_time<T>(
    timeout: u64,
    deciding: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    tokio::select! {
        biased;
        answer = deciding => answer,
        () = sleep(Duration::from_millis(timeout)) => Err(Refusal::new("connect timeout")),
    }
}

type Running<T> = Pin<Box<dyn Future<Output = T> + Send>>;

fn poll_once<S, T>(
    about: &S,
    running: impl Future<Output = T> + Send + 'static,
    panicked: fn(&S) -> T,
) -> Result<T, Running<T>> {
    let mut running: Running<T> = Box::pin(running);
    // Nobody is to be woken: what pends here is polled again as soon as it is a task.
    match poll(about, &mut running, panicked, &mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => Err(running),
    }
}

async fn caught<S, T>(about: &S, mut running: Running<T>, panicked: fn(&S) -> T) -> T {
    std::future::poll_fn(|cx| poll(about, &mut running, panicked, cx)).await
}

fn poll<S, T>(
    about: &S,
    running: &mut Running<T>,
    panicked: fn(&S) -> T,
    cx: &mut Context<'_>,
) -> Poll<T> {
    catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx)))
        .unwrap_or_else(|_| Poll::Ready(panicked(about)))
}
