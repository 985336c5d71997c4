//! The dispatcher alone, driven by hand: no runtime, no clock, no socket.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll, Waker};

use bytes::Bytes;
use serde::Serialize;
use sockeye_handler::{
    Ack, Context, Data, Dispatch, Erased, ErasedGuard, Event, Failure, Handler, Limits, Own,
    Places, Rejection, Routes, Running, Topic, yield_place,
};

/// A socket that notes what becomes of it.
#[derive(Clone, Default)]
struct Socket(Arc<Inner>);

#[derive(Default)]
struct Inner {
    acks: Mutex<Vec<String>>,
    tasks: Mutex<Vec<Running>>,
    places: Places,
    own: Own<Socket>,
    failures: Mutex<Vec<String>>,
    routes: Routes<Socket>,
    gone: AtomicBool,
    woken: AtomicUsize,
}

impl Context for Socket {
    fn acknowledge<T: Serialize + ?Sized>(&self, ack: u64, reply: &T) {
        let mut packet = Vec::new();
        let attachments = sockeye_socketio::encode::ack(&mut packet, "/", ack, reply).unwrap();
        assert!(attachments.is_empty());
        self.0.acks.lock().unwrap().push(String::from_utf8(packet).unwrap());
    }

    fn is_connected(&self) -> bool {
        !self.0.gone.load(Ordering::Relaxed)
    }

    fn spawn(&self, running: Running) {
        self.0.tasks.lock().unwrap().push(running);
    }

    fn places(&self) -> &Places {
        &self.0.places
    }

    fn own(&self) -> Option<&Own<Self>> {
        Some(&self.0.own)
    }

    fn failed(&self, event: &str, failure: Failure) {
        self.0.failures.lock().unwrap().push(format!("{event}: {failure}"));
    }

    fn wake(&self) {
        self.0.woken.fetch_add(1, Ordering::Relaxed);
    }
}

impl Socket {
    fn acks(&self) -> Vec<String> {
        std::mem::take(&mut self.0.acks.lock().unwrap())
    }

    /// How many handlers are tasks.
    fn running(&self) -> usize {
        self.0.tasks.lock().unwrap().len()
    }

    /// Polls every task once and drops those that are done.
    fn poll_tasks(&self) {
        let tasks = std::mem::take(&mut *self.0.tasks.lock().unwrap());
        for mut task in tasks {
            if task.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())).is_pending() {
                self.0.tasks.lock().unwrap().push(task);
            }
        }
    }
}

/// A session with one socket.
struct Session {
    socket: Socket,
    dispatch: Dispatch<Socket>,
    limits: Limits,
}

impl Session {
    fn new(max_running: u32) -> Self {
        Self {
            socket: Socket::default(),
            dispatch: Dispatch::default(),
            limits: Limits { max_running, max_waiting_bytes: 1000 },
        }
    }

    fn on<M: 'static>(mut self, event: &str, handler: impl Handler<Socket, M>) -> Self {
        self.routes().on(event, handler);
        self
    }

    /// While nobody else holds the socket.
    fn routes(&mut self) -> &mut Routes<Socket> {
        &mut Arc::get_mut(&mut self.socket.0).unwrap().routes
    }

    fn event(&mut self, name: &str, args: &str, ack: Option<u64>) {
        self.event_when(true, name, args, ack);
    }

    fn event_when(&mut self, ready: bool, name: &str, args: &str, ack: Option<u64>) {
        let Self { socket, dispatch, limits } = self;
        let routes = &socket.0.routes;
        dispatch.event(limits, socket, Event::new(name, args, &[]), ack, ready, routes);
    }

    fn resume(&mut self) {
        self.resume_if(|_| true);
    }

    fn resume_if(&mut self, ready: impl Fn(&Socket) -> bool) {
        self.dispatch.resume(&self.limits, ready, |socket| &socket.0.routes);
    }
}

/// A value that handlers append to.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn write(&self, entry: impl Into<String>) {
        self.0.lock().unwrap().push(entry.into());
    }

    fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock().unwrap()).join(" ")
    }
}

/// Pends this many times.
async fn steps(mut pending: u32) {
    poll_fn(|_| {
        if pending == 0 {
            return Poll::Ready(());
        }
        pending -= 1;
        Poll::Pending
    })
    .await;
}

