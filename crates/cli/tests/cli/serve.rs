//! `sockeye serve` from its start to its end.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use sockeye::tls::{ClientConfig, Connector};
use sockeye::websocket;

use crate::client::{Client, connect, get, post};
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
fn a_bad_value_is_an_error_that_says_what_is_wrong() {
    for (flag, value, reason) in [
        ("--path", "/", "the path / is the chat page's"),
        ("--path", "a\"b", "letters, digits"),
        ("--path", "/a/../b", "letters, digits"),
        ("--transports", "polling,webtransport", "possible values: polling, websocket"),
        ("--cors-origin", "app.example", "is no origin"),
        ("--cors-origin", "https://app.example/", "slash"),
        ("--trusted-proxy", "10.0.0.0/33", "10.0.0.0/33"),
        ("--max-connections", "0", "zero"),
        ("--max-connections-per-address", "many", "invalid digit"),
        ("--ping-interval", "25", "ms, s or m"),
        ("--ping-timeout", "0s", "positive"),
        ("--max-payload", "-1", "unexpected argument"),
    ] {
        let (code, stderr) = fail(sockeye(&["serve", flag, value]));
        assert_eq!(code, Some(2), "{flag} {value}");
        assert!(stderr[0].starts_with("error: "), "{stderr:?}");
        assert!(stderr.iter().any(|line| line.contains(reason)), "{flag} {value}: {stderr:?}");
    }
    // Without a proxy to trust they mean nothing.
    for args in [&["serve", "--proxy-protocol"][..], &["serve", "--forwarded-by", "forwarded"]] {
        let (code, stderr) = fail(sockeye(args));
        assert_eq!(code, Some(2), "{args:?}");
        assert!(stderr.iter().any(|line| line.contains("--trusted-proxy")), "{stderr:?}");
    }
}

/// A server with these flags, and its address.
fn serve_with(flags: &[&str]) -> (Process, std::net::SocketAddr) {
    let process = Process::start(sockeye(&[&["serve", "--port", "0"], flags].concat()));
    let address = process.address();
    (process, address)
}

const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";

#[test]
fn the_flags_reach_the_server() {
    let (process, address) = serve_with(&[
        "--path=/chat/io/",
        "--cors-origin=https://app.example",
        "--cors-origin=http://localhost:5173",
        "--ping-interval=1500ms",
        "--ping-timeout=2m",
        "--max-payload=4321",
        "--transports=polling",
    ]);
    assert!(process.stdout().contains("/chat/io/"));
    assert_eq!(get(address, HANDSHAKE, "").status, 404);
    let handshake = "/chat/io/?EIO=4&transport=polling";
    let opened = get(address, handshake, "Origin: http://localhost:5173\r\n");
    let allowed = opened.header("access-control-allow-origin");
    assert_eq!(allowed, Some("http://localhost:5173"));
    let packet = String::from_utf8(opened.body).unwrap();
    let rest = "\"upgrades\":[],\"pingInterval\":1500,\"pingTimeout\":120000,\"maxPayload\":4321}";
    assert!(packet.ends_with(rest), "{packet}");
    assert_eq!(get(address, handshake, "Origin: http://other\r\n").status, 403);
    // The page knows where it is.
    let page = String::from_utf8(get(address, "/", "").body).unwrap();
    let client = "<script src=\"/chat/io/socket.io.js\" data-transports=\"polling\">";
    assert!(page.contains(client), "{page}");
    assert_eq!(get(address, "/chat/io/socket.io.js", "").status, 200);

    let old = "/socket.io/?EIO=3&transport=polling";
    let (_process, address) = serve_with(&[]);
    assert_eq!(get(address, old, "").status, 400);
    let (_process, address) = serve_with(&["--allow-eio3"]);
    let opened = String::from_utf8(get(address, old, "").body).unwrap();
    assert!(opened.contains(":0{\"sid\":"), "{opened}");

    let (_process, address) = serve_with(&["--cors-origin=*", "--transports=websocket"]);
    let refused = get(address, HANDSHAKE, "Origin: http://other\r\n");
    assert_eq!(refused.status, 400);
    assert_eq!(refused.header("access-control-allow-origin"), Some("*"));
}

