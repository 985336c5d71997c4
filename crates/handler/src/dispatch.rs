//! The dispatch of one session's events: in order of arrival, within limits, whatever handlers do.
//!
//! A handler is started when its event arrives and polled once on the spot: what finishes at once
//! costs no task, and everything up to a handler's first wait happens in the order of the events,
//! as in Node. What has to wait becomes a task and holds one of the session's [`Places`] until it
//! is done. When all places are taken, events queue up here, bounded in bytes, while the session
//! goes on parsing, so that acks, pongs and closes still pass; only when the queue is full, too,
//! [`Dispatch::is_full`] tells the session to stop reading.
//!
//! A handler that waits for an ack of its own client would wait for ever if the client's events
//! stood before the ack: it [gives its place back](yield_place).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use tracing::Span;

use crate::Handling;
use crate::ack::Responder;
use crate::call::Called;
use crate::context::Context;
use crate::event::{Event, Waiting};
use crate::failure::Failure;
use crate::own::Own;
use crate::routes::{Erased, Routes};

/// What the handlers of one session may hold.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most handlers that may be waiting for something at a time. Default: 32.
    pub max_running: u32,
    /// The most bytes of events that may queue for a handler's place. Default: 1 MiB.
    pub max_waiting_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_running: 32, max_waiting_bytes: 1024 * 1024 }
    }
}

/// The most waiting events that are run in one wake-up of a session.
const RESUMED_AT_ONCE: u32 = 256;

/// How many of a session's handlers are running.
#[derive(Debug, Default)]
pub struct Places {
    taken: AtomicU32,
}

/// The dispatcher of one session.
pub struct Dispatch<C> {
    /// There while events wait: most sessions never have one.
    queue: Option<Box<Queue<C>>>,
}

struct Queue<C> {
    waiting: VecDeque<Waiting<C>>,
    bytes: usize,
}

impl<C> Default for Dispatch<C> {
    fn default() -> Self {
        Self { queue: None }
    }
}

impl<C> Default for Queue<C> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), bytes: 0 }
    }
}

impl<C: Context> Dispatch<C> {
    /// Runs the handlers of an event, or queues it behind those that wait.
    ///
    /// `ready` says whether the socket takes events already; if not, the event waits for
    /// [`resume`](Self::resume). `routes` finds the handlers.
    pub fn event(
        &mut self,
        limits: &Limits,
        context: &C,
        mut event: Event<'_>,
        ack: Option<u64>,
        ready: bool,
        routes: &Routes<C>,
    ) {
        if ready && self.queue.is_none() && has_place(context, limits) {
            start_all(context, &mut event, ack, routes);
            return;
        }
        let waiting = Waiting {
            context: context.clone(),
            name: event.name.into(),
            args: event.args.into(),
            attachments: event.attachments.into(),
            ack,
        };
        let queue = self.queue.get_or_insert_default();
        queue.bytes += waiting.bytes();
        queue.waiting.push_back(waiting);
    }

    /// Runs what waited, as far as places are free. `ready` says which sockets take events by now,
    /// and `routes` finds their handlers.
    ///
    /// Whether it stopped because it has done enough for one wake-up of the session.
    pub fn resume(
        &mut self,
        limits: &Limits,
        ready: impl Fn(&C) -> bool,
        routes: impl Fn(&C) -> &Routes<C>,
    ) -> bool {
        let Some(mut queue) = self.queue.take() else { return false };
        let mut budget = RESUMED_AT_ONCE;
        let mut kept = VecDeque::new();
        while let Some(waiting) = queue.waiting.pop_front() {
            if !has_place(&waiting.context, limits) {
                kept.push_back(waiting);
                break;
            }
            if !ready(&waiting.context) {
                kept.push_back(waiting);
                continue;
            }
            if budget == 0 {
                kept.push_back(waiting);
                break;
            }
            budget -= 1;
            queue.bytes -= waiting.bytes();
            let mut event = Event::new(&waiting.name, &waiting.args, &waiting.attachments);
            start_all(&waiting.context, &mut event, waiting.ack, routes(&waiting.context));
        }
        kept.append(&mut queue.waiting);
        if !kept.is_empty() {
            queue.waiting = kept;
            self.queue = Some(queue);
        }
        budget == 0 && self.queue.is_some()
    }

    /// Whether events wait.
    pub fn is_waiting(&self) -> bool {
        self.queue.is_some()
    }

