//! From sorted records to the files of a table: base, hint, fence keys and top hashes.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sha2::{Digest, Sha256};

use crate::answer::FRONT;
use crate::column::{EMPTY, tag};
use crate::fences::cut;
use crate::layout::{self, HASH, HEADER, LINE, PANEL, RECORD, SEED, SEPARATOR_BITS, Shape};
use crate::merkle::{self, Tree};
use crate::{Error, Fences, Kernel, Layout, Result, hint, noise, stream};

/// Bytes of records that are read at a time.
const BUFFER: usize = 1 << 20;

/// How far a build is; any thread may look, and stop it.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicUsize,
    total: AtomicUsize,
    stopped: AtomicBool,
}

impl Progress {
    /// Blocks of the hint that are done, and how many there are: 0 of 0 before the hint, a fifth of the time.
    #[must_use]
    pub fn blocks(&self) -> (usize, usize) {
        (
            self.done.load(Ordering::Relaxed),
            self.total.load(Ordering::Relaxed),
        )
    }

    /// Let the build end with `Stopped`, in a second or less.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(crate) fn start(&self, blocks: usize) {
        self.total.store(blocks, Ordering::Relaxed);
    }

    pub(crate) fn advance(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.stopped.load(Ordering::Relaxed) {
            Err(Error::Stopped)
        } else {
            Ok(())
        }
    }
}

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
    let plan = Plan::new(records, slots, progress)?;
    let mut source = Source::open(records)?;
    let tree = Tree::new(plan.leaves(&mut source)?);
    let mut layout = plan.layout(seed, merkle::root(tree.top()));
    let base = out.join("packed");
    let largest = noise::largest_norm(layout.rows());
    let mut written = plan.write_base(&mut source, &tree, &layout, &base, progress)?;
    if written.norm > largest {
        layout.whitened = true;
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
struct Source(BufReader<File>);

impl Source {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        Ok(Self(BufReader::with_capacity(BUFFER, file)))
    }

    fn next(&mut self) -> Result<[u8; RECORD]> {
        let mut record = EMPTY;
        self.0.read_exact(&mut record)?;
        Ok(record)
    }

    fn seek(&mut self, record: usize) -> Result<()> {
        self.0
            .seek(SeekFrom::Start(record as u64 * RECORD as u64))?;
        Ok(())
    }

    /// A column's record slots.
    fn region(&mut self, records: usize, region: &mut [u8]) -> Result<()> {
        let (taken, empty) = region
            .split_at_mut_checked(records * RECORD)
            .ok_or(Error::Internal)?;
        self.0.read_exact(taken)?;
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
    fn new(records: &Path, slots: Option<u32>, progress: &Progress) -> Result<Self> {
        let bytes = std::fs::metadata(records)?.len();
        if !bytes.is_multiple_of(RECORD as u64) {
            return Err(Error::Records);
        }
        let count = bytes / RECORD as u64;
        let shape = Shape::new(count, slots.unwrap_or_else(|| layout::slots(count)))?;
        let count = usize::try_from(count).map_err(|_| Error::Records)?;
        let mut source = Source::open(records)?;
        let common = common_bits(&mut source, count, progress)?;
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

    fn leaves(&self, source: &mut Source) -> Result<Vec<merkle::Hash>> {
        source.seek(0)?;
        let mut region = vec![0; self.shape.region()];
        let leaves = (0..self.shape.columns).map(|column| {
            source.region(self.records(column as usize), &mut region)?;
            // No tag belongs in a column behind the used ones: its bounds are the wrong way round.
            let (first, last) = self.fences.bounds(column).unwrap_or((u128::MAX, 0));
            Ok(merkle::leaf(first, last, &region))
        });
        leaves.collect()
    }

    fn write_base(
        &self,
        source: &mut Source,
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
        }
        Ok(Written {
            hash: file.finish()?,
            norm: norms.into_iter().max().unwrap_or(0),
        })
    }

    /// Some columns, row by row, in two's complement.
    fn panel(
        &self,
        source: &mut Source,
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
        source: &mut Source,
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
fn common_bits(source: &mut Source, count: usize, progress: &Progress) -> Result<Vec<u8>> {
    let mut common = Vec::with_capacity(count);
    let mut before = None;
    for at in 0..count {
        if at.is_multiple_of(1 << 16) {
            progress.check()?;
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
