//! A TCP proxy that does to a connection what networks and middleboxes do: it delays, stalls,
//! slices, cuts, closes one half, takes the upgrade out of HTTP.
//!
//! Without a fault it hands every byte on as soon as it comes. Faults are set for one
//! [`Direction`] or for all, at any time, and take effect at once, on open connections too unless
//! they say otherwise. What is under test connects to [`Chaos::address`] instead of the server's.

mod strip;

use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;
use std::{fmt, io, net};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use self::strip::Strip;
use crate::deadline::DEADLINE;

/// What is read and handed on at once, in bytes.
const CHUNK: usize = 16 * 1024;

/// Which of a connection's two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Both ends see the end of the stream, as if the other had closed.
    Fin,
    /// Both ends see a reset.
    Reset,
}

/// A running proxy on a loopback port of its own. Dropped, it stops and closes what is open.
pub struct Chaos {
    address: SocketAddr,
    faults: watch::Sender<Faults>,
    connections: watch::Sender<usize>,
    accepting: AbortHandle,
}

/// What is wrong with all connections.
#[derive(Clone, Copy, Default)]
struct Faults {
    up: Fault,
    down: Fault,
    strip_upgrade: bool,
    /// Ends what is open whenever the number changes.
    cut: Order<Ending>,
}

/// What is wrong with one direction.
#[derive(Clone, Copy, Default)]
struct Fault {
    delay: Duration,
    stalled: bool,
    slice: Option<usize>,
    cut_after: Order<(u64, Ending)>,
    half_close: Order<()>,
}

/// Something to be done once: a change of the number is the order.
#[derive(Clone, Copy)]
struct Order<T> {
    number: u64,
    what: Option<T>,
}

/// How one direction of a connection came to its end.
enum End {
    /// Its sender has no more to say and its receiver knows; the other direction goes on.
    Half,
    /// The whole connection ends like this.
    Whole(Ending),
}

impl Chaos {
    /// Starts a proxy to `upstream`, which need not listen yet.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O and time, or if loopback has no port left.
    #[must_use]
    pub fn start(upstream: SocketAddr) -> Self {
        let (listener, address) = listen().expect("loopback has a free port");
        let faults = watch::Sender::new(Faults::default());
        let connections = watch::Sender::new(0);
        let serve = accept(listener, upstream, faults.clone(), connections.clone());
        let accepting = tokio::spawn(serve).abort_handle();
        Self { address, faults, connections, accepting }
    }

    /// Where the proxy listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections are open. One counts until it is reset or both of its ends have closed,
    /// after [`Ending::Fin`] too.
    #[must_use]
    pub fn connections(&self) -> usize {
        *self.connections.borrow()
    }

    /// Waits until so many connections are open. Dropping the future changes nothing.
    ///
    /// # Panics
    ///
    /// If they are not within [`DEADLINE`].
    pub async fn connections_wait(&self, count: usize) {
        let mut connections = self.connections.subscribe();
        let wait = timeout(DEADLINE, connections.wait_for(|open| *open == count)).await;
        assert!(wait.is_ok(), "{} connections are open, not {count}", self.connections());
    }

    /// Holds every chunk of the direction back for so long; none comes to an end.
    ///
    /// A chunk is what has come when the one before it was handed on, so what comes within the delay
    /// waits for up to two.
    pub fn delay(&self, direction: Direction, delay: Duration) {
        self.change(direction, |fault| fault.delay = delay);
    }

    /// Hands nothing on, and reads nothing, so that the sender finds its buffers full in the end.
    /// What was read already goes no further than the slice under way.
    pub fn stall(&self, direction: Direction) {
        self.change(direction, |fault| fault.stalled = true);
    }

    /// Ends a stall.
    pub fn resume(&self, direction: Direction) {
        self.change(direction, |fault| fault.stalled = false);
    }

    /// Hands on at most so many bytes in one write, each of them a packet of its own; the receiver
    /// may still find several when it reads.
    ///
    /// # Panics
    ///
    /// If `bytes` is 0: that is a stall.
    pub fn slice(&self, direction: Direction, bytes: usize) {
        assert!(bytes > 0, "slices of no bytes");
        self.change(direction, |fault| fault.slice = Some(bytes));
    }

