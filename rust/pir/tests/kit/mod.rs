//! A table in a folder of its own, with all that is needed to ask it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    dead_code,
    reason = "a panic here is a failed test, and not every test needs all of it"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use grue_pir::{Base, Built, Client, Columns, Layout, Pending, Progress, RECORD};

pub const SEED: [u8; 16] = [42; 16];
/// What `build` writes.
pub const FILES: [&str; 4] = ["packed", "hint", "fences", "top"];

pub type Record = [u8; RECORD];

/// A record with this tag and contents that follow from it.
pub fn record(tag: u128) -> Record {
    let mut record = [0; RECORD];
    record[..16].copy_from_slice(&tag.to_be_bytes());
    let mut state = tag as u64 ^ (tag >> 64) as u64;
    for byte in &mut record[16..] {
        *byte = (mix(&mut state) >> 32) as u8;
    }
    record
}

/// As many records, sorted, with tags that look random.
pub fn records(count: usize) -> Vec<Record> {
    let mut state = 7;
    let mut tags: Vec<u128> = (0..count)
        .map(|_| u128::from(mix(&mut state)) << 64 | u128::from(mix(&mut state)))
        .collect();
    tags.sort_unstable();
    tags.into_iter().map(record).collect()
}

/// SplitMix64.
fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Is it next to an end of the range?
pub fn near(tag: u128) -> bool {
    tag <= 1 || tag >= u128::MAX - 1
}

pub fn tag(record: &Record) -> u128 {
    u128::from_be_bytes(record[..16].try_into().unwrap())
}

/// A folder that goes with its owner.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "pir-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub struct Table {
    folder: Folder,
    pub base: Base,
    pub built: Built,
    pub files: Vec<Vec<u8>>,
    records: Vec<Record>,
    columns: Columns,
    client: Client,
}

impl Table {
    pub fn new(records: &[Record], slots: Option<u32>) -> Self {
        Self::with_threads(records, slots, 1)
    }

    pub fn with_threads(records: &[Record], slots: Option<u32>, threads: usize) -> Self {
        Self::with_seed(records, slots, threads, SEED)
    }

    pub fn with_seed(
        records: &[Record],
        slots: Option<u32>,
        threads: usize,
        seed: [u8; 16],
    ) -> Self {
        let folder = Folder::new();
        let path = folder.0.join("records");
        fs::write(&path, records.as_flattened()).unwrap();
        let progress = Progress::default();
        let built = grue_pir::build(&path, &folder.0, &seed, threads, &progress, slots).unwrap();
        let files: Vec<_> = FILES
            .map(|name| fs::read(folder.0.join(name)).unwrap())
            .into();
        Self {
            base: Base::open(&folder.0.join("packed")).unwrap(),
            columns: Columns::new(&built.layout, &files[2], &files[3]).unwrap(),
            client: Client::new(&built.layout, files[1].clone()).unwrap(),
            records: records.to_vec(),
            folder,
            built,
            files,
        }
    }

    pub fn layout(&self) -> &Layout {
        &self.built.layout
    }

    pub fn open(&self) -> Base {
        Base::open(&self.folder.0.join("packed")).unwrap()
    }

    pub fn client(&self) -> Client {
        Client::new(self.layout(), self.files[1].clone()).unwrap()
    }

    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// A query for a column, and what reads the answer.
    pub fn ask(&self, column: u32) -> (Vec<u8>, Pending) {
        let material = self.client.material(1).unwrap();
        self.client.query(material, column).unwrap()
    }

    /// A column, retrieved.
    pub fn retrieve(&self, column: u32) -> Vec<u8> {
        let (query, pending) = self.ask(column);
        let answer = self.base.answer(&[query], 1).unwrap();
        pending.recover(&answer[0]).unwrap()
    }

    pub fn lookup(&self, tag: u128) -> Option<Record> {
        let tag = tag.to_be_bytes();
        let column = self.columns.column(&tag).unwrap();
        self.columns.open(&tag, &self.retrieve(column)).unwrap()
    }

    pub fn check_column(&self, column: u32) {
        self.check_bytes(column, &self.retrieve(column));
    }

    /// Every record of a column is found in what was retrieved of it, and every gap is.
    pub fn check_bytes(&self, column: u32, bytes: &[u8]) {
        let (first, last) = self.columns.fences().bounds(column).unwrap();
        let own = self
            .records
            .iter()
            .filter(|record| (first..=last).contains(&tag(record)));
        for record in own {
            let tag = tag(record);
            assert_eq!(
                self.columns.open(&tag.to_be_bytes(), bytes),
                Ok(Some(*record))
            );
            for gap in [tag.saturating_sub(1), tag.saturating_add(1)] {
                self.check_gap(gap, column, bytes);
            }
        }
        self.check_gap(first, column, bytes);
        self.check_gap(last, column, bytes);
    }

    fn check_gap(&self, gap: u128, column: u32, bytes: &[u8]) {
        let gap_bytes = gap.to_be_bytes();
        let there = self
            .records
            .iter()
            .find(|record| tag(record) == gap)
            .copied();
        let expected = if self.columns.column(&gap_bytes) == Ok(column) {
            Ok(there)
        } else {
            Err(grue_pir::Error::Column)
        };
        assert_eq!(self.columns.open(&gap_bytes, bytes), expected);
    }
}
