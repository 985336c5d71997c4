//! Compression of large answers to polls, and of files.

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
    /// Brotli's format (RFC 7932).
    #[cfg(feature = "brotli")]
    Brotli,
    /// gzip's format.
    Gzip,
    /// zlib's format: HTTP's `deflate` is not the raw one.
    Deflate,
}

impl Encoding {
    /// All in their order: the one that makes the least of a text first.
    pub const ALL: &[Self] = &[
        #[cfg(feature = "brotli")]
        Self::Brotli,
        Self::Gzip,
        Self::Deflate,
    ];

    /// The coding for what is made anew for every answer, which brotli is too slow for: what an
    /// `Accept-Encoding` likes best, of two that it likes alike the first; none if it names neither (RFC
    /// 9110 §12.5.3). That it may like the plain text better is passed over, as by Node.
    pub(crate) fn accepted(headers: GetAll<'_, HeaderValue>) -> Option<Self> {
        let quick = |(coding, _): &(Self, f32)| matches!(coding, Self::Gzip | Self::Deflate);
        let liked = Self::liked(headers).into_iter().filter(quick);
        let best = liked.reduce(|best, next| if next.1 > best.1 { next } else { best });
        best.map(|(coding, _)| coding)
    }

    /// The coding for what is compressed once and sent often: as above, but of all, and of those that are liked
    /// alike the one that makes the least of it. Browsers like all alike, and name brotli last.
    #[must_use]
    pub fn smallest(headers: GetAll<'_, HeaderValue>) -> Option<Self> {
        let liked = Self::liked(headers);
        let most = liked.iter().map(|(_, weight)| *weight).reduce(f32::max)?;
        Self::ALL.iter().copied().find(|coding| liked.contains(&(*coding, most)))
    }

    /// The codings that are acceptable, those that are named first, and how much each is liked.
    fn liked(headers: GetAll<'_, HeaderValue>) -> Vec<(Self, f32)> {
        let (mut liked, mut any) = (Vec::new(), 0.0);
        for header in headers {
            for coding in header.to_str().unwrap_or_default().split(',') {
                let mut parts = coding.split(';').map(str::trim);
                let name = parts.next().unwrap_or_default().to_ascii_lowercase();
                let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, weight);
                match &*name {
                    #[cfg(feature = "brotli")]
                    "br" => liked.push((Self::Brotli, weight)),
                    "gzip" => liked.push((Self::Gzip, weight)),
                    "deflate" => liked.push((Self::Deflate, weight)),
                    "*" => any = weight,
                    _ => {}
                }
            }
        }
        for coding in Self::ALL {
            if liked.iter().all(|(found, _)| found != coding) {
                liked.push((*coding, any));
            }
        }
        liked.retain(|(_, weight)| *weight > 0.0);
        liked
    }

    /// Its name, for `Content-Encoding`.
    #[must_use]
    pub fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            #[cfg(feature = "brotli")]
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        })
    }

    /// Compresses without holding other tasks up for long. None if the runtime ends meanwhile.
    pub async fn compress(self, bytes: impl AsRef<[u8]> + Send + 'static) -> Option<Vec<u8>> {
        let at_once = match self {
            #[cfg(feature = "brotli")]
            Self::Brotli => false,
            Self::Gzip | Self::Deflate => bytes.as_ref().len() <= AT_ONCE,
        };
        if at_once {
            return Some(self.compress_here(bytes.as_ref()));
        }
        tokio::task::spawn_blocking(move || self.compress_here(bytes.as_ref())).await.ok()
    }

    /// Compresses at the levels that Node has by default: zlib's own, and brotli's best.
    fn compress_here(self, bytes: &[u8]) -> Vec<u8> {
        let (out, level) = (Vec::with_capacity(bytes.len() / 4), Compression::default());
        let compressed = match self {
            // The official script, 154 KB, becomes 31 KB in 200 ms, and at level 5 36 KB in 5 ms: whoever
            // compresses once and sends often wants the former. gzip makes 38 KB of it in 3 ms.
            #[cfg(feature = "brotli")]
            Self::Brotli => {
                let params = brotli::enc::BrotliEncoderParams { quality: 11, ..Default::default() };
                let mut out = out;
                brotli::BrotliCompress(&mut &*bytes, &mut out, &params).map(|_| out)
            }
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

    fn asking(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))])
    }

    fn accepted(value: &'static str) -> Option<Encoding> {
        Encoding::accepted(asking(value).get_all(ACCEPT_ENCODING))
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

    #[cfg(feature = "brotli")]
    #[test]
    fn the_smallest_of_what_is_liked_most() {
        let smallest = |value| Encoding::smallest(asking(value).get_all(ACCEPT_ENCODING));
        assert_eq!(smallest("gzip, deflate, br, zstd"), Some(Encoding::Brotli));
        assert_eq!(smallest("deflate, gzip"), Some(Encoding::Gzip));
        assert_eq!(smallest("br;q=0.9, gzip;q=0.8, deflate"), Some(Encoding::Deflate));
        assert_eq!(smallest("*"), Some(Encoding::Brotli));
        assert_eq!(smallest("*;q=0.5, br;q=0"), Some(Encoding::Gzip));
        assert_eq!(smallest("BR;q=1"), Some(Encoding::Brotli));
        for none in ["", "identity", "br;q=0", "br;q=2"] {
            assert_eq!(smallest(none), None, "{none}");
        }
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
