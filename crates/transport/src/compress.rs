//! Compression of large answers to polls.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::HeaderValue;
use http::header::GetAll;

/// So many bytes are compressed where they are, which takes 0.1 ms; more of them on a thread of their own,
/// because 64 KiB take 0.6 ms already, and 1 MiB takes 13 (events in JSON, release build).
const AT_ONCE: usize = 16 * 1024;

/// A coding of HTTP (RFC 9110 §8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// gzip's format.
    Gzip,
    /// zlib's format: HTTP's `deflate` is not the raw one.
    Deflate,
}

impl Encoding {
    /// The coding that an `Accept-Encoding` likes best, of two that it likes alike the first; none if it
    /// names neither (RFC 9110 §12.5.3). That it may like the plain text better is passed over, as by Node.
    #[must_use]
    pub fn accepted(headers: GetAll<'_, HeaderValue>) -> Option<Self> {
        let (mut named, mut any) = (Vec::new(), 0.0);
        for header in headers {
            for coding in header.to_str().unwrap_or_default().split(',') {
                let mut parts = coding.split(';').map(str::trim);
                let name = parts.next().unwrap_or_default().to_ascii_lowercase();
                let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, weight);
                match &*name {
                    "gzip" => named.push((Self::Gzip, weight)),
                    "deflate" => named.push((Self::Deflate, weight)),
                    "*" => any = weight,
                    _ => {}
                }
            }
        }
        for coding in [Self::Gzip, Self::Deflate] {
            if named.iter().all(|(found, _)| *found != coding) {
                named.push((coding, any));
            }
        }
        let best = named.into_iter().reduce(|best, next| if next.1 > best.1 { next } else { best });
        best.filter(|(_, weight)| *weight > 0.0).map(|(coding, _)| coding)
    }

    /// Its name, for `Content-Encoding`.
    #[must_use]
    pub fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        })
    }

    /// Compresses without holding other tasks up for long. None if the runtime ends meanwhile.
    pub(crate) async fn compress(self, bytes: Vec<u8>) -> Option<Vec<u8>> {
        if bytes.len() <= AT_ONCE {
            return Some(self.compress_here(&bytes));
        }
        tokio::task::spawn_blocking(move || self.compress_here(&bytes)).await.ok()
    }

    /// Compresses at zlib's default level, as Node does.
    #[must_use]
    pub fn compress_here(self, bytes: &[u8]) -> Vec<u8> {
        let (out, level) = (Vec::with_capacity(bytes.len() / 4), Compression::default());
        let compressed = match self {
            Self::Gzip => {
                let mut encoder = GzEncoder::new(out, level);
                encoder.write_all(bytes).and_then(|()| encoder.finish())
            }
            Self::Deflate => {
                let mut encoder = ZlibEncoder::new(out, level);
                encoder.write_all(bytes).and_then(|()| encoder.finish())
            }
        };
        compressed.expect("a vector takes every byte")
    }
}

/// A quality value (RFC 9110 §12.4.2); what is none is taken for zero.
fn weight(text: &str) -> f32 {
    let weight = text.parse().ok();
    weight.filter(|weight| (0.0..=1.0).contains(weight)).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::{GzDecoder, ZlibDecoder};
    use http::HeaderMap;
    use http::header::ACCEPT_ENCODING;
    use std::io::Read as _;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    fn accepted(value: &'static str) -> Option<Encoding> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(value));
        Encoding::accepted(headers.get_all(ACCEPT_ENCODING))
    }

    #[test]
    fn the_client_chooses() {
        assert_eq!(accepted("gzip, deflate, br"), Some(Encoding::Gzip));
        assert_eq!(accepted("deflate, gzip"), Some(Encoding::Deflate));
        assert_eq!(accepted("gzip;q=0.5, deflate"), Some(Encoding::Deflate));
        assert_eq!(accepted("br, *;q=0.1"), Some(Encoding::Gzip));
        assert_eq!(accepted("*, gzip;q=0"), Some(Encoding::Deflate));
        assert_eq!(accepted("GZIP ; q=1"), Some(Encoding::Gzip));
        assert_eq!(accepted("identity, gzip;q=0.5"), Some(Encoding::Gzip));
        for none in ["", "br", "identity", "gzip;q=0", "gzip;q=0, *;q=0", "gzip;q=x"] {
            assert_eq!(accepted(none), None, "{none}");
        }
        assert_eq!(Encoding::accepted(HeaderMap::new().get_all(ACCEPT_ENCODING)), None);
    }

    #[test]
    fn what_is_compressed_comes_back() {
        let text = b"4 and again ".repeat(1000);
        let mut back = Vec::new();
        GzDecoder::new(&*Encoding::Gzip.compress_here(&text)).read_to_end(&mut back).unwrap();
        assert_eq!(back, text);
        back.clear();
        ZlibDecoder::new(&*Encoding::Deflate.compress_here(&text)).read_to_end(&mut back).unwrap();
        assert_eq!(back, text);
    }
    #[test]
    fn a_large_text_is_not_compressed_on_the_runtimes_thread() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        // The only other thread has something else to do.
        let (go, wait) = std::sync::mpsc::channel();
        let busy = runtime.spawn_blocking(move || wait.recv().unwrap());
        runtime.block_on(async {
            let small = b"4 and again ".repeat(10);
            let mut compressing = pin!(Encoding::Gzip.compress(small));
            assert!(is_ready(compressing.as_mut()).is_some());
            let large = b"4 and again ".repeat(10_000);
            let mut compressing = pin!(Encoding::Gzip.compress(large.clone()));
            assert!(is_ready(compressing.as_mut()).is_none());
            go.send(()).unwrap();
            busy.await.unwrap();
            let mut back = Vec::new();
            let compressed = compressing.await.unwrap();
            GzDecoder::new(&*compressed).read_to_end(&mut back).unwrap();
            assert_eq!(back, large);
        });
    }

    fn is_ready<T>(future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }
}
