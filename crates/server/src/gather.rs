//! The answers of many to one event.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::ptr::from_ref;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use hashbrown::{HashMap, HashSet};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sockeye_engineio::Sid;
use sockeye_handler::yield_place_if;
use sockeye_hub::adapter::{Answers, Arguments, Pending};
use sockeye_net::wheel::{Sleep, sleep};
use sockeye_socketio::{ArgsError, decode_args, encode};

use crate::cluster::{ADAPTER_GRACE, UNKNOWN, too_late};
use crate::counter::Counter;
use crate::emit::{EmitError, class};
use crate::local::Answer;
use crate::metrics::AckCounters;
use crate::namespace;
use crate::operators::Broadcast;
use crate::publish::{Outgoing, To};
use crate::server::Core;
use crate::socket::{Socket, Source};

/// One socket's answer to an event that was sent to many.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Response<T> {
    /// The socket's id. `None` if it is on another server whose cluster protocol does not carry it, as
    /// Node's do not.
    pub socket: Option<Box<str>>,
    /// The answer, decoded as [`Data`](crate::Data) is. A socket of another server may have only its
    /// first argument.
    pub data: Result<T, ArgsError>,
}

/// Who has not answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Missing {
    /// The ids of the sockets of this server: they were disconnected, or too slow.
    pub sockets: Vec<Box<str>>,
    /// How many sockets of other servers.
    pub elsewhere: usize,
    /// Servers that have not even said how many sockets they ask, by what the adapter calls them;
    /// `unknown` stands for all of an adapter that did not end in time.
    pub servers: Vec<Box<str>>,
}

impl Missing {
    /// Everybody has answered.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty() && self.elsewhere == 0 && self.servers.is_empty()
    }
}

/// All that was answered to one event, and who has not answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Responses<T> {
    /// In the order in which they came.
    pub answers: Vec<Response<T>>,
    /// Who has not answered in time.
    pub missing: Missing,
}

impl<T> Responses<T> {
    /// The answers alone, as Node has them; those of another shape than was asked for are left out.
    pub fn values(self) -> impl Iterator<Item = T> {
        self.answers.into_iter().filter_map(|answer| answer.data.ok())
    }
}

/// The answers of many, one after the other: a [`Stream`], which ends when all have answered, are
/// disconnected, or time is up. See [`Broadcast::emit_with_acks`].
///
/// Dropping it forgets about all answers that have not come, here and on other servers.
#[must_use = "the event is sent, but its answers are only seen by who awaits them"]
pub struct Acks<T> {
    namespace: Arc<namespace::Inner>,
    id: u64,
    gather: Arc<Gather>,
    timeout: Sleep,
    /// Time is up, and `timeout` is what the adapter may take longer.
    late: bool,
    others: Option<Pending<Vec<Box<str>>>>,
    servers: Vec<Box<str>>,
    decode: fn(&Answer) -> Result<T, ArgsError>,
}

impl Broadcast {
    /// Sends an event to all of them and returns a stream of their answers. Every socket gets the same
    /// packet, encoded once.
    ///
    /// The event is queued by this call, in order with other emits. The wait ends when all have
    /// answered or after the server's [ack timeout](crate::ServerBuilder::ack_timeout), 20 s by
    /// default, or another [`timeout`](Self::timeout); in Node, without one, it is 1 ms. Sockets that
    /// disconnect meanwhile, and those that a [volatile](Self::volatile) event was not queued for,
    /// count as missing at once. Other servers' silence is no error, either.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # async fn example(io: sockeye_server::Server) -> Result<(), sockeye_server::EmitError> {
    /// let mut votes = io.to("jury").timeout(Duration::from_secs(5)).emit_with_acks::<u32>("vote", ())?;
    /// while let Some(vote) = votes.next().await {
    ///     println!("{:?}: {:?}", vote.socket, vote.data);
    /// }
    /// println!("silent: {:?}", votes.missing());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`EmitError::Encode`]; that nobody is there to answer is no error.
    #[doc(alias = "emitWithAck")]
    pub fn emit_with_acks<T: DeserializeOwned>(
        &self,
        event: &str,
        data: impl Serialize,
    ) -> Result<Acks<T>, EmitError> {
        let namespace = self.namespace();
        let timeout = self.own_timeout().unwrap_or(namespace.config().ack_timeout);
        let (id, gather) = namespace.gathers.begin(namespace);
        let mut acks = Acks {
            namespace: namespace.clone(),
            id,
            gather: gather.clone(),
            timeout: sleep(timeout),
            late: false,
            others: None,
            servers: Vec::new(),
            decode: |answer| decode_args(&answer.args, &answer.attachments),
        };
        let encode =
            |buffer: &mut Vec<u8>| encode::event(buffer, &namespace.path, Some(id), event, &data);
        let arguments = self.ask(event, id, &gather, encode)?;
        if let (Some(others), Some(arguments)) = (self.others(), arguments) {
            let (to, flags) = (self.by_name(), self.flags());
            let pending = others.broadcast_with_acks(arguments, &to, flags, timeout, gather);
            acks.others = Some(pending);
        }
        Ok(acks)
    }