#[test]
fn what_finishes_at_once_is_no_task() {
    let mut session = Session::new(1).on("sync", || 1).on("async", || async { 2 });
    session.event("sync", "", Some(1));
    session.event("async", "", Some(2));
    assert_eq!(session.socket.acks(), ["31[1]", "32[2]"]);
    assert_eq!(session.socket.running(), 0);
    assert!(!session.dispatch.is_waiting());
}

#[test]
fn the_first_steps_are_in_order_and_the_rest_waits_for_a_place() {
    let log = Log::default();
    let noted = log.clone();
    let mut session = Session::new(2).on("e", move |Data(n): Data<u32>| {
        let log = noted.clone();
        async move {
            log.write(format!("start{n}"));
            steps(2).await;
            log.write(format!("end{n}"));
            n
        }
    });
    for n in 0..4 {
        session.event("e", &n.to_string(), Some(n));
    }
    assert_eq!(log.take(), "start0 start1");
    assert!(session.dispatch.is_waiting());
    session.resume();
    assert_eq!(log.take(), "", "no place is free");

    session.socket.poll_tasks();
    assert_eq!(log.take(), "");
    session.socket.poll_tasks();
    assert_eq!(log.take(), "end0 end1");
    assert_eq!(session.socket.acks(), ["30[0]", "31[1]"]);
    assert_eq!(session.socket.0.woken.load(Ordering::Relaxed), 2, "a free place wakes the session");
    session.resume();
    assert_eq!(log.take(), "start2 start3");
    assert!(!session.dispatch.is_waiting());
}

/// An event must not overtake those that wait, even if a place is free.
#[test]
fn nobody_jumps_the_queue() {
    let log = Log::default();
    let (first, second) = (log.clone(), log.clone());
    let mut session = Session::new(1)
        .on("slow", move || {
            first.write("slow");
            steps(1)
        })
        .on("quick", move |Data(n): Data<u32>| second.write(n.to_string()));
    session.event("slow", "", None);
    session.event("quick", "1", None);
    session.socket.poll_tasks();
    session.event("quick", "2", None);
    assert_eq!(log.take(), "slow");
    session.resume();
    assert_eq!(log.take(), "1 2");
}

#[test]
fn events_of_a_socket_that_is_not_ready_wait_for_it_alone() {
    let log = Log::default();
    let noted = log.clone();
    let handler = move |Data(n): Data<u32>| noted.write(n.to_string());
    let mut session = Session::new(1).on("e", handler.clone());
    session.event_when(false, "e", "1", None);
    session.event_when(false, "e", "2", None);
    session.resume_if(|_| false);
    assert_eq!(log.take(), "");
    // Another socket of the session does not wait for it.
    let other = Session::new(1).on("e", handler).socket;
    let event = Event::new("e", "3", &[]);
    session.dispatch.event(&session.limits, &other, event, None, true, &other.0.routes);
    session.resume_if(|socket| Arc::ptr_eq(&socket.0, &other.0));
    assert_eq!(log.take(), "3");
    session.resume();
    assert_eq!(log.take(), "1 2");
    assert!(!session.dispatch.is_waiting());
}

#[test]
fn what_waits_when_the_socket_leaves_is_dropped() {
    let log = Log::default();
    let noted = log.clone();
    let mut session = Session::new(1).on("slow", || steps(1)).on("e", move || noted.write("e"));
    session.event("slow", "", None);
    session.event("e", "", Some(1));
    session.socket.0.gone.store(true, Ordering::Relaxed);
    session.socket.poll_tasks();
    session.resume();
    assert_eq!(log.take(), "");
    assert!(!session.dispatch.is_waiting());
    assert!(!session.dispatch.is_full(&session.limits));
}

#[test]
fn bytes_that_wait_are_counted_and_released() {
    let mut session = Session::new(1).on("slow", || steps(1)).on("e", || ());
    session.event("slow", "", None);
    assert!(!session.dispatch.is_full(&session.limits));
    session.event("e", &format!("\"{}\"", "x".repeat(1000)), None);
    assert!(session.dispatch.is_full(&session.limits));
    session.socket.poll_tasks();
    session.resume();
    assert!(!session.dispatch.is_full(&session.limits));

    // Attachments count, and so does an event without any data.
    session.event("slow", "", None);
    let attachments = [Bytes::from(vec![0; 1000])];
    session.dispatch.event(
        &session.limits,
        &session.socket,
        Event::new("e", "", &attachments),
        None,
        true,
        &session.socket.0.routes,
    );
    assert!(session.dispatch.is_full(&session.limits));
    session.socket.poll_tasks();
    session.resume();
    session.event("slow", "", None);
    for _ in 0..100 {
        session.event("e", "", None);
    }
    assert!(session.dispatch.is_full(&session.limits), "empty events are not for nothing");
}

