//! Named cases first, then the property: any bytes give a result or an error, and a changed answer none.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

use grue_oprf::{Blinding, Error, Evaluation, Key, finalize};
use proptest::prelude::*;

const NUMBER: &[u8] = b"+447700900123";
/// The group's order, little-endian: the smallest scalar that is not canonical.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];
/// Elements that RFC 9496, appendix A.2, lists as not canonical, and one that is negative.
const NOT_CANONICAL: [&str; 4] = [
    "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0100000000000000000000000000000000000000000000000000000000000000",
];

fn answered(count: usize) -> (Key, Vec<Blinding>, Evaluation) {
    let key = Key::generate().unwrap();
    let blinds: Vec<_> = (0..count)
        .map(|i| Blinding::blind(format!("+4477009{i:05}").as_bytes()).unwrap())
        .collect();
    let evaluation = key.evaluate(&elements(&blinds)).unwrap();
    (key, blinds, evaluation)
}

fn elements(blinds: &[Blinding]) -> Vec<[u8; 32]> {
    blinds.iter().map(Blinding::element).collect()
}

#[test]
fn client_and_key_holder_agree() {
    let (key, blinds, evaluation) = answered(5);
    let outputs = finalize(
        &blinds,
        &evaluation.elements,
        &evaluation.proof,
        &key.public(),
    )
    .unwrap();
    for (i, output) in outputs.iter().enumerate() {
        assert_eq!(
            *output,
            key.output(format!("+4477009{i:05}").as_bytes()).unwrap()
        );
    }
}

#[test]
fn a_key_survives_its_bytes() {
    let key = Key::generate().unwrap();
    let again = Key::from_bytes(key.to_bytes().unwrap().as_slice()).unwrap();
    assert_eq!(again.public(), key.public());
}

#[test]
fn two_blindings_of_one_input_differ() {
    assert_ne!(
        Blinding::blind(NUMBER).unwrap().element(),
        Blinding::blind(NUMBER).unwrap().element()
    );
}

#[test]
fn a_transcript_gives_the_blinding_again() {
    let blind = Blinding::blind(NUMBER).unwrap();
    let again = Blinding::from_scalar(NUMBER, blind.scalar().unwrap().as_slice()).unwrap();
    assert_eq!(again.element(), blind.element());
}

#[test]
fn scalars_zero_and_not_canonical_are_refused() {
    for scalar in [[0; 32], ORDER, [0xff; 32]] {
        assert_eq!(Key::from_bytes(&scalar).unwrap_err(), Error::Scalar);
        assert_eq!(
            Blinding::from_scalar(NUMBER, &scalar).unwrap_err(),
            Error::Scalar
        );
    }
}

#[test]
fn elements_identity_and_not_canonical_are_refused() {
    let (key, blinds, evaluation) = answered(1);
    for bad in NOT_CANONICAL
        .iter()
        .map(|one| hex::decode(one).unwrap())
        .chain([vec![0; 32]])
    {
        assert_eq!(
            key.evaluate(std::slice::from_ref(&bad)).unwrap_err(),
            Error::Element
        );
        let evaluated = finalize(
            &blinds,
            std::slice::from_ref(&bad),
            &evaluation.proof,
            &key.public(),
        );
        assert_eq!(evaluated.unwrap_err(), Error::Element);
        let public = finalize(&blinds, &evaluation.elements, &evaluation.proof, &bad);
        assert_eq!(public.unwrap_err(), Error::Element);
    }
}

#[test]
fn lengths_are_exact() {
    let (key, blinds, evaluation) = answered(1);
    let mut long = evaluation.elements[0].to_vec();
    long.push(0);
    assert_eq!(
        key.evaluate(std::slice::from_ref(&long)).unwrap_err(),
        Error::Element
    );
    let evaluated = finalize(
        &blinds,
        std::slice::from_ref(&long),
        &evaluation.proof,
        &key.public(),
    );
    assert_eq!(evaluated.unwrap_err(), Error::Element);
    let proof = [evaluation.proof.as_slice(), &[0]].concat();
    let proved = finalize(&blinds, &evaluation.elements, &proof, &key.public());
    assert_eq!(proved.unwrap_err(), Error::Proof);
}

#[test]
fn batches_empty_or_of_other_length_are_refused() {
    let (key, blinds, evaluation) = answered(2);
    assert_eq!(key.evaluate::<[u8; 32]>(&[]).unwrap_err(), Error::Batch);
    let short = finalize(
        &blinds,
        &evaluation.elements[..1],
        &evaluation.proof,
        &key.public(),
    );
    assert_eq!(short.unwrap_err(), Error::Batch);
    let none = finalize::<Blinding, [u8; 32]>(&[], &[], &evaluation.proof, &key.public());
    assert_eq!(none.unwrap_err(), Error::Batch);
}

#[test]
fn an_answer_by_another_key_is_refused() {
    let (key, blinds, _) = answered(3);
    let other = Key::generate()
        .unwrap()
        .evaluate(&elements(&blinds))
        .unwrap();
    let refused = finalize(&blinds, &other.elements, &other.proof, &key.public());
    assert_eq!(refused.unwrap_err(), Error::Proof);
}

#[test]
fn one_proof_does_not_serve_answers_in_another_order() {
    let (key, blinds, mut evaluation) = answered(2);
    evaluation.elements.reverse();
    let refused = finalize(
        &blinds,
        &evaluation.elements,
        &evaluation.proof,
        &key.public(),
    );
    assert_eq!(refused.unwrap_err(), Error::Proof);
}

#[test]
fn an_input_over_65535_bytes_is_refused() {
    let long = vec![0; 65536];
    assert_eq!(Blinding::blind(&long).unwrap_err(), Error::Input);
    assert_eq!(
        Key::generate().unwrap().output(&long).unwrap_err(),
        Error::Input
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_a_result_or_an_error(
        blinded in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..4),
        scalar in prop::collection::vec(any::<u8>(), 0..40),
        proof in prop::collection::vec(any::<u8>(), 0..80),
        public in prop::collection::vec(any::<u8>(), 0..40),
        input in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let key = Key::generate().unwrap();
        let _ = key.evaluate(&blinded);
        let _ = Key::from_bytes(&scalar);
        let _ = Blinding::from_scalar(&input, &scalar);
        prop_assert!(key.output(&input).is_ok());
        let blinds = [Blinding::blind(&input).unwrap()];
        prop_assert!(finalize(&blinds, &blinded, &proof, &public).is_err());
    }

    #[test]
    fn any_canonical_looking_element_is_a_result_or_an_error(mut bytes in any::<[u8; 32]>()) {
        // Half of the even strings below 2^255 decode, so both branches are reached.
        bytes[0] &= 0xfe;
        bytes[31] &= 0x7f;
        let key = Key::generate().unwrap();
        match key.evaluate(&[bytes]) {
            Ok(evaluation) => prop_assert_eq!(evaluation.elements.len(), 1),
            Err(error) => prop_assert_eq!(error, Error::Element),
        }
    }

    #[test]
    fn any_change_of_an_answer_is_refused(at in 0usize..32 * 3 + 64, bit in 0u8..8) {
        let (key, blinds, evaluation) = answered(3);
        let mut flat = evaluation.elements.concat();
        flat.extend(evaluation.proof);
        flat[at] ^= 1 << bit;
        let changed: Vec<_> = flat[..96].chunks(32).collect();
        prop_assert!(finalize(&blinds, &changed, &flat[96..], &key.public()).is_err());
    }
}
