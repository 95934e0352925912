//! The message secrets, taken apart: what changes with every message, and the lists of past members, which
//! are large and do not.
//!
//! OpenMLS writes one value that holds both. In a group of 128 that is 380 KB a message; apart it is 2 KB. The
//! lists are cut out of the encoded value and stored beside it; when OpenMLS names its fields otherwise,
//! nothing is found and the value stays whole.

use std::ops::Range;

use rmp::Marker;

use crate::store::StoreError;

/// Stands where a list was.
const NIL: u8 = 0xc0;

/// Cut the lists out: the value without them, and the lists in order.
pub(crate) fn take_apart(value: &[u8]) -> (Vec<u8>, Vec<&[u8]>) {
    let spans = member_lists(value).unwrap_or_default();
    let lists: Vec<&[u8]> = spans
        .iter()
        .filter_map(|span| value.get(span.clone()))
        .collect();
    (
        replace(
            value,
            &spans,
            std::iter::repeat_n([NIL].as_slice(), spans.len()),
        ),
        lists,
    )
}

/// How many lists were cut out of a value.
pub(crate) fn gaps(value: &[u8]) -> usize {
    member_lists(value).unwrap_or_default().len()
}

/// Put the lists back.
pub(crate) fn put_together(value: &[u8], lists: &[Vec<u8>]) -> Result<Vec<u8>, StoreError> {
    let spans = member_lists(value).unwrap_or_default();
    if spans.len() != lists.len() {
        return Err(StoreError::Decode);
    }
    Ok(replace(value, &spans, lists.iter().map(Vec::as_slice)))
}

fn replace<'a>(
    value: &[u8],
    spans: &[Range<usize>],
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut done = 0;
    for (span, piece) in spans.iter().zip(pieces) {
        out.extend(value.get(done..span.start).unwrap_or_default());
        out.extend(piece);
        done = span.end;
    }
    out.extend(value.get(done..).unwrap_or_default());
    out
}

/// Where in an encoded `MessageSecretsStore` the values of `past_epoch_trees[].leaves` are.
fn member_lists(value: &[u8]) -> Option<Vec<Range<usize>>> {
    let mut spans = Vec::new();
    let mut cursor = Cursor { value, at: 0 };
    for _ in 0..cursor.map()? {
        if cursor.key()? == b"past_epoch_trees" {
            for _ in 0..cursor.array()? {
                cursor.find_leaves(&mut spans)?;
            }
        } else {
            cursor.skip()?;
        }
    }
    Some(spans)
}

