//! The generator's measured loops: one thread, epoll, frames made beforehand.
//!
//! The sockets block and the reads do not (`MSG_DONTWAIT`): edge-triggered epoll may report a
//! socket that is already empty, while a write waits only if the server does not read.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use crate::client::{self, Client};
use crate::frames::{self, Frame};
use crate::interval::Meter;
use crate::proc::{Pid, resident_bytes};
use crate::workload::{Kind, Measurement, Workload};

/// Connections before the idle ones, so that what a server allocates once is not counted.
const IDLE_WARM_UP: usize = 64;
/// How long an idle server gets to come to rest.
const REST: Duration = Duration::from_millis(500);
/// A server that says nothing for so long while answers are due has failed.
const PATIENCE: rustix::event::Timespec = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
/// More than a client can have in flight, so that one read takes all there is.
const READ_BUFFER: usize = 256 * 1024;

/// Connects to `address`, does the work against the process `server` for at least `length`, and
/// returns what it cost.
pub fn run(
    workload: Workload,
    address: SocketAddr,
    server: Pid,
    length: Duration,
) -> io::Result<Measurement> {
    let Workload { kind, clients, in_flight, payload } = workload;
    let text = "x".repeat(payload);
    let meter = Meter { server, length };
    let connect = |count| client::connect(address, count, kind.is_socketio());
    match kind {
        Kind::Echo => {
            let mut clients = connect(clients)?;
            client::exchange(&mut clients, &text, &text)?;
            let batch = frames::client_text(&text).repeat(in_flight);
            request_and_answer(clients, &batch, in_flight, Frame::is_text, meter)
        }
        Kind::Event => {
            let mut clients = connect(clients)?;
            client::exchange(&mut clients, &event(0, &text), &ack(0, &text))?;
            let batch: Vec<u8> =
                (0..in_flight).flat_map(|id| frames::client_text(&event(id, &text))).collect();
            request_and_answer(clients, &batch, in_flight, Frame::is_ack, meter)
        }
        Kind::Broadcast => broadcast(connect(clients)?, in_flight, &text, meter),
        Kind::IdleWebsocket => idle(clients, &text, &text, server, connect),
        Kind::IdleSocketio => idle(clients, &event(0, &text), &ack(0, &text), server, connect),
    }
}

fn event(id: usize, text: &str) -> String {
    format!(r#"42{id}["echo","{text}"]"#)
}

fn ack(id: usize, text: &str) -> String {
    format!(r#"43{id}["{text}"]"#)
}

/// Every client has a batch on its way, and sends the next when all answers have come.
fn request_and_answer(
    mut clients: Vec<Client>,
    batch: &[u8],
    in_flight: usize,
    is_answer: fn(Frame) -> bool,
    meter: Meter,
) -> io::Result<Measurement> {
    let mut poll = Poll::new(&mut clients)?;
    let mut due = vec![in_flight; clients.len()];
    for client in &mut clients {
        client.stream.write_all(batch)?;
    }
    let mut interval = meter.start();
    loop {
        let mut answered = 0;
        poll.turn(&mut clients, is_answer, |index, stream, answers| {
            answered += answers as u64;
            due[index] = due[index].checked_sub(answers).ok_or_else(too_many)?;
            if due[index] == 0 {
                due[index] = in_flight;
                stream.write_all(batch)?;
            }
            Ok(())
        })?;
        if let Some(measured) = interval.count(answered)? {
            return Ok(measured);
        }
    }
}

/// The first client asks for `at_a_time` broadcasts, and again when every client, itself included,
/// has received them all. The interval begins and ends between two of these.
fn broadcast(
    mut clients: Vec<Client>,
    at_a_time: usize,
    text: &str,
    meter: Meter,
) -> io::Result<Measurement> {
    clients[0].send(&format!(r#"42["broadcast","{text}",1]"#))?;
    for client in &mut clients {
        client.expect(&format!(r#"42["news","{text}"]"#))?;
    }
    let order = frames::client_text(&format!(r#"42["broadcast","{text}",{at_a_time}]"#));
    let mut poll = Poll::new(&mut clients)?;
    let audience = clients.len() * at_a_time;
    let mut interval = meter.start();
    loop {
        clients[0].stream.write_all(&order)?;
        let mut due = audience;
        while due > 0 {
            poll.turn(&mut clients, Frame::is_event, |_, _, deliveries| {
                due = due.checked_sub(deliveries).ok_or_else(too_many)?;
                Ok(())
            })?;
        }
        if let Some(measured) = interval.count(audience as u64)? {
            return Ok(measured);
        }
    }
}

fn idle(
    count: usize,
    request: &str,
    answer: &str,
    server: Pid,
    connect: impl Fn(usize) -> io::Result<Vec<Client>>,
) -> io::Result<Measurement> {
    let open = |count| {
        let mut clients = connect(count)?;
        client::exchange(&mut clients, request, answer)?;
        std::thread::sleep(REST);
        io::Result::Ok((clients, resident_bytes(server)?))
    };
    let (_warm_up, before) = open(IDLE_WARM_UP)?;
    let (_idle, after) = open(count)?;
    let bytes_per_connection = (after as f64 - before as f64) / count as f64;
    Ok(Measurement::Memory { bytes_per_connection })
}

fn too_many() -> io::Error {
    io::Error::other("the server answered more than it was asked")
}

/// Reads what is there, of all clients.
struct Poll {
    epoll: OwnedFd,
    events: Vec<Event>,
    buffer: Box<[u8]>,
}

impl Poll {
    fn new(clients: &mut [Client]) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        for (index, client) in (0..).zip(clients) {
            client.begin_counting()?;
            let flags = EventFlags::IN | EventFlags::ET;
            epoll::add(&epoll, &client.stream, EventData::new_u64(index), flags)?;
        }
        let events = Vec::with_capacity(1024);
        Ok(Self { epoll, events, buffer: vec![0; READ_BUFFER].into() })
    }

    /// Waits, reads each ready client once, and tells `then` which client had how many frames
    /// that `is_wanted`.
    fn turn(
        &mut self,
        clients: &mut [Client],
        is_wanted: fn(Frame) -> bool,
        mut then: impl FnMut(usize, &mut TcpStream, usize) -> io::Result<()>,
    ) -> io::Result<()> {
        epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&PATIENCE))?;
        if self.events.is_empty() {
            return Err(io::Error::other("the server has fallen silent"));
        }
        for event in self.events.drain(..) {
            let index = event.data.u64() as usize;
            let client = &mut clients[index];
            let bytes = match recv(&client.stream, &mut *self.buffer, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Err(io::Error::other("the server closed a connection")),
                Ok((READ_BUFFER, _)) => return Err(io::Error::other("more than one read takes")),
                Ok((length, _)) => &self.buffer[..length],
                Err(Errno::AGAIN) => continue,
                Err(error) => return Err(error.into()),
            };
            let wanted = client.count(bytes, is_wanted)?;
            then(index, &mut client.stream, wanted)?;
        }
        Ok(())
    }
}
