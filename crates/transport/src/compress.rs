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
    /// The coding that an `Accept-Encoding` likes best, of two that it likes alike the first; none if it
    /// names neither (RFC 9110 §12.5.3). That it may like the plain text better is passed over, as by Node.
    pub(crate) fn accepted(headers: GetAll<'_, HeaderValue>) -> Option<Self> {
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
        GzDecoder::new(&*Encoding::Gzip.compress(&text)).read_to_end(&mut back).unwrap();
        assert_eq!(back, text);
        back.clear();
        ZlibDecoder::new(&*Encoding::Deflate.compress(&text)).read_to_end(&mut back).unwrap();
        assert_eq!(back, text);
    }
}
