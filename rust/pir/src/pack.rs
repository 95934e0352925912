//! From sorted records to the files of a table: base, hint, fence keys and top hashes.

use std::fs::File;
use std::io::{BufReader, Read, Seek, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::answer::FRONT;
use crate::column::{EMPTY, tag};
use crate::fences::cut;
use crate::layout::{self, HEADER, LINE, PANEL, RECORD, SEED, SEPARATOR_BITS, Shape};
use crate::merkle::{self, HASH, Tree};
use crate::progress::{Phase, Progress};
use crate::{Error, Fences, Kernel, Layout, Result, hint, noise, stream};

/// Bytes of records that are read at a time.
const BUFFER: usize = 1 << 20;
/// Records that are planned between two words of progress: some milliseconds.
const TOLD: usize = 1 << 16;

/// What was built: what the manifest says of it.
#[derive(Debug, Clone, Copy)]
pub struct Built {
    /// The layout, with the root.
    pub layout: Layout,
    /// SHA-256 of the file `packed`.
    pub packed: [u8; HASH],
    /// SHA-256 of the file `hint`.
    pub hint: [u8; HASH],
    /// SHA-256 of the file `fences`.
    pub fences: [u8; HASH],
    /// SHA-256 of the file `top`.
    pub top: [u8; HASH],
    /// log2 of the chance that an answer does not give its column.
    pub log2_failure: f64,
}

/// Build a table of a file of sorted records, with `slots` record slots a column or as many as suit their number.
///
/// Writes `packed`, `hint`, `fences` and `top` into the folder `out`, each synced; what is there is overwritten,
/// and what was written before an error stays. `seed` has to be fresh and random. Memory: a panel of the base (at
/// most 16,384 columns), a byte a record, and for each thread 4 bytes a word of the hint and 11 MB.
///
/// PIR-10 the records are whole, ascend strictly by tag, and none is an empty slot.
/// PIR-11 no row's digits make a column fail more often than once in 2^64, masked if that is what it takes.
pub fn build(
    records: &Path,
    out: &Path,
    seed: &[u8; SEED],
    threads: usize,
    progress: &Progress,
    slots: Option<u32>,
) -> Result<Built> {
    let file = File::open(records)?;
    let bytes = file.metadata()?.len();
    let mut source = Source::new(file);
    let plan = Plan::new(&mut source, bytes, slots, progress)?;
    let tree = Tree::new(plan.leaves(&mut source, progress)?);
    let mut layout = plan.layout(seed, merkle::root(tree.top()));
    let base = out.join("packed");
    let largest = noise::largest_norm(layout.rows());
    let mut written = plan.write_base(&mut source, &tree, &layout, &base, progress)?;
    if written.norm > largest {
        layout.whitened = true;
        progress.more(plan.count);
        written = plan.write_base(&mut source, &tree, &layout, &base, progress)?;
    }
    if written.norm > largest {
        return Err(Error::Noise);
    }
    drop(source);
    let hint = hint::compute(&base, &layout, threads, progress)?;
    let hashes = tree.top().as_flattened();
    Ok(Built {
        layout,
        packed: written.hash,
        hint: write(out, "hint", &[&layout.header(layout::File::Hint), &hint])?,
        fences: write(out, "fences", &[&plan.fences.to_bytes(&layout)])?,
        top: write(out, "top", &[&layout.header(layout::File::Top), hashes])?,
        log2_failure: noise::log2_failure(layout.rows(), written.norm),
    })
}

/// Write a file, sync it, and hash it.
fn write(folder: &Path, name: &str, parts: &[&[u8]]) -> Result<[u8; HASH]> {
    let mut file = Hashed::create(&folder.join(name))?;
    for part in parts {
        file.write(part)?;
    }
    file.finish()
}

/// A file that is hashed as it is written.
struct Hashed {
    file: File,
    hash: Sha256,
}

impl Hashed {
    fn create(path: &Path) -> Result<Self> {
        let file = File::create(path)?;
        Ok(Self {
            file,
            hash: Sha256::new(),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        Ok(())
    }

    fn finish(self) -> Result<[u8; HASH]> {
        self.file.sync_all()?;
        Ok(self.hash.finalize().into())
    }
}

/// The records, one after the other.
struct Source<R> {
    reader: BufReader<R>,
    /// The byte that is read next.
    at: u64,
}

impl<R: Read + Seek> Source<R> {
    fn new(records: R) -> Self {
        Self {
            reader: BufReader::with_capacity(BUFFER, records),
            at: 0,
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.reader.read_exact(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn next(&mut self) -> Result<[u8; RECORD]> {
        let mut record = EMPTY;
        self.read(&mut record)?;
        Ok(record)
    }

    /// Go to a record. Relative, since a seek to a place throws away what is buffered: a step of a few records would
    /// read a whole buffer.
    fn seek(&mut self, record: usize) -> Result<()> {
        let to = record as u64 * RECORD as u64;
        let step = to.checked_signed_diff(self.at).ok_or(Error::Internal)?;
        self.reader.seek_relative(step)?;
        self.at = to;
        Ok(())
    }

    /// A column's record slots.
    fn region(&mut self, records: usize, region: &mut [u8]) -> Result<()> {
        let (taken, empty) = region
            .split_at_mut_checked(records * RECORD)
            .ok_or(Error::Internal)?;
        self.read(taken)?;
        empty.fill(EMPTY[0]);
        Ok(())
    }
}

/// Which records go into which column.
struct Plan {
    shape: Shape,
    count: usize,
    /// The first record of each column that records can be in.
    starts: Vec<usize>,
    width: u32,
    fences: Fences,
}

/// What is known of a base once it is written.
struct Written {
    hash: [u8; HASH],
    /// The largest sum of squares of a row's digits.
    norm: u64,
}

impl Plan {
    fn new(
        source: &mut Source<impl Read + Seek>,
        bytes: u64,
        slots: Option<u32>,
        progress: &Progress,
    ) -> Result<Self> {
        if !bytes.is_multiple_of(RECORD as u64) {
            return Err(Error::Records);
        }
        let count = bytes / RECORD as u64;
        let shape = Shape::new(count, slots.unwrap_or_else(|| layout::slots(count)))?;
        let count = usize::try_from(count).map_err(|_| Error::Records)?;
        progress.start(Phase::Packing, 3 * count);
        let common = common_bits(source, count, progress)?;
        let (starts, width) = starts(&common, shape.slots as usize, shape.columns as usize)?;
        let mut keys = vec![0];
        for &start in starts.iter().skip(1) {
            source.seek(start)?;
            keys.push(cut(tag(&source.next()?), width));
        }
        Ok(Self {
            shape,
            count,
            starts,
            width,
            fences: Fences::new(keys, width),
        })
    }

    fn layout(&self, seed: &[u8; SEED], root: [u8; HASH]) -> Layout {
        Layout {
            shape: self.shape,
            count: self.count as u64,
            used: self.starts.len() as u32,
            width: self.width as u8,
            whitened: false,
            seed: *seed,
            root,
        }
    }

    /// How many records are in a column.
    fn records(&self, column: usize) -> usize {
        let start = |column: usize| self.starts.get(column).copied().unwrap_or(self.count);
        start(column + 1) - start(column)
    }

    fn leaves(
        &self,
        source: &mut Source<impl Read + Seek>,
        progress: &Progress,
    ) -> Result<Vec<merkle::Hash>> {
        source.seek(0)?;
        let mut region = vec![0; self.shape.region()];
        let leaves = (0..self.shape.columns).map(|column| {
            let records = self.records(column as usize);
            source.region(records, &mut region)?;
            progress.advance(records);
            // No tag belongs in a column behind the used ones: its bounds are the wrong way round.
            let (first, last) = self.fences.bounds(column).unwrap_or((u128::MAX, 0));
            Ok(merkle::leaf(first, last, &region))
        });
        leaves.collect()
    }

    fn write_base(
        &self,
        source: &mut Source<impl Read + Seek>,
        tree: &Tree,
        layout: &Layout,
        path: &Path,
        progress: &Progress,
    ) -> Result<Written> {
        source.seek(0)?;
        let rows = layout.rows();
        let mut file = Hashed::create(path)?;
        let mut norms = vec![0; rows];
        let mut front = [0; FRONT];
        if let Some(header) = front.first_chunk_mut::<HEADER>() {
            *header = layout.header(layout::File::Base);
        }
        file.write(&front)?;
        for first in (0..layout.columns()).step_by(PANEL) {
            progress.check()?;
            let width = PANEL.min(layout.columns() - first);
            let panel = self.panel(source, tree, layout, first..first + width)?;
            for (norm, row) in norms.iter_mut().zip(panel.chunks_exact(width)) {
                *norm += Kernel::detect().squares(row);
            }
            file.write(&panel)?;
            progress.advance((first..first + width).map(|at| self.records(at)).sum());
        }
        Ok(Written {
            hash: file.finish()?,
            norm: norms.into_iter().max().unwrap_or(0),
        })
    }

    /// Some columns, row by row, in two's complement.
    fn panel(
        &self,
        source: &mut Source<impl Read + Seek>,
        tree: &Tree,
        layout: &Layout,
        columns: std::ops::Range<usize>,
    ) -> Result<Vec<u8>> {
        let (rows, width) = (layout.rows(), columns.len());
        let mut panel = vec![0; rows * width];
        let mut some = vec![0; rows * LINE];
        for (line, first) in columns.step_by(LINE).enumerate() {
            for (at, column) in some.chunks_exact_mut(rows).enumerate() {
                self.column(source, tree, layout, first + at, column)?;
            }
            let (lines, _) = panel.as_chunks_mut::<LINE>();
            for (row, to) in lines
                .iter_mut()
                .skip(line)
                .step_by(width / LINE)
                .enumerate()
            {
                let digits = some.iter().skip(row).step_by(rows);
                to.iter_mut()
                    .zip(digits)
                    .for_each(|(to, &byte)| *to = byte ^ 0x80);
            }
        }
        Ok(panel)
    }

    /// One column: its record slots and its path, masked if the table is whitened.
    fn column(
        &self,
        source: &mut Source<impl Read + Seek>,
        tree: &Tree,
        layout: &Layout,
        index: usize,
        column: &mut [u8],
    ) -> Result<()> {
        let (region, path) = column
            .split_at_mut_checked(self.shape.region())
            .ok_or(Error::Internal)?;
        source.region(self.records(index), region)?;
        for (to, hash) in path
            .as_chunks_mut::<HASH>()
            .0
            .iter_mut()
            .zip(tree.path(index))
        {
            *to = *hash;
        }
        if layout.whitened {
            let mut mask = vec![0; column.len()];
            stream::mask(&layout.seed, index, &mut mask);
            column
                .iter_mut()
                .zip(mask)
                .for_each(|(byte, mask)| *byte ^= mask);
        }
        Ok(())
    }
}

/// How many leading bits each record's tag has in common with the one before; checks that they ascend.
fn common_bits(
    source: &mut Source<impl Read + Seek>,
    count: usize,
    progress: &Progress,
) -> Result<Vec<u8>> {
    let mut common = Vec::with_capacity(count);
    let mut before = None;
    for at in 0..count {
        if at.is_multiple_of(TOLD) {
            progress.check()?;
            progress.advance(TOLD.min(count - at));
        }
        let record = source.next()?;
        let tag = tag(&record);
        if record == EMPTY || before.is_some_and(|before| before >= tag) {
            return Err(Error::Records);
        }
        common.push(before.map_or(0, |before: u128| (before ^ tag).leading_zeros() as u8));
        before = Some(tag);
    }
    Ok(common)
}

/// Where columns begin, and the fewest bits of a tag that are enough to tell so.
fn starts(common: &[u8], slots: usize, columns: usize) -> Result<(Vec<usize>, u32)> {
    (1..=SEPARATOR_BITS)
        .find_map(|width| Some((starts_at(common, slots, columns, width)?, width)))
        .ok_or(Error::Internal)
}

/// Fill each column as far as a separator of `width` bits can stand behind it; `None` if that takes more columns
/// than there are, or more records than a column has slots for.
fn starts_at(common: &[u8], slots: usize, columns: usize, width: u32) -> Option<Vec<usize>> {
    let mut starts = vec![0];
    let mut start = 0;
    while common.len() - start > slots {
        let ends = common.get(start + 1..=start + slots)?;
        start += 1 + ends.iter().rposition(|&bits| u32::from(bits) < width)?;
        starts.push(start);
        if starts.len() > columns {
            return None;
        }
    }
    Some(starts)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic here is a failed test")]
mod tests {
    use std::cell::Cell;
    use std::io::{Cursor, SeekFrom};
    use std::rc::Rc;

    use super::*;

    /// Records in memory that count how many bytes of them are read.
    struct Counting {
        records: Cursor<Vec<u8>>,
        read: Rc<Cell<usize>>,
    }

    impl Read for Counting {
        fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
            let read = self.records.read(bytes)?;
            self.read.set(self.read.get() + read);
            Ok(read)
        }
    }

    impl Seek for Counting {
        fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
            self.records.seek(to)
        }
    }

    fn sorted(count: u64) -> Vec<u8> {
        let record = |at: u64| {
            let mut record = EMPTY;
            let tag = u128::from(at) << 100 | u128::from(at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            record[..16].copy_from_slice(&tag.to_be_bytes());
            record
        };
        (0..count).flat_map(record).collect()
    }

    #[test]
    fn planning_reads_the_records_twice_and_their_leaves_once_more() {
        let records = sorted(30_000);
        let (size, read) = (records.len(), Rc::default());
        assert!(size > 3 * BUFFER);
        let mut source = Source::new(Counting {
            records: Cursor::new(records),
            read: Rc::clone(&read),
        });
        let progress = Progress::default();
        let plan = Plan::new(&mut source, size as u64, None, &progress).unwrap();
        assert!(read.get() <= 2 * size, "{} of {size}", read.get());
        plan.leaves(&mut source, &progress).unwrap();
        assert!(read.get() <= 3 * size, "{} of {size}", read.get());
        assert_eq!(progress.steps(), (Phase::Packing, 60_000, 90_000));
    }
}
