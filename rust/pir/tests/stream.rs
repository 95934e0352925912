//! The streams against vectors that another implementation of AES (OpenSSL's) made, as the protocol's document
//! states them.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use grue_pir::{DIMENSION, Generator, Row};
use sha2::{Digest, Sha256};

/// 00 01 02 ... 0f.
const SEED: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
/// A row's number, its first, second and last word, and SHA-256 of its 5,120 bytes.
const ROWS: [(usize, [u32; 3], &str); 4] = [
    (
        0,
        [0x373b_a1c6, 0x825b_8f87, 0x55f8_88ac],
        "51acda07b1fd23c4646ec4a174e7c5154feaab976829c1acf18db5e260373ae8",
    ),
    (
        1,
        [0x55d4_23f1, 0xe2a5_7937, 0x5fea_3fff],
        "09fbc4ed710fe0d4568b05b69bf9cf85a2d80cb0a0dd009c157669370af92480",
    ),
    (
        63,
        [0x470b_1251, 0xc275_f1cf, 0x812c_fedb],
        "fdc1aaa4a29020074b24a51344d605855d20fad7d2fa8d4376e9b1090a03c7eb",
    ),
    (
        164_479,
        [0xe8bb_8fce, 0xf720_7e19, 0x3525_a9b3],
        "92203de8a4ed4e7782fff41df3e28153998ef3324662bcaecd8e1e27f2e238c0",
    ),
];

fn rows(first: usize, count: usize) -> Vec<Row> {
    let mut rows = vec![[[0; 4]; DIMENSION]; count];
    Generator::new(&SEED, first).fill(&mut rows);
    rows
}

#[test]
fn rows_of_a_are_those_of_the_vectors() {
    for (at, [first, second, last], hash) in ROWS {
        let row = rows(at, 1).remove(0);
        let word = |at: usize| u32::from_le_bytes(*row.get(at).unwrap());
        assert_eq!(
            [word(0), word(1), word(DIMENSION - 1)],
            [first, second, last]
        );
        assert_eq!(hex::encode(Sha256::digest(row.as_flattened())), hash);
    }
}

#[test]
fn a_stream_begins_at_any_row() {
    let all = rows(0, 70);
    for first in [1, 33, 69] {
        assert_eq!(rows(first, 70 - first), all.get(first..).unwrap());
    }
}
