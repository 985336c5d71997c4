//! The life of one session: heartbeat, and what each packet means to it.
//!
//! The server pings [`Config::ping_interval`] after the handshake or the last pong, and gives the
//! session up when no pong came within [`Config::ping_timeout`]. Since `engine.io` 6.6.12 any other
//! packet that comes while the pong is awaited starts that time anew, once per ping: a client that
//! is busy uploading is not dead.
//!
//! Sending is not the session's part: it says [`Action::SendPing`], and the caller queues `2`.

use alloc::vec::Vec;

use crate::{CloseReason, Config, Error, Packet};

/// The inbound state of one Engine.IO session, revision 4, server role.
///
/// It belongs to whoever reads the session's transport. After an [`Error`], [`Event::Close`] or
/// [`Action::Close`] it has no further use.
#[derive(Clone, Debug)]
pub struct Session {
    /// When the next ping is due; or, while a pong is awaited, when the session is given up, not
    /// counting the pause that may be going on.
    deadline: u64,
    /// When another ping is due although the last one's pong is awaited: it may lie unread in a pause, and
    /// the peer gives a server up from which it hears none.
    repeat: u64,
    /// The part of the current pause that stops the clock: from here ..
    paused_from: u64,
    /// .. to here. Not after `paused_from`: there is no pause, or it is used up.
    paused_until: u64,
    heartbeat: Heartbeat,
}

// One per connection, idle ones too.
const _: () = assert!(size_of::<Session>() <= 40);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heartbeat {
    PingDue,
    PongDue { refreshed: bool },
}

/// What a packet brought to the layer above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A text message.
    Message(&'a str),
    /// A binary message that came as base64.
    Binary(Vec<u8>),
    /// The peer ended the session: close the transport at once, reason
    /// [`CloseReason::TransportClose`]. (Node ignores this packet on a websocket and waits for the
    /// ping timeout.)
    Close,
}

/// What is to be done because time has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a ping, the packet `2`.
    SendPing,
    /// Close the transport: the session is over for this reason.
    Close(CloseReason),
}

impl Session {
    /// A session whose open packet is being sent.
    #[must_use]
    pub const fn open(now: u64, config: &Config) -> Self {
        Self {
            deadline: now.saturating_add(config.ping_interval),
            repeat: u64::MAX,
            paused_from: 0,
            paused_until: 0,
            heartbeat: Heartbeat::PingDue,
        }
    }

