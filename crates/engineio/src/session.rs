//! The life of one session: heartbeat, and what each packet means to it.
//!
//! The server pings [`Config::ping_interval`] after the handshake or the last pong, and gives the
//! session up when no pong came within [`Config::ping_timeout`]. Since `engine.io` 6.6.12 any other
//! packet that comes while the pong is awaited starts that time anew, once per ping: a client that
//! is busy uploading is not dead.
//!
//! In revision 3 the client pings, in the interval that it was told, and the server answers. A session
//! without a ping for [`Config::ping_interval`] and [`Config::ping_timeout`] together is given up;
//! other packets count for nothing there.
//!
//! Sending is not the session's part: it says [`Action::SendPing`] or [`Event::Ping`], and the caller
//! queues `2` or `3`.

use alloc::borrow::Cow;

use crate::{CloseReason, Config, Error, Packet, PacketType, Revision};

/// The inbound state of one Engine.IO session, server role.
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
    PongDue {
        refreshed: bool,
    },
    /// Revision 3: the client's part.
    PingAwaited,
}

/// What a packet brought to the layer above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A text message.
    Message(&'a str),
    /// A binary message.
    Binary(Cow<'a, [u8]>),
    /// Revision 3: the client asks whether the server lives. Send a pong, the packet `3`, without the
    /// data that the ping may have had.
    Ping,
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
    /// A session of this revision, whose open packet is being sent.
    #[must_use]
    pub const fn open(now: u64, revision: Revision, config: &Config) -> Self {
        let (heartbeat, patience) = match revision {
            Revision::V3 => (Heartbeat::PingAwaited, silence(config)),
            Revision::V4 => (Heartbeat::PingDue, config.ping_interval),
        };
        Self {
            deadline: now.saturating_add(patience),
            repeat: u64::MAX,
            paused_from: 0,
            paused_until: 0,
            heartbeat,
        }
    }

    /// The revision that it was opened with.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        match self.heartbeat {
            Heartbeat::PingAwaited => Revision::V3,
            Heartbeat::PingDue | Heartbeat::PongDue { .. } => Revision::V4,
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
        let v3 = matches!(self.revision(), Revision::V3);
        let packet = if v3 { Packet::decode_text_v3(text)? } else { Packet::decode_text(text)? };
        if !matches!(packet, Packet::Pong(_)) {
            self.refresh(now, config);
        }
        match packet {
            Packet::Message(data) => Ok(Some(Event::Message(data))),
            Packet::Binary(data) => Ok(Some(Event::Binary(Cow::Owned(data)))),
            Packet::Ping(_) if v3 => {
                self.await_until(now, silence(config));
                Ok(Some(Event::Ping))
            }
            Packet::Pong(_) if !v3 => {
                self.pong(now, config);
                Ok(None)
            }
            Packet::Ping(_) | Packet::Pong(_) => Err(Error::HeartbeatDirection),
            Packet::Close => Ok(Some(Event::Close)),
            Packet::Open(_) | Packet::Upgrade | Packet::Noop => Ok(None),
        }
    }

    /// Takes a binary message of the transport. As a whole it is the data of a message; in revision 3
    /// that follows the packet's type, which can only be a message's. (Node takes any type there, and
    /// ignores those that it does not know; no client sends them.)
    ///
    /// # Errors
    ///
    /// The session is over, with the error's [reason](Error::reason): of revision 3, and the first byte
    /// is missing or not 4.
    pub fn receive_binary<'a>(
        &mut self,
        now: u64,
        config: &Config,
        bytes: Cow<'a, [u8]>,
    ) -> Result<Event<'a>, Error> {
        if let Revision::V4 = self.revision() {
            self.refresh(now, config);
            return Ok(Event::Binary(bytes));
        }
        match bytes.first() {
            Some(&BINARY_MESSAGE) => {}
            Some(unknown) => return Err(Error::UnknownBinaryType(*unknown)),
            None => return Err(Error::EmptyPacket),
        }
        Ok(Event::Binary(match bytes {
            Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[1..]),
            Cow::Owned(mut bytes) => {
                bytes.remove(0);
                Cow::Owned(bytes)
            }
        }))
    }

    /// Notes (in revision 4) what is as good as a pong, be one awaited or not: the next ping is due
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
            Heartbeat::PingAwaited => self.given_up(),
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

    /// When the session is given up, as a pong, or the client's ping, is awaited.
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
            Heartbeat::PongDue { .. } | Heartbeat::PingAwaited => {
                Some(Action::Close(CloseReason::PingTimeout))
            }
        }
    }

    /// The server itself stops reading from this session (its handlers are behind), so that a pong
    /// (or a client's ping) may lie unread. While it does, that deadline stands still, for at most `cap`
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
        if let Heartbeat::PongDue { .. } | Heartbeat::PingAwaited = self.heartbeat {
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
        self.await_until(now, config.ping_timeout);
    }

    const fn await_until(&mut self, now: u64, patience: u64) {
        self.deadline = now.saturating_add(patience);
        // Of a pause that is going on, only what is yet to come can stop this clock.
        if self.paused_until != 0 && self.paused_from < now {
            self.paused_from = now;
        }
    }
}

