//! The client's side: material made ahead of time, a query with it, and the column out of the answer.

use std::thread;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::answer::MAX_THREADS;
use crate::layout::{DIMENSION, File, HEADER};
use crate::merkle::HASH;
use crate::sample::Sampler;
use crate::stream::{self, Generator, Row};
use crate::{Error, Kernel, Layout, Result};

/// How far apart two digits are in a word of a query.
const DIGIT: u32 = 1 << 24;
/// Rows of A that are made at a time: 80 KiB.
const AT_ONCE: usize = 16;
const MATERIAL: &[u8; 8] = b"GRUEPIRM";

/// Who asks: the layout and the hint of a table.
pub struct Client {
    layout: Layout,
    /// The hint file as it was downloaded.
    hint: Vec<u8>,
    digest: [u8; HASH],
    kernel: Kernel,
}

/// What one query takes of secrets, made ahead of time; zeroised when dropped.
///
/// Used twice it would show the server how two columns differ, so it is handed over when it is used, and what
/// was stored of it has to be gone before the query is sent.
pub struct Material {
    hint: [u8; HASH],
    /// A s + e: a word for each column.
    words: Zeroizing<Vec<u32>>,
    /// H s: 16 bits for each row.
    product: Zeroizing<Vec<u16>>,
}

/// A query that was made and waits for its answer.
pub struct Pending {
    layout: Layout,
    column: u32,
    product: Zeroizing<Vec<u16>>,
}

impl Client {
    /// Take a hint file whose hash is the manifest's: a wrong hint makes queries tell which column they are for.
    ///
    /// PIR-02 its header and its length are the layout's.
    pub fn new(layout: &Layout, hint: Vec<u8>) -> Result<Self> {
        let body = layout.body(&hint, File::Hint)?;
        if body.len() != layout.rows() * DIMENSION * 2 {
            return Err(Error::Length);
        }
        Ok(Self {
            layout: *layout,
            digest: Sha256::digest(&hint).into(),
            hint,
            kernel: Kernel::detect(),
        })
    }

    /// Use other instructions than the fastest that there are.
    #[must_use]
    pub fn with_kernel(self, kernel: Kernel) -> Self {
        Self { kernel, ..self }
    }

    /// SHA-256 of the hint file.
    #[must_use]
    pub const fn hint_digest(&self) -> [u8; HASH] {
        self.digest
    }

    /// Fresh material for one query, with the operating system's randomness.
    ///
    /// Makes all of A once: 5 KiB for each column, on `threads` threads.
    pub fn material(&self, threads: usize) -> Result<Material> {
        self.material_from(&mut Sampler::new(self.kernel)?, threads)
    }

    fn material_from(&self, sampler: &mut Sampler, threads: usize) -> Result<Material> {
        let secret = sampler.secret();
        let mut words = Zeroizing::new(vec![0; self.layout.columns()]);
        self.multiply_a(&secret, &mut words, threads);
        sampler.disturb(&mut words);
        let halves = Zeroizing::new(secret.iter().map(|&word| word as u16).collect::<Vec<_>>());
        let hint = self.hint.get(HEADER..).unwrap_or(&[]);
        let rows = hint.as_chunks::<2>().0.chunks_exact(DIMENSION);
        let product = rows.map(|row| self.kernel.product_16(row, &halves));
        Ok(Material {
            hint: self.digest,
            words,
            product: Zeroizing::new(product.collect()),
        })
    }

    /// A s.
    fn multiply_a(&self, secret: &[u32], words: &mut [u32], threads: usize) {
        let share = words.len().div_ceil(threads.clamp(1, MAX_THREADS)).max(1);
        thread::scope(|scope| {
            let mut shares = words.chunks_mut(share).enumerate();
            let own = shares.next();
            for (at, words) in shares {
                scope.spawn(move || self.multiply_rows(secret, at * share, words));
            }
            if let Some((_, words)) = own {
                self.multiply_rows(secret, 0, words);
            }
        });
    }

