//! The closing handshake from both sides, its deadline, and the end of the transport (RFC 6455 §7).

use sockeye_websocket::{
    CloseCode, Connection, Eof, Error, Limits, OpCode, PeerMisbehaved, Role, State, frame,
};

use crate::check::{KEY, Seen, check, check_from, failed, last, more, receive, text};

const NOW: u64 = 5_000;

fn close_frame(reason: Option<(CloseCode, &str)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::append_close(&mut bytes, reason, None);
    bytes
}

fn peer_close(reason: Option<(CloseCode, &str)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::append_close(&mut bytes, reason, Some(KEY));
    bytes
}

fn closed(code: CloseCode, reason: &str) -> Seen {
    Seen::Close(Some((code.get(), reason.to_owned())))
}

/// A server that has sent its close frame at [`NOW`].
fn closing() -> Connection {
    let mut connection = Connection::new(Role::Server);
    let mut out = Vec::new();
    let reason = Some((CloseCode::GOING_AWAY, "bye"));
    assert!(connection.close(NOW, &Limits::default(), reason, None, &mut out));
    assert_eq!(out, close_frame(reason));
    connection
}

#[test]
fn the_peer_closes() {
    for (reason, expected) in [
        (None, Seen::Close(None)),
        (Some((CloseCode::NORMAL, "")), closed(CloseCode::NORMAL, "")),
        (Some((CloseCode::GOING_AWAY, "tschüß")), closed(CloseCode::GOING_AWAY, "tschüß")),
    ] {
        let script = [last(OpCode::Text, b"last words"), peer_close(reason)].concat();
        let mut server = check(&Limits::default(), &script, &[text("last words"), expected]);
        let code = reason.map(|(code, _)| code);
        assert_eq!(server.state(), State::Answering { code });
        assert!(server.owes_close() && !server.is_closed() && !server.is_open());

        let mut out = Vec::new();
        assert!(server.reply_close(None, &mut out));
        assert_eq!(out, close_frame(code.map(|code| (code, ""))), "the code is echoed");
        assert!(server.is_closed() && server.is_closed_cleanly() && !server.owes_close());
        assert!(!server.reply_close(None, &mut out), "once only");
        assert!(!server.close(NOW, &Limits::default(), None, None, &mut out), "once only");
        assert_eq!(server.poll_timeout(), None);
        assert_eq!(server.receive_eof(), Eof::Clean);
    }
}

#[test]
fn the_peer_closes_with_every_kind_of_code() {
    for code in [1000, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
        let code = CloseCode::new(code).unwrap();
        check(&Limits::default(), &peer_close(Some((code, ""))), &[closed(code, "")]);
    }
}

#[test]
fn after_the_peers_close_everything_is_discarded() {
    let after = [last(OpCode::Text, b"late"), b"\xFFgarbage".to_vec(), peer_close(None)].concat();
    let script = [peer_close(None), after].concat();
    let server = check(&Limits::default(), &script, &[Seen::Close(None)]);
    assert_eq!(server.state(), State::Answering { code: None });
}

#[test]
fn the_peer_closes_within_a_message() {
    let script = [more(OpCode::Text, b"never "), peer_close(None)].concat();
    check(&Limits::default(), &script, &[Seen::Close(None)]);
}

#[test]
fn the_application_may_answer_with_its_own_code() {
    let mut server = check(&Limits::default(), &peer_close(None), &[Seen::Close(None)]);
    let mut out = Vec::new();
    let reason = Some((CloseCode::POLICY, "too late"));
    assert!(server.close(NOW, &Limits::default(), reason, None, &mut out));
    assert_eq!(out, close_frame(reason));
    assert!(server.is_closed_cleanly());
}

