//! Decisions that an input makes about its own run.

/// Reads decisions off the beginning of an input. When it is used up every answer is 0: each input
/// means something, also one that was cut short.
#[derive(Clone, Debug)]
pub struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    /// The decisions that these bytes make.
    #[must_use]
    pub const fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    /// Whether nothing is left to decide by.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One byte.
    pub const fn byte(&mut self) -> u8 {
        match self.0 {
            [first, rest @ ..] => {
                self.0 = rest;
                *first
            }
            [] => 0,
        }
    }

    /// One of these.
    ///
    /// # Panics
    ///
    /// There are none.
    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::from(self.byte()) % all.len()]
    }

    /// The next bytes: as many as a first byte says, and as there are.
    pub fn short(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte()).min(self.0.len());
        let (short, rest) = self.0.split_at(len);
        self.0 = rest;
        short
    }

    /// All that is left.
    #[must_use]
    pub const fn rest(self) -> &'a [u8] {
        self.0
    }
}
