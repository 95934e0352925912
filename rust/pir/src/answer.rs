//! The server's side of a query: one pass over the base.

use std::fs::File;
use std::path::Path;
use std::thread;

use memmap2::Mmap;

use crate::kernel::{Chunk, Line, ROWS};
use crate::layout::{self, HEADER, LINE, PANEL};
use crate::{Error, Kernel, Layout, Result, mapped};

/// Queries that one pass over the base answers at most.
pub const ANSWERS_AT_ONCE: usize = 8;
/// Threads that a call uses at most, whatever it was told: more would only wait for memory.
pub(crate) const MAX_THREADS: usize = 64;
/// Bytes before the matrix: the header, and zeros up to a page.
pub(crate) const FRONT: usize = 4096;

/// A packed base, mapped into memory and ready to answer.
pub struct Base {
    map: Mmap,
    layout: Layout,
    kernel: Kernel,
}

/// A part of the matrix: some columns next to each other, row by row.
#[derive(Clone, Copy)]
pub(crate) struct Panel<'a> {
    /// The first of its columns.
    pub(crate) first: usize,
    /// Lines of each row.
    pub(crate) width: usize,
    pub(crate) lines: &'a [Line],
}

/// Rows in groups of as many as are multiplied together; the last group is filled up with its last row.
pub(crate) fn groups<'a>(
    mut rows: impl Iterator<Item = &'a [Line]>,
) -> impl Iterator<Item = [&'a [Line]; ROWS]> {
    std::iter::from_fn(move || {
        let mut row = rows.next()?;
        let mut group = [row; ROWS];
        for place in group.iter_mut().skip(1) {
            row = rows.next().unwrap_or(row);
            *place = row;
        }
        Some(group)
    })
}

impl Base {
    /// Map a base file.
    ///
    /// PIR-02 its header and its length agree, which is checked before anything else is read.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        if file.metadata()?.len() < FRONT as u64 {
            return Err(Error::Length);
        }
        let map = mapped::map(&file)?;
        let (front, matrix) = map.split_at_checked(FRONT).ok_or(Error::Length)?;
        let (header, zeros) = front.split_first_chunk::<HEADER>().ok_or(Error::Length)?;
        let layout = Layout::read(header, layout::File::Base)?;
        if zeros.iter().any(|&byte| byte != 0) {
            return Err(Error::Header);
        }
        if matrix.len() != layout.rows() * layout.columns() {
            return Err(Error::Length);
        }
        let kernel = Kernel::detect();
        Ok(Self {
            map,
            layout,
            kernel,
        })
    }

    /// Use other instructions than the fastest that there are.
    #[must_use]
    pub fn with_kernel(self, kernel: Kernel) -> Self {
        Self { kernel, ..self }
    }

    /// What its header says.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Multiply the base by up to eight queries in one pass: 2 bytes a row for each, `answer_bytes` together.
    ///
    /// Uses `threads` threads, at least one, each for a part of the rows. Time and memory accesses depend on the
    /// number of queries alone. Source: SimplePIR, section 4, Answer.
    ///
    /// PIR-07 there are 1 to 8, and each has the layout's length.
    pub fn answer<Q: AsRef<[u8]>>(&self, queries: &[Q], threads: usize) -> Result<Vec<Vec<u8>>> {
        if !(1..=ANSWERS_AT_ONCE).contains(&queries.len()) {
            return Err(Error::Batch);
        }
        let queries = queries
            .iter()
            .map(|query| self.read(query.as_ref()))
            .collect::<Result<Vec<_>>>()?;
        let rows = self.layout.rows();
        let mut sums = vec![[0; ANSWERS_AT_ONCE]; rows];
        let share = rows
            .div_ceil(threads.clamp(1, MAX_THREADS))
            .next_multiple_of(ROWS);
        thread::scope(|scope| {
            let mut shares = sums.chunks_mut(share).enumerate();
            let own = shares.next();
            for (at, sums) in shares {
                let queries = &queries;
                scope.spawn(move || self.multiply(queries, at * share, sums));
            }
            if let Some((_, sums)) = own {
                self.multiply(&queries, 0, sums);
            }
        });
        let answers = (0..queries.len()).map(|at| {
            let sums = sums.iter().filter_map(|row| row.get(at));
            sums.flat_map(|&sum| round(sum)).collect()
        });
        Ok(answers.collect())
    }

    /// Read the whole base once, and do nothing with it: it is in memory then. Returns the sum of its words.
    #[must_use]
    pub fn touch(&self, threads: usize) -> u64 {
        let lines = self.matrix();
        let share = lines.len().div_ceil(threads.clamp(1, MAX_THREADS)).max(1);
        thread::scope(|scope| {
            let mut parts = lines.chunks(share);
            let own = parts.next().unwrap_or(&[]);
            let others: Vec<_> = parts
                .map(|part| scope.spawn(|| self.kernel.sum(part)))
                .collect();
            let own = self.kernel.sum(own);
            let sums = others.into_iter().map(|other| other.join().unwrap_or(0));
            sums.fold(own, u64::wrapping_add)
        })
    }

    fn read(&self, query: &[u8]) -> Result<Vec<Chunk>> {
        if query.len() != self.layout.query_bytes() {
            return Err(Error::Length);
        }
        let (lines, _) = query.as_chunks::<{ 4 * LINE }>();
        let mut words = [0; LINE];
        let chunks = lines.iter().map(|line| {
            for (word, bytes) in words.iter_mut().zip(line.as_chunks::<4>().0) {
                *word = u32::from_le_bytes(*bytes);
            }
            self.kernel.chunk(&words)
        });
        Ok(chunks.collect())
    }

    /// Add the products of some rows, from `first` on, with each query.
    fn multiply(&self, queries: &[Vec<Chunk>], first: usize, sums: &mut [[u32; ANSWERS_AT_ONCE]]) {
        for panel in self.panels() {
            let rows = panel.lines.chunks_exact(panel.width);
            let groups = groups(rows.skip(first).take(sums.len()));
            for (rows, sums) in groups.zip(sums.chunks_mut(ROWS)) {
                for (at, query) in queries.iter().enumerate() {
                    let words = query.get(panel.first / LINE..).unwrap_or(&[]);
                    let products = self.kernel.products(rows, words);
                    for (sums, product) in sums.iter_mut().zip(products) {
                        if let Some(sum) = sums.get_mut(at) {
                            *sum = sum.wrapping_add(product);
                        }
                    }
                }
            }
        }
    }

    /// The instructions it uses.
    #[must_use]
    pub const fn kernel(&self) -> Kernel {
        self.kernel
    }

    fn matrix(&self) -> &[Line] {
        self.map.get(FRONT..).unwrap_or(&[]).as_chunks().0
    }

    pub(crate) fn panels(&self) -> impl Iterator<Item = Panel<'_>> {
        let rows = self.layout.rows();
        let panels = self.matrix().chunks(rows * PANEL / LINE).enumerate();
        panels.map(move |(at, lines)| Panel {
            first: at * PANEL,
            width: lines.len() / rows,
            lines,
        })
    }
}

/// The 16 bits that are sent of a word: rounded to the nearest.
const fn round(sum: u32) -> [u8; 2] {
    let [_, _, low, high] = sum.wrapping_add(1 << 15).to_le_bytes();
    [low, high]
}

impl std::fmt::Debug for Base {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Base").field(&self.layout).finish()
    }
}
