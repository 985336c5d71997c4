//! The log beside a model that keeps everything for ever: whatever happens, a client that is recovered
//! has heard exactly what was for it, and the log stays within its bounds.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use std::collections::BTreeSet;

use harness::*;
use proptest::prelude::*;
use sockeye_recovery::{Limits, Log, Unrecoverable, Visit};

const CLIENTS: u8 = 4;
const ROOMS: [&str; 3] = ["a", "b", "c"];

#[derive(Clone, Debug)]
enum Step {
    /// To some rooms, without others.
    Emit(Vec<usize>, Vec<usize>),
    Private(u8),
    Join(u8, usize),
    Leave(u8, usize),
    /// The connection breaks; the last so many events of the client were on their way.
    Break(u8, usize),
    /// The client comes back.
    Return(u8),
    /// It comes back while its old connection is still open.
    Replace(u8, usize),
    Quit(u8),
    Sleep(u64),
    Tidy,
    #[cfg(feature = "disk")]
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    let rooms = || prop::collection::vec(0..ROOMS.len(), 0..3);
    let mut steps = vec![
        (8, (rooms(), rooms()).prop_map(|(to, except)| Step::Emit(to, except)).boxed()),
        (2, client.clone().prop_map(Step::Private).boxed()),
        (2, (client.clone(), 0..ROOMS.len()).prop_map(|(c, room)| Step::Join(c, room)).boxed()),
        (1, (client.clone(), 0..ROOMS.len()).prop_map(|(c, room)| Step::Leave(c, room)).boxed()),
        (3, (client.clone(), 0..4_usize).prop_map(|(c, lost)| Step::Break(c, lost)).boxed()),
        (4, client.clone().prop_map(Step::Return).boxed()),
        (1, (client.clone(), 0..4_usize).prop_map(|(c, lost)| Step::Replace(c, lost)).boxed()),
        (1, client.prop_map(Step::Quit).boxed()),
        (2, (0..300_u64).prop_map(Step::Sleep).boxed()),
        (1, Just(Step::Tidy).boxed()),
    ];
    #[cfg(feature = "disk")]
    steps.push((1, Just(Step::Kill).boxed()));
    prop::strategy::Union::new_weighted(std::mem::take(&mut steps))
}

/// A client, and what is known of it for certain.
#[derive(Default)]
struct Client {
    /// Its hold of the session, while it is connected.
    visit: Option<Visit>,
    /// It has a session to come back to, unless the log has a reason.
    pid: Option<u8>,
    rooms: BTreeSet<usize>,
    /// What it has heard, and what it should have, each with the offset.
    heard: Vec<(u64, String)>,
    due: Vec<(u64, String)>,
    /// How much of it the client has said that it has heard.
    said: usize,
}

impl Client {
    fn offset(&self) -> Option<&str> {
        self.heard.last().map(|(_, offset)| &**offset)
    }

    /// The last events that it was sent were on their way when the connection broke.
    fn lose(&mut self, lost: usize) {
        let sent = self.heard.len();
        self.heard.truncate(sent.saturating_sub(lost).max(self.said));
    }
}

struct World {
    log: Log,
    limits: Limits,
    now: u64,
    next_event: u64,
    next_pid: u8,
    clients: Vec<Client>,
}

impl World {
    fn new(log: Log, limits: Limits) -> Self {
        let clients = (0..CLIENTS).map(|_| Client::default()).collect();
        let mut world = Self { log, limits, now: 0, next_event: 0, next_pid: 0, clients };
        (0..CLIENTS).for_each(|client| world.connect(client));
        world
    }

    fn connect(&mut self, client: u8) {
        let number = self.next_pid;
        self.next_pid = self.next_pid.wrapping_add(1);
        let visit = begin(&self.log, self.now, number);
        self.clients[usize::from(client)] =
            Client { visit: Some(visit), pid: Some(number), ..Client::default() };
    }

    fn emit(&mut self, is_for: impl Fn(&Client) -> bool, to: &[&str], except: &[&str]) {
        let number = self.next_event;
        self.next_event += 1;
        let offset = emit_to(&self.log, self.now, &number.to_string(), to, except);
        for client in self.clients.iter_mut().filter(|client| client.pid.is_some()) {
            if is_for(client) {
                client.due.push((number, offset.clone()));
                if client.visit.is_some() {
                    client.heard.push((number, offset.clone()));
                }
            }
        }
    }

