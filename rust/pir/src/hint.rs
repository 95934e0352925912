//! The hint H = D A: what a client needs once to read every answer.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::answer::{FRONT, MAX_THREADS, groups};
use crate::kernel::{Chunk, Line, ROWS};
use crate::layout::{DIMENSION, LINE, PANEL};
use crate::progress::{Phase, Progress};
use crate::stream::{Generator, Row};
use crate::{Error, Kernel, Layout, Result};

/// Columns of the matrix that are multiplied at a time: 2.5 million words of A, which stay in the caches together.
const BLOCK: usize = 2048;
/// Rows of the matrix that are multiplied at a time: with a block's columns, half a megabyte of digits.
const GROUP: usize = 252;

/// Some columns of a panel, all rows.
struct Block {
    /// The first of its columns in the matrix.
    first: usize,
    /// Lines of each of its rows.
    width: usize,
    /// Where its first row begins in the file of the base.
    start: usize,
    /// Bytes from one row to the next: a row of its panel.
    stride: usize,
}

/// The hint, rounded to 16 bits: a row of 1,280 for each row of the matrix, little-endian.
///
/// Costs one multiplication for each digit and each of the 1,280 columns of A; and for each thread 4 bytes a word of
/// the hint, and 11 MB. The base is read block by block: mapped, all of it would stay in memory until the end. Raises
/// `Stopped` when `progress` says so.
pub(crate) fn compute(
    base: &Path,
    layout: &Layout,
    threads: usize,
    progress: &Progress,
) -> Result<Vec<u8>> {
    let blocks: Vec<Block> = blocks(layout).collect();
    progress.start(Phase::Hint, blocks.len());
    let next = AtomicUsize::new(0);
    let work = || Worker::new(base, layout)?.multiply(&blocks, &next, progress);
    let mut parts = thread::scope(|scope| {
        let others: Vec<_> = (1..threads.clamp(1, blocks.len().clamp(1, MAX_THREADS)))
            .map(|_| scope.spawn(work))
            .collect();
        let own = work();
        let others = others
            .into_iter()
            .map(|other| other.join().unwrap_or(Err(Error::Internal)));
        std::iter::once(own)
            .chain(others)
            .collect::<Result<Vec<_>>>()
    })?;
    let mut sum = parts.pop().ok_or(Error::Internal)?;
    for part in parts {
        for (sum, part) in sum.iter_mut().zip(part) {
            *sum = sum.wrapping_add(part);
        }
    }
    Ok(rounded(&sum, layout.rows()))
}

fn blocks(layout: &Layout) -> impl Iterator<Item = Block> {
    let (rows, columns) = (layout.rows(), layout.columns());
    (0..columns).step_by(BLOCK).map(move |first| {
        let panel = first - first % PANEL;
        Block {
            first,
            width: BLOCK.min(columns - first) / LINE,
            start: FRONT + panel * rows + first - panel,
            stride: PANEL.min(columns - panel),
        }
    })
}

/// What a thread works with.
struct Worker<'a> {
    base: File,
    layout: &'a Layout,
    kernel: Kernel,
    /// The words of A for a block, column by column, in the kernel's form.
    matrix: Vec<Chunk>,
    /// A group of rows of a block, one behind the other.
    digits: Vec<Line>,
}

impl<'a> Worker<'a> {
    fn new(base: &Path, layout: &'a Layout) -> Result<Self> {
        Ok(Self {
            base: File::open(base)?,
            layout,
            kernel: Kernel::detect(),
            matrix: Vec::new(),
            digits: Vec::new(),
        })
    }

    /// Take blocks until there are none: the hint of those, column by column.
    fn multiply(
        mut self,
        blocks: &[Block],
        next: &AtomicUsize,
        progress: &Progress,
    ) -> Result<Vec<u32>> {
        let rows = self.layout.rows();
        let mut hint = vec![0_u32; rows * DIMENSION];
        while let Some(block) = blocks.get(next.fetch_add(1, Ordering::Relaxed)) {
            self.columns_of_a(block);
            for first in (0..rows).step_by(GROUP) {
                self.gather(block, first)?;
                let columns = self.matrix.chunks_exact(block.width);
                for (words, hint) in columns.zip(hint.chunks_exact_mut(rows)) {
                    let hint = hint.get_mut(first..).ok_or(Error::Internal)?;
                    self.add_products(words, hint);
                }
                progress.check()?;
            }
            progress.advance(1);
        }
        Ok(hint)
    }

    /// Add the products of the group of rows with one column of A.
    fn add_products(&self, words: &[Chunk], hint: &mut [u32]) {
        let groups = groups(self.digits.chunks_exact(words.len()));
        for (rows, sums) in groups.zip(hint.chunks_mut(ROWS)) {
            let products = self.kernel.products(rows, words);
            for (sum, product) in sums.iter_mut().zip(products) {
                *sum = sum.wrapping_add(product);
            }
        }
    }

    /// Read a group of rows: in the file they are a panel's width apart.
    fn gather(&mut self, block: &Block, first: usize) -> Result<()> {
        let rows = GROUP.min(self.layout.rows() - first);
        self.digits.resize(rows * block.width, [0; LINE]);
        let rows = self.digits.chunks_exact_mut(block.width);
        for (row, digits) in (first..).zip(rows) {
            let at = block.start + row * block.stride;
            self.base.seek(SeekFrom::Start(at as u64))?;
            self.base.read_exact(digits.as_flattened_mut())?;
        }
        Ok(())
    }

    fn columns_of_a(&mut self, block: &Block) {
        let mut generator = Generator::new(&self.layout.seed, block.first);
        let mut rows: Vec<Row> = vec![[[0; 4]; DIMENSION]; LINE];
        self.matrix
            .resize(block.width * DIMENSION, Chunk([0; 2 * LINE]));
        for line in 0..block.width {
            generator.fill(&mut rows);
            let to = self.matrix.iter_mut().skip(line).step_by(block.width);
            for (column, to) in to.enumerate() {
                let mut words = [0; LINE];
                for (word, row) in words.iter_mut().zip(&rows) {
                    *word = row
                        .get(column)
                        .map_or(0, |bytes| u32::from_le_bytes(*bytes));
                }
                *to = self.kernel.chunk(&words);
            }
        }
    }
}

/// Turned to rows, each word rounded to its high half.
fn rounded(hint: &[u32], rows: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(hint.len() * 2);
    for row in 0..rows {
        for word in hint.iter().skip(row).step_by(rows) {
            let [_, _, low, high] = word.wrapping_add(1 << 15).to_le_bytes();
            bytes.extend_from_slice(&[low, high]);
        }
    }
    bytes
}

const _: () = assert!(PANEL.is_multiple_of(BLOCK), "a block is in one panel");

const _: () = assert!(
    GROUP.is_multiple_of(ROWS),
    "only the last group is filled up"
);
