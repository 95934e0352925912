//! Inner messages that a client or a gateway other than ours might seal, sent through the crate below ours.
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test")]

use bhttp::{Message, Mode, StatusCode};
use grue_ohttp::{Call, Error, Gateway, Request};
use ohttp::{ClientRequest, KeyConfig, Server, SymmetricSuite, hpke};
use proptest::prelude::*;

const SEED: [u8; 32] = [42; 32];

fn call() -> Call {
    Call {
        method: "GET".into(),
        path: "/".into(),
        body: b"x".to_vec(),
    }
}

/// What our gateway makes of a request with this inner message.
fn opened(message: &[u8]) -> Result<Call, Error> {
    let gateway = Gateway::from_seed(&SEED, 1).unwrap();
    let client = ClientRequest::from_encoded_config(gateway.config()).unwrap();
    let (sealed, _) = client.encapsulate(message).unwrap();
    gateway.open(&sealed).map(|(_, call)| call)
}

/// What our client makes of a response with this inner message.
fn answered(message: &[u8]) -> Result<u16, Error> {
    let suite = SymmetricSuite::new(hpke::Kdf::HkdfSha256, hpke::Aead::ChaCha20Poly1305);
    let key = KeyConfig::derive(1, hpke::Kem::XWing, vec![suite], &SEED).unwrap();
    let (mut request, sealed) = Request::seal(&key.encode().unwrap(), &call(), 64).unwrap();
    let (_, response) = Server::new(key).unwrap().decapsulate(&sealed).unwrap();
    let response = response.encapsulate(message).unwrap();
    request.open(&response).map(|reply| reply.status)
}

fn request(authority: &str) -> Message {
    let mut message = Message::request(
        b"GET".to_vec(),
        b"https".to_vec(),
        authority.into(),
        b"/".to_vec(),
    );
    message.write_content(b"x");
    message
}

fn written(message: &Message, mode: Mode, padding: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.write_bhttp(mode, &mut bytes).unwrap();
    [&bytes, padding].concat()
}

#[test]
fn the_one_encoding_is_read_with_and_without_padding() {
    for zeros in [0, 1, 100] {
        let bytes = written(&request(""), Mode::KnownLength, &vec![0; zeros]);
        assert_eq!(opened(&bytes), Ok(call()));
    }
}

#[test]
fn padding_that_is_not_zero_is_refused() {
    for padding in [&[1][..], &[0, 0, 1], &[1, 0, 0]] {
        let bytes = written(&request(""), Mode::KnownLength, padding);
        assert_eq!(opened(&bytes), Err(Error::Message));
        let response = written(
            &Message::response(StatusCode::OK),
            Mode::KnownLength,
            padding,
        );
        assert_eq!(answered(&response), Err(Error::Message));
    }
}

#[test]
fn whatever_could_mark_a_client_is_refused() {
    let mut field = request("");
    field.put_header("accept", "text");
    let mut trailer = request("");
    trailer.put_trailer("accept", "text");
    for message in [field, trailer, request("example.com")] {
        let bytes = written(&message, Mode::KnownLength, &[0; 9]);
        assert_eq!(opened(&bytes), Err(Error::Message));
    }
    let indeterminate = written(&request(""), Mode::IndeterminateLength, &[0; 9]);
    assert_eq!(opened(&indeterminate), Err(Error::Message));
    // A length in two bytes where one would do.
    let mut longer = written(&request(""), Mode::KnownLength, &[]);
    longer.splice(1..2, [0x40, 3]);
    assert_eq!(opened(&longer), Err(Error::Message));
}

#[test]
fn a_message_cut_short_is_refused() {
    let bytes = written(&request(""), Mode::KnownLength, &[]);
    for length in 0..bytes.len() {
        let cut = bytes.get(..length).unwrap();
        assert_eq!(opened(cut), Err(Error::Message), "{length} bytes");
    }
}

#[test]
fn a_request_is_no_response_and_a_response_no_request() {
    let response = written(
        &Message::response(StatusCode::OK),
        Mode::KnownLength,
        &[0; 9],
    );
    assert_eq!(answered(&response), Ok(200));
    assert_eq!(opened(&response), Err(Error::Message));
    let bytes = written(&request(""), Mode::KnownLength, &[0; 9]);
    assert_eq!(answered(&bytes), Err(Error::Message));
}

#[test]
fn an_informational_response_is_refused() {
    let early = StatusCode::try_from(103_u16).unwrap();
    let bytes = written(&Message::response(early), Mode::KnownLength, &[0; 9]);
    assert_eq!(answered(&bytes), Err(Error::Message));
}

#[test]
fn a_message_above_the_limit_is_refused_unread() {
    let bytes = vec![0; grue_ohttp::MESSAGE_MAX + 1];
    assert_eq!(opened(&bytes), Err(Error::Size));
    assert_eq!(answered(&bytes), Err(Error::Size));
}

proptest! {
    #[test]
    fn any_message_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = (opened(&bytes), answered(&bytes));
    }

    #[test]
    fn any_message_of_a_kind_is_read_or_refused(kind in 0u8..4, bytes in prop::collection::vec(0u8..8, 0..100)) {
        let message = [&[kind], bytes.as_slice()].concat();
        let _ = (opened(&message), answered(&message));
    }
}