    /// Takes a text message of the transport. `None`: it was for the session alone (a pong), or is
    /// ignored as in Node (`open`, `upgrade` and `noop` have no meaning here).
    ///
    /// # Errors
    ///
    /// The session is over, with the error's [reason](Error::reason).
    pub fn receive_text<'a>(
        &mut self,
        now: u64,
        config: &Config,
        text: &'a str,
    ) -> Result<Option<Event<'a>>, Error> {
        let packet = Packet::decode_text(text)?;
        if !matches!(packet, Packet::Pong(_)) {
            self.refresh(now, config);
        }
        match packet {
            Packet::Message(data) => Ok(Some(Event::Message(data))),
            Packet::Binary(data) => Ok(Some(Event::Binary(data))),
            Packet::Pong(_) => {
                self.pong(now, config);
                Ok(None)
            }
            Packet::Ping(_) => Err(Error::HeartbeatDirection),
            Packet::Close => Ok(Some(Event::Close)),
            Packet::Open(_) | Packet::Upgrade | Packet::Noop => Ok(None),
        }
    }

    /// Notes a binary message of the transport, which as a whole is the data of a message.
    pub fn receive_binary(&mut self, now: u64, config: &Config) {
        self.refresh(now, config);
    }

    /// Notes what is as good as a pong, be one awaited or not: the next ping is due
    /// [`Config::ping_interval`] from now. For transports with a heartbeat of their own form.
    pub const fn pong(&mut self, now: u64, config: &Config) {
        self.heartbeat = Heartbeat::PingDue;
        self.deadline = now.saturating_add(config.ping_interval);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout): at this millisecond, not later. It
    /// changes with every call of another method.
    #[must_use]
    pub const fn poll_timeout(&self) -> u64 {
        match self.heartbeat {
            Heartbeat::PingDue => self.deadline,
            Heartbeat::PongDue { .. } => {
                let given_up = self.given_up();
                if self.paused_until != 0 && self.repeat < given_up {
                    self.repeat
                } else {
                    given_up
                }
            }
        }
    }

    /// When the session is given up, as a pong is awaited.
    const fn given_up(&self) -> u64 {
        let pause = self.paused_until.saturating_sub(self.paused_from);
        self.deadline.saturating_add(pause)
    }

    /// Does what is due at `now`; nothing if it is called early.
    pub fn handle_timeout(&mut self, now: u64, config: &Config) -> Option<Action> {
        if now < self.poll_timeout() {
            return None;
        }
        match self.heartbeat {
            Heartbeat::PingDue => {
                self.heartbeat = Heartbeat::PongDue { refreshed: false };
                self.await_pong(now, config);
                self.repeat = now.saturating_add(config.ping_interval);
                Some(Action::SendPing)
            }
            Heartbeat::PongDue { .. } if now < self.given_up() => {
                self.repeat = now.saturating_add(config.ping_interval);
                Some(Action::SendPing)
            }
            Heartbeat::PongDue { .. } => Some(Action::Close(CloseReason::PingTimeout)),
        }
    }

    /// The server itself stops reading from this session (its handlers are behind), so that a pong
    /// may lie unread. While it does, the pong's deadline stands still, for at most `cap`
    /// milliseconds from now. Pings go on being due, one in every interval whether or not the last one was
    /// answered. No effect on a session that is paused already.
    pub const fn pause(&mut self, now: u64, cap: u64) {
        if self.paused_until == 0 {
            self.paused_from = now;
            self.paused_until = now.saturating_add(cap);
        }
    }

    /// The server reads again.
    pub const fn resume(&mut self, now: u64) {
        let end = if now < self.paused_until { now } else { self.paused_until };
        if let Heartbeat::PongDue { .. } = self.heartbeat {
            let pause = end.saturating_sub(self.paused_from);
            self.deadline = self.deadline.saturating_add(pause);
        }
        self.paused_from = 0;
        self.paused_until = 0;
    }

    /// A packet other than a pong shows that the peer lives.
    const fn refresh(&mut self, now: u64, config: &Config) {
        if let Heartbeat::PongDue { refreshed: false } = self.heartbeat {
            self.heartbeat = Heartbeat::PongDue { refreshed: true };
            self.await_pong(now, config);
        }
    }

    const fn await_pong(&mut self, now: u64, config: &Config) {
        self.deadline = now.saturating_add(config.ping_timeout);
        // Of a pause that is going on, only what is yet to come can stop this clock.
        if self.paused_until != 0 && self.paused_from < now {
            self.paused_from = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: Config =
        Config { ping_interval: 300, ping_timeout: 200, upgrade_timeout: 10_000, max_payload: 100 };
    const TIMEOUT: Option<Action> = Some(Action::Close(CloseReason::PingTimeout));

    /// Opened at 1 000, pinged at 1 300.
    fn pinged() -> Session {
        let mut session = Session::open(1000, &CONFIG);
        assert_eq!(session.handle_timeout(1300, &CONFIG), Some(Action::SendPing));
        session
    }

    #[test]
    fn pings_and_times_out_to_the_millisecond() {
        let mut session = Session::open(1000, &CONFIG);
        assert_eq!(session.poll_timeout(), 1300);
        assert_eq!(session.handle_timeout(1299, &CONFIG), None);
        assert_eq!(session.handle_timeout(1300, &CONFIG), Some(Action::SendPing));
        assert_eq!(session.poll_timeout(), 1500);
        assert_eq!(session.handle_timeout(1499, &CONFIG), None);
        assert_eq!(session.handle_timeout(1500, &CONFIG), TIMEOUT);
    }

    #[test]
    fn a_pong_starts_the_next_interval() {
        let mut session = pinged();
        assert_eq!(session.receive_text(1450, &CONFIG, "3"), Ok(None));
        assert_eq!(session.poll_timeout(), 1750);
        assert_eq!(session.handle_timeout(1750, &CONFIG), Some(Action::SendPing));
        assert_eq!(session.poll_timeout(), 1950);
    }

    #[test]
    fn a_late_ping_gives_the_whole_time_for_its_pong() {
        let mut session = Session::open(1000, &CONFIG);
        assert_eq!(session.handle_timeout(1340, &CONFIG), Some(Action::SendPing));
        assert_eq!(session.poll_timeout(), 1540);
    }

    #[test]
    fn another_packet_extends_the_wait_once_per_ping() {
        for packet in ["4", "4hello", "bAA==", "0", "5", "6"] {
            let mut session = pinged();
            session.receive_text(1400, &CONFIG, packet).unwrap();
            assert_eq!(session.poll_timeout(), 1600, "{packet}");
            session.receive_text(1500, &CONFIG, packet).unwrap();
            assert_eq!(session.handle_timeout(1600, &CONFIG), TIMEOUT, "{packet}");
        }
        let mut session = pinged();
        session.receive_binary(1450, &CONFIG);
        assert_eq!(session.poll_timeout(), 1650);
        // The next ping may be extended again.
        assert_eq!(session.receive_text(1600, &CONFIG, "3"), Ok(None));
        assert_eq!(session.handle_timeout(1900, &CONFIG), Some(Action::SendPing));
        session.receive_binary(2000, &CONFIG);
        assert_eq!(session.poll_timeout(), 2200);
    }

    #[test]
    fn messages_do_not_put_off_the_ping() {
        let mut session = Session::open(1000, &CONFIG);
        assert_eq!(session.receive_text(1290, &CONFIG, "4x"), Ok(Some(Event::Message("x"))));
        session.receive_binary(1295, &CONFIG);
        assert_eq!(session.poll_timeout(), 1300);
    }

    #[test]
    fn what_each_packet_means() {
        let mut session = Session::open(0, &CONFIG);
        let mut receive = |text| session.receive_text(1, &CONFIG, text);
        assert_eq!(receive("4"), Ok(Some(Event::Message(""))));
        assert_eq!(receive("bAQI="), Ok(Some(Event::Binary([1, 2].into()))));
        assert_eq!(receive("1"), Ok(Some(Event::Close)));
        for ignored in ["0{}", "3", "3probe", "5", "6"] {
            assert_eq!(receive(ignored), Ok(None), "{ignored}");
        }
        assert_eq!(receive("2"), Err(Error::HeartbeatDirection));
        assert_eq!(receive("2probe"), Err(Error::HeartbeatDirection));
        assert_eq!(receive(""), Err(Error::EmptyPacket));
        assert_eq!(receive("abc"), Err(Error::UnknownType('a')));
        assert_eq!(Error::HeartbeatDirection.reason(), CloseReason::TransportError);
    }

    #[test]
    fn a_pause_stops_the_clock_of_the_pong() {
        let mut session = pinged(); // Given up at 1 500.
        session.pause(1400, 5000);
        assert_eq!(session.handle_timeout(1500, &CONFIG), None);
        session.resume(2000);
        assert_eq!(session.poll_timeout(), 2100, "100 ms were left");
        assert_eq!(session.handle_timeout(2100, &CONFIG), TIMEOUT);
    }

    #[test]
    fn a_pause_stops_it_no_longer_than_its_cap() {
        let mut session = pinged();
        session.pause(1400, 1000);
        for due in [1600, 1900, 2200] {
            assert_eq!(session.poll_timeout(), due);
            assert_eq!(session.handle_timeout(due, &CONFIG), Some(Action::SendPing));
        }
        assert_eq!(session.poll_timeout(), 2500);
        session.pause(2300, 1000); // Paused already: nothing is added.
        assert_eq!(session.poll_timeout(), 2500);
        let mut resumed = session.clone();
        assert_eq!(session.handle_timeout(2500, &CONFIG), TIMEOUT);
        resumed.resume(2450);
        assert_eq!(resumed.poll_timeout(), 2500, "a cap that is used up is not undone");
    }

    #[test]
    fn a_ping_during_a_pause_counts_only_what_remains_of_it() {
        let mut session = Session::open(1000, &CONFIG);
        session.pause(1200, 1000);
        assert_eq!(session.poll_timeout(), 1300, "pings go on");
        assert_eq!(session.handle_timeout(1300, &CONFIG), Some(Action::SendPing));
        assert_eq!(session.poll_timeout(), 1600, "pings go on");
        assert_eq!(session.handle_timeout(1599, &CONFIG), None);
        session.resume(1600);
        assert_eq!(session.poll_timeout(), 1500 + 300);
        // A pong ends it all.
        assert_eq!(session.receive_text(1650, &CONFIG, "3"), Ok(None));
        assert_eq!(session.poll_timeout(), 1950);
    }

    #[test]
    fn a_pause_is_no_silence() {
        let mut session = pinged();
        session.pause(1350, 10_000);
        // Late, as timers are.
        assert_eq!(session.handle_timeout(1640, &CONFIG), Some(Action::SendPing));
        assert_eq!(session.poll_timeout(), 1940);
        assert_eq!(session.handle_timeout(1940, &CONFIG), Some(Action::SendPing));
        session.resume(2000);
        // All were answered; what is awaited from here on is what was awaited before.
        assert_eq!(session.poll_timeout(), 1500 + 650);
        for _ in 0..3 {
            assert_eq!(session.receive_text(2100, &CONFIG, "3"), Ok(None));
        }
        assert_eq!(session.poll_timeout(), 2400);
    }

    #[test]
    fn a_pause_without_a_pong_due_changes_nothing() {
        let mut session = Session::open(1000, &CONFIG);
        session.pause(1100, 1000);
        session.resume(1200);
        assert_eq!(session.poll_timeout(), 1300);
        assert_eq!(session.handle_timeout(1300, &CONFIG), Some(Action::SendPing));
        assert_eq!(session.poll_timeout(), 1500);
    }

    #[test]
    fn the_end_of_time_does_not_overflow() {
        let mut session = Session::open(u64::MAX - 1, &CONFIG);
        session.pause(u64::MAX - 1, u64::MAX);
        assert_eq!(session.handle_timeout(u64::MAX, &CONFIG), Some(Action::SendPing));
        assert_eq!(session.poll_timeout(), u64::MAX);
    }
}