    fn comes_back(&mut self, at: u8) -> Result<(), TestCaseError> {
        let client = &mut self.clients[usize::from(at)];
        let Some(number) = client.pid else { return Ok(()) };
        let offset = client.offset().map(str::to_owned);
        match recover(&self.log, self.now, number, offset.as_deref()) {
            Ok((visit, texts)) => {
                let texts: Vec<u64> = texts.iter().map(|text| text.parse().unwrap()).collect();
                let heard = client.heard.len();
                let missed: Vec<u64> = client.due[heard..].iter().map(|(n, _)| *n).collect();
                prop_assert_eq!(texts, missed);
                client.said = heard;
                client.heard = client.due.clone();
                client.visit = Some(visit);
            }
            Err(Unrecoverable::Unknown | Unrecoverable::Incomplete) => self.connect(at),
            Err(error) => prop_assert!(false, "{error}"),
        }
        Ok(())
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        self.now += 1;
        match step {
            Step::Emit(to, except) => {
                let names = |rooms: &[usize]| rooms.iter().map(|r| ROOMS[*r]).collect::<Vec<_>>();
                let (to_names, except_names) = (names(&to), names(&except));
                self.emit(
                    |client| {
                        (to.is_empty() || to.iter().any(|room| client.rooms.contains(room)))
                            && !except.iter().any(|room| client.rooms.contains(room))
                    },
                    &to_names,
                    &except_names,
                );
            }
            Step::Private(client) => {
                let Some(number) = self.clients[usize::from(client)].pid else { return Ok(()) };
                let own = id(number);
                self.emit(|client| client.pid == Some(number), &[own.as_str()], &[]);
            }
            Step::Join(client, room) => {
                let client = &mut self.clients[usize::from(client)];
                if let Some(visit) = client.visit {
                    client.rooms.insert(room);
                    self.log.join(visit, ROOMS[room]);
                }
            }
            Step::Leave(client, room) => {
                let client = &mut self.clients[usize::from(client)];
                if let Some(visit) = client.visit
                    && client.rooms.remove(&room)
                {
                    self.log.leave(visit, ROOMS[room]);
                }
            }
            Step::Break(client, lost) => {
                let client = &mut self.clients[usize::from(client)];
                if let Some(visit) = client.visit.take() {
                    self.log.away(self.now, visit);
                    client.lose(lost);
                }
            }
            Step::Return(at) => {
                if self.clients[usize::from(at)].visit.is_none() {
                    self.comes_back(at)?;
                }
            }
            Step::Replace(at, lost) => {
                let client = &mut self.clients[usize::from(at)];
                if let Some(old) = client.visit {
                    client.lose(lost);
                    self.comes_back(at)?;
                    self.log.away(self.now, old);
                    self.log.end(old);
                }
            }
            Step::Quit(client) => {
                let client = &mut self.clients[usize::from(client)];
                if let Some(visit) = client.visit.take() {
                    self.log.end(visit);
                    let number = client.pid.take().unwrap();
                    let error = claim(&self.log, self.now, number, None).unwrap_err();
                    prop_assert_eq!(error, Unrecoverable::Unknown);
                }
            }
            Step::Sleep(time) => self.now += time,
            Step::Tidy => self.log.tidy(self.now),
            #[cfg(feature = "disk")]
            Step::Kill => {}
        }
        prop_assert!(self.log.bytes() <= self.limits.max_bytes);
        prop_assert_eq!(self.log.failures(), 0);
        Ok(())
    }
}

fn limits() -> impl Strategy<Value = Limits> {
    // A long heartbeat: what is on its way when a connection breaks may be as old as the test.
    (200..2000_u64, prop_oneof![Just(4000_usize), Just(1 << 20)]).prop_map(
        |(max_disconnection, max_bytes)| Limits {
            max_disconnection,
            heartbeat: 1 << 20,
            max_bytes,
        },
    )
}

proptest! {
    #[test]
    fn nothing_is_lost_or_doubled_in_memory(
        limits in limits(),
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut world = World::new(memory(limits), limits);
        for step in steps {
            world.step(step)?;
        }
    }
}

#[cfg(feature = "disk")]
mod disk {
    use super::*;
    use sockeye_recovery::{DiskStore, Opening};

    fn open_disk(path: &std::path::Path, limits: Limits, now: u64) -> Log {
        let store = DiskStore::open(path).unwrap();
        Opening::of(Box::new(store), epoch()).unwrap().log(limits, now)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// As above; a kill is the end of the log without a word to the sessions in it.
        #[test]
        fn nothing_is_lost_or_doubled_on_disk(
            limits in limits(),
            steps in prop::collection::vec(step(), 0..120),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut world = World::new(open_disk(dir.path(), limits, 0), limits);
            for step in steps {
                if matches!(step, Step::Kill) {
                    world.log = memory(limits);
                    world.log = open_disk(dir.path(), limits, world.now);
                    prop_assert!(world.log.bytes() <= limits.max_bytes);
                    world.clients.iter_mut().for_each(|client| client.visit = None);
                } else {
                    world.step(step)?;
                }
            }
        }
    }
}
