//! The vectors of RFC 9497, appendix A.1.2 (mode VOPRF). Where they come from: `vectors/SOURCES.md`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

use grue_oprf::{Blinding, Key, finalize};
use serde::Deserialize;

#[derive(Deserialize)]
struct Suite {
    mode: u8,
    #[serde(rename = "pkSm")]
    public: Option<String>,
    #[serde(rename = "skSm")]
    private: String,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Vector {
    batch: usize,
    blind: String,
    blinded_element: String,
    evaluation_element: String,
    input: String,
    output: String,
    proof: Option<Proof>,
}

#[derive(Deserialize)]
struct Proof {
    proof: String,
}

fn list(text: &str) -> Vec<Vec<u8>> {
    text.split(',')
        .map(|one| hex::decode(one).unwrap())
        .collect()
}

fn voprf() -> Suite {
    let suites: Vec<Suite> =
        serde_json::from_str(include_str!("vectors/rfc9497-voprf.json")).unwrap();
    suites.into_iter().find(|suite| suite.mode == 1).unwrap()
}

fn key(suite: &Suite) -> Key {
    Key::from_bytes(&hex::decode(&suite.private).unwrap()).unwrap()
}

fn blinds(vector: &Vector) -> Vec<Blinding> {
    let inputs = list(&vector.input);
    let scalars = list(&vector.blind);
    inputs
        .iter()
        .zip(&scalars)
        .map(|(input, scalar)| Blinding::from_scalar(input, scalar).unwrap())
        .collect()
}

#[test]
fn public_key() {
    let suite = voprf();
    assert_eq!(
        key(&suite).public().to_vec(),
        hex::decode(suite.public.unwrap()).unwrap()
    );
}

#[test]
fn blinded_elements() {
    for vector in voprf().vectors {
        let elements: Vec<_> = blinds(&vector)
            .iter()
            .map(|blind| blind.element().to_vec())
            .collect();
        assert_eq!(elements, list(&vector.blinded_element));
        assert_eq!(elements.len(), vector.batch);
    }
}

#[test]
fn evaluated_elements() {
    let suite = voprf();
    for vector in &suite.vectors {
        let evaluation = key(&suite)
            .evaluate(&list(&vector.blinded_element))
            .unwrap();
        let elements: Vec<_> = evaluation
            .elements
            .iter()
            .map(|element| element.to_vec())
            .collect();
        assert_eq!(elements, list(&vector.evaluation_element));
    }
}

#[test]
fn outputs_under_the_vectors_proof() {
    let suite = voprf();
    let public = hex::decode(suite.public.as_ref().unwrap()).unwrap();
    for vector in &suite.vectors {
        let proof = hex::decode(&vector.proof.as_ref().unwrap().proof).unwrap();
        let outputs = finalize(
            &blinds(vector),
            &list(&vector.evaluation_element),
            &proof,
            &public,
        )
        .unwrap();
        let outputs: Vec<_> = outputs.iter().map(|output| output.to_vec()).collect();
        assert_eq!(outputs, list(&vector.output));
    }
}

#[test]
fn outputs_by_who_holds_the_key() {
    let suite = voprf();
    for vector in &suite.vectors {
        for (input, output) in list(&vector.input).iter().zip(list(&vector.output)) {
            assert_eq!(key(&suite).output(input).unwrap().to_vec(), output);
        }
    }
}