#[test]
fn we_close_and_the_peer_answers() {
    let mut server = check_from(
        closing,
        &Limits::default(),
        &peer_close(Some((CloseCode::GOING_AWAY, ""))),
        &[closed(CloseCode::GOING_AWAY, "")],
    );
    assert!(server.is_closed_cleanly() && !server.owes_close());
    assert_eq!(server.poll_timeout(), None);
    assert!(!server.handle_timeout(u64::MAX));
    let mut out = Vec::new();
    assert!(!server.reply_close(None, &mut out), "ours was sent already");
    assert_eq!(server.receive_eof(), Eof::Clean);
    assert!(server.is_closed_cleanly());
}

#[test]
fn what_comes_between_is_discarded() {
    let script = [
        last(OpCode::Text, b"late"),
        last(OpCode::Ping, b"late"),
        last(OpCode::Pong, b""),
        more(OpCode::Binary, &[1; 200]),
        last(OpCode::Text, b"not even UTF-8 \xFF"),
        last(OpCode::Continuation, &[1; 200]),
        last(OpCode::Binary, &vec![1; 2_000]),
        peer_close(None),
        last(OpCode::Text, b"even later"),
    ];
    let limits = Limits { max_message_size: 100, ..Limits::default() };
    let server = check_from(closing, &limits, &script.concat(), &[Seen::Close(None)]);
    assert!(server.is_closed_cleanly());
}

#[test]
fn what_is_discarded_costs_no_memory() {
    let limits = Limits::default();
    let mut server = closing();
    let frame = last(OpCode::Binary, &vec![1; 500_000]);
    for piece in frame.chunks(10_000) {
        assert_eq!(receive(&mut server, &limits, piece), []);
        assert!(server.buffered() < 512);
    }
    assert_eq!(receive(&mut server, &limits, &peer_close(None)), [Seen::Close(None)]);
}

/// Closing at any byte of what the peer is sending: the rest is discarded and its close frame still
/// found, even if that is what was arriving.
#[test]
fn we_close_while_something_is_arriving() {
    let limits = Limits::default();
    let at_once = Some((CloseCode::NORMAL, "at the same time"));
    for (incoming, expected) in [
        (last(OpCode::Text, b"half a message"), Seen::Close(None)),
        (
            [more(OpCode::Text, b"half "), last(OpCode::Continuation, b"a message")].concat(),
            Seen::Close(None),
        ),
        (last(OpCode::Ping, b"half a ping"), Seen::Close(None)),
        (peer_close(at_once), closed(CloseCode::NORMAL, "at the same time")),
    ] {
        let script = [incoming.clone(), peer_close(None)].concat();
        for cut in 0..incoming.len() {
            let mut server = Connection::new(Role::Server);
            let (before, after) = script.split_at(cut);
            assert_eq!(receive(&mut server, &limits, before), []);
            let mut out = Vec::new();
            assert!(server.close(NOW, &limits, None, None, &mut out));
            let seen = receive(&mut server, &limits, after);
            assert_eq!(seen, std::slice::from_ref(&expected), "cut at {cut}");
            assert!(server.is_closed_cleanly());
        }
    }
}

#[test]
fn closing_lets_go_of_half_a_message() {
    let limits = Limits::default();
    let mut server = Connection::new(Role::Server);
    assert_eq!(receive(&mut server, &limits, &more(OpCode::Binary, &[1; 50_000])), []);
    assert!(server.buffered() > 50_000);
    server.close(NOW, &limits, None, None, &mut Vec::new());
    assert!(server.buffered() < 512);
}

#[test]
fn a_bad_frame_while_closing_fails_without_a_second_close_frame() {
    let rule = PeerMisbehaved::ReservedOpCode(3);
    let script = [0x83, 0x80, 0, 0, 0, 0];
    let mut server = check_from(closing, &Limits::default(), &script, &[failed(rule)]);
    assert_eq!(server.state(), State::Failed { error: rule.into(), close_owed: false });
    assert!(server.is_closed() && !server.owes_close());
    let mut out = Vec::new();
    assert!(!server.reply_close(None, &mut out));
    assert!(!server.close(NOW, &Limits::default(), None, None, &mut out));
    assert_eq!(out, []);
}