#[test]
fn websockets_are_compressed_where_that_is_asked_for() {
    for (flags, agreed) in [(&[][..], false), (&["--compression"], true)] {
        let (_process, address) = serve_with(flags);
        let mut stream = connect(address);
        let request = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\n\
            Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
            Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let lines = BufReader::new(stream).lines().map(Result::unwrap);
        let answer = lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>();
        let answer = answer.join("\n").to_lowercase();
        assert!(answer.starts_with("http/1.1 101 "), "{answer}");
        let header = "sec-websocket-extensions: permessage-deflate";
        assert_eq!(answer.contains(header), agreed, "{flags:?}: {answer}");
    }
}

#[test]
fn connections_are_limited() {
    for flags in [
        &["--max-connections=1"][..],
        &["--max-connections-per-address=1"],
        // Those of a proxy that is not trusted count as any other's.
        &["--max-connections-per-address=1", "--trusted-proxy=192.0.2.0/24", "--proxy-protocol"],
    ] {
        let (_process, address) = serve_with(flags);
        let _first = Client::connect(address);
        let mut second = connect(address);
        assert_eq!(second.read(&mut [0]).unwrap_or(0), 0, "{flags:?}");
    }
}

#[test]
fn trusted_proxies_are_believed() {
    let limited = ["--max-connections-per-address=1", "--trusted-proxy=127.0.0.0/8"];
    for (by, header) in [("x-forwarded-for", "X-Forwarded-For: "), ("forwarded", "Forwarded: for=")]
    {
        let (_process, address) = serve_with(&[&limited[..], &["--forwarded-by", by]].concat());
        for (client, status) in [("192.0.2.1", 200), ("192.0.2.2", 200), ("192.0.2.1", 503)] {
            let headers = format!("{header}{client}\r\n");
            assert_eq!(get(address, HANDSHAKE, &headers).status, status, "{by} {client}");
        }
    }

    let (_process, address) = serve_with(&[&limited[..], &["--proxy-protocol"]].concat());
    let mut held = Vec::new();
    for (client, is_served) in [("192.0.2.1", true), ("192.0.2.2", true), ("192.0.2.1", false)] {
        let mut stream = connect(address);
        let header = format!("PROXY TCP4 {client} 192.0.2.9 1000 80\r\n");
        let head = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all([header, head.to_owned()].concat().as_bytes()).unwrap();
        let served = stream.read(&mut [0]).unwrap_or(0) > 0;
        assert_eq!(served, is_served, "{client}");
        held.push(stream);
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
    for (signal, over) in [("INT", ""), ("TERM", " over 10s")] {
        let (mut process, address) = Process::serve();
        process.stdout();
        let mut client = Client::enter(address, "Ann");
        process.signal(signal);
        // One client leaves at once, however long the window.
        assert_eq!(process.stdout(), format!("Closing 1 connection{over}."));
        while client.receive().is_some() {}
        drop(client);
        let well = End { code: Some(0), stdout: vec![], stderr: vec![] };
        assert_eq!(process.end(), well, "{signal}");
    }
}

/// As a load balancer and a client see a deploy: the one is told, the other stays until its turn.
#[test]
fn it_drains_on_sigterm() {
    let (mut process, address) = serve_with(&["--drain", "1m"]);
    process.stdout();
    let ready = || {
        let answer = get(address, "/ready", "");
        (answer.status, String::from_utf8(answer.body).unwrap())
    };
    assert_eq!(ready(), (200, "ready\n".to_owned()));
    let _clients = [Client::enter(address, "Ann"), Client::enter(address, "Ben")];
    process.signal("TERM");
    assert_eq!(process.stdout(), "Closing 2 connections over 60s.");
    assert_eq!(ready(), (503, "not ready\n".to_owned()));
    let refused = get(address, HANDSHAKE, "");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("5")));
    process.signal("INT");
    assert_eq!(process.end().code, Some(130));
}

