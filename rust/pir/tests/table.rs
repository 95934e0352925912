//! Whole tables: built, asked and opened, at the sizes where something begins or ends.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

mod kit;

use grue_pir::{ANSWERS_AT_ONCE, Error, Kernel, RECORD};
use kit::{Table, near, record, records};

#[test]
fn every_record_is_found_in_small_tables_and_every_gap_is_proved() {
    for count in [0, 1, 2, 3, 60, 61, 1_000] {
        let table = Table::new(&records(count), None);
        for column in 0..table.layout().used {
            table.check_column(column);
        }
    }
}

#[test]
fn a_table_with_merkle_paths_in_its_columns_gives_every_column() {
    // 1,216 columns of two slots: one level below the top list, and a last node that rises.
    let table = Table::new(&records(2_200), Some(2));
    assert_eq!(table.layout().shape.rows, 2 * 128 + 32);
    for column in (0..table.layout().used)
        .step_by(7)
        .chain([table.layout().used - 1])
    {
        table.check_column(column);
    }
}

#[test]
fn tables_of_more_than_one_panel_give_columns_of_each() {
    let table = Table::new(&records(16_000), Some(1));
    let used = table.layout().used;
    assert!(table.layout().columns() > 16_384 && used == 16_000);
    for column in [0, 8_191, used - 1] {
        table.check_column(column);
    }
}

#[test]
fn columns_can_be_full_to_the_last_slot() {
    // Tags at equal distances: four of them agree in their first five bits, and with any four a column begins.
    let records: Vec<_> = (0..120_u128).map(|at| record(at << 121 | 1)).collect();
    let table = Table::new(&records, Some(4));
    assert_eq!(table.layout().used, 30);
    for column in 0..30 {
        table.check_column(column);
    }
}

#[test]
fn tags_that_differ_in_their_last_bits_only_have_long_fences() {
    let records: Vec<_> = (0..300_u128).map(|at| record(0xabcd << 112 | at)).collect();
    let table = Table::new(&records, Some(3));
    assert!(table.layout().width > 100);
    for column in 0..table.layout().used {
        table.check_column(column);
    }
}

#[test]
fn tags_at_both_ends_of_the_range_are_found() {
    let table = Table::new(
        &[
            record(0),
            record(1),
            record(u128::MAX - 1),
            record(u128::MAX),
        ],
        Some(1),
    );
    for tag in [
        0,
        1,
        2,
        u128::MAX / 2,
        u128::MAX - 2,
        u128::MAX - 1,
        u128::MAX,
    ] {
        assert_eq!(table.lookup(tag).is_some(), near(tag), "{tag:x}");
    }
}

/// PIR-11.
#[test]
fn a_table_whose_digits_are_as_large_as_can_be_is_whitened() {
    // Bytes of 0 are digits of -128: with so many columns of them, answers would fail too often.
    let records: Vec<_> = (1..=150_000_u128)
        .map(|at| {
            let mut record = [0; RECORD];
            record[..16].copy_from_slice(&(at << 100).to_be_bytes());
            record
        })
        .collect();
    let table = Table::with_threads(&records, Some(1), 2);
    assert!(table.layout().whitened && table.built.log2_failure < -64.0);
    for column in [0, 75_000, table.layout().used - 1] {
        table.check_column(column);
    }
}

#[test]
fn a_batch_is_answered_like_its_queries_one_by_one() {
    let table = Table::new(&records(500), None);
    let asked: Vec<_> = (0..ANSWERS_AT_ONCE as u32)
        .map(|at| table.ask(at % table.layout().used))
        .collect();
    let queries: Vec<_> = asked.iter().map(|(query, _)| query.clone()).collect();
    let together = table.base.answer(&queries, 1).unwrap();
    for (query, answer) in queries.iter().zip(&together) {
        assert_eq!(&table.base.answer(&[query], 1).unwrap()[0], answer);
    }
    for ((_, pending), answer) in asked.into_iter().zip(together) {
        let column = pending.column();
        table.check_bytes(column, &pending.recover(&answer).unwrap());
    }
}

#[test]
fn threads_and_kernels_change_no_byte() {
    let sorted = records(18_000);
    let table = Table::new(&sorted, Some(1));
    let (query, _) = table.ask(17);
    let expected = table.base.answer(&[&query], 1).unwrap();
    for kernel in Kernel::all() {
        let base = table.open().with_kernel(kernel);
        for threads in [0, 1, 2, 3, 1000] {
            assert_eq!(
                base.answer(&[&query], threads).unwrap(),
                expected,
                "{}",
                kernel.name()
            );
        }
    }
    let again = Table::with_threads(&sorted, Some(1), 3);
    assert_eq!(again.files, table.files);
}

#[test]
fn every_kernel_makes_material_that_reads_the_answer() {
    let table = Table::new(&records(300), Some(2));
    for kernel in Kernel::all() {
        let client = table.client().with_kernel(kernel);
        for threads in [1, 3] {
            let material = client.material(threads).unwrap();
            let (query, pending) = client.query(material, 5).unwrap();
            let answer = table.base.answer(&[query], 1).unwrap();
            table.check_bytes(5, &pending.recover(&answer[0]).unwrap());
        }
    }
}

/// PIR-09.
#[test]
fn material_survives_its_bytes_and_belongs_to_one_hint() {
    let table = Table::new(&records(100), None);
    let client = table.client();
    let bytes = client.material(1).unwrap().to_bytes();
    let again = client.material_from_bytes(&bytes).unwrap();
    assert_eq!(*again.to_bytes(), *bytes);
    let (query, pending) = client.query(again, 0).unwrap();
    let answer = table.base.answer(&[query], 1).unwrap();
    table.check_bytes(0, &pending.recover(&answer[0]).unwrap());

    let other = Table::with_seed(&records(100), None, 1, [9; 16]).client();
    assert_eq!(
        other.material_from_bytes(&bytes).unwrap_err(),
        Error::Material
    );
    let material = client.material(1).unwrap();
    assert_eq!(other.query(material, 0).unwrap_err(), Error::Material);
}

#[test]
fn two_queries_for_one_column_have_nothing_in_common() {
    let table = Table::new(&records(100), None);
    let ((first, _), (second, _)) = (table.ask(0), table.ask(0));
    let words = |query: &[u8]| query.as_chunks::<4>().0.to_vec();
    let same = words(&first)
        .iter()
        .zip(words(&second))
        .filter(|&(first, second)| *first == second)
        .count();
    assert_eq!(same, 0);
}
