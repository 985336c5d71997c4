//! Compression of large answers to polls.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::HeaderValue;
use http::header::GetAll;

/// A coding of HTTP (RFC 9110 §8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Gzip,
    /// zlib's format: HTTP's `deflate` is not the raw one.
    Deflate,
}

impl Encoding {
    /// The coding that an `Accept-Encoding` likes best, gzip where it likes both alike; none if it does
    /// not name them (RFC 9110 §12.5.3) or likes no coding better.
    pub(crate) fn accepted(headers: GetAll<'_, HeaderValue>) -> Option<Self> {
        let (mut gzip, mut deflate, mut identity, mut any) = (None, None, None, None);
        for header in headers {
            for coding in header.to_str().unwrap_or_default().split(',') {
                let mut parts = coding.split(';').map(str::trim);
                let name = parts.next().unwrap_or_default().to_ascii_lowercase();
                let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |weight| {
                    weight
                        .parse::<f32>()
                        .ok()
                        .filter(|weight| (0.0..=1.0).contains(weight))
                        .unwrap_or(0.0)
                });
                match &*name {
                    "gzip" | "x-gzip" => gzip = Some(weight),
                    "deflate" => deflate = Some(weight),
                    "identity" => identity = Some(weight),
                    "*" => any = Some(weight),
                    _ => {}
                }
            }
        }
        let weight = |named: Option<f32>| named.or(any).unwrap_or(0.0);
        let (gzip, deflate) = (weight(gzip), weight(deflate));
        let best = if gzip >= deflate { (Self::Gzip, gzip) } else { (Self::Deflate, deflate) };
        (best.1 > 0.0 && best.1 >= identity.unwrap_or(0.0)).then_some(best.0)
    }

    pub(crate) fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        })
    }

    /// Compresses at zlib's default level, as Node does.
    pub(crate) fn compress(self, bytes: &[u8]) -> Vec<u8> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::{GzDecoder, ZlibDecoder};
    use http::HeaderMap;
    use http::header::ACCEPT_ENCODING;
    use std::io::Read as _;

    fn accepted(value: &'static str) -> Option<Encoding> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(value));
        Encoding::accepted(headers.get_all(ACCEPT_ENCODING))
    }

    #[test]
    fn the_client_chooses() {
        assert_eq!(accepted("gzip, deflate, br"), Some(Encoding::Gzip));
        assert_eq!(accepted("deflate"), Some(Encoding::Deflate));
        assert_eq!(accepted("gzip;q=0.5, deflate"), Some(Encoding::Deflate));
        assert_eq!(accepted("br, *;q=0.1"), Some(Encoding::Gzip));
        assert_eq!(accepted("GZIP ; q=1"), Some(Encoding::Gzip));
        for none in [
            "",
            "br",
            "identity",
            "gzip;q=0",
            "gzip;q=0, *;q=0",
            "identity, gzip;q=0.5",
            "gzip;q=x",
        ] {
            assert_eq!(accepted(none), None, "{none}");
        }
        assert_eq!(Encoding::accepted(HeaderMap::new().get_all(ACCEPT_ENCODING)), None);
    }

    #[test]
    fn what_is_compressed_comes_back() {
        let text = b"4 and again ".repeat(1000);
        let mut back = Vec::new();
        GzDecoder::new(&*Encoding::Gzip.compress(&text)).read_to_end(&mut back).unwrap();
        assert_eq!(back, text);
        back.clear();
        ZlibDecoder::new(&*Encoding::Deflate.compress(&text)).read_to_end(&mut back).unwrap();
        assert_eq!(back, text);
    }
}