    /// Whether so much waits that nothing more should be read.
    pub fn is_full(&self, limits: &Limits) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.bytes > limits.max_waiting_bytes)
    }
}

impl<'a> Event<'a> {
    /// An event without an ack.
    pub fn new(name: &'a str, args: &'a str, attachments: &'a [Bytes]) -> Self {
        Self { name, args, attachments, responder: None, given: None }
    }
}

fn has_place<C: Context>(context: &C, limits: &Limits) -> bool {
    context.places().taken.load(Ordering::Acquire) < limits.max_running
}

/// Starts all handlers of one event: who listens to all events, then, if the middleware lets it pass, the
/// namespace's handlers, or else its fallbacks, and the socket's own.
///
/// As in Node, an event that no handler has when the socket leaves is dropped: be it that an earlier one's
/// handler ended the socket, or this one's middleware.
fn start_all<C: Context>(context: &C, event: &mut Event<'_>, ack: Option<u64>, routes: &Routes<C>) {
    if !context.is_connected() {
        return;
    }
    let socket = context.own();
    run(context, event, routes.listeners());
    for listener in socket.map(Own::any).into_iter().flatten() {
        start(context, event, &listener);
    }
    let mut responder = ack.map(Responder::new);
    if !pass(context, event, &mut responder, routes) || !context.is_connected() {
        return;
    }
    let own = socket.map(|own| own.event(event.name)).unwrap_or_default();
    let mut handlers = routes.matching(event.name);
    if handlers.is_empty() && own.is_empty() {
        handlers = routes.fallbacks();
    }
    if handlers.is_empty() && own.is_empty() {
        context.failed(event.name, Failure::Unhandled);
        return;
    }
    if handlers.len() + own.len() > 1 {
        responder = responder.map(Responder::shared);
    }
    for handler in handlers.iter().chain(own.iter().map(|own| &**own)) {
        event.responder = responder.clone();
        start(context, event, handler);
    }
}

/// Whether all of the middleware lets the event pass.
fn pass<C: Context>(
    context: &C,
    event: &mut Event<'_>,
    responder: &mut Option<Responder>,
    routes: &Routes<C>,
) -> bool {
    let own = context.own().map(Own::guards).unwrap_or_default();
    for guard in routes.guards().iter().chain(own.iter().map(|own| &**own)) {
        (event.responder, event.given) = (responder.clone(), None);
        let checked = catch_unwind(AssertUnwindSafe(|| guard.check(context, event)));
        if let Some(given) = event.given.take() {
            // It may have answered by hand, and may do so later.
            *responder = Some(given);
        }
        let failure = match checked {
            Ok(Ok(())) => continue,
            Ok(Err(failure)) => failure,
            Err(_) => {
                answer_panic(context, responder.take());
                Failure::Panicked
            }
        };
        context.failed(event.name, failure);
        return false;
    }
    true
}

/// Starts these handlers, outside of any limit: for what happens once in a socket's life, or is told to whoever
/// listens.
pub fn run<C: Context>(context: &C, event: &mut Event<'_>, handlers: &[Erased<C>]) {
    for handler in handlers {
        event.responder = None;
        start(context, event, handler);
    }
}

/// Starts one handler, outside of any limit.
pub fn run_one<C: Context>(context: &C, event: &mut Event<'_>, handler: &Erased<C>) {
    event.responder = None;
    start(context, event, handler);
}

/// Calls one handler and polls it once.
fn start<C: Context>(context: &C, event: &mut Event<'_>, handler: &Erased<C>) {
    let responder = event.responder.clone();
    event.given = None;
    let span = context.span(event.name);
    let entered = span.enter();
    let began = context.is_timed().then(Instant::now);
    let called = catch_unwind(AssertUnwindSafe(|| match handler.call(context, event) {
        Ok(Called::Done(error)) => Ok(Poll::Ready(error)),
        Ok(Called::Running(mut running)) => {
            // Nobody is to be woken: what pends here is polled again as soon as it is a task.
            match running.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())) {
                Poll::Ready(error) => Ok(Poll::Ready(error)),
                Poll::Pending => Err(running),
            }
        }
        Err(rejection) => {
            if let Some(responder) = event.responder() {
                responder.answer(context, &Err::<(), _>(rejection.message()));
            }
            context.failed(event.name, Failure::Rejected(rejection.into_message()));
            Ok(Poll::Pending)
        }
    }));
    // A handler that answers by hand may have done so.
    let responder = event.given.take().or(responder);
    if let (Some(began), false) = (began, matches!(called, Ok(Err(_) | Ok(Poll::Pending)))) {
        context.took(began.elapsed());
    }
    match called {
        Ok(Ok(Poll::Ready(None) | Poll::Pending)) => {}
        Ok(Ok(Poll::Ready(Some(error)))) => context.failed(event.name, Failure::Returned(error)),
        Ok(Err(running)) => {
            drop(entered);
            let task = Task {
                place: Place::take(context.clone()),
                event: event.name.into(),
                responder,
                span,
                began,
                running,
            };
            context.spawn(Box::pin(task));
        }
        Err(_) => {
            answer_panic(context, responder);
            context.failed(event.name, Failure::Panicked);
        }
    }
}