    /// Sends an event with an ack id to this server's sockets. Its arguments are for other servers, if
    /// there are any.
    pub(crate) fn ask(
        &self,
        event: &str,
        id: u64,
        gather: &Gather,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<Vec<bytes::Bytes>, encode::EncodeError>,
    ) -> Result<Option<Arguments>, EmitError> {
        let namespace = self.namespace();
        let outgoing = Outgoing { event, ack: Some(id), flags: self.flags(), to: To::Many(self) };
        let class = class(self.flags());
        namespace.publish(outgoing, encode, |packet, _| {
            namespace.hub.for_each(self.selection(), |socket| {
                gather.expect_of(socket);
                if socket.deliver_or_disconnect(packet, class, Source::Broadcast).is_err() {
                    gather.unsent(socket.inner.id);
                }
            });
            gather.asked();
            self.others().is_some().then(|| namespace.arguments(packet))
        })
    }
}

impl<T> Acks<T> {
    /// The next answer, in the order in which they come; `None` when all have answered or time is up.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Response<T>> {
        poll_fn(|cx| self.poll_answer(cx)).await
    }

    /// All answers, and who has not answered.
    #[doc(alias = "collect")]
    pub async fn all(mut self) -> Responses<T> {
        let mut answers = Vec::new();
        while let Some(answer) = self.next().await {
            answers.push(answer);
        }
        Responses { answers, missing: self.missing() }
    }

    /// Who has not answered: after the stream's end, all of them; before, those of whom it is known
    /// that they will not.
    pub fn missing(&self) -> Missing {
        let state = self.gather.state();
        Missing {
            sockets: state.missing.iter().map(|id| id.as_str().into()).collect(),
            elsewhere: if self.others.is_none() { state.silent() } else { 0 },
            servers: self.servers.clone(),
        }
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Option<Response<T>>> {
        if let Some(others) = &mut self.others
            && let Poll::Ready(servers) = others.as_mut().poll(cx)
        {
            (self.servers, self.others) = (servers, None);
        }
        let mut over = match self.gather.poll(cx) {
            Poll::Ready(Some((socket, answer))) => {
                return Poll::Ready(Some(Response { socket, data: (self.decode)(&answer) }));
            }
            Poll::Ready(None) => true,
            Poll::Pending => false,
        };
        if over && self.others.is_none() {
            return Poll::Ready(None);
        }
        if !self.late && Pin::new(&mut self.timeout).poll(cx).is_ready() {
            (self.late, self.timeout) = (true, sleep(ADAPTER_GRACE));
            self.gather.give_up();
            // What came meanwhile came in time.
            match self.gather.poll(cx) {
                Poll::Pending => {}
                Poll::Ready(None) => over = true,
                Poll::Ready(Some((socket, answer))) => {
                    return Poll::Ready(Some(Response { socket, data: (self.decode)(&answer) }));
                }
            }
        }
        if self.late && self.others.is_some() && Pin::new(&mut self.timeout).poll(cx).is_ready() {
            too_late();
            (self.servers, self.others) = (vec![UNKNOWN.into()], None);
        }
        if over && self.others.is_none() {
            return Poll::Ready(None);
        }
        // An answer of this handler's own client stands behind that client's other events.
        yield_place_if(|places| self.gather.awaits(from_ref(places).addr()));
        Poll::Pending
    }
}

impl<T> Stream for Acks<T> {
    type Item = Response<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Response<T>>> {
        self.poll_answer(cx)
    }
}

impl<T> Drop for Acks<T> {
    fn drop(&mut self) {
        self.namespace.gathers.end(self.id);
    }
}

impl<T> fmt::Debug for Acks<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acks").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A namespace's events that several sockets are to answer, by ack id.
///
/// # Who is gone
///
/// A socket that ends looks through them *after* it has said that it is disconnected, and an event is
/// here before it asks anybody. So either the socket finds the event, or the event finds the socket
/// disconnected. The map's lock is taken for a moment, and never within a gather's own.
#[derive(Default)]
pub(crate) struct Gathers(Mutex<HashMap<u64, Arc<Gather>>>);

impl Gathers {
    pub(crate) fn begin(&self, namespace: &namespace::Inner) -> (u64, Arc<Gather>) {
        let id = namespace.next_ack.fetch_add(1, Ordering::Relaxed);
        let gather = Arc::new(Gather { state: Mutex::default(), server: namespace.server.clone() });
        self.lock().insert(id, gather.clone());
        (id, gather)
    }

    pub(crate) fn end(&self, id: u64) {
        let mut gathers = self.lock();
        let ended = gathers.remove(&id);
        if gathers.is_empty() && gathers.capacity() > 64 {
            gathers.shrink_to_fit();
        }
        drop(gathers);
        drop(ended);
    }

