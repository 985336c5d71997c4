//! Frames with compressed messages in them (RFC 7692 §7.2.1).

use alloc::vec::Vec;
use core::fmt;

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush};

use super::{Compression, FLUSHED, RSV1, WindowBits, max_compressed};
use crate::{
    frame,
    head::{Head, MAX_HEAD, OpCode},
    mask,
};

/// The windows that zlib has: 9 to 15 bits.
const WINDOWS: usize = 7;

/// What compresses messages for connections without context takeover. A frame depends on nothing
/// but its message, the window and the [`Compression`], so it can be shared by all connections that
/// agreed on this window.
///
/// It has a compressor for each window that it was asked for, made on the first use and kept: see
/// [`Compression::compressor_size`]. One of these is meant for each thread.
pub struct Compressors([Option<Shared>; WINDOWS]);

struct Shared {
    zlib: Deflate,
    level: u8,
    mem_level: u8,
}

impl Compressors {
    /// Without any compressor yet.
    #[must_use]
    pub const fn new() -> Self {
        Self([const { None }; WINDOWS])
    }

    /// Appends a text or binary message in one frame, and says whether it is compressed.
    ///
    /// A message below the threshold, or one that would not become smaller, goes as it is: RFC 7692
    /// §6 leaves that open for each message. `mask` is `None` for a server, and a fresh key for a
    /// client.
    pub fn append(
        &mut self,
        out: &mut Vec<u8>,
        window: WindowBits,
        compression: &Compression,
        opcode: OpCode,
        payload: &[u8],
        mask: Option<mask::Key>,
    ) -> bool {
        // Nothing less than this becomes smaller.
        let compressed = payload.len() > 2 && payload.len() >= compression.threshold && {
            let zlib = self.compressor(window, compression);
            append_frame(out, opcode, mask, payload.len(), |space| {
                deflate(zlib, payload, space).filter(|&len| len < payload.len())
            })
        };
        if !compressed {
            append_as_it_is(out, opcode, payload, mask);
        }
        compressed
    }

    /// The compressor for this window, ready for a new stream.
    fn compressor(&mut self, window: WindowBits, compression: &Compression) -> &mut Deflate {
        let (level, mem_level) = (compression.zlib_level(), compression.zlib_mem_level());
        let slot = &mut self.0[usize::from(window.compressor() - 9)];
        let fits = |shared: &Shared| (shared.level, shared.mem_level) == (level, mem_level);
        if slot.as_ref().is_some_and(|shared| !fits(shared)) {
            *slot = None;
        }
        let shared = slot.get_or_insert_with(|| {
            let zlib = new_zlib(window, compression);
            Shared { zlib, level, mem_level }
        });
        shared.zlib.reset();
        &mut shared.zlib
    }
}

impl Default for Compressors {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Compressors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(Option::is_some)).finish()
    }
}

/// What compresses the messages of one connection with context takeover: each may refer to those
/// before. So the frames have to be sent in the order in which they were made, and none left out.
///
/// It holds [`Compression::compressor_size`] bytes from the beginning.
pub struct Compressor {
    zlib: Deflate,
    threshold: usize,
}

impl Compressor {
    /// A compressor with the window that was agreed on.
    #[must_use]
    pub fn new(window: WindowBits, compression: &Compression) -> Self {
        Self { zlib: new_zlib(window, compression), threshold: compression.threshold }
    }

    /// Appends a text or binary message in one frame, and says whether it is compressed: it is from
    /// the threshold on, even if that makes it a little larger, because later messages may refer to
    /// it. `mask` is `None` for a server, and a fresh key for a client.
    pub fn append(
        &mut self,
        out: &mut Vec<u8>,
        opcode: OpCode,
        payload: &[u8],
        mask: Option<mask::Key>,
    ) -> bool {
        // zlib says nothing at all when it is to flush nothing for the second time.
        if !payload.is_empty() && payload.len() >= self.threshold {
            let zlib = &mut self.zlib;
            if append_frame(out, opcode, mask, payload.len(), |space| deflate(zlib, payload, space))
            {
                return true;
            }
            // The bound holds for everything that zlib does. If it ever did not, the peer would not
            // get to see what the compressor has seen, which therefore has to forget it.
            zlib.reset();
        }
        append_as_it_is(out, opcode, payload, mask);
        false
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").field("threshold", &self.threshold).finish_non_exhaustive()
    }
}

fn new_zlib(window: WindowBits, compression: &Compression) -> Deflate {
    Deflate::new_with_config(DeflateConfig {
        level: i32::from(compression.zlib_level()),
        // Negative means raw deflate.
        window_bits: -i32::from(window.compressor()),
        mem_level: i32::from(compression.zlib_mem_level()),
        ..DeflateConfig::default()
    })
}

fn append_as_it_is(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8], mask: Option<mask::Key>) {
    match mask {
        None => frame::append(out, opcode, payload),
        Some(key) => frame::append_masked(out, opcode, payload, key),
    }
}

/// Appends a frame whose payload is what `compress` makes of a message of `len` bytes, in space for
/// the worst of it. If it says that it is better not sent, nothing is appended, and the answer is
/// `false`.
///
/// The space must suffice even where the result is worth nothing: at its lowest level, zlib-rs 0.6.8
/// panics when it runs out of space with enough still to be written, because it forgets about what
/// was written of it (`deflate_quick` counts `pending` without `out`).
fn append_frame(
    out: &mut Vec<u8>,
    opcode: OpCode,
    mask: Option<mask::Key>,
    len: usize,
    compress: impl FnOnce(&mut [u8]) -> Option<usize>,
) -> bool {
    // How long the head is shows only when the payload is there.
    let start = out.len();
    let gap = start + MAX_HEAD;
    out.resize(gap + max_compressed(len), 0);
    let Some(len) = compress(&mut out[gap..]) else {
        out.truncate(start);
        return false;
    };
    let end = gap + len;
    if let Some(key) = mask {
        mask::apply(key, 0, &mut out[gap..end]);
    }
    out.truncate(end);
    Head { rsv: RSV1, mask, ..Head::new(opcode, len as u64) }.encode(out);
    let payload = start + (out.len() - end);
    out.copy_within(end.., start);
    out.copy_within(gap..end, payload);
    out.truncate(payload + len);
    true
}

/// Compresses all of `payload` and says how many bytes it has become, or `None` if they do not
/// leave a byte of `space` free.
fn deflate(zlib: &mut Deflate, payload: &[u8], space: &mut [u8]) -> Option<usize> {
    let (taken, written) = (zlib.total_in(), zlib.total_out());
    loop {
        let input = &payload[(zlib.total_in() - taken) as usize..];
        let output = &mut space[(zlib.total_out() - written) as usize..];
        // It fails only in a state that it cannot be in: it was made, or reset, and not finished.
        zlib.compress(input, output, DeflateFlush::SyncFlush).ok()?;
        let len = (zlib.total_out() - written) as usize;
        if len == space.len() {
            return None;
        }
        if (zlib.total_in() - taken) as usize == payload.len() {
            return Some(len - FLUSHED.len());
        }
    }
}
