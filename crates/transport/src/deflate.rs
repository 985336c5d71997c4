//! permessage-deflate on the websockets of an engine's sessions (RFC 7692): what is agreed on, and what
//! the frames of an entry become by it.
//!
//! Any of an entry's wire forms can be compressed: it is made as for everybody else, and its frames are
//! gone through. Without context takeover the result is the same for all sessions with one window, so it is
//! kept with the packet, and made once: when the packet is pushed to the first of them, by who pushes,
//! outside of every lock. With takeover a session compresses for itself, when its outbox is drained, under its
//! own writer's lock.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use http::header::SEC_WEBSOCKET_EXTENSIONS;
use http::{HeaderMap, HeaderValue};
use sockeye_hub::{Compressed, Packet};
use sockeye_net::{Cork, with_compressors};
use sockeye_websocket::deflate::{self, Budget, Compressor, Context, Grant, Params, WindowBits};
use sockeye_websocket::{self as websocket, Head, OpCode, Role};

use crate::config::Config;
use crate::shared::Form;

/// The windows that can be agreed on: 8 to 15 bits.
const WINDOWS: usize = 8;

/// What an engine agrees to.
pub(crate) struct Deflate {
    config: Arc<deflate::Config>,
    budget: Arc<Budget>,
    /// What sessions without context takeover have in common, for each window of ours.
    common: [OnceLock<Arc<Deflating>>; WINDOWS],
}

/// What one session has agreed on.
pub(crate) struct Deflating {
    params: Params,
    config: Arc<deflate::Config>,
    /// There if messages of this end may refer to earlier ones.
    compressor: Option<Mutex<Compressor>>,
    /// The memory for context takeover, in either direction.
    _grant: Option<Grant>,
}

impl Deflate {
    /// None if the engine agrees to no compression.
    pub(crate) fn new(config: &Config) -> Option<Self> {
        Some(Self {
            config: Arc::new(config.compression.clone()?),
            budget: config.takeover_budget.clone(),
            common: Default::default(),
        })
    }

    /// Accepts the first offer in a handshake's headers that is valid, and says so in the answer's.
    pub(crate) fn agree(
        &self,
        request: &HeaderMap,
        response: &mut HeaderMap,
    ) -> Option<Arc<Deflating>> {
        let offers = request.get_all(SEC_WEBSOCKET_EXTENSIONS).iter().map(HeaderValue::as_bytes);
        let answer = deflate::answer(offers, &self.config)?;
        let (answer, grant) = answer.within(&self.budget, &self.config.compression);
        let value = HeaderValue::from_str(&answer.to_string()).expect("parameters are ASCII");
        response.insert(SEC_WEBSOCKET_EXTENSIONS, value);
        let params = answer.params();
        if grant.is_some() {
            return Some(Arc::new(self.deflating(params, grant)));
        }
        // How far back a client reaches matters only to who remembers what it said before.
        let params = Params { client: Context::default(), ..params };
        let place = params.server.window.get() - WindowBits::MIN.get();
        let common = &self.common[usize::from(place)];
        Some(common.get_or_init(|| Arc::new(self.deflating(params, None))).clone())
    }

    fn deflating(&self, params: Params, grant: Option<Grant>) -> Deflating {
        let Context { takeover, window } = params.server;
        let compressor = || Mutex::new(Compressor::new(window, &self.config.compression));
        Deflating {
            params,
            config: self.config.clone(),
            compressor: takeover.then(compressor),
            _grant: grant,
        }
    }
}

impl Deflating {
    /// The server's end of a websocket on which this was agreed, if it was.
    pub(crate) fn websocket(agreed: Option<&Arc<Self>>) -> websocket::Connection {
        let websocket = websocket::Connection::new(Role::Server);
        match agreed {
            Some(agreed) => websocket.with_deflate(agreed.params),
            None => websocket,
        }
    }

    /// Makes what a packet's receivers will share, so that it is there when they are written to.
    pub(crate) fn prepare(&self, packet: &Packet, form: u8, frames: impl FnOnce(&mut Cork)) {
        if self.compressor.is_none() && self.concerns(packet, form) {
            self.common_frames(packet, form, frames);
        }
    }

    /// Puts a packet's frames into the cork, compressed where that is worth it. `frames` makes them as they
    /// are without compression.
    pub(crate) fn encode(
        &self,
        packet: &Packet,
        form: u8,
        cork: &mut Cork,
        frames: impl Fn(&mut Cork),
    ) {
        if !self.concerns(packet, form) {
            return frames(cork);
        }
        let Some(compressor) = &self.compressor else {
            let common = self.common_frames(packet, form, &frames);
            return if common.is_empty() { frames(cork) } else { cork.put(common, 0) };
        };
        // Entries are encoded one after the other, so nobody waits for it.
        let mut compressor = compressor.lock().unwrap_or_else(PoisonError::into_inner);
        let buffer = cork.buffer();
        each(frames, |opcode, payload| compressor.append(buffer, opcode, payload, None));
    }

