//! What is refused: changed, cut and foreign bytes. Never is a record that is there called absent.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

mod kit;

use std::fs;
use std::sync::OnceLock;

use grue_pir::{Base, Client, Columns, Error, HEADER, Layout, MAX_RECORDS, Progress, Shape, build};
use kit::{Folder, SEED, Table, records, tag};
use proptest::prelude::*;

const RECORDS: usize = 120;

/// A table of 64 columns that all tests look at.
fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| Table::new(&records(RECORDS), Some(2)))
}

/// One with paths in its columns.
fn tall() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| Table::new(&records(2_200), Some(2)))
}

fn columns_of(table: &Table) -> Vec<Vec<u8>> {
    (0..table.layout().used)
        .map(|at| table.retrieve(at))
        .collect()
}

fn built_of(records: &[u8]) -> Error {
    let folder = Folder::new();
    let path = folder.0.join("records");
    fs::write(&path, records).unwrap();
    build(&path, &folder.0, &SEED, 1, &Progress::default(), None).unwrap_err()
}

/// PIR-10.
#[test]
fn records_that_are_not_whole_or_not_sorted_are_refused() {
    let sorted = records(3);
    let swapped = [sorted[1], sorted[0], sorted[2]];
    let twice = [sorted[0], sorted[0]];
    for bad in [
        &sorted.as_flattened()[1..],
        swapped.as_flattened(),
        twice.as_flattened(),
        // Like an empty slot.
        &[0x80; 128],
    ] {
        assert_eq!(built_of(bad), Error::Records);
    }
}

#[test]
fn files_that_are_not_there_are_named_by_kind() {
    let folder = Folder::new();
    let missing = folder.0.join("missing");
    let expected = Error::File(std::io::ErrorKind::NotFound);
    assert_eq!(Base::open(&missing).unwrap_err(), expected);
    let built = build(&missing, &folder.0, &SEED, 1, &Progress::default(), None);
    assert_eq!(built.unwrap_err(), expected);
}

#[test]
fn a_build_that_is_stopped_ends() {
    let folder = Folder::new();
    let path = folder.0.join("records");
    fs::write(&path, records(10).as_flattened()).unwrap();
    let progress = Progress::default();
    progress.stop();
    let built = build(&path, &folder.0, &SEED, 1, &progress, None);
    assert_eq!(built.unwrap_err(), Error::Stopped);
}

#[test]
fn tables_beyond_the_limits_have_no_shape() {
    assert_eq!(Shape::new(MAX_RECORDS + 1, 100), Err(Error::Records));
    assert_eq!(Shape::new(10, 0), Err(Error::Records));
    assert_eq!(Shape::new(MAX_RECORDS, 1), Err(Error::Records));
}

/// PIR-02, and PIR-01.
#[test]
fn a_base_with_a_changed_front_or_another_length_is_refused() {
    let folder = Folder::new();
    let path = folder.0.join("packed");
    let whole = &table().files[0];
    for at in 0..4096 {
        let mut changed = whole[..4096 + 64].to_vec();
        changed[at] ^= 1;
        // Cut as well, so that even a header that agrees with itself does not agree with its file.
        fs::write(&path, &changed).unwrap();
        assert!(Base::open(&path).is_err(), "{at}");
    }
    let mut longer = whole.clone();
    longer.push(0);
    for other in [
        &whole[..0],
        &whole[..HEADER],
        &whole[..whole.len() - 1],
        &longer,
    ] {
        fs::write(&path, other).unwrap();
        assert_eq!(Base::open(&path).unwrap_err(), Error::Length);
    }
    for at in 0..HEADER {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(&path, &changed).unwrap();
        // A seed or a root can be any: then it is another table's base.
        let layout = Base::open(&path).map(|base| *base.layout());
        assert_ne!(layout.as_ref(), Ok(table().layout()), "{at}");
    }
}

/// PIR-02.
#[test]
fn a_changed_byte_of_the_other_files_headers_is_refused() {
    let table = table();
    for at in 0..HEADER {
        let changed = |file: usize| {
            let mut changed = table.files[file].clone();
            changed[at] ^= 1;
            changed
        };
        let layout = table.layout();
        assert_eq!(Client::new(layout, changed(1)).unwrap_err(), Error::Header);
        let fences = Columns::new(layout, &changed(2), &table.files[3]);
        assert_eq!(fences.err(), Some(Error::Header));
        let top = Columns::new(layout, &table.files[2], &changed(3));
        assert_eq!(top.err(), Some(Error::Header));
    }
}

/// PIR-03.
#[test]
fn a_changed_top_hash_is_refused_and_every_truncation() {
    let table = tall();
    let top = &table.files[3];
    for at in (HEADER..top.len()).step_by(97) {
        let mut changed = top.clone();
        changed[at] ^= 1;
        let columns = Columns::new(table.layout(), &table.files[2], &changed);
        assert_eq!(columns.err(), Some(Error::Root));
    }
    for length in [0, HEADER - 1, HEADER, top.len() - 32, top.len() - 1] {
        let columns = Columns::new(table.layout(), &table.files[2], &top[..length]);
        assert_eq!(columns.err(), Some(Error::Length));
    }
}

/// PIR-04, and PIR-05 for those that are keys as well.
#[test]
fn changed_fences_are_refused_or_never_hide_a_record() {
    let table = table();
    let columns = columns_of(table);
    let sorted = records(RECORDS);
    let mut hidden = 0;
    for (at, bit) in (HEADER..table.files[2].len()).flat_map(|at| (0..8).map(move |bit| (at, bit)))
    {
        let mut fences = table.files[2].clone();
        fences[at] ^= 1 << bit;
        let Ok(changed) = Columns::new(table.layout(), &fences, &table.files[3]) else {
            continue;
        };
        for record in &sorted {
            let tag = &record[..16];
            let column = changed.column(tag).unwrap() as usize;
            match changed.open(tag, &columns[column]) {
                Ok(found) => assert_eq!(found, Some(*record)),
                Err(error) => {
                    assert_eq!(error, Error::Column);
                    hidden += 1;
                }
            }
        }
    }
    assert!(hidden > 0, "no change had any effect");
}