/// What the sender hears of a panic: that it was not its own fault, and nothing else.
fn answer_panic<C: Context>(context: &C, responder: Option<Responder>) {
    if let Some(responder) = responder {
        responder.answer(context, &Err::<(), _>("internal error"));
    }
}

thread_local! {
    /// The places of the handlers that are being polled on this thread, innermost last.
    static POLLED: RefCell<Vec<Arc<dyn GiveBack>>> = const { RefCell::new(Vec::new()) };
}

/// One running handler.
struct Task<C: Context> {
    place: Arc<Place<C>>,
    event: Box<str>,
    /// For the case that it panics.
    responder: Option<Responder>,
    span: Span,
    /// When it was called, if that is wanted.
    began: Option<Instant>,
    running: Handling,
}

impl<C: Context> Future for Task<C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        struct Leave;

        impl Drop for Leave {
            fn drop(&mut self) {
                let left = POLLED.with_borrow_mut(Vec::pop);
                drop(left);
            }
        }

        let this = &mut *self;
        let _entered = this.span.enter();
        POLLED.with_borrow_mut(|polled| polled.push(this.place.clone()));
        let _leave = Leave;
        let running = this.running.as_mut();
        let polled = catch_unwind(AssertUnwindSafe(|| running.poll(cx)));
        if matches!(polled, Ok(Poll::Pending)) {
            return Poll::Pending;
        }
        let context = &this.place.context;
        if let Some(began) = this.began {
            context.took(began.elapsed());
        }
        match polled {
            Ok(Poll::Pending | Poll::Ready(None)) => {}
            Ok(Poll::Ready(Some(error))) => context.failed(&this.event, Failure::Returned(error)),
            Err(_) => {
                answer_panic(context, this.responder.take());
                context.failed(&this.event, Failure::Panicked);
            }
        }
        Poll::Ready(())
    }
}

/// A running handler's hold on one of its session's places.
struct Place<C: Context> {
    context: C,
    taken: AtomicBool,
}

impl<C: Context> Place<C> {
    /// Takes one, which is free again when it is dropped, if it was not given back before.
    fn take(context: C) -> Arc<Self> {
        context.places().taken.fetch_add(1, Ordering::AcqRel);
        Arc::new(Self { context, taken: AtomicBool::new(true) })
    }

    fn free(&self) {
        if self.taken.swap(false, Ordering::AcqRel) {
            self.context.places().taken.fetch_sub(1, Ordering::AcqRel);
            self.context.wake();
        }
    }
}

impl<C: Context> Drop for Place<C> {
    fn drop(&mut self) {
        self.free();
    }
}

trait GiveBack: Send + Sync {
    fn places(&self) -> &Places;
    fn give_back(&self);
}

impl<C: Context> GiveBack for Place<C> {
    fn places(&self) -> &Places {
        self.context.places()
    }

    fn give_back(&self) {
        self.free();
    }
}

/// Called by a future that waits for an ack of the session with these places: if the handler that
/// polls it holds one of them, its place is free from here on.
pub fn yield_place(places: &Places) {
    yield_place_if(|polled| std::ptr::eq(polled, places));
}

/// As [`yield_place`], by a future that waits for acks of many sessions: `is_awaited` says whether
/// those with these places are among them. It is not called where no handler is polled.
pub fn yield_place_if(is_awaited: impl FnOnce(&Places) -> bool) {
    let polled = POLLED.with_borrow(|polled| polled.last().cloned());
    if let Some(place) = polled.filter(|place| is_awaited(place.places())) {
        place.give_back();
    }
}

impl<C> std::fmt::Debug for Dispatch<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let waiting = self.queue.as_ref().map_or(0, |queue| queue.waiting.len());
        f.debug_struct("Dispatch").field("waiting", &waiting).finish()
    }
}
