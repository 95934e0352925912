//! Large values taken apart, so that what changes is written and nothing else: the tree by its nodes, the message
//! secrets by the ratchets of each sender.
//!
//! OpenMLS writes each as one value. With 512 leaves a message would rewrite all ratchets, and a commit the tree;
//! taken apart, a message rewrites the ratchet of its sender, and a commit the nodes on the committer's path. Lists are
//! cut out of the encoded value: a *stand-in* in their place says how many elements there are, how many of them are
//! pieces, and what the others are. When OpenMLS names its fields otherwise, nothing is found and a value stays whole.

use std::{collections::BTreeMap, ops::Range};

use zeroize::Zeroizing;

use crate::{cursor::Cursor, store::StoreError};

/// What a piece is called within its value.
pub(crate) type Name = Vec<u8>;

/// Bytes that may be secret.
pub(crate) type Bytes = Zeroizing<Vec<u8>>;

/// Elements of the longest list: more than a group has nodes. Bounds the work that a damaged stand-in costs.
const MAX_ELEMENTS: usize = 1 << 20;

const NIL: u8 = 0xc0;
const ARRAY_OF_3: u8 = 0x93;
const U32: u8 = 0xce;
const ARRAY_32: u8 = 0xdd;
const NO_BYTES: [u8; 2] = [0xc4, 0];

/// Where in a `GroupContext` (RFC 9420, section 8.1) the epoch is: after version, suite, and an id of 32 bytes.
const EPOCH: Range<usize> = 37..45;

/// A list in an encoded value, or its stand-in.
struct List {
    span: Range<usize>,
    name: Name,
    is_whole: bool,
}

/// Which lists a value has.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// `TreeSync`: its leaves and its parents.
    Tree,
    /// `MessageSecretsStore`: the secrets and ratchets of each epoch, and the members of the past ones.
    Secrets,
}

/// Cut the lists out: what is left of the value, and the pieces.
pub(crate) fn take_apart(value: &[u8], kind: Kind) -> (Vec<u8>, BTreeMap<Name, Bytes>) {
    let mut pieces = BTreeMap::new();
    let lists = lists(value, kind).unwrap_or_default();
    let stand_ins: Option<Vec<_>> = lists
        .iter()
        .map(|list| cut(value, list, &mut pieces))
        .collect();
    match stand_ins {
        Some(stand_ins) => (replace(value, &lists, &stand_ins), pieces),
        None => (value.to_vec(), BTreeMap::new()),
    }
}

/// Put the lists back. `piece` gives a piece by its name.
pub(crate) fn put_together(
    value: &[u8],
    kind: Kind,
    mut piece: impl FnMut(&[u8]) -> Result<Option<Bytes>, StoreError>,
) -> Result<Bytes, StoreError> {
    let lists = lists(value, kind).unwrap_or_default();
    let whole = lists
        .iter()
        .map(|list| rebuild(value, list, &mut piece))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Zeroizing::new(replace(value, &lists, &whole)))
}

/// The members of past epochs put back into a value as it was stored before it was taken apart further.
pub(crate) fn put_back_members(
    value: &[u8],
    members: impl FnMut(u8) -> Result<Bytes, StoreError>,
) -> Result<Bytes, StoreError> {
    let mut lists = lists(value, Kind::Secrets).unwrap_or_default();
    lists.retain(|list| list.is_whole);
    let whole = (0..=u8::MAX)
        .take(lists.len())
        .map(members)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Zeroizing::new(replace(value, &lists, &whole)))
}

fn replace(value: &[u8], lists: &[List], with: &[Bytes]) -> Vec<u8> {
    // Enough for all of it: growing would leave copies behind.
    let more: usize = with.iter().map(|with| with.len()).sum();
    let mut out = Vec::with_capacity(value.len().saturating_add(more));
    let mut done = 0;
    for (list, with) in lists.iter().zip(with) {
        out.extend(value.get(done..list.span.start).unwrap_or_default());
        out.extend(with.as_slice());
        done = list.span.end;
    }
    out.extend(value.get(done..).unwrap_or_default());
    out
}