/// PIR-05.
#[test]
fn a_changed_byte_of_a_column_is_refused() {
    let table = tall();
    let used = table.layout().used;
    for index in [0, used / 2, used - 1] {
        let (first, _) = table.columns().fences().bounds(index).unwrap();
        let column = table.retrieve(index);
        assert!(table.columns().open(&first.to_be_bytes(), &column).is_ok());
        for at in 0..column.len() {
            let mut changed = column.clone();
            changed[at] ^= 0x10;
            let opened = table.columns().open(&first.to_be_bytes(), &changed);
            assert_eq!(opened, Err(Error::Column), "{index} {at}");
        }
        let shorter = table.columns().open(&first.to_be_bytes(), &column[1..]);
        assert_eq!(shorter, Err(Error::Length));
    }
}

/// PIR-05.
#[test]
fn another_column_of_the_same_table_proves_nothing() {
    let columns = columns_of(table());
    for record in records(RECORDS) {
        let own = table().columns().column(&record[..16]).unwrap() as usize;
        for (at, column) in columns.iter().enumerate() {
            let expected = if at == own {
                Ok(Some(record))
            } else {
                Err(Error::Column)
            };
            assert_eq!(table().columns().open(&record[..16], column), expected);
        }
    }
}

/// PIR-07, PIR-08, and PIR-09 of the column.
#[test]
fn lengths_and_numbers_are_exact() {
    let table = table();
    let (query, pending) = table.ask(0);
    for bad in [&query[1..], &[], &[query.as_slice(), &[0]].concat()] {
        assert_eq!(table.base.answer(&[bad], 1).unwrap_err(), Error::Length);
    }
    let none: [&[u8]; 0] = [];
    assert_eq!(table.base.answer(&none, 1).unwrap_err(), Error::Batch);
    let nine = [&query; 9];
    assert_eq!(table.base.answer(&nine, 1).unwrap_err(), Error::Batch);
    assert_eq!(pending.recover(&[0; 3]).unwrap_err(), Error::Length);
    let client = table.client();
    let material = client.material(1).unwrap();
    let beyond = client.query(material, table.layout().used);
    assert_eq!(beyond.unwrap_err(), Error::Index);
    for tag in [&[0; 15][..], &[0; 17], &[]] {
        assert_eq!(table.columns().column(tag), Err(Error::Length));
        assert_eq!(table.columns().open(tag, &[]), Err(Error::Length));
    }
}

/// PIR-09.
#[test]
fn material_of_another_length_or_kind_is_refused() {
    let client = table().client();
    let bytes = client.material(1).unwrap().to_bytes();
    for length in [0, 7, 8, 39, 40, bytes.len() - 1] {
        let cut = client.material_from_bytes(&bytes[..length]);
        assert_eq!(cut.unwrap_err(), Error::Material);
    }
    for at in 0..40 {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        let changed = client.material_from_bytes(&changed);
        assert_eq!(changed.unwrap_err(), Error::Material);
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(
        client.material_from_bytes(&longer).unwrap_err(),
        Error::Material
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_changed_answer_or_hint_gives_the_record_or_an_error(
        at in any::<prop::sample::Index>(), change in 1..=255_u8, in_hint in any::<bool>(), which in 0..RECORDS,
    ) {
        let table = table();
        let record = records(RECORDS)[which];
        let column = table.columns().column(&record[..16]).unwrap();
        let mut hint = table.files[1].clone();
        if in_hint {
            let at = HEADER + at.index(hint.len() - HEADER);
            hint[at] ^= change;
        }
        let client = Client::new(table.layout(), hint).unwrap();
        let (query, pending) = client.query(client.material(1).unwrap(), column).unwrap();
        let mut answer = table.base.answer(&[query], 1).unwrap().remove(0);
        if !in_hint {
            let at = at.index(answer.len());
            answer[at] ^= change;
        }
        let opened = table.columns().open(&record[..16], &pending.recover(&answer).unwrap());
        prop_assert!(opened == Ok(Some(record)) || opened == Err(Error::Column), "{opened:?}");
    }

    /// PIR-05.
    #[test]
    fn any_column_and_any_tag_give_a_record_or_an_error(
        tag in any::<[u8; 16]>(), column in proptest::collection::vec(any::<u8>(), 256),
    ) {
        prop_assert_eq!(table().columns().open(&tag, &column), Err(Error::Column));
    }

    #[test]
    fn any_answer_is_recovered_to_bytes(answer in proptest::collection::vec(any::<u8>(), 512)) {
        let (_, pending) = table().ask(3);
        prop_assert_eq!(pending.recover(&answer).unwrap().len(), 256);
    }

    /// PIR-01.
    #[test]
    fn any_bytes_are_one_layout_or_none(changes in proptest::collection::vec((0..HEADER, any::<u8>()), 0..4)) {
        let mut bytes = table().layout().to_bytes();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        if let Ok(layout) = Layout::from_bytes(&bytes) {
            prop_assert_eq!(layout.to_bytes(), bytes);
        }
    }
}

#[test]
fn a_record_with_a_changed_tag_is_not_found_under_it() {
    let sorted = records(RECORDS);
    let absent = tag(&sorted[7]) ^ 1;
    assert_eq!(table().lookup(absent), None);
    assert_eq!(table().lookup(tag(&sorted[7])), Some(sorted[7]));
}