/// Whatever a handler does, its place is free again.
#[test]
fn places_are_not_lost() {
    fn panics() {
        panic!("on purpose, within a test");
    }
    let mut session = Session::new(1)
        .on("sync panic", panics)
        .on("inline panic", || async { panics() })
        .on("later panic", || async {
            steps(1).await;
            panics();
        })
        .on("aborted", std::future::pending::<()>)
        .on("e", || 1);
    for event in ["sync panic", "inline panic", "later panic", "aborted"] {
        session.event(event, "", Some(0));
        session.socket.poll_tasks();
        session.socket.0.tasks.lock().unwrap().clear();
        session.event("e", "", Some(1));
        let mut acks = session.socket.acks();
        if event.ends_with("panic") {
            assert_eq!(acks.remove(0), r#"30[{"error":"internal error"}]"#, "{event}");
        }
        assert_eq!(acks, ["31[1]"], "{event}");
    }
}

/// Waiting for an ack of the same session gives the place back, once.
#[test]
fn a_place_is_given_back() {
    let mut session = Session::new(1)
        .on("asks", |ack: Ack<Socket>, socket: SocketOf| async move {
            let mut pending = 2;
            poll_fn(|_| {
                if pending == 0 {
                    return Poll::Ready(());
                }
                pending -= 1;
                yield_place(&socket.0.0.places);
                Poll::Pending
            })
            .await;
            ack.send("answered");
        })
        .on("waits", || steps(1))
        .on("e", || 1);
    session.event("asks", "", Some(7));
    session.socket.poll_tasks();
    assert_eq!(session.socket.running(), 1);
    // Its place is free: one more may run, and not two.
    session.event("waits", "", None);
    assert_eq!(session.socket.running(), 2);
    session.event("e", "", Some(1));
    assert_eq!(session.socket.acks(), [""; 0]);
    session.socket.poll_tasks();
    session.socket.poll_tasks();
    assert_eq!(session.socket.acks(), ["37[\"answered\"]"]);
    session.resume();
    assert_eq!(session.socket.acks(), ["31[1]"]);
    // The place that was given back is not freed a second time.
    session.event("waits", "", None);
    session.event("waits", "", None);
    assert_eq!(session.socket.running(), 1);
}

/// The places of another session are none of ours.
#[test]
fn only_the_own_sessions_ack_gives_the_place_back() {
    let stranger = Socket::default();
    let mut session = Session::new(1)
        .on("asks", move || {
            let stranger = stranger.clone();
            poll_fn(move |_| {
                yield_place(&stranger.0.places);
                Poll::<()>::Pending
            })
        })
        .on("e", || 1);
    session.event("asks", "", None);
    session.socket.poll_tasks();
    session.event("e", "", Some(1));
    assert!(session.dispatch.is_waiting());
    assert_eq!(session.socket.acks(), [""; 0]);
}

#[test]
fn what_comes_after_the_end_reaches_nobody() {
    let log = Log::default();
    let [a, b, c] = [log.clone(), log.clone(), log.clone()];
    let mut session = Session::new(1)
        .on("e", move || a.write("handler"))
        .on("end", |SocketOf(socket): SocketOf| socket.0.gone.store(true, Ordering::Relaxed));
    session.routes().any(move || b.write("any"));
    session.routes().guard(move || c.write("guard"));
    session.event("e", "", Some(1));
    assert_eq!(log.take(), "any guard handler");
    session.event("end", "", None);
    assert_eq!(log.take(), "any guard");
    session.event("e", "", Some(2));
    assert_eq!(log.take(), "");
    assert_eq!(session.socket.acks(), ["31[]"]);
}

/// As in Node: the event that a middleware ends the socket for is not handled.
#[test]
fn a_middleware_or_listener_that_ends_the_socket_stops_the_event() {
    for listener in [false, true] {
        let log = Log::default();
        let [a, b] = [log.clone(), log.clone()];
        let mut session = Session::new(1).on("e", move || a.write("handler"));
        session.routes().fallback(move || b.write("fallback"));
        let end = |SocketOf(socket): SocketOf| socket.0.gone.store(true, Ordering::Relaxed);
        if listener {
            session.routes().any(end);
        } else {
            session.routes().guard(end);
        }
        session.event("e", "", None);
        assert_eq!(log.take(), "");
        assert!(session.socket.0.failures.lock().unwrap().is_empty());
    }
}

#[test]
fn listeners_for_once_and_those_that_are_taken_off() {
    let log = Log::default();
    let mut session = Session::new(1);
    let socket = session.socket.clone();
    let own = &socket.0.own;
    let add = |topic: Topic, entry: &'static str, how| {
        let log = log.clone();
        own.add(topic, Erased::new(move || log.write(entry)), how, || true)
    };
    let event = || Topic::Event("e".into());
    let second = add(event(), "second", (false, false));
    add(event(), "first once", (true, true));
    add(Topic::Any, "any once", (true, false));
    add(Topic::Any, "any", (false, true));
    add(Topic::Outgoing, "outgoing", (false, false));
    session.event("e", "", None);
    assert_eq!(log.take(), "any any once first once second");
    session.event("e", "", None);
    assert_eq!(log.take(), "any second");
    assert_eq!((own.count(&event()), own.count(&Topic::Any), own.outgoing().len()), (1, 1, 1));
    assert!(own.remove(second) && !own.remove(second));
    assert_eq!((own.remove_all(&Topic::Any), own.remove_all(&Topic::Any)), (1, 0));
    session.event("e", "", None);
    assert_eq!(log.take(), "");
    own.add(event(), Erased::new(|| ()), (false, false), || false);
    assert_eq!(own.count(&event()), 0, "nothing is added to a socket that has left");
    own.clear();
    assert!(own.outgoing().is_empty());
}