/// Note a list's pieces; returns its stand-in.
fn cut(value: &[u8], list: &List, pieces: &mut BTreeMap<Name, Bytes>) -> Option<Bytes> {
    let bytes = value.get(list.span.clone())?;
    if list.is_whole {
        pieces.insert(list.name.clone(), without_keys(bytes)?);
        return Some(Zeroizing::new(vec![NIL]));
    }
    let elements = elements(bytes)?;
    let filler = elements.iter().min_by_key(|one| one.len()).copied();
    let filler = filler.unwrap_or(&[NIL]);
    let before = pieces.len();
    for (index, element) in (0_u32..).zip(&elements) {
        if *element != filler {
            pieces.insert(
                numbered(&list.name, index),
                Zeroizing::new(element.to_vec()),
            );
        }
    }
    let (length, cut) = (elements.len(), pieces.len().checked_sub(before)?);
    let mut stand_in = vec![ARRAY_OF_3, U32];
    stand_in.extend(u32::try_from(length).ok()?.to_be_bytes());
    stand_in.push(U32);
    stand_in.extend(u32::try_from(cut).ok()?.to_be_bytes());
    stand_in.extend(filler);
    Some(Zeroizing::new(stand_in))
}

/// A list again, from its stand-in and its pieces.
fn rebuild(
    value: &[u8],
    list: &List,
    piece: &mut impl FnMut(&[u8]) -> Result<Option<Bytes>, StoreError>,
) -> Result<Bytes, StoreError> {
    if list.is_whole {
        return piece(&list.name)?.ok_or(StoreError::Decode);
    }
    let stand_in = value.get(list.span.clone()).and_then(read_stand_in);
    let (length, cut, filler) = stand_in.ok_or(StoreError::Decode)?;
    if length > MAX_ELEMENTS {
        return Err(StoreError::Decode);
    }
    let length = u32::try_from(length).map_err(|_| StoreError::Decode)?;
    let pieces = (0..length)
        .map(|index| piece(&numbered(&list.name, index)))
        .collect::<Result<Vec<_>, _>>()?;
    if pieces.iter().flatten().count() != cut {
        return Err(StoreError::Decode);
    }
    let elements = || {
        pieces
            .iter()
            .map(|one| one.as_ref().map_or(filler, |one| one.as_slice()))
    };
    let bytes: usize = elements().map(<[u8]>::len).sum();
    let mut out = Vec::with_capacity(bytes.saturating_add(5));
    out.push(ARRAY_32);
    out.extend(length.to_be_bytes());
    elements().for_each(|one| out.extend(one));
    Ok(Zeroizing::new(out))
}

fn read_stand_in(bytes: &[u8]) -> Option<(usize, usize, &[u8])> {
    let mut cursor = Cursor::new(bytes);
    if cursor.array()? != 3 {
        return None;
    }
    let (length, cut) = (cursor.unsigned()?, cursor.unsigned()?);
    let filler = cursor.value()?;
    Some((length, cut, filler))
}

fn elements(list: &[u8]) -> Option<Vec<&[u8]>> {
    let mut cursor = Cursor::new(list);
    (0..cursor.array()?).map(|_| cursor.value()).collect()
}

/// A list of members without the keys that they could be encrypted to: nobody encrypts to a past epoch, and they are
/// six parts in seven of it. OpenMLS reads who has signed (`PublicGroup::parse_message`), and nothing else.
fn without_keys(members: &[u8]) -> Option<Bytes> {
    let mut spans = Vec::new();
    let mut cursor = Cursor::new(members);
    for _ in 0..cursor.array()? {
        cursor.fields(|cursor, name| {
            let span = cursor.span()?;
            if name == b"encryption_key" {
                spans.push(List {
                    span,
                    name: Name::new(),
                    is_whole: true,
                });
            }
            Some(())
        })?;
    }
    let none = vec![Zeroizing::new(NO_BYTES.to_vec()); spans.len()];
    Some(Zeroizing::new(replace(members, &spans, &none)))
}