/// The process is killed, and its successor knows the clients.
#[test]
fn recovery_outlives_the_process() {
    let scratch = Scratch::new("recovery");
    let directory = scratch.file("kept");
    let flags = ["--recovery", &directory];
    let connect = |address, connect: &str| {
        let opened = String::from_utf8(get(address, HANDSHAKE, "").body).unwrap();
        let sid = &opened["0{\"sid\":\"".len()..][..20];
        let target = format!("{HANDSHAKE}&sid={sid}");
        assert_eq!(post(address, &target, connect).body, b"ok");
        let reply = String::from_utf8(get(address, &target, "").body).unwrap();
        let field = |name: &str| -> String {
            let (_, rest) = reply.split_once(&format!("\"{name}\":\"")).unwrap();
            rest.split('"').next().unwrap().to_owned()
        };
        (field("sid"), field("pid"))
    };
    let (first, address) = serve_with(&flags);
    let (id, pid) = connect(address, "40");
    first.signal("KILL");
    drop(first);
    let (_second, address) = serve_with(&flags);
    assert_eq!(connect(address, &format!("40{{\"pid\":\"{pid}\"}}")), (id, pid));
}

#[test]
fn metrics_have_a_listener_of_their_own() {
    let (mut process, address) = serve_with(&["--metrics", "127.0.0.1:0"]);
    process.stdout();
    let line = process.stdout();
    let url = line.strip_prefix("Prometheus finds its metrics at http://").unwrap();
    let metrics = url.strip_suffix("/metrics").unwrap().parse().unwrap();
    let _client = Client::enter(address, "Ann");
    assert_eq!(get(address, "/metrics", "").status, 404);
    let page = get(metrics, "/metrics", "");
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((page.status, page.header("content-type")), (200, Some(content_type)));
    let page = String::from_utf8(page.body).unwrap();
    for line in [
        "sockeye_sessions{transport=\"websocket\"} 1",
        "sockeye_sockets{namespace=\"/\"} 1",
        "sockeye_handshakes_refused_total{reason=\"unknown_transport\"} 0",
        "sockeye_acks_total{outcome=\"answered\"} 0",
        "# TYPE sockeye_handler_duration_seconds histogram",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
    assert!(page.ends_with("# EOF\n"), "{page}");
    process.signal("INT");
    process.end();
}

#[test]
fn debug_names_the_scopes_of_the_official_server() {
    let log = |scopes: &str| {
        let mut command = sockeye(&["serve", "--port", "0"]);
        command.env("DEBUG", scopes);
        let mut process = Process::start(command);
        let address = process.address();
        assert_eq!(get(address, "/socket.io/?EIO=4&transport=nope", "").status, 400);
        process.signal("INT");
        process.end().stderr
    };
    let is_refusal = |line: &String| line.contains("DEBUG engine: refused");
    for scopes in ["engine", "*", "socket.io*,eng*"] {
        assert!(log(scopes).iter().any(is_refusal), "{scopes}");
    }
    for scopes in ["", "socket.io*", "*,-engine"] {
        assert!(!log(scopes).iter().any(is_refusal), "{scopes}");
    }
}

#[test]
fn debug_tells_the_life_of_a_client_scope_by_scope() {
    let log = |scopes: &str| {
        let mut command = sockeye(&["serve", "--port", "0"]);
        command.env("DEBUG", scopes);
        let mut process = Process::start(command);
        let address = process.address();
        drop(Client::enter(address, "Ann"));
        process.signal("INT");
        process.end().stderr
    };
    let told = |log: &[String], parts: &[&str]| {
        log.iter().any(|line| parts.iter().all(|part| line.contains(part)))
    };
    let socketio = log("socket.io*");
    for parts in [
        &["socket.io:namespace: a socket wants to be let in", "namespace=\"/\""][..],
        &["socket.io:socket: connected", "namespace=\"/\""],
        &["socket.io:socket: leaves the namespace"],
    ] {
        assert!(told(&socketio, parts), "{parts:?} is not in\n{socketio:#?}");
    }
    assert!(!told(&socketio, &[" engine"]), "{socketio:#?}");
    let engine = log("engine*");
    for parts in [&["engine: a session opens", "websocket"], &["engine:socket: ", "session ends"]] {
        assert!(told(&engine, parts), "{parts:?} is not in\n{engine:#?}");
    }
    assert!(!told(&engine, &["socket.io:"]), "{engine:#?}");
}

#[test]
fn a_client_that_polls_hears_the_end() {
    let (mut process, address) = Process::serve();
    process.stdout();
    let opened = String::from_utf8(get(address, HANDSHAKE, "").body).unwrap();
    let sid = &opened["0{\"sid\":\"".len()..][..20];
    process.signal("INT");
    assert_eq!(process.stdout(), "Closing 1 connection.");
    assert_eq!(get(address, &format!("{HANDSHAKE}&sid={sid}"), "").body, b"1server shutting down");
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
    assert!(process.stdout().starts_with("Closing 1 connection"));
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

/// A directory for files that are removed with this.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("sockeye-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A certificate for localhost and its key, in files that are removed with this.
struct Certificate {
    scratch: Scratch,
    pem: String,
}

impl Certificate {
    fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let pem = made.cert.pem();
        fs::write(scratch.file("certificate.pem"), &pem).unwrap();
        fs::write(scratch.file("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { scratch, pem }
    }

    fn file(&self, name: &str) -> String {
        self.scratch.file(name)
    }
}

#[test]
fn with_a_certificate_it_speaks_tls() {
    let certificate = Certificate::new("tls");
    let files = [certificate.file("certificate.pem"), certificate.file("key.pem")];
    let args = ["serve", "--port", "0", "--tls-cert", &files[0], "--tls-key", &files[1]];
    let process = Process::start(sockeye(&args));
    let line = process.stdout();
    let (_, rest) = line.split_once("https://127.0.0.1:").unwrap();
    let port: u16 = rest.split(' ').next().unwrap().parse().unwrap();
    let url = format!("wss://localhost:{port}/socket.io/?EIO=4&transport=websocket");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let open = runtime.block_on(async {
        let config = ClientConfig::new().roots_from_pem(certificate.pem.as_bytes()).unwrap();
        let client = websocket::Client::new().tls(Arc::new(Connector::new(config).unwrap()));
        client.connect(&url).await.unwrap().recv().await.unwrap()
    });
    assert!(open.as_text().unwrap().starts_with("0{\"sid\":"), "{open:?}");
}

#[test]
fn a_bad_certificate_is_an_error_that_names_the_file() {
    let certificate = Certificate::new("bad-tls");
    let missing = certificate.file("nothing.pem");
    let key = certificate.file("key.pem");
    let serve = |args: &[&str]| fail(sockeye(&[&["serve", "--port", "0"], args].concat()));
    let (code, stderr) = serve(&["--tls-cert", &missing, "--tls-key", &key]);
    assert_eq!(code, Some(1));
    assert!(stderr[0].starts_with("error: no TLS: "), "{stderr:?}");
    assert!(stderr[0].contains("nothing.pem"), "{stderr:?}");
    // The key is no certificate.
    let (code, stderr) = serve(&["--tls-cert", &key, "--tls-key", &key]);
    assert_eq!(code, Some(1));
    assert!(stderr[0].contains("key.pem"), "{stderr:?}");
    let (code, stderr) = serve(&["--tls-cert", &key]);
    assert_eq!(code, Some(2), "{stderr:?}");
}