    pub(crate) fn answered(&self, id: u64, socket: Sid, answer: Answer) {
        let gather = self.lock().get(&id).cloned();
        if let Some(gather) = gather {
            gather.answered(socket, answer);
        }
    }

    pub(crate) fn gone(&self, socket: Sid) {
        let gathers = self.lock();
        if gathers.is_empty() {
            return;
        }
        let all: Vec<_> = gathers.values().cloned().collect();
        drop(gathers);
        all.iter().for_each(|gather| gather.gone(socket));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Gather>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of the answers to one event.
pub(crate) struct Gather {
    state: Mutex<State>,
    /// Where it is counted.
    server: Arc<Core>,
}

#[derive(Default)]
struct State {
    waiting: HashSet<Sid>,
    /// The addresses of the handlers' places of the sockets that were asked.
    places: HashSet<usize>,
    /// All sockets have been asked.
    asked: bool,
    missing: Vec<Sid>,
    answers: VecDeque<(Option<Box<str>>, Answer)>,
    /// Sockets of other servers that are asked, and their answers: apart, since either may come first.
    elsewhere: usize,
    answered_elsewhere: usize,
    waker: Option<Waker>,
}

impl State {
    /// Sockets of other servers that have not answered.
    fn silent(&self) -> usize {
        self.elsewhere.saturating_sub(self.answered_elsewhere)
    }
}

impl Gather {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self) -> &AckCounters {
        &self.server.counters.acks
    }

    fn expect_of(&self, socket: &Socket) {
        let places = from_ref(&socket.inner.link.places).addr();
        let mut state = self.state();
        if state.waiting.insert(socket.inner.id) {
            self.counts().asked.count();
        }
        state.places.insert(places);
    }

    /// Nobody else is asked.
    pub(crate) fn asked(&self) {
        self.update(|state| state.asked = true);
    }

    fn answered(&self, socket: Sid, answer: Answer) {
        self.update(|state| {
            if state.waiting.remove(&socket) {
                self.counts().answered.count();
                state.answers.push_back((Some(socket.as_str().into()), answer));
            }
        });
    }

    fn gone(&self, socket: Sid) {
        self.miss(socket, &self.counts().disconnected);
    }

    /// The event was not queued for this socket.
    fn unsent(&self, socket: Sid) {
        self.miss(socket, &self.counts().abandoned);
    }

    fn miss(&self, socket: Sid, why: &Counter) {
        self.update(|state| {
            if state.waiting.remove(&socket) {
                why.count();
                state.missing.push(socket);
            }
        });
    }

    /// Time is up.
    pub(crate) fn give_up(&self) {
        let mut state = self.state();
        let state = &mut *state;
        self.counts().timed_out.add(state.waiting.len());
        state.missing.extend(state.waiting.drain());
    }

    /// How many of this server's sockets were asked.
    pub(crate) fn len(&self) -> usize {
        let state = self.state();
        state.waiting.len() + state.missing.len() + state.answers.len()
    }

    /// The next answer; `None` if this server's sockets have no more to give.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<(Option<Box<str>>, Answer)>> {
        let mut state = self.state();
        if let Some(answer) = state.answers.pop_front() {
            return Poll::Ready(Some(answer));
        }
        // Also where nothing more comes from here: it may from elsewhere.
        let stale = state.waker.replace(cx.waker().clone());
        let over = state.asked && state.waiting.is_empty();
        drop(state);
        drop(stale);
        if over { Poll::Ready(None) } else { Poll::Pending }
    }

    fn awaits(&self, places: usize) -> bool {
        self.state().places.contains(&places)
    }

    fn update(&self, change: impl FnOnce(&mut State)) {
        let waker = {
            let mut state = self.state();
            change(&mut state);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Gather {
    fn drop(&mut self) {
        let unanswered = self.state().waiting.len();
        self.counts().abandoned.add(unanswered);
    }
}

impl Answers for Gather {
    fn expect(&self, sockets: usize) {
        self.update(|state| state.elsewhere += sockets);
    }

    fn answer(&self, id: Option<&str>, answer: Arguments) {
        let Arguments { json, attachments } = answer;
        self.update(|state| {
            state.answered_elsewhere += 1;
            state.answers.push_back((id.map(Into::into), Answer { args: json, attachments }));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// A broker may bring an answer before the word of how many are asked.
    #[test]
    fn answers_may_overtake_the_word_of_how_many_there_will_be() {
        let server = Arc::new(Core::new(Config::default(), None, None, None));
        let gather = Gather { state: Mutex::default(), server };
        gather.answer(None, Arguments::default());
        gather.expect(2);
        assert_eq!(gather.state().silent(), 1);
        gather.answer(None, Arguments::default());
        assert_eq!(gather.state().silent(), 0);
    }
}
