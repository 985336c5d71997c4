//! The client that browsers load.

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;

use flate2::read::{GzDecoder, ZlibDecoder};
use sockeye_server::{Server, ServerBuilder};
use sockeye_testkit::peer::{Response, http};

use crate::harness::{FACES, Running, root, serve};

fn builder() -> ServerBuilder {
    Server::builder().namespace(root())
}

async fn get(server: &Running, name: &str, headers: &str) -> Response {
    let request = format!("GET /socket.io/{name} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    http(server.address, &request).await
}

#[tokio::test]
async fn the_script_and_the_module() {
    for face in FACES {
        let server = face.serve(builder()).await;
        for name in ["socket.io.js", "socket.io.min.js", "socket.io.esm.min.js"] {
            let response = get(&server, name, "").await;
            assert_eq!(response.status, 200, "{face:?} {name}");
            let kind = response.header("content-type");
            assert_eq!(kind, Some("application/javascript; charset=utf-8"));
            assert_eq!(response.header("cache-control"), Some("public, max-age=0"));
            assert!(response.text().contains("io"), "{name}");
            assert!(!response.header("etag").unwrap().is_empty());
        }
        // A query does not change the file.
        let response = get(&server, "socket.io.js?v=1", "").await;
        assert_eq!(response.status, 200);
    }
}

#[tokio::test]
async fn a_known_version_is_not_sent_again() {
    let server = serve(builder()).await;
    let first = get(&server, "socket.io.js", "").await;
    let etag = first.header("etag").unwrap();
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    for known in [etag, &format!("W/{etag}"), &format!("\"other\", {etag}")] {
        let again = get(&server, "socket.io.js", &format!("If-None-Match: {known}\r\n")).await;
        assert_eq!(again.status, 304, "{known}");
        assert_eq!(again.header("etag"), Some(etag));
        assert!(again.body.is_empty());
    }
    let changed = get(&server, "socket.io.js", "If-None-Match: \"other\"\r\n").await;
    assert_eq!(changed.status, 200);
    assert_eq!(changed.body, first.body);
}

#[tokio::test]
async fn without_a_client_there_is_none() {
    let server = serve(builder().without_client()).await;
    let unknown = "{\"code\":0,\"message\":\"Transport unknown\"}";
    let response = get(&server, "socket.io.js", "").await;
    assert_eq!((response.status, response.text()), (400, unknown));
    // Nor is there one of another name, where there is one.
    let server = serve(builder()).await;
    for name in ["socket.io.other.js", "socket.io.js.gz", "secret"] {
        let response = get(&server, name, "").await;
        assert_eq!((response.status, response.text()), (400, unknown), "{name}");
    }
}

#[tokio::test]
async fn it_is_compressed_for_who_accepts_it() {
    for face in FACES {
        let server = face.serve(builder()).await;
        let plain = get(&server, "socket.io.js", "").await;
        assert_eq!(plain.header("vary"), Some("Accept-Encoding"));
        for (accepted, encoding) in [
            ("gzip, deflate, zstd", Some("gzip")),
            ("deflate", Some("deflate")),
            ("gzip;q=0.8, br;q=0.7", Some("gzip")),
            #[cfg(feature = "brotli")]
            ("gzip, deflate, br, zstd", Some("br")),
            #[cfg(not(feature = "brotli"))]
            ("gzip, deflate, br, zstd", Some("gzip")),
            ("zstd", None),
        ] {
            for _ in 0..2 {
                let headers = format!("Accept-Encoding: {accepted}\r\n");
                let answer = get(&server, "socket.io.js", &headers).await;
                assert_eq!(answer.header("content-encoding"), encoding, "{face:?} {accepted}");
                assert_eq!(decoded(&answer), plain.body, "{face:?} {accepted}");
                assert_eq!(answer.body.len() < plain.body.len() / 2, encoding.is_some());
                assert_eq!(answer.header("etag"), plain.header("etag"));
            }
        }
    }
}

/// The body as it was before it was compressed.
fn decoded(response: &Response) -> Vec<u8> {
    let (mut body, mut out) = (&*response.body, Vec::new());
    match response.header("content-encoding") {
        Some("br") => brotli::BrotliDecompress(&mut body, &mut out).unwrap(),
        Some("gzip") => drop(GzDecoder::new(body).read_to_end(&mut out).unwrap()),
        Some("deflate") => drop(ZlibDecoder::new(body).read_to_end(&mut out).unwrap()),
        other => {
            assert_eq!(other, None);
            out.extend_from_slice(body);
        }
    }
    out
}

/// A directory that is gone afterwards.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sockeye-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn the_official_bundles_instead() {
    let directory = Directory::new("bundles");
    fs::write(directory.0.join("socket.io.js"), "official").unwrap();
    fs::write(directory.0.join("socket.io.js.map"), "{}").unwrap();
    fs::write(directory.0.join("socket.io.msgpack.min.js"), "msgpack").unwrap();
    fs::write(directory.0.join("secret.txt"), "secret").unwrap();
    let server = serve(builder().serve_client(&directory.0).unwrap()).await;
    assert_eq!(get(&server, "socket.io.js", "").await.text(), "official");
    let post = "POST /socket.io/socket.io.js HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(http(server.address, post).await.text(), "official");
    assert_eq!(get(&server, "socket.io.msgpack.min.js", "").await.text(), "msgpack");
    let map = get(&server, "socket.io.js.map", "").await;
    assert_eq!(map.header("content-type"), Some("application/json; charset=utf-8"));
    for (name, plain) in [("socket.io.js", "official"), ("socket.io.js.map", "{}")] {
        let answer = get(&server, name, "Accept-Encoding: gzip, br\r\n").await;
        assert!(answer.header("content-encoding").is_some(), "{name}");
        assert_eq!(decoded(&answer), plain.as_bytes(), "{name}");
    }
    for hidden in ["secret.txt", "../secret.txt", "socket.io.esm.min.js", "%2e%2e/secret.txt"] {
        let response = get(&server, hidden, "").await;
        assert!((400..500).contains(&response.status), "{hidden}");
    }
}

#[tokio::test]
async fn a_directory_without_bundles_is_an_error() {
    let directory = Directory::new("empty");
    assert!(builder().serve_client(&directory.0).is_err());
    assert!(builder().serve_client(directory.0.join("missing")).is_err());
}