/// How long a client of revision 3 may be silent.
const fn silence(config: &Config) -> u64 {
    config.ping_interval.saturating_add(config.ping_timeout)
}

/// What stands before a binary message of revision 3: the type as a number, not as its character.
const BINARY_MESSAGE: u8 = PacketType::Message.as_number();

#[cfg(test)]
mod tests {
    use super::*;
    use Revision::{V3, V4};

    const CONFIG: Config =
        Config { ping_interval: 300, ping_timeout: 200, upgrade_timeout: 10_000, max_payload: 100 };
    const TIMEOUT: Option<Action> = Some(Action::Close(CloseReason::PingTimeout));

    /// Opened at 1 000, pinged at 1 300.
    fn pinged() -> Session {
        let mut session = Session::open(1000, V4, &CONFIG);
        assert_eq!(session.handle_timeout(1300, &CONFIG), Some(Action::SendPing));
        session
    }

    fn receive_binary(session: &mut Session, now: u64) {
        let event = session.receive_binary(now, &CONFIG, Cow::Borrowed(&[4, 1]));
        assert_eq!(event, Ok(Event::Binary(Cow::Borrowed(&[4, 1]))), "as it stands");
    }

    #[test]
    fn pings_and_times_out_to_the_millisecond() {
        let mut session = Session::open(1000, V4, &CONFIG);
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
        let mut session = Session::open(1000, V4, &CONFIG);
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
        receive_binary(&mut session, 1450);
        assert_eq!(session.poll_timeout(), 1650);
        // The next ping may be extended again.
        assert_eq!(session.receive_text(1600, &CONFIG, "3"), Ok(None));
        assert_eq!(session.handle_timeout(1900, &CONFIG), Some(Action::SendPing));
        receive_binary(&mut session, 2000);
        assert_eq!(session.poll_timeout(), 2200);
    }

    #[test]
    fn messages_do_not_put_off_the_ping() {
        let mut session = Session::open(1000, V4, &CONFIG);
        assert_eq!(session.receive_text(1290, &CONFIG, "4x"), Ok(Some(Event::Message("x"))));
        receive_binary(&mut session, 1295);
        assert_eq!(session.poll_timeout(), 1300);
    }

    #[test]
    fn what_each_packet_means() {
        let mut session = Session::open(0, V4, &CONFIG);
        let mut receive = |text| session.receive_text(1, &CONFIG, text);
        assert_eq!(receive("4"), Ok(Some(Event::Message(""))));
        assert_eq!(receive("bAQI="), Ok(Some(Event::Binary(Cow::Borrowed(&[1, 2])))));
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
        let mut session = Session::open(1000, V4, &CONFIG);
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
        let mut session = Session::open(1000, V4, &CONFIG);
        session.pause(1100, 1000);
        session.resume(1200);
        assert_eq!(session.poll_timeout(), 1300);
        assert_eq!(session.handle_timeout(1300, &CONFIG), Some(Action::SendPing));
        assert_eq!(session.poll_timeout(), 1500);
    }