    /// Rows of A from `first` on, times s.
    fn multiply_rows(&self, secret: &[u32], first: usize, words: &mut [u32]) {
        let mut generator = Generator::new(&self.layout.seed, first);
        let mut rows: Vec<Row> = vec![[[0; 4]; DIMENSION]; AT_ONCE];
        for words in words.chunks_mut(AT_ONCE) {
            generator.fill(&mut rows);
            for (word, row) in words.iter_mut().zip(&rows) {
                *word = self.kernel.product_32(row, secret);
            }
        }
    }

    /// Read what [`Material::to_bytes`] wrote. PIR-09 it is whole, and was made for this hint.
    pub fn material_from_bytes(&self, bytes: &[u8]) -> Result<Material> {
        let (magic, rest) = bytes.split_first_chunk().ok_or(Error::Material)?;
        let (hint, rest) = rest.split_first_chunk().ok_or(Error::Material)?;
        let words = rest.split_at_checked(self.layout.query_bytes());
        let (words, product) = words.ok_or(Error::Material)?;
        if magic != MATERIAL || *hint != self.digest || product.len() != self.layout.answer_bytes()
        {
            return Err(Error::Material);
        }
        let words = words
            .as_chunks()
            .0
            .iter()
            .map(|word| u32::from_le_bytes(*word));
        let product = product
            .as_chunks()
            .0
            .iter()
            .map(|word| u16::from_le_bytes(*word));
        Ok(Material {
            hint: *hint,
            words: Zeroizing::new(words.collect()),
            product: Zeroizing::new(product.collect()),
        })
    }

    /// Ask for a column: the query, 4 bytes a column of the table, and what reads its answer.
    ///
    /// q = A s + e + 2^24 u. Costs one addition a word.
    ///
    /// PIR-09 the material is of this hint, and a tag can belong to the column. It is handed over: nobody has it twice.
    pub fn query(&self, mut material: Material, column: u32) -> Result<(Vec<u8>, Pending)> {
        if material.hint != self.digest {
            return Err(Error::Material);
        }
        if column >= self.layout.used {
            return Err(Error::Index);
        }
        for (at, word) in material.words.iter_mut().enumerate() {
            *word = word.wrapping_add(u32::from(at == column as usize) * DIGIT);
        }
        let query = material
            .words
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        let pending = Pending {
            layout: self.layout,
            column,
            product: std::mem::take(&mut material.product),
        };
        Ok((query, pending))
    }
}

impl Material {
    /// For a store that only its owner reads, and deletes from before the query is sent.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let length = MATERIAL.len() + HASH + self.words.len() * 4 + self.product.len() * 2;
        let mut bytes = Zeroizing::new(Vec::with_capacity(length));
        bytes.extend_from_slice(MATERIAL);
        bytes.extend_from_slice(&self.hint);
        self.words
            .iter()
            .for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        self.product
            .iter()
            .for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        bytes
    }
}

impl Pending {
    /// The column that was asked for.
    #[must_use]
    pub const fn column(&self) -> u32 {
        self.column
    }

    /// The column out of the answer: bytes that prove nothing before [`crate::Columns::open`].
    ///
    /// PIR-08 the answer has the layout's length.
    pub fn recover(self, answer: &[u8]) -> Result<Vec<u8>> {
        if answer.len() != self.layout.answer_bytes() {
            return Err(Error::Length);
        }
        let answer = answer.as_chunks::<2>().0.iter();
        let words = answer.zip(self.product.iter());
        let mut column: Vec<u8> = words
            .map(|(word, product)| digit(u16::from_le_bytes(*word).wrapping_sub(*product)) ^ 0x80)
            .collect();
        if self.layout.whitened {
            let mut mask = vec![0; column.len()];
            stream::mask(&self.layout.seed, self.column as usize, &mut mask);
            column
                .iter_mut()
                .zip(mask)
                .for_each(|(byte, mask)| *byte ^= mask);
        }
        Ok(column)
    }
}

/// The digit, in two's complement, that a word with an error is next to.
const fn digit(word: u16) -> u8 {
    let [_, high] = word.wrapping_add(1 << 7).to_le_bytes();
    high
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Client").field(&self.layout).finish()
    }
}

impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Material")
    }
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pending")
    }
}
