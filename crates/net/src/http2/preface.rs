//! Which HTTP a client speaks that has not agreed on one by TLS: HTTP/2 begins with a line that is none of
//! HTTP/1.1 (RFC 9113 §3.3, §3.4).

use std::io;

use tokio::io::AsyncRead;

use crate::http::rewind::{MOST, Rewind};

const PREFACE: &[u8; MOST] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How a connection begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preface {
    /// As HTTP/2 does.
    Http2,
    /// In any other way.
    Other,
    /// It ended before its first byte.
    Nothing,
}

/// Reads no more than it takes to tell, all of which is read again later. Dropping the future loses nothing.
pub(crate) async fn begins_with_preface<S: AsyncRead + Unpin>(
    stream: &mut Rewind<S>,
) -> io::Result<Preface> {
    loop {
        let (seen, more) = stream.look().await?;
        match (PREFACE.strip_prefix(seen), more) {
            (_, false) if seen.is_empty() => return Ok(Preface::Nothing),
            (None, _) | (_, false) => return Ok(Preface::Other),
            (Some([]), _) => return Ok(Preface::Http2),
            (Some(_), true) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// Sends these pieces one by one, each only when the one before was looked at; what is made of them, and
    /// what is read then.
    async fn look(pieces: &[&[u8]], ends: bool) -> (Preface, Vec<u8>) {
        let (mut client, server) = duplex(64);
        let mut stream = Rewind::new(server);
        let mut pieces = pieces.iter();
        let preface = {
            let mut looking = std::pin::pin!(begins_with_preface(&mut stream));
            loop {
                tokio::select! {
                    biased;
                    preface = &mut looking => break preface.unwrap(),
                    () = std::future::ready(()) => match pieces.next() {
                        Some(piece) => client.write_all(piece).await.unwrap(),
                        None if ends => client.shutdown().await.unwrap(),
                        None => panic!("it is not clear by then"),
                    },
                }
            }
        };
        for piece in pieces {
            client.write_all(piece).await.unwrap();
        }
        drop(client);
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap();
        (preface, read)
    }

    #[tokio::test]
    async fn the_preface_is_known_however_it_is_cut() {
        let whole = [&PREFACE[..], b"and more"].concat();
        for cut in 0..=whole.len() {
            let (before, behind) = whole.split_at(cut);
            let pieces: Vec<_> = [before, behind].into_iter().filter(|p| !p.is_empty()).collect();
            assert_eq!(look(&pieces, false).await, (Preface::Http2, whole.clone()), "{cut}");
        }
        let bytes: Vec<_> = whole.chunks(1).collect();
        assert_eq!(look(&bytes, false).await, (Preface::Http2, whole.clone()));
    }

    #[tokio::test]
    async fn what_differs_at_any_byte_is_something_else_and_not_lost() {
        for differs in 0..MOST {
            let mut other = *PREFACE;
            other[differs] ^= 0x20;
            let bytes: Vec<_> = other[..=differs].chunks(1).collect();
            let read = other[..=differs].to_vec();
            assert_eq!(look(&bytes, false).await, (Preface::Other, read), "{differs}");
            assert_eq!(look(&[&other], false).await, (Preface::Other, other.to_vec()), "{differs}");
        }
    }

    #[tokio::test]
    async fn a_preface_that_ends_early_is_something_else() {
        assert_eq!(look(&[], true).await, (Preface::Nothing, Vec::new()));
        for end in 1..MOST {
            let read = PREFACE[..end].to_vec();
            assert_eq!(look(&[&PREFACE[..end]], true).await, (Preface::Other, read), "{end}");
        }
    }
}