    #[test]
    fn revision_3_is_pinged_by_its_client() {
        let mut session = Session::open(1000, V3, &CONFIG);
        assert_eq!(session.poll_timeout(), 1500);
        assert_eq!(session.receive_text(1200, &CONFIG, "2"), Ok(Some(Event::Ping)));
        assert_eq!(session.receive_text(1300, &CONFIG, "2probe"), Ok(Some(Event::Ping)));
        assert_eq!(session.handle_timeout(1799, &CONFIG), None);
        assert_eq!(session.handle_timeout(1800, &CONFIG), TIMEOUT, "pings nobody itself");
    }

    #[test]
    fn nothing_but_a_ping_keeps_a_session_of_revision_3_alive() {
        let mut session = Session::open(1000, V3, &CONFIG);
        for packet in ["4", "4hello", "b4AA==", "0", "5", "6"] {
            session.receive_text(1400, &CONFIG, packet).unwrap();
        }
        session.receive_binary(1400, &CONFIG, Cow::Borrowed(&[4])).unwrap();
        assert_eq!(session.handle_timeout(1500, &CONFIG), TIMEOUT);
    }

    #[test]
    fn what_each_packet_means_in_revision_3() {
        let mut session = Session::open(0, V3, &CONFIG);
        let mut receive = |text| session.receive_text(1, &CONFIG, text);
        assert_eq!(receive("4x"), Ok(Some(Event::Message("x"))));
        assert_eq!(receive("b4AQI="), Ok(Some(Event::Binary(Cow::Borrowed(&[1, 2])))));
        assert_eq!(receive("1"), Ok(Some(Event::Close)));
        for ignored in ["0{}", "5", "6"] {
            assert_eq!(receive(ignored), Ok(None), "{ignored}");
        }
        for pong in ["3", "3probe"] {
            assert_eq!(receive(pong), Err(Error::HeartbeatDirection), "{pong}");
        }
        assert_eq!(receive("bAQI="), Err(Error::UnknownType('A')));
        let bytes = [4, 1, 2];
        for message in [Cow::Borrowed(&bytes[..]), Cow::Owned(bytes.to_vec())] {
            let event = session.receive_binary(1, &CONFIG, message);
            assert_eq!(event, Ok(Event::Binary(Cow::Borrowed(&[1, 2]))));
        }
        for (bytes, error) in [
            (&[][..], Error::EmptyPacket),
            (b"4", Error::UnknownBinaryType(b'4')),
            (&[2], Error::UnknownBinaryType(2)),
            (&[255, 0], Error::UnknownBinaryType(255)),
        ] {
            assert_eq!(session.receive_binary(1, &CONFIG, Cow::Borrowed(bytes)), Err(error));
            assert_eq!(error.reason(), CloseReason::ParseError);
        }
    }

    #[test]
    fn a_pause_stops_the_clock_of_the_clients_ping() {
        let mut session = Session::open(1000, V3, &CONFIG);
        session.pause(1400, 5000);
        assert_eq!(session.poll_timeout(), 6500);
        assert_eq!(session.handle_timeout(1500, &CONFIG), None);
        session.resume(2000);
        assert_eq!(session.poll_timeout(), 2100, "100 ms were left");
        session.pause(2050, 100);
        assert_eq!(session.receive_text(2060, &CONFIG, "2"), Ok(Some(Event::Ping)));
        assert_eq!(session.poll_timeout(), 2650, "90 ms of the pause are left");
        session.resume(2060);
        assert_eq!(session.handle_timeout(2560, &CONFIG), TIMEOUT);
    }

    #[test]
    fn the_end_of_time_does_not_overflow() {
        let mut session = Session::open(u64::MAX - 1, V4, &CONFIG);
        session.pause(u64::MAX - 1, u64::MAX);
        assert_eq!(session.handle_timeout(u64::MAX, &CONFIG), Some(Action::SendPing));
        assert_eq!(session.poll_timeout(), u64::MAX);
    }
}
