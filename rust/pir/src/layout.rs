//! Parameters, the shape of a table, and the header that all of its files begin with.

use crate::merkle::{self, HASH};
use crate::{Error, Result};

/// Columns of A, and words of a secret (LWE dimension n).
pub const DIMENSION: usize = 1280;
/// Coin tosses of an error word on either side: centred binomial, sigma 12.65.
pub(crate) const ETA: usize = 320;
/// Bytes of coin tosses of one error word.
pub(crate) const COINS: usize = 2 * ETA / 8;
/// Bytes of a record.
pub const RECORD: usize = 128;
/// Bytes of a record's tag, which it begins with.
pub const TAG: usize = 16;
/// Bits of a tag: no fence key is longer.
pub const SEPARATOR_BITS: u32 = 128;
/// Bytes of the public seed of A.
pub const SEED: usize = 16;
/// Bytes of the header of each file.
pub const HEADER: usize = 128;
/// Records of a table: above it, answers would fail more often than the bound.
pub const MAX_RECORDS: u64 = 1 << 25;
/// Columns of a table: its query, 960 KiB, goes into one request of a mebibyte, with tokens and what seals it. And a
/// bound on what a header can make a reader allocate.
const MAX_COLUMNS: u64 = 15 << 14;
/// Columns that the matrix is padded to a multiple of: a cache line of digits.
pub(crate) const LINE: usize = 64;
/// Columns of a panel; within it the matrix is stored row by row.
pub(crate) const PANEL: usize = 16_384;
/// Of how many slots, in twentieths, a table makes use on average: the rest lets a column end where a short
/// separator does.
const FILL: u64 = 19;

const VERSION: u32 = 1;
/// How A is made: AES-128-CTR, `docs/protocol/pir.md`.
const GENERATOR: u32 = 1;
/// A hint is 2n bytes a row, a query 4 bytes a column: slots at which their sum, at some 35 lookups an epoch, is
/// smallest. Between two lines, linear in the square root of the number of records.
const SLOTS: [(u64, u64); 6] = [
    (0, 1),
    (100_000, 7),
    (300_000, 12),
    (1_000_000, 20),
    (3_000_000, 36),
    (10_000_000, 64),
];

/// Which of a table's files a header is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum File {
    Base,
    Hint,
    Fences,
    Top,
    /// The layout by itself.
    Layout,
}

impl File {
    const fn magic(self) -> &'static [u8; 8] {
        match self {
            Self::Base => b"GRUEPIRB",
            Self::Hint => b"GRUEPIRH",
            Self::Fences => b"GRUEPIRF",
            Self::Top => b"GRUEPIRT",
            Self::Layout => b"GRUEPIRL",
        }
    }
}

/// How many record slots a column of a table of `count` records has.
#[must_use]
pub fn slots(count: u64) -> u32 {
    // Scaled by 2^10, so that small tables do not all look alike.
    let root = |n: u64| (n << 20).isqrt();
    let at = root(count.min(MAX_RECORDS));
    let mut slots = 1;
    for ((from, low), (to, high)) in SLOTS.into_iter().zip(SLOTS.into_iter().skip(1)) {
        // Above the last line its slope goes on.
        if count > from {
            let (from, to) = (root(from), root(to));
            slots = low + ((at - from) * (high - low) * 2 / (to - from)).div_ceil(2);
        }
    }
    // From some 22 million records on a query would be too long.
    let fewest = (count.min(MAX_RECORDS) * 20).div_ceil(FILL * MAX_COLUMNS);
    u32::try_from(slots.max(fewest)).unwrap_or(u32::MAX)
}

/// The dimensions of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Record slots of a column (r).
    pub slots: u32,
    /// Bytes of a column, rows of the matrix (B): the slots, and a Merkle path.
    pub rows: u32,
    /// Columns (C), a multiple of 64.
    pub columns: u32,
}

impl Shape {
    /// The shape for `count` records with `slots` record slots a column.
    pub fn new(count: u64, slots: u32) -> Result<Self> {
        if count > MAX_RECORDS || slots == 0 || slots > 4096 {
            return Err(Error::Records);
        }
        let needed = (count * 20).div_ceil(FILL * u64::from(slots)).max(1);
        if needed > MAX_COLUMNS {
            return Err(Error::Records);
        }
        let columns =
            u32::try_from(needed.next_multiple_of(LINE as u64)).map_err(|_| Error::Records)?;
        Ok(Self {
            slots,
            rows: rows(slots, columns),
            columns,
        })
    }

    /// Bytes of a column that hold records: the rest is its Merkle path.
    pub(crate) const fn region(&self) -> usize {
        self.slots as usize * RECORD
    }
}

fn rows(slots: u32, columns: u32) -> u32 {
    slots * RECORD as u32 + merkle::path_hashes(columns) * HASH as u32
}

/// What is public about a table: with the hashes of its files it belongs in the signed manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// The dimensions.
    pub shape: Shape,
    /// Records (N).
    pub count: u64,
    /// Columns that records can be in, at least one: as many as there are fence keys.
    pub used: u32,
    /// Bits of a fence key.
    pub width: u8,
    /// Whether the digits are masked with a public stream, because the table's own were too large.
    pub whitened: bool,
    /// The seed of A.
    pub seed: [u8; SEED],
    /// The Merkle root over the columns.
    pub root: [u8; HASH],
}