fn numbered(name: &[u8], index: u32) -> Name {
    [name, &index.to_be_bytes()].concat()
}

/// Where the lists are that are cut out, in the order in which they stand in the value.
fn lists(value: &[u8], kind: Kind) -> Option<Vec<List>> {
    let mut found = Vec::new();
    let mut cursor = Cursor::new(value);
    match kind {
        Kind::Tree => cursor.fields(|cursor, name| match name {
            b"tree" => find(
                cursor,
                &[],
                &[(b"leaf_nodes", b'l'), (b"parent_nodes", b'p')],
                &mut found,
            ),
            _ => cursor.span().map(|_| ()),
        })?,
        Kind::Secrets => cursor.fields(|cursor, name| match name {
            b"past_epoch_trees" => {
                for _ in 0..cursor.array()? {
                    find_past(cursor, &mut found)?;
                }
                Some(())
            }
            b"message_secrets" => find_secrets(cursor, &mut found).map(|_| ()),
            _ => cursor.span().map(|_| ()),
        })?,
    }
    Some(found)
}

/// One `EpochTree`.
fn find_past(cursor: &mut Cursor<'_>, found: &mut Vec<List>) -> Option<()> {
    let mut epoch = None;
    cursor.fields(|cursor, name| {
        match name {
            b"message_secrets" => epoch = Some(find_secrets(cursor, found)?),
            b"leaves" => found.push(List {
                span: cursor.span()?,
                name: [epoch.as_deref()?, b"m"].concat(),
                is_whole: true,
            }),
            _ => {
                cursor.span()?;
            }
        }
        Some(())
    })
}

/// One `MessageSecrets`; returns its epoch, by which its pieces are called, whether it is the current one or past.
fn find_secrets(cursor: &mut Cursor<'_>, found: &mut Vec<List>) -> Option<Vec<u8>> {
    const LISTS: [(&[u8], u8); 4] = [
        (b"leaf_nodes", b'l'),
        (b"parent_nodes", b'p'),
        (b"handshake_sender_ratchets", b'h'),
        (b"application_sender_ratchets", b'a'),
    ];
    let mut epoch = None;
    cursor.fields(|cursor, name| match name {
        b"serialized_context" => {
            epoch = Some(cursor.binary()?.get(EPOCH)?.to_vec());
            Some(())
        }
        b"secret_tree" => find(cursor, epoch.as_deref()?, &LISTS, found),
        _ => cursor.span().map(|_| ()),
    })?;
    epoch
}

