//! What a proxy does that does not know `Upgrade`: it is a hop-by-hop header, so it goes no further
//! (RFC 9110 §7.6.1).

/// A head that is longer is handed through: no test's is.
const MAX_HEAD: usize = 64 * 1024;

/// A client's stream of requests, without their `Upgrade`.
#[derive(Debug, Default)]
pub(super) struct Strip {
    stage: Stage,
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Stage {
    #[default]
    Head,
    /// So many bytes of a body are still to come.
    Body(usize),
    /// No requests, or none that are understood here.
    Through,
}

impl Strip {
    /// Takes what came, and gives what goes on: of a head that is not complete, nothing.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let mut out = Vec::new();
        loop {
            match self.stage {
                Stage::Head => {
                    let end = self.held.windows(4).position(|end| end == b"\r\n\r\n");
                    let Some(end) = end.map(|at| at + 4) else {
                        if self.held.len() <= MAX_HEAD {
                            return out;
                        }
                        self.stage = Stage::Through;
                        continue;
                    };
                    let head: Vec<u8> = self.held.drain(..end).collect();
                    self.stage = strip(&head, &mut out);
                }
                Stage::Body(0) => self.stage = Stage::Head,
                Stage::Body(left) => {
                    if self.held.is_empty() {
                        return out;
                    }
                    let some = left.min(self.held.len());
                    out.extend(self.held.drain(..some));
                    self.stage = Stage::Body(left - some);
                }
                Stage::Through => {
                    out.append(&mut self.held);
                    return out;
                }
            }
        }
    }

    /// No more comes: what was held back, as it is.
    pub(super) fn end(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

/// Writes a whole head without its upgrade. Says what follows it.
fn strip(head: &[u8], out: &mut Vec<u8>) -> Stage {
    let Some((request, headers)) = std::str::from_utf8(head)
        .ok()
        .and_then(|head| head.strip_suffix("\r\n\r\n"))
        .map(|head| head.split_once("\r\n").unwrap_or((head, "")))
        .filter(|(request, _)| request.ends_with(" HTTP/1.1"))
    else {
        out.extend_from_slice(head);
        return Stage::Through;
    };
    let mut line = |line: &str| {
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b"\r\n");
    };
    let mut next = Stage::Head;
    line(request);
    for header in headers.split_terminator("\r\n") {
        let (name, value) = header.split_once(':').unwrap_or((header, ""));
        match name.to_ascii_lowercase().as_str() {
            "upgrade" => {}
            "connection" => {
                let words = value.split(',').map(str::trim);
                let words: Vec<_> =
                    words.filter(|word| !word.eq_ignore_ascii_case("upgrade")).collect();
                if !words.is_empty() {
                    line(&format!("{name}: {}", words.join(", ")));
                }
            }
            "content-length" => {
                next = value.trim().parse().map_or(Stage::Through, Stage::Body);
                line(header);
            }
            "transfer-encoding" => {
                line(header);
                // Whatever the lines behind it say of a length.
                next = Stage::Through;
            }
            _ => line(header),
        }
    }
    line("");
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPGRADE: &str = "GET /socket.io/ HTTP/1.1\r\nHost: a\r\nUPGRADE: websocket\r\n\
        Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n";
    const STRIPPED: &str = "GET /socket.io/ HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";
    const POST: &str =
        "POST / HTTP/1.1\r\nContent-Length: 27\r\n\r\n\r\n\r\nUpgrade: websocket\r\n\r\n!";

    /// The stream in chunks of every size, and whole.
    #[track_caller]
    fn is(stream: &str, stripped: &str) {
        for size in 1..=stream.len() {
            let mut strip = Strip::default();
            let mut out = Vec::new();
            for chunk in stream.as_bytes().chunks(size) {
                out.extend(strip.pass(chunk));
            }
            out.extend(strip.end());
            assert_eq!(String::from_utf8(out).unwrap(), stripped, "in chunks of {size}");
        }
    }

    #[test]
    fn every_request_of_a_connection_loses_its_upgrade_and_no_body_does() {
        is(UPGRADE, STRIPPED);
        is(&[POST, UPGRADE, POST, UPGRADE].concat(), &[POST, STRIPPED, POST, STRIPPED].concat());
        is(
            "GET / HTTP/1.1\r\nConnection: upgrade\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        );
    }

    #[test]
    fn what_is_not_understood_goes_through() {
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        is(&[chunked, UPGRADE].concat(), &[chunked, UPGRADE].concat());
        let other = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        is(&[other, UPGRADE].concat(), &[other, UPGRADE].concat());
        is(&UPGRADE[..40], &UPGRADE[..40]);
        let endless = vec![b'x'; MAX_HEAD + 1];
        assert_eq!(Strip::default().pass(&endless), endless);
    }

    #[test]
    fn a_complete_head_is_not_held_back() {
        let mut strip = Strip::default();
        assert_eq!(strip.pass(UPGRADE.as_bytes()), STRIPPED.as_bytes());
        assert_eq!(strip.pass(POST.as_bytes()), POST.as_bytes());
    }
}