#[test]
fn guards_are_asked_in_order_until_one_refuses() {
    let log = Log::default();
    let [a, b, c, d] = [log.clone(), log.clone(), log.clone(), log.clone()];
    let mut session = Session::new(1).on("e", move |Data(n): Data<u32>| {
        d.write("handler");
        n
    });
    session.routes().guard(move |Data(n): Data<u32>| {
        a.write("first");
        if n == 1 { Err("first") } else { Ok(()) }
    });
    session.routes().guard(move || b.write("second"));
    let own = move |Data(n): Data<u32>| {
        c.write("own");
        assert_ne!(n, 3, "on purpose, within a test");
        if n == 2 { Err(("own", 2)) } else { Ok(()) }
    };
    let own = session.socket.0.own.guard(ErasedGuard::new(own), || true);
    for (args, told, answer) in [
        ("0", "first second own handler", "30[0]"),
        ("1", "first", r#"30[{"error":"first"}]"#),
        ("2", "first second own", r#"30[{"error":["own",2]}]"#),
        ("3", "first second own", r#"30[{"error":"internal error"}]"#),
    ] {
        session.event("e", args, Some(0));
        assert_eq!((log.take().as_str(), session.socket.acks()), (told, vec![answer.to_owned()]));
    }
    session.event("e", "\"x\"", Some(0));
    assert_eq!(log.take(), "", "a guard whose extractor fails lets nothing pass");
    assert!(session.socket.acks()[0].starts_with(r#"30[{"error":"#));
    assert_eq!(session.socket.0.failures.lock().unwrap().len(), 4);
    assert!(session.socket.0.own.remove(own));
    session.event("e", "2", None);
    assert_eq!(log.take(), "first second handler");
}

/// The socket as an extractor, for this test's context.
struct SocketOf(Socket);

impl sockeye_handler::FromEvent<Socket> for SocketOf {
    fn from_event(socket: &Socket, _: &mut Event<'_>) -> Result<Self, Rejection> {
        Ok(Self(socket.clone()))
    }
}

#[test]
fn own_handlers_and_fallbacks() {
    let log = Log::default();
    let [a, b, c] = [log.clone(), log.clone(), log.clone()];
    let mut session = Session::new(1).on("known", move || a.write("known"));
    session.routes().fallback(move || b.write("fallback"));
    let own = Erased::new(move || c.write("own"));
    session.socket.0.own.add(Topic::Event("own".into()), own, (false, false), || true);
    for event in ["known", "own", "unknown"] {
        session.event(event, "", None);
    }
    assert_eq!(log.take(), "known own fallback");
}

#[test]
fn the_first_of_several_answers_counts() {
    let mut session = Session::new(4)
        .on("e", || async {
            steps(1).await;
            "slow"
        })
        .on("e", || "quick")
        .on("e", |_: Ack<Socket>| "never")
        .on("by hand", |ack: Ack<Socket>| {
            assert!(ack.is_wanted());
            ack.send((1, 2));
            "not this"
        })
        .on("unwanted", |ack: Ack<Socket>| {
            assert!(!ack.is_wanted());
            ack.send(1);
        });
    session.event("e", "", Some(1));
    session.socket.poll_tasks();
    assert_eq!(session.socket.acks(), ["31[\"quick\"]"]);
    session.event("by hand", "", Some(2));
    session.event("unwanted", "", None);
    session.event("nobody's", "", Some(3));
    assert_eq!(session.socket.acks(), ["32[1,2]"]);
}

/// A guard may answer by hand, too: an event is answered once, and one that does not pass is.
#[test]
fn a_guard_and_a_handler_answer_once() {
    let mut session = Session::new(1).on("e", || "handler");
    session.routes().guard(|ack: Ack<Socket>, Data(what): Data<String>| match what.as_str() {
        "answer" => {
            ack.send("guard");
            Ok(())
        }
        "answer and refuse" => {
            ack.send("guard");
            Err("refused")
        }
        "answer and panic" => {
            ack.send("guard");
            panic!("on purpose, within a test");
        }
        "refuse" => Err("refused"),
        _ => Ok(()),
    });
    for (what, answer) in [
        ("pass", "\"handler\""),
        ("answer", "\"guard\""),
        ("answer and refuse", "\"guard\""),
        ("answer and panic", "\"guard\""),
        ("refuse", "{\"error\":\"refused\"}"),
    ] {
        session.event("e", &format!("\"{what}\""), Some(1));
        assert_eq!(session.socket.acks(), [format!("31[{answer}]")], "{what}");
    }
    session.event("e", "7", Some(1));
    let acks = session.socket.acks();
    assert!(acks.len() == 1 && acks[0].starts_with("31[{\"error\":\""), "{acks:?}");
}

#[test]
fn a_rejected_event_is_answered() {
    let mut session = Session::new(1).on("number", |Data(n): Data<u8>| n);
    session.event("number", "\"x\"", Some(1));
    let acks = session.socket.acks();
    assert!(acks[0].starts_with("31[{\"error\":\"") && acks.len() == 1, "{acks:?}");
    session.event("number", "\"x\"", None);
    assert!(session.socket.acks().is_empty());
}

/// A session of many sockets and events that come, wait, finish and leave at random: all places and
/// bytes are accounted for, and each socket's events start in order.
#[test]
fn at_random() {
    for seed in 1..40_u64 {
        let mut random = seed;
        let mut below = |bound: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % bound
        };
        let log = Log::default();
        let noted = log.clone();
        let mut session = Session::new(3).on("e", move |Data((n, pending)): Data<(u32, u32)>| {
            noted.write(n.to_string());
            steps(pending)
        });
        let events = 200;
        let mut sent = 0;
        while sent < events || session.dispatch.is_waiting() {
            if sent < events && below(2) == 0 {
                session.event("e", &format!("{sent},{}", below(4)), None);
                sent += 1;
            }
            if below(3) == 0 {
                session.socket.poll_tasks();
                session.resume();
            }
            assert!(session.socket.running() <= 3);
        }
        let expected: Vec<_> = (0..events).map(|n| n.to_string()).collect();
        assert_eq!(log.take(), expected.join(" "), "seed {seed}");
        assert!(!session.dispatch.is_full(&session.limits));
    }
}

/// A handler's future may be moved to a task at any time: it is `Send`.
#[test]
fn running_handlers_are_send() {
    fn send<T: Send>() {}
    send::<Running>();
    send::<Pin<Box<Dispatch<Socket>>>>();
}
