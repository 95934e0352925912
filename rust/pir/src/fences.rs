//! Fence keys: the separators between columns, by which the one column that can hold a tag is found.
//!
//! A fence key is a tag cut to its first `width` bits. The keys ascend strictly from 0, and what is stored is each
//! key less the one before less 1, in Rice's code.

use crate::layout::{File, SEPARATOR_BITS, TAG};
use crate::{Error, Layout, Result};

/// The fence keys of a table: where each of its columns begins.
pub struct Fences {
    keys: Vec<u128>,
    width: u32,
}

impl Fences {
    /// `keys` ascend strictly from 0 and have `width` bits.
    pub(crate) const fn new(keys: Vec<u128>, width: u32) -> Self {
        Self { keys, width }
    }

    /// Read the file of fence keys that belongs to a layout.
    ///
    /// PIR-04 it is the encoding of as many ascending keys of the layout's width, and nothing more.
    /// It is as good as its hash in the manifest; a key that is wrong all the same shows in its column's leaf.
    pub fn from_bytes(file: &[u8], layout: &Layout) -> Result<Self> {
        let mut bits = Bits::new(layout.body(file, File::Fences)?);
        let width = u32::from(layout.width);
        let parameter = parameter(width, layout.used);
        let mut keys = vec![0_u128];
        for _ in 1..layout.used {
            let gap = bits.rice(parameter).ok_or(Error::Fences)?;
            let before = keys.last().copied().unwrap_or(0);
            let key = gap.checked_add(1).and_then(|gap| gap.checked_add(before));
            keys.push(key.filter(|&key| fits(key, width)).ok_or(Error::Fences)?);
        }
        if bits.only_padding_is_left() {
            Ok(Self { keys, width })
        } else {
            Err(Error::Fences)
        }
    }

    pub(crate) fn to_bytes(&self, layout: &Layout) -> Vec<u8> {
        let mut bits = BitsOut {
            bytes: layout.header(File::Fences).to_vec(),
            used: 0,
        };
        let parameter = parameter(self.width, layout.used);
        for (before, key) in self.keys.iter().zip(self.keys.iter().skip(1)) {
            bits.rice(key - before - 1, parameter);
        }
        bits.bytes
    }

    /// The one column that can hold a tag: a binary search.
    pub fn column(&self, tag: &[u8]) -> Result<u32> {
        let tag: [u8; TAG] = tag.try_into().map_err(|_| Error::Length)?;
        let key = cut(u128::from_be_bytes(tag), self.width);
        let after = self.keys.partition_point(|&fence| fence <= key);
        u32::try_from(after.saturating_sub(1)).map_err(|_| Error::Internal)
    }

    /// The first and the last tag that belong in a column.
    pub fn bounds(&self, column: u32) -> Result<(u128, u128)> {
        let tag = |at: usize| {
            self.keys
                .get(at)
                .map(|&key| key << (SEPARATOR_BITS - self.width))
        };
        let first = tag(column as usize).ok_or(Error::Index)?;
        let last = tag(column as usize + 1).map_or(u128::MAX, |next| next.wrapping_sub(1));
        Ok((first, last))
    }
}

/// The first bits of a tag.
pub(crate) const fn cut(tag: u128, width: u32) -> u128 {
    tag >> (SEPARATOR_BITS - width)
}

const fn fits(key: u128, width: u32) -> bool {
    width == SEPARATOR_BITS || key >> width == 0
}

/// Low bits of a gap that are written as they are: near the best for gaps of 2^width / used on average.
const fn parameter(width: u32, used: u32) -> u32 {
    width.saturating_sub(used.ilog2() + 1)
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next bit, the highest of a byte first.
    fn bit(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// As many ones as the high part says, a zero, then `parameter` low bits.
    fn rice(&mut self, parameter: u32) -> Option<u128> {
        let mut value: u128 = 0;
        while self.bit()? {
            value += 1;
        }
        // Ends at the end of the bytes, so `value` is small; what would not fit in the width is refused by the caller.
        if parameter > 0 && value.leading_zeros() < parameter {
            return None;
        }
        for _ in 0..parameter {
            value = value << 1 | u128::from(self.bit()?);
        }
        Some(value)
    }

    /// Fewer than eight bits, all of them zero.
    fn only_padding_is_left(&mut self) -> bool {
        let left = self.bytes.len() * 8 - self.at;
        left < 8 && (0..left).all(|_| self.bit() == Some(false))
    }
}

struct BitsOut {
    bytes: Vec<u8>,
    /// Bits of the last byte that are taken; 0 when there is no such byte.
    used: u32,
}

impl BitsOut {
    fn bit(&mut self, bit: bool) {
        if self.used == 0 {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(bit) << (7 - self.used);
        }
        self.used = (self.used + 1) % 8;
    }

    fn rice(&mut self, value: u128, parameter: u32) {
        // The sum of all high parts is below 2^width >> parameter, some four times the number of keys.
        let high = value.checked_shr(parameter).unwrap_or(0);
        (0..high).for_each(|_| self.bit(true));
        self.bit(false);
        for low in (0..parameter).rev() {
            self.bit(value >> low & 1 == 1);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic here is a failed test")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Shape, slots};

    fn layout(used: u32, width: u32) -> Layout {
        let count = u64::from(used);
        Layout {
            shape: Shape::new(count, slots(count)).unwrap(),
            count,
            used,
            width: u8::try_from(width).unwrap(),
            whitened: false,
            seed: [1; 16],
            root: [2; 32],
        }
    }

    /// Ascending keys of a width that holds them, the first of them 0.
    fn ascending() -> impl Strategy<Value = (Vec<u128>, u32)> {
        (9..=128_u32).prop_flat_map(|width| {
            let key = any::<u128>().prop_map(move |tag| cut(tag, width).max(1));
            proptest::collection::btree_set(key, 0..200).prop_map(move |keys| {
                let keys: Vec<u128> = [0].into_iter().chain(keys).collect();
                (keys, width)
            })
        })
    }

    proptest! {
        #[test]
        fn fences_survive_their_bytes((keys, width) in ascending()) {
            let layout = layout(u32::try_from(keys.len()).unwrap(), width);
            let file = Fences::new(keys.clone(), width).to_bytes(&layout);
            prop_assert_eq!(Fences::from_bytes(&file, &layout).unwrap().keys, keys);
        }

        #[test]
        fn any_bytes_are_one_list_of_fences_or_none(
            body in proptest::collection::vec(any::<u8>(), 0..60), used in 1..60_u32, width in 1..=128_u32,
        ) {
            let layout = layout(used, width);
            let mut file = layout.header(File::Fences).to_vec();
            file.extend(body);
            if let Ok(fences) = Fences::from_bytes(&file, &layout) {
                prop_assert!(fences.keys.is_sorted_by(|a, b| a < b));
                prop_assert_eq!(fences.to_bytes(&layout), file);
            }
        }

        #[test]
        fn a_tag_is_within_the_bounds_of_its_column((keys, width) in ascending(), tag in any::<u128>()) {
            let fences = Fences::new(keys, width);
            let (first, last) = fences.bounds(fences.column(&tag.to_be_bytes()).unwrap()).unwrap();
            prop_assert!((first..=last).contains(&tag));
        }
    }
}
