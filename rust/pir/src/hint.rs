//! The hint H = D A: what a client needs once to read every answer.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::answer::{MAX_THREADS, groups};
use crate::kernel::{Chunk, Line, ROWS};
use crate::layout::{DIMENSION, LINE, PANEL};
use crate::stream::{Generator, Row};
use crate::{Base, Error, Progress, Result};

/// Columns of the matrix that are multiplied at a time: 2.5 million words of A, which stay in the caches together.
const BLOCK: usize = 2048;
/// Rows of the matrix that are multiplied at a time: with a block's columns, half a megabyte of digits.
const GROUP: usize = 252;

/// Some columns of a panel, all rows.
struct Block<'a> {
    /// The first of its columns in the matrix.
    first: usize,
    /// The same, in lines of its panel.
    lines: Range<usize>,
    panel: crate::answer::Panel<'a>,
}

/// The hint, rounded to 16 bits: a row of 1,280 for each row of the matrix, little-endian.
///
/// Costs one multiplication for each digit and each of the 1,280 columns of A, and 4 bytes a word of the hint for
/// each thread. Raises `Stopped` when `progress` says so.
pub(crate) fn compute(base: &Base, threads: usize, progress: &Progress) -> Result<Vec<u8>> {
    let blocks: Vec<Block<'_>> = blocks(base).collect();
    progress.start(blocks.len());
    let next = AtomicUsize::new(0);
    let work = || multiply(base, &blocks, &next, progress);
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
    Ok(rounded(&sum, base.layout().rows()))
}

fn blocks(base: &Base) -> impl Iterator<Item = Block<'_>> {
    base.panels().flat_map(|panel| {
        (0..panel.width)
            .step_by(BLOCK / LINE)
            .map(move |line| Block {
                first: panel.first + line * LINE,
                lines: line..panel.width.min(line + BLOCK / LINE),
                panel,
            })
    })
}

/// Take blocks until there are none: the hint of those, column by column.
fn multiply(
    base: &Base,
    blocks: &[Block<'_>],
    next: &AtomicUsize,
    progress: &Progress,
) -> Result<Vec<u32>> {
    let rows = base.layout().rows();
    let mut hint = vec![0_u32; rows * DIMENSION];
    let mut digits = Vec::new();
    while let Some(block) = blocks.get(next.fetch_add(1, Ordering::Relaxed)) {
        let matrix = columns_of_a(base, block);
        let width = block.lines.len();
        for first in (0..rows).step_by(GROUP) {
            gather(block, first, &mut digits);
            for (words, hint) in matrix.chunks_exact(width).zip(hint.chunks_exact_mut(rows)) {
                let hint = hint.get_mut(first..).ok_or(Error::Internal)?;
                add_products(base, &digits, words, hint);
            }
            progress.check()?;
        }
        progress.advance();
    }
    Ok(hint)
}

/// Add the products of a group of rows with one column of A.
fn add_products(base: &Base, digits: &[Line], words: &[Chunk], hint: &mut [u32]) {
    let groups = groups(digits.chunks_exact(words.len()));
    for (rows, sums) in groups.zip(hint.chunks_mut(ROWS)) {
        let products = base.kernel().products(rows, words);
        for (sum, product) in sums.iter_mut().zip(products) {
            *sum = sum.wrapping_add(product);
        }
    }
}

/// A group of rows of a block, one behind the other: in the matrix they are a panel's width apart, and a cache
/// holds few lines at such distances.
fn gather(block: &Block<'_>, first: usize, digits: &mut Vec<Line>) {
    digits.clear();
    let rows = block.panel.lines.chunks_exact(block.panel.width);
    for row in rows.skip(first).take(GROUP) {
        digits.extend_from_slice(row.get(block.lines.clone()).unwrap_or(&[]));
    }
}

/// The words of A for a block, column by column, in the kernel's form.
fn columns_of_a(base: &Base, block: &Block<'_>) -> Vec<Chunk> {
    let width = block.lines.len();
    let mut generator = Generator::new(&base.layout().seed, block.first);
    let mut rows: Vec<Row> = vec![[[0; 4]; DIMENSION]; LINE];
    let mut chunks = vec![Chunk([0; 2 * LINE]); width * DIMENSION];
    for line in 0..width {
        generator.fill(&mut rows);
        for (column, to) in chunks.iter_mut().skip(line).step_by(width).enumerate() {
            let mut words = [0; LINE];
            for (word, row) in words.iter_mut().zip(&rows) {
                *word = row
                    .get(column)
                    .map_or(0, |bytes| u32::from_le_bytes(*bytes));
            }
            *to = base.kernel().chunk(&words);
        }
    }
    chunks
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