    /// Hands on exactly so many bytes of each connection, counted from now or, if it is yet to come,
    /// from its beginning, and then ends it; with 0, in place of the next byte.
    ///
    /// Of a reset the receiver may learn before it has read all of them.
    pub fn cut_after(&self, direction: Direction, bytes: u64, ending: Ending) {
        self.change(direction, |fault| fault.cut_after.give((bytes, ending)));
    }

    /// Ends one direction of every open connection: its receiver sees the end of the stream, what
    /// its sender still says is thrown away, and the other direction goes on.
    pub fn half_close(&self, direction: Direction) {
        self.change(direction, |fault| fault.half_close.give(()));
    }

    /// Ends every open connection.
    pub fn cut(&self, ending: Ending) {
        self.faults.send_modify(|faults| faults.cut.give(ending));
    }

    /// Takes `Upgrade` and the word `upgrade` in `Connection` out of the requests of connections
    /// that are accepted from now on, as proxies do that do not know WebSocket.
    ///
    /// Understands HTTP/1.1 with bodies by `Content-Length`. From the first byte of anything else
    /// on, a connection is handed through.
    pub fn strip_upgrade(&self) {
        self.faults.send_modify(|faults| faults.strip_upgrade = true);
    }

    /// Takes back every fault that is still to have effect.
    pub fn calm(&self) {
        self.faults.send_modify(|faults| {
            faults.strip_upgrade = false;
            for fault in [&mut faults.up, &mut faults.down] {
                fault.cut_after.take_back();
                (fault.delay, fault.stalled, fault.slice) = (Duration::ZERO, false, None);
            }
        });
    }

    fn change(&self, direction: Direction, change: impl FnOnce(&mut Fault)) {
        self.faults.send_modify(|faults| change(faults.of_mut(direction)));
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        // The task owns those of the connections, so it takes them along.
        self.accepting.abort();
    }
}

impl Faults {
    fn of(&self, direction: Direction) -> &Fault {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }

    fn of_mut(&mut self, direction: Direction) -> &mut Fault {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }
}

impl<T> Default for Order<T> {
    fn default() -> Self {
        Self { number: 0, what: None }
    }
}

impl<T> Order<T> {
    fn give(&mut self, what: T) {
        *self = Self { number: self.number + 1, what: Some(what) };
    }

    fn take_back(&mut self) {
        *self = Self { number: self.number + 1, what: None };
    }
}

fn listen() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((TcpListener::from_std(listener)?, address))
}

async fn accept(
    listener: TcpListener,
    upstream: SocketAddr,
    faults: watch::Sender<Faults>,
    connections: watch::Sender<usize>,
) {
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // Who was gone before we came to it is no connection.
                let Ok((client, _)) = accepted else { continue };
                // Before it counts: whoever sees it open may order something for it.
                let connection = Connection::new(faults.subscribe());
                let counted = Counted::new(connections.clone());
                tasks.spawn(async move {
                    connection.serve(client, upstream).await;
                    drop(counted);
                });
            }
            Some(_) = tasks.join_next() => {}
        }
    }
}

/// One of the connections that are open.
struct Counted(watch::Sender<usize>);

