//! The example of RFC 9458, appendix A, as far as the crates let it be checked: they take no private key and no
//! randomness. Its suite is not ours; `tests/protocol/test_ohttp.py` checks the rest of it, and us against that.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

use std::io::Cursor;

use bhttp::{Message, Mode};
use grue_ohttp::{Call, Error, Request};
use ohttp::{ClientRequest, KeyConfig};

const CONFIG: &str =
    "01002031e1f05a740102115220e9af918f738674aec95f54db6e04eb705aae8e79815500080001000100010003";
const REQUEST: &str = "00034745540568747470730b6578616d706c652e636f6d012f";
const RESPONSE: &str = "0140c8";
const HEADER: &str = "01002000010001";
/// Bytes of the example's encapsulated request.
const SEALED: usize = 80;

#[test]
fn the_configuration_reads_and_writes_as_printed() {
    let config = hex::decode(CONFIG).unwrap();
    assert_eq!(
        KeyConfig::decode(&config).unwrap().encode().unwrap(),
        config
    );
}

#[test]
fn a_request_to_it_has_the_printed_header_and_length() {
    let client = ClientRequest::from_encoded_config(&hex::decode(CONFIG).unwrap()).unwrap();
    let (sealed, _) = client.encapsulate(&hex::decode(REQUEST).unwrap()).unwrap();
    assert_eq!(hex::encode(&sealed[..7]), HEADER);
    assert_eq!(sealed.len(), SEALED);
}

#[test]
fn the_binary_messages_read_as_printed() {
    let bytes = hex::decode(REQUEST).unwrap();
    let message = Message::read_bhttp(&mut Cursor::new(&bytes)).unwrap();
    assert_eq!(message.control().method(), Some(b"GET".as_slice()));
    assert_eq!(
        message.control().authority(),
        Some(b"example.com".as_slice())
    );
    let mut written = Vec::new();
    message
        .write_bhttp(Mode::KnownLength, &mut written)
        .unwrap();
    // The example leaves out the three lengths of zero that it ends in.
    assert_eq!(written, [bytes.as_slice(), &[0; 3]].concat());
    let response = hex::decode(RESPONSE).unwrap();
    let message = Message::read_bhttp(&mut Cursor::new(&response)).unwrap();
    assert_eq!(message.control().status().unwrap().code(), 200);
}

#[test]
fn its_suite_is_refused() {
    let call = Call {
        method: "GET".into(),
        path: "/".into(),
        body: Vec::new(),
    };
    let refused = Request::seal(&hex::decode(CONFIG).unwrap(), &call, 64);
    assert_eq!(refused.err(), Some(Error::Config));
}
