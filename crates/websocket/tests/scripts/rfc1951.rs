//! Deflate as RFC 1951 describes it, slowly, to see how far back a stream refers.

const LENGTH_BASE: [usize; 29] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
    163, 195, 227, 258,
];
const LENGTH_BITS: [u32; 29] =
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// What the stream consists of, if it ends with an empty stored block.
pub(crate) struct Stream {
    /// All that came out, with what was there before in front.
    pub(crate) bytes: Vec<u8>,
    /// The largest distance to which it refers.
    pub(crate) reach: usize,
}

/// Inflates one flushed message behind `bytes`.
pub(crate) fn inflate(message: &[u8], bytes: Vec<u8>) -> Stream {
    let mut bits = Bits { bytes: message, position: 0 };
    let mut stream = Stream { bytes, reach: 0 };
    while bits.position < 8 * message.len() {
        assert_eq!(bits.take(1), 0, "no final block");
        match bits.take(2) {
            0 => {
                bits.position = bits.position.next_multiple_of(8);
                let len = bits.take(16);
                assert_eq!(bits.take(16), !len & 0xFFFF);
                stream.bytes.extend((0..len).map(|_| bits.take(8) as u8));
            }
            1 => {
                let literals: Vec<_> = [[8; 144].as_slice(), &[9; 112], &[7; 24], &[8; 8]].concat();
                stream.block(&mut bits, &Codes::new(&literals), &Codes::new(&[5; 30]));
            }
            2 => {
                let (literals, distances) = (257 + bits.take(5), 1 + bits.take(5));
                let mut lengths = [0; 19];
                for &symbol in &ORDER[..4 + bits.take(4)] {
                    lengths[symbol] = bits.take(3);
                }
                let codes = Codes::new(&lengths);
                let mut lengths = Vec::new();
                while lengths.len() < literals + distances {
                    let (length, times) = match codes.take(&mut bits) {
                        16 => (lengths[lengths.len() - 1], 3 + bits.take(2)),
                        17 => (0, 3 + bits.take(3)),
                        18 => (0, 11 + bits.take(7)),
                        length => (length, 1),
                    };
                    lengths.extend(std::iter::repeat_n(length, times));
                }
                let (literals, distances) = lengths.split_at(literals);
                stream.block(&mut bits, &Codes::new(literals), &Codes::new(distances));
            }
            _ => panic!("the reserved kind of block"),
        }
    }
    stream
}

impl Stream {
    fn block(&mut self, bits: &mut Bits<'_>, literals: &Codes, distances: &Codes) {
        loop {
            let symbol = literals.take(bits);
            match symbol {
                0..256 => self.bytes.push(symbol as u8),
                256 => return,
                _ => {
                    let length = LENGTH_BASE[symbol - 257] + bits.take(LENGTH_BITS[symbol - 257]);
                    let code = distances.take(bits);
                    let extra = (code as u32 / 2).saturating_sub(1);
                    let base = if code < 4 { code } else { (2 + code % 2) << extra };
                    let distance = 1 + base + bits.take(extra);
                    self.reach = self.reach.max(distance);
                    for _ in 0..length {
                        self.bytes.push(self.bytes[self.bytes.len() - distance]);
                    }
                }
            }
        }
    }
}

struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: u32) -> usize {
        (0..count).fold(0, |value, i| {
            let bit = self.bytes[self.position / 8] >> (self.position % 8) & 1;
            self.position += 1;
            value | usize::from(bit) << i
        })
    }
}

/// A prefix code: for each length the number of its codes, and all symbols in their order.
struct Codes {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Codes {
    fn new(lengths: &[usize]) -> Self {
        let mut counts = [0; 16];
        let mut symbols: Vec<_> = (0..lengths.len()).filter(|&i| lengths[i] > 0).collect();
        symbols.sort_by_key(|&symbol| lengths[symbol]);
        for &symbol in &symbols {
            counts[lengths[symbol]] += 1;
        }
        Self { counts, symbols }
    }

    fn take(&self, bits: &mut Bits<'_>) -> usize {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for &count in &self.counts[1..] {
            code |= bits.take(1);
            if code < first + count {
                return self.symbols[index + code - first];
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        panic!("no code of this table")
    }
}