impl Counted {
    fn new(connections: watch::Sender<usize>) -> Self {
        connections.send_modify(|open| *open += 1);
        Self(connections)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

/// What a connection knows of the faults.
struct Connection {
    faults: watch::Receiver<Faults>,
    /// Those that were there before it: their orders were for others.
    at_first: Faults,
}

impl Connection {
    fn new(faults: watch::Receiver<Faults>) -> Self {
        let at_first = *faults.borrow();
        Self { faults, at_first }
    }

    async fn serve(&self, mut client: TcpStream, upstream: SocketAddr) {
        let Ok(mut server) = TcpStream::connect(upstream).await else {
            let _ = client.set_zero_linger();
            return;
        };
        for stream in [&client, &server] {
            // A slice is a packet. Who is gone already is noticed when it is written to.
            let _ = stream.set_nodelay(true);
        }
        let ending = {
            let (mut from_client, mut to_client) = client.split();
            let (mut from_server, mut to_server) = server.split();
            tokio::select! {
                ending = both(
                    self.pass(Direction::Up, &mut from_client, &mut to_server),
                    self.pass(Direction::Down, &mut from_server, &mut to_client),
                ) => ending,
                ending = self.ordered(self.at_first.cut.number, |faults| faults.cut) => Some(ending),
            }
        };
        match ending {
            None => {}
            Some(Ending::Reset) => {
                for stream in [&client, &server] {
                    // One that is gone needs no reset.
                    let _ = stream.set_zero_linger();
                }
            }
            Some(Ending::Fin) => {
                tokio::join!(say_goodbye(&mut client), say_goodbye(&mut server));
            }
        }
    }

    /// Hands on what comes in one direction, until it ends.
    async fn pass(
        &self,
        direction: Direction,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
    ) -> End {
        let known = self.at_first.of(direction).half_close.number;
        let end = tokio::select! {
            end = self.hand_on(direction, from, to) => end,
            () = self.ordered(known, |faults| faults.of(direction).half_close) => Ok(End::Half),
        };
        let end = match end {
            Ok(End::Half) => match to.shutdown().await {
                // Nothing comes any more, or it is thrown away by order.
                Ok(()) => copy(from, &mut sink()).await.map(|_| End::Half),
                Err(error) => Err(error),
            },
            end => end,
        };
        // One end is gone without a goodbye; the other one learns it the same way.
        end.unwrap_or(End::Whole(Ending::Reset))
    }

    async fn hand_on(
        &self,
        direction: Direction,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
    ) -> io::Result<End> {
        let mut faults = self.faults.clone();
        let mut cut_after = self.at_first.of(direction).cut_after;
        let mut strip =
            (direction == Direction::Up && self.at_first.strip_upgrade).then(Strip::default);
        let mut chunk = vec![0; CHUNK];
        loop {
            stall_over(&mut faults, direction).await;
            let count = tokio::select! {
                biased;
                Ok(_) = faults.wait_for(|faults| faults.of(direction).stalled) => continue,
                count = from.read(&mut chunk) => count?,
            };
            let delay = faults.borrow().of(direction).delay;
            if !delay.is_zero() {
                sleep(delay).await;
            }
            let stripped = match &mut strip {
                Some(strip) if count == 0 => Some(strip.end()),
                Some(strip) => Some(strip.pass(&chunk[..count])),
                None => None,
            };
            let mut rest = stripped.as_deref().unwrap_or(&chunk[..count]);
            while !rest.is_empty() {
                stall_over(&mut faults, direction).await;
                let fault = *faults.borrow().of(direction);
                if cut_after.number != fault.cut_after.number {
                    cut_after = fault.cut_after;
                }
                let mut slice = rest.len().min(fault.slice.unwrap_or(usize::MAX));
                if let Some((left, ending)) = &mut cut_after.what {
                    slice = slice.min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= slice as u64;
                    if *left == 0 {
                        to.write_all(&rest[..slice]).await?;
                        return Ok(End::Whole(*ending));
                    }
                }
                to.write_all(&rest[..slice]).await?;
                rest = &rest[slice..];
                if fault.slice.is_some() {
                    // The receiver may be a task of the same thread.
                    yield_now().await;
                }
            }
            if count == 0 {
                return Ok(End::Half);
            }
        }
    }

    /// Waits for an order that comes after the one with the number `known`.
    async fn ordered<T: Copy>(&self, known: u64, order: impl Fn(&Faults) -> Order<T>) -> T {
        let mut faults = self.faults.clone();
        let new = faults.wait_for(|faults| order(faults).number != known).await;
        match new.map(|faults| order(&faults).what) {
            Ok(Some(what)) => what,
            _ => pending().await,
        }
    }
}

async fn stall_over(faults: &mut watch::Receiver<Faults>, direction: Direction) {
    // The accepting task has the sender and owns the one that waits here.
    let _ = faults.wait_for(|faults| !faults.of(direction).stalled).await;
}

/// Runs both directions until both are over, or one of them ends the whole connection.
async fn both(up: impl Future<Output = End>, down: impl Future<Output = End>) -> Option<Ending> {
    let (mut up, mut down) = (pin!(up), pin!(down));
    let end = tokio::select! {
        end = &mut up => match end {
            End::Half => down.await,
            end => end,
        },
        end = &mut down => match end {
            End::Half => up.await,
            end => end,
        },
    };
    match end {
        End::Half => None,
        End::Whole(ending) => Some(ending),
    }
}

/// Closes the stream so that its peer sees an end and no reset: a socket that is closed with
/// something unread in it sends one.
async fn say_goodbye(stream: &mut TcpStream) {
    if stream.shutdown().await.is_ok() {
        // Until the peer closes, or resets on its own account.
        let _ = copy(stream, &mut sink()).await;
    }
}

impl fmt::Debug for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chaos")
            .field("address", &self.address)
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}
