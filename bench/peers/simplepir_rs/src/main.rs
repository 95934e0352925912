//! `peer-simplepir-rs RECORDS LOOKUPS`: the crate `simplepir` over a file of 128-byte records.
//!
//! Prints one line of JSON: a core's milliseconds for each lookup at server and client, bytes, and its seconds for the set-up. Its
//! interface recovers one number of an answer that has the whole record's; it is counted as if that were the record.

use std::env;
use std::error::Error;
use std::fs;

use cpu_time::ProcessTime;
use simplepir::{CompressedDatabase, Database, Matrix, answer, query, recover, setup};

const RECORD: usize = 128;
/// The dimension and the bits of a number that its documentation recommends.
const DIMENSION: usize = 2048;
const BITS: usize = 17;
/// Numbers of a record: its 1,024 bits.
const NUMBERS: usize = (RECORD * 8).div_ceil(BITS);
const WORD: usize = 8;
/// Lookups go over the whole table in strides of a prime.
const STRIDE: usize = 7_919;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().collect();
    let [_, path, lookups] = arguments.as_slice() else {
        return Err("peer-simplepir-rs RECORDS LOOKUPS".into());
    };
    let database = table(&fs::read(path)?)?;
    let side = database.side_len();

    let start = ProcessTime::now();
    let packed = database.compress()?;
    let (seed, hint) = setup(&database, DIMENSION);
    let setup_s = start.elapsed().as_secs_f64();

    let (server_ms, client_ms) = looked_up(&database, &packed, seed, &hint, lookups.parse()?)?;
    let cold = WORD + hint.nrows() * hint.ncols() * WORD;
    println!(
        r#"{{"setup_s":{setup_s},"cold":{cold},"up":{0},"down":{0},"server_ms":{server_ms:?},"ahead_ms":[0],"client_ms":{client_ms:?}}}"#,
        side * WORD
    );
    Ok(())
}

/// A square in which the numbers of a record lie below one another, so that one answer has them all.
fn table(file: &[u8]) -> Result<Database, Box<dyn Error>> {
    let records = file.len() / RECORD;
    let mut side = NUMBERS;
    while side * (side / NUMBERS) < records {
        side += NUMBERS;
    }
    let mut rows = vec![vec![0; side]; side];
    for (at, record) in file.chunks_exact(RECORD).enumerate() {
        for number in 0..NUMBERS {
            rows[at / side * NUMBERS + number][at % side] = bits(record, number * BITS);
        }
    }
    Ok(Database::from_matrix(Matrix::from_data(rows), BITS as u8)?)
}

/// `BITS` bits of a record from one on, with zeros behind its end.
fn bits(record: &[u8], first: usize) -> u64 {
    (first..first + BITS).fold(0, |number, bit| {
        number << 1
            | record
                .get(bit / 8)
                .map_or(0, |byte| u64::from(byte >> (7 - bit % 8) & 1))
    })
}

/// Milliseconds at server and client, for each lookup.
fn looked_up(
    database: &Database,
    packed: &CompressedDatabase,
    seed: u64,
    hint: &Matrix,
    lookups: usize,
) -> Result<(Vec<f64>, Vec<f64>), Box<dyn Error>> {
    let (mut server_ms, mut client_ms) = (Vec::new(), Vec::new());
    let side = database.side_len();
    let modulus = 1 << BITS;
    for index in (0..side * side).cycle().step_by(STRIDE).take(lookups) {
        let start = ProcessTime::now();
        let (state, asked) = query(index, side, DIMENSION, seed, modulus);
        let asking_ms = milliseconds(start);

        let start = ProcessTime::now();
        let answered = answer(packed, &asked);
        server_ms.push(milliseconds(start));

        let start = ProcessTime::now();
        let number = recover(&state, hint, &answered, &asked, modulus);
        client_ms.push(asking_ms + milliseconds(start));
        if Some(number) != database.get(index) {
            return Err("another number than the one that was asked for".into());
        }
    }
    Ok((server_ms, client_ms))
}

fn milliseconds(start: ProcessTime) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}