/// The lists of one map.
fn find(
    cursor: &mut Cursor<'_>,
    prefix: &[u8],
    names: &[(&[u8], u8)],
    found: &mut Vec<List>,
) -> Option<()> {
    cursor.fields(|cursor, name| {
        let span = cursor.span()?;
        if let Some((_, tag)) = names.iter().find(|(one, _)| *one == name) {
            found.push(List {
                span,
                name: [prefix, &[*tag]].concat(),
                is_whole: false,
            });
        }
        Some(())
    })
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::codec;

    /// The shapes of OpenMLS's values, as far as they matter here.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Store {
        max_epochs: usize,
        past_epoch_trees: Vec<Epoch>,
        message_secrets: Secrets,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Epoch {
        epoch: u64,
        message_secrets: Secrets,
        leaves: Vec<Member>,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Member {
        index: u32,
        encryption_key: Vec<u8>,
        signature_key: Vec<u8>,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Secrets {
        membership_key: Vec<u8>,
        serialized_context: Vec<u8>,
        secret_tree: SecretTree,
        added_at: Option<(u64, u32)>,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct SecretTree {
        own_index: u32,
        leaf_nodes: Vec<Option<Vec<u8>>>,
        parent_nodes: Vec<Option<Vec<u8>>>,
        handshake_sender_ratchets: Vec<Option<Vec<u8>>>,
        application_sender_ratchets: Vec<Option<Vec<u8>>>,
        size: u32,
    }

    type Nodes = Vec<Option<Vec<u8>>>;

    fn nodes() -> impl Strategy<Value = Nodes> {
        vec(
            proptest::option::weighted(0.2, vec(any::<u8>(), 0..300)),
            0..20,
        )
    }

    fn secrets() -> impl Strategy<Value = Secrets> {
        let key = vec(any::<u8>(), 0..70);
        (key, nodes(), nodes(), nodes(), nodes()).prop_map(|(membership_key, l, p, h, a)| Secrets {
            membership_key,
            serialized_context: Vec::new(),
            secret_tree: SecretTree {
                own_index: 0,
                leaf_nodes: l,
                parent_nodes: p,
                handshake_sender_ratchets: h,
                application_sender_ratchets: a,
                size: 20,
            },
            added_at: Some((1, 2)),
        })
    }

    fn members() -> impl Strategy<Value = Vec<Member>> {
        let member = (any::<u32>(), vec(any::<u8>(), 0..40));
        let member = member.prop_map(|(index, signature_key)| Member {
            index,
            encryption_key: Vec::new(),
            signature_key,
        });
        vec(member, 0..20)
    }

    /// A group context of this epoch, as far as it matters.
    fn context(epoch: u64) -> Vec<u8> {
        [[7; 37].as_slice(), &epoch.to_be_bytes(), &[7; 9]].concat()
    }

    fn store() -> impl Strategy<Value = Store> {
        (vec((secrets(), members()), 0..4), secrets()).prop_map(|(past, mut now)| {
            now.serialized_context = context(9);
            let epochs = (0_u64..).zip(past).map(|(epoch, (mut secrets, leaves))| {
                secrets.serialized_context = context(epoch);
                Epoch {
                    epoch,
                    message_secrets: secrets,
                    leaves,
                }
            });
            Store {
                max_epochs: 2,
                past_epoch_trees: epochs.collect(),
                message_secrets: now,
            }
        })
    }

    fn again(rest: &[u8], pieces: &BTreeMap<Name, Bytes>) -> Result<Bytes, StoreError> {
        put_together(rest, Kind::Secrets, |name| Ok(pieces.get(name).cloned()))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_taken_apart_can_be_put_together(store in store()) {
            let whole = codec::encode(&store).expect("encoded");
            let (rest, pieces) = take_apart(&whole, Kind::Secrets);
            let again = again(&rest, &pieces).expect("put together");
            prop_assert_eq!(codec::decode::<Store>(&again).expect("decoded"), store);
        }

        #[test]
        fn a_missing_piece_is_an_error(store in store(), which in any::<prop::sample::Index>()) {
            let whole = codec::encode(&store).expect("encoded");
            let (rest, mut pieces) = take_apart(&whole, Kind::Secrets);
            if !pieces.is_empty() {
                let name = pieces.keys().nth(which.index(pieces.len())).cloned().expect("a name");
                pieces.remove(&name);
                prop_assert_eq!(again(&rest, &pieces).err(), Some(StoreError::Decode));
            }
        }

        #[test]
        fn other_values_stay_whole_or_are_refused(bytes in vec(any::<u8>(), 0..200)) {
            for kind in [Kind::Tree, Kind::Secrets] {
                let (rest, pieces) = take_apart(&bytes, kind);
                if pieces.is_empty() {
                    prop_assert_eq!(rest.len() , bytes.len());
                }
                let _ = put_together(&bytes, kind, |_| Ok(None));
            }
        }
    }

    #[test]
    fn past_members_lose_the_keys_that_nobody_encrypts_to() {
        let member = Member {
            index: 3,
            encryption_key: vec![1; 1216],
            signature_key: vec![2; 32],
        };
        let kept = without_keys(&codec::encode(std::slice::from_ref(&member)).expect("encoded"));
        let kept = codec::decode::<Vec<Member>>(&kept.expect("members")).expect("decoded");
        let expected = Member {
            encryption_key: Vec::new(),
            ..member
        };
        assert_eq!(kept, [expected]);
    }
}
