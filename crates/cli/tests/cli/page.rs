//! The page's files over HTTP.

use crate::client::get;
use crate::process::Process;

const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const SCRIPT: &str = "text/javascript; charset=utf-8";

#[test]
fn the_files_are_served_as_the_protocol_says() {
    let (_process, address) = Process::serve();
    for (path, content_type, content) in [
        ("/", "text/html; charset=utf-8", include_str!("../../page/index.html")),
        ("/chat.css", "text/css; charset=utf-8", include_str!("../../page/chat.css")),
        ("/chat.js", SCRIPT, include_str!("../../page/chat.js")),
        ("/connection.js", SCRIPT, include_str!("../../page/connection.js")),
        ("/view.js", SCRIPT, include_str!("../../page/view.js")),
        ("/state.js", SCRIPT, include_str!("../../page/state.js")),
        ("/favicon.svg", "image/svg+xml", include_str!("../../page/favicon.svg")),
    ] {
        let file = get(address, path, "");
        assert_eq!(file.status, 200, "{path}");
        assert_eq!(file.header("content-type"), Some(content_type));
        assert_eq!(file.header("content-security-policy"), Some(POLICY));
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(file.header("cache-control"), Some("no-cache"));
        assert!(file.body == content.as_bytes(), "{path}");

        let etag = file.header("etag").unwrap();
        let again = get(address, path, &format!("If-None-Match: {etag}\r\n"));
        assert_eq!((again.status, again.body.len()), (304, 0));
        assert_eq!(again.header("etag"), Some(etag));
    }
}

#[test]
fn the_browser_client_is_served_and_nothing_else() {
    let (_process, address) = Process::serve();
    let client = get(address, "/socket.io/socket.io.js", "");
    assert_eq!(client.status, 200);
    assert_eq!(client.header("content-type"), Some("application/javascript; charset=utf-8"));
    for path in ["/index.html", "/PROTOCOL.md", "/../Cargo.toml", "/socket.io"] {
        let missing = get(address, path, "");
        assert_eq!(missing.status, 404, "{path}");
        assert_eq!(missing.header("x-content-type-options"), Some("nosniff"));
    }
}
