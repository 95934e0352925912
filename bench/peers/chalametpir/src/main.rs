//! `peer-chalametpir RECORDS LOOKUPS`: `ChalametPIR` over a file of 128-byte records, the first 16 bytes of each its key.
//!
//! Prints one line of JSON: a core's milliseconds for each lookup at server and client, bytes, and its seconds for both set-ups.

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::fs;
use std::io;

use chalametpir_client::{Client, SEED_BYTE_LEN};
use chalametpir_server::Server;
use cpu_time::ProcessTime;

const RECORD: usize = 128;
const TAG: usize = 16;
/// The variant its own documentation measures; with four, the upload is smaller by a twentieth and queries take longer.
const ARITY: u32 = 3;
/// Lookups go over the whole table in strides of a prime.
const STRIDE: usize = 7_919;

/// What lookups took, one entry each.
#[derive(Default)]
struct Lookups {
    server_ms: Vec<f64>,
    /// The query and reading the answer. Its interface makes a query for a key, so nothing of it ahead of time.
    client_ms: Vec<f64>,
    up: usize,
    down: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().collect();
    let [_, path, lookups] = arguments.as_slice() else {
        return Err("peer-chalametpir RECORDS LOOKUPS".into());
    };
    let file = fs::read(path)?;
    let records: Vec<(&[u8], &[u8])> = file
        .chunks_exact(RECORD)
        .map(|record| record.split_at(TAG))
        .collect();
    let table: HashMap<&[u8], &[u8]> = records.iter().copied().collect();
    let seed = [7; SEED_BYTE_LEN];

    let start = ProcessTime::now();
    let (server, hint, filter) = Server::setup::<ARITY>(&seed, table).map_err(told)?;
    let setup_s = start.elapsed().as_secs_f64();
    let start = ProcessTime::now();
    let mut client = Client::setup(&seed, &hint, &filter).map_err(told)?;
    let client_setup_s = start.elapsed().as_secs_f64();

    let found = looked_up(&server, &mut client, &records, lookups.parse()?)?;
    let cold = seed.len() + hint.len() + filter.len();
    println!(
        r#"{{"setup_s":{setup_s},"client_setup_s":{client_setup_s},"cold":{cold},"up":{},"down":{},"server_ms":{:?},"ahead_ms":[0],"client_ms":{:?}}}"#,
        found.up, found.down, found.server_ms, found.client_ms
    );
    Ok(())
}

fn looked_up(
    server: &Server,
    client: &mut Client,
    records: &[(&[u8], &[u8])],
    lookups: usize,
) -> Result<Lookups, Box<dyn Error>> {
    let mut found = Lookups::default();
    for (key, contents) in records.iter().cycle().step_by(STRIDE).take(lookups) {
        let start = ProcessTime::now();
        let query = client.query(key).map_err(told)?;
        let asking_ms = milliseconds(start);

        let start = ProcessTime::now();
        let answer = server.respond(&query).map_err(told)?;
        found.server_ms.push(milliseconds(start));

        let start = ProcessTime::now();
        let value = client.process_response(key, &answer).map_err(told)?;
        found.client_ms.push(asking_ms + milliseconds(start));
        if value != *contents {
            return Err("another record than the one that was asked for".into());
        }
        (found.up, found.down) = (query.len(), answer.len());
    }
    Ok(found)
}

fn milliseconds(start: ProcessTime) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// Its errors, as ones of the standard library.
fn told(error: impl std::fmt::Debug) -> io::Error {
    io::Error::other(format!("{error:?}"))
}