#[test]
fn an_error_is_told_before_any_reason_of_the_application() {
    let rule = PeerMisbehaved::NotMasked;
    let mut server = check(&Limits::default(), &[0x81, 0x00], &[failed(rule)]);
    let mut out = Vec::new();
    assert!(server.close(NOW, &Limits::default(), None, None, &mut out));
    assert_eq!(out, close_frame(Some((Error::from(rule).close_code(), ""))));
    assert!(server.is_closed());
}

#[test]
fn the_deadline() {
    let limits = Limits { close_timeout: 700, ..Limits::default() };
    let mut server = Connection::new(Role::Server);
    assert_eq!(server.poll_timeout(), None);
    assert!(!server.handle_timeout(u64::MAX));

    let mut out = Vec::new();
    assert!(server.close(NOW, &limits, None, None, &mut out));
    assert_eq!(server.state(), State::Closing { deadline: NOW + 700 });
    assert_eq!(server.poll_timeout(), Some(NOW + 700));
    assert!(!server.handle_timeout(NOW + 699));
    assert!(!server.close(NOW + 600, &limits, None, None, &mut out), "nothing is put off");
    assert_eq!(server.poll_timeout(), Some(NOW + 700));
    assert!(server.handle_timeout(NOW + 700));
    assert_eq!(server.state(), State::TimedOut);
    assert!(server.is_closed() && !server.is_closed_cleanly());
    assert_eq!(server.poll_timeout(), None);
    assert_eq!(receive(&mut server, &limits, &peer_close(None)), [], "too late");
    assert_eq!(server.receive_eof(), Eof::Unclean);
}

#[test]
fn a_deadline_beyond_the_clock_does_not_overflow() {
    let limits = Limits { close_timeout: u64::MAX, ..Limits::default() };
    let mut server = Connection::new(Role::Server);
    server.close(NOW, &limits, None, None, &mut Vec::new());
    assert_eq!(server.poll_timeout(), Some(u64::MAX));
}

#[test]
fn the_transport_ends() {
    let limits = Limits::default();
    // Open, within a message, and while closing.
    let mut open = Connection::new(Role::Server);
    let mut within = Connection::new(Role::Server);
    assert_eq!(receive(&mut within, &limits, &more(OpCode::Text, b"half")), []);
    for server in [&mut open, &mut within, &mut closing()] {
        assert_eq!(server.receive_eof(), Eof::Unclean);
        assert_eq!(server.state(), State::Lost);
        assert!(server.is_closed() && !server.is_closed_cleanly());
        assert_eq!(server.buffered(), 0);
        assert_eq!(server.receive_eof(), Eof::Unclean);
        assert!(!server.close(NOW, &limits, None, None, &mut Vec::new()));
    }
    // The peer closes and leaves at once: the answer may still be written.
    let mut server = check(&limits, &peer_close(None), &[Seen::Close(None)]);
    assert_eq!(server.receive_eof(), Eof::Clean);
    assert!(server.owes_close());
    assert!(server.reply_close(None, &mut Vec::new()));
    assert!(server.is_closed_cleanly());
}

#[test]
fn two_connections_close_in_either_order_and_at_once() {
    let limits = Limits::default();
    let reason = Some((CloseCode::NORMAL, "done"));
    for (server_first, client_first) in [(true, false), (false, true), (true, true)] {
        let mut server = Connection::new(Role::Server);
        let mut client = Connection::new(Role::Client);
        let (mut to_client, mut to_server) = (Vec::new(), Vec::new());
        if server_first {
            server.close(NOW, &limits, reason, None, &mut to_client);
        }
        if client_first {
            client.close(NOW, &limits, reason, Some(KEY), &mut to_server);
        }
        while !(to_client.is_empty() && to_server.is_empty()) {
            let input = std::mem::take(&mut to_client);
            receive(&mut client, &limits, &input);
            client.reply_close(Some(KEY), &mut to_server);
            let input = std::mem::take(&mut to_server);
            receive(&mut server, &limits, &input);
            server.reply_close(None, &mut to_client);
        }
        assert!(server.is_closed_cleanly() && client.is_closed_cleanly());
    }
}