    /// Whether a message of the packet may reach the threshold.
    fn concerns(&self, packet: &Packet, form: u8) -> bool {
        let threshold = self.config.compression.threshold;
        packet.is_compressible()
            && if form == Form::Native as u8 {
                packet.has_message_from(threshold)
            } else {
                // Base64 and the like have other lengths, which show when they are made.
                packet.bytes().saturating_mul(2) >= threshold
            }
    }

    /// The frames that all sessions with this window get; none if nothing becomes smaller.
    fn common_frames<'a>(
        &self,
        packet: &'a Packet,
        form: u8,
        frames: impl FnOnce(&mut Cork),
    ) -> &'a Bytes {
        let (window, compression) = (self.params.server.window, &self.config.compression);
        packet.compressed(Compressed { form, window }, || {
            let mut buffer = Vec::new();
            let compressed = with_compressors(|compressors| {
                each(frames, |opcode, payload| {
                    compressors.append(&mut buffer, window, compression, opcode, payload, None)
                })
            });
            if !compressed {
                return Bytes::new();
            }
            // The compressor had space for the worst.
            buffer.shrink_to_fit();
            buffer.into()
        })
    }
}

/// Calls `append` for each message in the frames that `encode` makes, and says whether it compressed one.
fn each(encode: impl FnOnce(&mut Cork), mut append: impl FnMut(OpCode, &[u8]) -> bool) -> bool {
    let mut cork = Cork::default();
    encode(&mut cork);
    let frames = cork.into_bytes();
    let mut rest = &frames[..];
    let mut compressed = false;
    while let Ok(Some((head, size))) = Head::parse(rest) {
        let (payload, behind) = rest[size..].split_at(head.len as usize);
        compressed |= append(head.opcode, payload);
        rest = behind;
    }
    compressed
}

impl fmt::Debug for Deflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflate").field("config", &self.config).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use sockeye_outbox::Class;

    use super::*;
    use crate::entry::Entry;
    use crate::fixture::Fixture;

    fn engine(config: deflate::Config) -> Deflate {
        let config = Config { compression: Some(config), ..Config::default() };
        Deflate::new(&config).unwrap()
    }

    fn agree(deflate: &Deflate, offer: &'static str) -> Arc<Deflating> {
        let offer = HeaderValue::from_static(offer);
        let request = HeaderMap::from_iter([(SEC_WEBSOCKET_EXTENSIONS, offer)]);
        deflate.agree(&request, &mut HeaderMap::new()).unwrap()
    }

    fn packet(text: &str) -> Arc<Packet> {
        let Ok(packet) = Packet::message(|buffer| {
            buffer.extend_from_slice(text.as_bytes());
            Ok::<_, Infallible>(Vec::new())
        });
        packet
    }

    #[test]
    fn an_engine_without_compression_agrees_to_none() {
        assert!(Deflate::new(&Config::default()).is_none());
        let request = HeaderMap::new();
        let mut response = HeaderMap::new();
        let nothing = engine(deflate::Config::default()).agree(&request, &mut response);
        assert!(nothing.is_none() && response.is_empty());
    }

    #[test]
    fn sessions_without_takeover_share_what_they_agreed_on() {
        let plain = engine(deflate::Config::default());
        let first = agree(&plain, "permessage-deflate");
        let same = agree(&plain, "permessage-deflate; client_max_window_bits=9");
        assert!(Arc::ptr_eq(&first, &same), "the client's window does not matter");
        let narrow = agree(&plain, "permessage-deflate; server_max_window_bits=8");
        assert!(!Arc::ptr_eq(&first, &narrow));
        assert_eq!(narrow.params.server.window.get(), 8);

        let context = Context { takeover: true, ..Context::default() };
        let taken = engine(deflate::Config { server: context, ..deflate::Config::default() });
        let first = agree(&taken, "permessage-deflate");
        assert!(first.compressor.is_some());
        assert!(!Arc::ptr_eq(&first, &agree(&taken, "permessage-deflate")));
        assert!(
            agree(&taken, "permessage-deflate; server_no_context_takeover").compressor.is_none()
        );
    }

    #[test]
    fn who_pushes_compresses_for_all() {
        let fixture = Fixture::new();
        let agreed = agree(&engine(deflate::Config::default()), "permessage-deflate");
        fixture.shared.set_deflating(Some(agreed));
        let (long, short) = (packet(&"x".repeat(1024)), packet(&"x".repeat(1022)));
        let unworthy = Packet::uncompressed(packet(&"x".repeat(1024)));
        for packet in [&long, &short, &unworthy] {
            fixture.shared.push(Entry::Packet(packet.clone()), Class::Data).unwrap();
        }
        let key = Compressed { form: Form::Native as u8, window: WindowBits::MAX };
        let made = long.compressed(key, || unreachable!("it was made by the push")).clone();
        assert_eq!(made[0], 0xC1);
        let encoded = |packet: &Arc<Packet>| {
            let mut cork = Cork::default();
            fixture.shared.encode_frames(&Entry::Packet(packet.clone()), &mut cork);
            cork.into_bytes()
        };
        assert_eq!(encoded(&long), made);
        for packet in [&short, &unworthy] {
            assert_eq!(encoded(packet)[0], 0x81);
            let mut made = false;
            packet.compressed(key, || {
                made = true;
                Bytes::new()
            });
            assert!(made, "there is no compressed form of it");
        }
    }
}
