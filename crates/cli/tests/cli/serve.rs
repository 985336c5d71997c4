//! `sockeye serve` from its start to its end.

use std::net::TcpListener;

use crate::client::{Client, get};
use crate::process::{End, Process, sockeye, sockeye_with_descriptors};

/// Runs the program until it gives up, and returns its exit code and the lines on stderr.
fn fail(command: std::process::Command) -> (Option<i32>, Vec<String>) {
    let mut process = Process::start(command);
    let End { code, stdout, stderr } = process.end();
    assert_eq!(stdout, [""; 0]);
    (code, stderr)
}

#[test]
fn the_first_line_names_the_address() {
    let (process, address) = Process::serve();
    assert!(address.ip().is_loopback() && address.port() != 0);
    assert!(process.stdout().contains("/socket.io/"));
    assert_eq!(get(address, "/", "").status, 200);
}

#[test]
fn all_interfaces_are_named_by_one_that_opens() {
    let process = Process::start(sockeye(&["serve", "--host", "0.0.0.0", "--port", "0"]));
    let address = process.address();
    assert!(address.ip().is_loopback());
    assert_eq!(get(address, "/", "").status, 200);
}

#[test]
fn a_bad_flag_is_an_error_of_usage() {
    for args in [&["serve", "--port", "65536"][..], &["serve", "--nonsense"], &["dance"]] {
        let (code, stderr) = fail(sockeye(args));
        assert_eq!(code, Some(2), "{args:?}");
        assert!(stderr[0].starts_with("error: "), "{stderr:?}");
    }
}

#[test]
fn a_port_in_use_is_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, stderr) = fail(sockeye(&["serve", "--port", &port]));
    let line = format!(
        "error: cannot listen on 127.0.0.1:{port}: \
         the port is in use (--port chooses another, 0 a free one)"
    );
    assert_eq!((code, stderr), (Some(1), vec![line]));
}

#[test]
fn an_address_of_others_is_one_line() {
    // TEST-NET-1 of RFC 5737: nobody has it.
    let (code, stderr) = fail(sockeye(&["serve", "--host", "192.0.2.1", "--port", "0"]));
    let line = "error: cannot listen on 192.0.2.1:0: this machine does not have that address";
    assert_eq!((code, stderr), (Some(1), vec![line.to_owned()]));
}

#[test]
fn a_bad_log_filter_is_one_line() {
    let mut command = sockeye(&["serve", "--port", "0"]);
    command.env("RUST_LOG", "sockeye=loud");
    let (code, stderr) = fail(command);
    assert_eq!(code, Some(1));
    assert_eq!(stderr.len(), 1, "{stderr:?}");
    assert!(stderr[0].starts_with("error: RUST_LOG is not a filter: "), "{stderr:?}");
}

#[test]
fn no_file_descriptors_at_the_start_is_one_line() {
    // With fewer than that the system's loader cannot even load the program.
    for descriptors in [4, 8, 12, 16] {
        let command = sockeye_with_descriptors(descriptors, &["serve", "--port", "0"]);
        let (code, stderr) = fail(command);
        assert_eq!(code, Some(1), "{descriptors}: {stderr:?}");
        assert_eq!(stderr.len(), 1, "{descriptors}: {stderr:?}");
        assert!(stderr[0].starts_with("error: cannot start: "), "{descriptors}: {stderr:?}");
    }
}

#[test]
fn signals_close_the_connections_and_end_it_well() {
    for signal in ["INT", "TERM"] {
        let (mut process, address) = Process::serve();
        process.stdout();
        let mut client = Client::enter(address, "Ann");
        process.signal(signal);
        assert_eq!(process.stdout(), "Closing 1 connection.");
        while client.receive().is_some() {}
        drop(client);
        let well = End { code: Some(0), stdout: vec![], stderr: vec![] };
        assert_eq!(process.end(), well, "{signal}");
    }
}

#[test]
fn a_client_that_polls_hears_the_end() {
    let (mut process, address) = Process::serve();
    process.stdout();
    let target = "/socket.io/?EIO=4&transport=polling";
    let opened = get(address, target, "").text();
    let sid = &opened["0{\"sid\":\"".len()..][..20];
    process.signal("INT");
    assert_eq!(process.stdout(), "Closing 1 connection.");
    assert_eq!(get(address, target, "").status, 503);
    assert_eq!(get(address, &format!("{target}&sid={sid}"), "").text(), "1");
    let well = End { code: Some(0), stdout: vec![], stderr: vec![] };
    assert_eq!(process.end(), well);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (mut process, address) = Process::serve();
    process.stdout();
    // It does not answer the close frame: there is something to be patient with.
    let _client = Client::enter(address, "Ann");
    // Both are there when it looks, so that closing cannot be done between them. (Two of one kind
    // would be one.)
    for signal in ["STOP", "INT", "TERM", "CONT"] {
        process.signal(signal);
    }
    assert_eq!(process.stdout(), "Closing 1 connection.");
    assert_eq!(process.end().code, Some(130));
}

#[test]
fn it_logs_as_much_as_it_is_told() {
    let log = |args: &[&str], filter: &str| {
        let mut command = sockeye(&[&["serve", "--port", "0"], args].concat());
        command.env("RUST_LOG", filter);
        let mut process = Process::start(command);
        process.address();
        process.signal("INT");
        process.end().stderr
    };
    let is_debug = |line: &String| line.contains("DEBUG") && line.contains("open files");
    assert_eq!(log(&[], ""), [""; 0]);
    assert!(log(&["-vv"], "").iter().any(is_debug));
    assert!(log(&[], "sockeye=debug").iter().any(is_debug));
    assert_eq!(log(&["-vv"], "error"), [""; 0], "the variable decides");
}