impl Layout {
    /// The header of the layout by itself, 128 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER] {
        self.header(File::Layout)
    }

    /// Read what `to_bytes` wrote.
    ///
    /// PIR-01 it has the one form of its numbers: whatever contradicts itself is refused.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let bytes: &[u8; HEADER] = bytes.try_into().map_err(|_| Error::Length)?;
        Self::read(bytes, File::Layout)
    }

    /// Words of a query times four: bytes of a query.
    #[must_use]
    pub const fn query_bytes(&self) -> usize {
        self.columns() * 4
    }

    /// Bytes of an answer.
    #[must_use]
    pub const fn answer_bytes(&self) -> usize {
        self.rows() * 2
    }

    /// Rows of the matrix, bytes of a column (B).
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.shape.rows as usize
    }

    /// Columns (C).
    #[must_use]
    pub const fn columns(&self) -> usize {
        self.shape.columns as usize
    }

    pub(crate) fn header(&self, file: File) -> [u8; HEADER] {
        let mut fields = Vec::with_capacity(HEADER);
        fields.extend_from_slice(file.magic());
        for number in [
            VERSION,
            GENERATOR,
            DIMENSION as u32,
            self.shape.rows,
            self.shape.columns,
            self.shape.slots,
            self.used,
        ] {
            fields.extend_from_slice(&number.to_le_bytes());
        }
        fields.extend_from_slice(&[self.width, u8::from(self.whitened), 0, 0]);
        fields.extend_from_slice(&self.count.to_le_bytes());
        fields.extend_from_slice(&self.seed);
        fields.extend_from_slice(&self.root);
        let mut header = [0; HEADER];
        header
            .iter_mut()
            .zip(fields)
            .for_each(|(to, from)| *to = from);
        header
    }

    pub(crate) fn read(bytes: &[u8; HEADER], file: File) -> Result<Self> {
        let mut at = Reader(bytes);
        let mut numbers = [0; 7];
        if at.take::<8>()? != *file.magic() {
            return Err(Error::Header);
        }
        for number in &mut numbers {
            *number = u32::from_le_bytes(at.take()?);
        }
        let [width, whitened, ..] = at.take::<4>()?;
        let [.., rows, columns, slots, used] = numbers;
        let layout = Self {
            shape: Shape {
                slots,
                rows,
                columns,
            },
            count: u64::from_le_bytes(at.take()?),
            used,
            width,
            whitened: whitened == 1,
            seed: at.take()?,
            root: at.take()?,
        };
        layout.check()?;
        // Version, generator, dimension and all that is reserved: there is one way to write a layout.
        if layout.header(file) == *bytes {
            Ok(layout)
        } else {
            Err(Error::Header)
        }
    }

    fn check(&self) -> Result<()> {
        let shape = Shape::new(self.count, self.shape.slots).map_err(|_| Error::Header)?;
        let fits = self.count <= u64::from(self.used) * u64::from(shape.slots);
        let used = (1..=shape.columns).contains(&self.used) && fits;
        let width = (1..=SEPARATOR_BITS).contains(&u32::from(self.width));
        if shape == self.shape && used && width {
            Ok(())
        } else {
            Err(Error::Header)
        }
    }

    /// The body of a file. PIR-02 its header is this layout's.
    pub(crate) fn body<'a>(&self, bytes: &'a [u8], file: File) -> Result<&'a [u8]> {
        let (header, body) = bytes.split_at_checked(HEADER).ok_or(Error::Length)?;
        if *header == self.header(file) {
            Ok(body)
        } else {
            Err(Error::Header)
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk().ok_or(Error::Header)?;
        self.0 = rest;
        Ok(*first)
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]
mod tests {
    use super::*;

    #[test]
    fn the_shapes_are_those_of_the_published_table() {
        for (count, slots_, rows, columns) in [
            (100_000, 7, 1_024, 15_038),
            (300_000, 12, 1_696, 26_316),
            (1_000_000, 20, 2_752, 52_632),
            (3_000_000, 36, 4_832, 87_720),
            (10_000_000, 64, 8_448, 164_474),
        ] {
            assert_eq!(slots(count), slots_);
            let shape = Shape::new(count, slots_).unwrap();
            assert_eq!(
                (shape.rows, shape.columns),
                (rows, u32::next_multiple_of(columns, 64))
            );
        }
    }

    #[test]
    fn the_query_of_no_table_is_longer_than_a_request_carries() {
        for count in [10, 20, 21, 22, 23, 25, 30].map(|millions| millions * 1_000_000) {
            let shape = Shape::new(count, slots(count)).unwrap();
            assert!(shape.columns * 4 <= (1 << 20) - (1 << 16), "{shape:?}");
        }
        assert!(Shape::new(MAX_RECORDS, slots(MAX_RECORDS)).is_ok());
        // One slot fewer would not do, and is refused at builders and readers alike.
        assert!(Shape::new(MAX_RECORDS, slots(MAX_RECORDS) - 1).is_err());
    }

    #[test]
    fn slots_never_fall_as_records_grow() {
        let counts: Vec<u64> = (0..26)
            .flat_map(|bit| [1 << bit, (1 << bit) * 3 / 2])
            .collect();
        let all: Vec<u32> = counts.iter().map(|&count| slots(count)).collect();
        assert!(all.is_sorted() && all[0] == 1, "{all:?}");
    }
}