/// A place in a MessagePack value.
struct Cursor<'a> {
    value: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Read over one epoch, and note where its list is.
    fn find_leaves(&mut self, spans: &mut Vec<Range<usize>>) -> Option<()> {
        for _ in 0..self.map()? {
            let is_list = self.key()? == b"leaves";
            let start = self.at;
            self.skip()?;
            if is_list {
                spans.push(start..self.at);
            }
        }
        Some(())
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let bytes = self.value.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    /// A big-endian number.
    fn number(&mut self, width: usize) -> Option<usize> {
        let bytes = self.bytes(width)?;
        Some(
            bytes
                .iter()
                .fold(0, |number, byte| number << 8 | usize::from(*byte)),
        )
    }

    fn marker(&mut self) -> Option<Marker> {
        self.bytes(1)?.first().copied().map(Marker::from_u8)
    }

    fn map(&mut self) -> Option<usize> {
        match self.marker()? {
            Marker::FixMap(count) => Some(usize::from(count)),
            Marker::Map16 => self.number(2),
            Marker::Map32 => self.number(4),
            _ => None,
        }
    }

    fn array(&mut self) -> Option<usize> {
        match self.marker()? {
            Marker::FixArray(count) => Some(usize::from(count)),
            Marker::Array16 => self.number(2),
            Marker::Array32 => self.number(4),
            _ => None,
        }
    }

    fn key(&mut self) -> Option<&'a [u8]> {
        let length = match self.marker()? {
            Marker::FixStr(length) => usize::from(length),
            Marker::Str8 => self.number(1)?,
            _ => return None,
        };
        self.bytes(length)
    }

    /// Read over one value, with all that is in it.
    fn skip(&mut self) -> Option<()> {
        let mut left: usize = 1;
        while left > 0 {
            left = left.checked_sub(1)?.checked_add(self.skip_head()?)?;
        }
        Some(())
    }

    /// Read over a scalar or the head of a container, and say how many values it contains.
    fn skip_head(&mut self) -> Option<usize> {
        let length = match self.marker()? {
            Marker::FixMap(count) => return usize::from(count).checked_mul(2),
            Marker::Map16 => return self.number(2)?.checked_mul(2),
            Marker::Map32 => return self.number(4)?.checked_mul(2),
            Marker::FixArray(count) => return Some(usize::from(count)),
            Marker::Array16 => return self.number(2),
            Marker::Array32 => return self.number(4),
            marker => self.length(marker)?,
        };
        self.bytes(length).map(|_| 0)
    }

    /// The bytes that a scalar has after its marker and length.
    fn length(&mut self, marker: Marker) -> Option<usize> {
        match marker {
            Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => {
                Some(0)
            }
            Marker::U8 | Marker::I8 => Some(1),
            Marker::U16 | Marker::I16 => Some(2),
            Marker::U32 | Marker::I32 | Marker::F32 => Some(4),
            Marker::U64 | Marker::I64 | Marker::F64 => Some(8),
            Marker::FixStr(length) => Some(usize::from(length)),
            Marker::Str8 | Marker::Bin8 => self.number(1),
            Marker::Str16 | Marker::Bin16 => self.number(2),
            Marker::Str32 | Marker::Bin32 => self.number(4),
            _ => None, // extensions: serde makes none
        }
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::codec;

    /// The shape of OpenMLS's value, as far as it matters here.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Secrets {
        max_epochs: usize,
        past_epoch_trees: Vec<Epoch>,
        message_secrets: Vec<Option<(i64, String)>>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Epoch {
        epoch: u64,
        message_secrets: Vec<u8>,
        leaves: Vec<Vec<u8>>,
    }

    fn epochs() -> impl Strategy<Value = Vec<Epoch>> {
        let leaves = vec(vec(any::<u8>(), 0..300), 0..20);
        let epoch = (any::<u64>(), vec(any::<u8>(), 0..70_000), leaves);
        let epoch = epoch.prop_map(|(epoch, message_secrets, leaves)| Epoch {
            epoch,
            message_secrets,
            leaves,
        });
        vec(epoch, 0..4)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_taken_apart_can_be_put_together(
            past_epoch_trees in epochs(),
            message_secrets in vec(any::<Option<(i64, String)>>(), 0..20),
        ) {
            let secrets = Secrets { max_epochs: 2, past_epoch_trees, message_secrets };
            let whole = codec::encode(&secrets).expect("encoded");
            let (value, lists) = take_apart(&whole);
            prop_assert_eq!(lists.len(), secrets.past_epoch_trees.len());
            prop_assert_eq!(gaps(&value), lists.len());
            let lists: Vec<_> = lists.into_iter().map(<[u8]>::to_vec).collect();
            let again = put_together(&value, &lists).expect("put together");
            prop_assert_eq!(&again, &whole);
            prop_assert_eq!(codec::decode::<Secrets>(&again).expect("decoded"), secrets);
        }

        #[test]
        fn other_values_stay_whole(bytes in vec(any::<u8>(), 0..200)) {
            let (value, lists) = take_apart(&bytes);
            if lists.is_empty() {
                prop_assert_eq!(value, bytes);
            }
        }
    }

    #[test]
    fn a_missing_list_is_an_error() {
        let epoch = Epoch {
            epoch: 1,
            message_secrets: vec![],
            leaves: vec![vec![1]],
        };
        let secrets = Secrets {
            max_epochs: 2,
            past_epoch_trees: vec![epoch],
            message_secrets: vec![],
        };
        let (value, _) = take_apart(&codec::encode(&secrets).expect("encoded"));
        assert_eq!(put_together(&value, &[]), Err(StoreError::Decode));
    }
}
