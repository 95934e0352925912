//! `cargo run --release --example measure -- RECORDS [FOLDER]`: what a table of random records costs here.
//!
//! Each line is one figure. The kernel is set against a plain read of the same memory in the same run. Pin the
//! threads from outside (`taskset -c 0,1`).
#![allow(clippy::print_stdout, reason = "this is what it is for")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use grue_pir::{ANSWERS_AT_ONCE, Base, Client, Kernel, Progress, RECORD, Result, build};

const RUNS: usize = 15;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments.next().unwrap_or("100000".into()).parse()?;
    let folder = arguments.next().unwrap_or("target/measure".into());
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    let records = folder.join("records");
    write_records(&records, count)?;
    for threads in [2, 1] {
        let start = Instant::now();
        let built = build(
            &records,
            folder,
            &[3; 16],
            threads,
            &Progress::default(),
            None,
        )?;
        println!(
            "build, {threads} threads      {:8.2} s",
            start.elapsed().as_secs_f64()
        );
        if threads == 2 {
            let layout = built.layout;
            let bits = std::fs::metadata(folder.join("fences"))?.len() * 8;
            println!(
                "layout {:?}, {} columns in use, fences of {} bits",
                layout.shape, layout.used, layout.width
            );
            println!(
                "fences             {:8.2} bits a column",
                bits as f64 / f64::from(layout.used)
            );
            println!("log2 of failure    {:8.1}", built.log2_failure);
        }
        if count > 1_000_000 {
            break;
        }
    }
    measure(folder)?;
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

/// Random tags in ascending order, and random contents.
fn write_records(path: &Path, count: u64) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut state = 1;
    let step = u64::MAX / count.max(1);
    for at in 0..count {
        // Uniform in its own part of the range: near enough to sorted uniform tags.
        let tag = at * step + mix(&mut state) % step;
        file.write_all(&tag.to_be_bytes())?;
        for _ in 1..RECORD / 8 {
            file.write_all(&mix(&mut state).to_le_bytes())?;
        }
    }
    file.flush()
}

/// SplitMix64.
fn mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn measure(folder: &Path) -> Result<()> {
    let mut base = Base::open(&folder.join("packed"))?;
    let layout = *base.layout();
    let bytes = (layout.rows() * layout.columns()) as f64;
    let client = Client::new(&layout, std::fs::read(folder.join("hint"))?)?;
    let kept = client.material(1)?;
    let material = median(|| client.material(1).map(drop))?;
    println!("client, material   {:8.2} ms", material.as_secs_f64() * 1e3);
    let (query, pending) = client.query(kept, 0)?;
    let answer = base.answer(&[&query], 1)?;
    pending.recover(answer.first().map_or(&[], Vec::as_slice))?;
    let batch = [(); ANSWERS_AT_ONCE].map(|()| &query);
    for kernel in Kernel::all() {
        base = base.with_kernel(kernel);
        for threads in [1, 2] {
            // Turn and turn about, so that a neighbour's load falls on all alike.
            let mut times = [const { Vec::new() }; 3];
            for _ in 0..RUNS {
                let [read, one, eight] = &mut times;
                read.push(timed(|| {
                    std::hint::black_box(base.touch(threads));
                    Ok(())
                })?);
                one.push(timed(|| base.answer(&[&query], threads).map(drop))?);
                eight.push(timed(|| base.answer(&batch, threads).map(drop))?);
            }
            let [read, one, eight] = times.map(middle);
            let rate = |time: Duration| bytes / time.as_secs_f64() / 1e9;
            println!(
                "{:12} {threads} threads: read {:6.2} GB/s, answer {:6.2} GB/s ({:7.2} ms), ratio {:.3}, batch of 8 gains {:.2}",
                kernel.name(),
                rate(read),
                rate(one),
                one.as_secs_f64() * 1e3,
                read.as_secs_f64() / one.as_secs_f64(),
                8.0 * one.as_secs_f64() / eight.as_secs_f64(),
            );
        }
    }
    Ok(())
}

fn timed(mut work: impl FnMut() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

fn median(mut work: impl FnMut() -> Result<()>) -> Result<Duration> {
    let times = (0..RUNS).map(|_| timed(&mut work)).collect::<Result<_>>()?;
    Ok(middle(times))
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
