//! Named cases: a round trip, exact sizes, one use each, and nothing but errors for whatever was changed.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

use grue_ohttp::{
    CONFIG, Call, Error, Exchange, Gateway, MESSAGE_MAX, REQUEST_OVERHEAD, RESPONSE_OVERHEAD,
    Reply, Request,
};
use proptest::prelude::*;

const KEY_ID: u8 = 7;
const SIZE: usize = 64;
/// Bytes before the encapsulated key: the key id and three numbers of algorithms.
const HEADER: usize = 7;
/// Where the encapsulated key's X25519 part begins, and where it ends.
const X25519: std::ops::Range<usize> = HEADER + 1088..HEADER + 1120;

fn gateway() -> Gateway {
    Gateway::from_seed(&[42; 32], KEY_ID).unwrap()
}

fn call(body: &[u8]) -> Call {
    Call {
        method: "POST".into(),
        path: "/v1/mailbox".into(),
        body: body.to_vec(),
    }
}

fn reply(body: &[u8]) -> Reply {
    Reply {
        status: 200,
        body: body.to_vec(),
    }
}

fn request(gateway: &Gateway) -> (Request, Vec<u8>) {
    Request::seal(gateway.config(), &call(b"question"), SIZE).unwrap()
}

fn opened(gateway: &Gateway) -> (Request, Exchange) {
    let (request, sealed) = request(gateway);
    (request, gateway.open(&sealed).unwrap().0)
}

#[test]
fn client_and_gateway_agree() {
    let gateway = gateway();
    let (mut request, sealed) = request(&gateway);
    let (mut exchange, got) = gateway.open(&sealed).unwrap();
    assert_eq!(got, call(b"question"));
    let response = exchange.seal(&reply(b"answer"), SIZE).unwrap();
    assert_eq!(request.open(&response).unwrap(), reply(b"answer"));
}

#[test]
fn a_seed_makes_the_same_key_and_another_seed_another() {
    assert_eq!(gateway().config(), gateway().config());
    assert_eq!(gateway().config().len(), CONFIG);
    let other = Gateway::from_seed(&[43; 32], KEY_ID).unwrap();
    assert_ne!(other.config(), gateway().config());
    for length in [0, 31, 33, 64] {
        assert_eq!(
            Gateway::from_seed(&vec![42; length], KEY_ID).err(),
            Some(Error::Seed)
        );
    }
}

#[test]
fn all_of_a_size_are_that_long() {
    let gateway = gateway();
    for size in [SIZE, 100, 4096, MESSAGE_MAX] {
        let (mut request, sealed) = Request::seal(gateway.config(), &call(b"x"), size).unwrap();
        assert_eq!(sealed.len(), size + REQUEST_OVERHEAD);
        let (mut exchange, got) = gateway.open(&sealed).unwrap();
        assert_eq!(got, call(b"x"));
        let response = exchange.seal(&reply(b"y"), size).unwrap();
        assert_eq!(response.len(), size + RESPONSE_OVERHEAD);
        assert_eq!(request.open(&response).unwrap(), reply(b"y"));
    }
}

#[test]
fn a_message_fills_its_size_and_no_byte_more() {
    let gateway = gateway();
    // 1 for the kind, 2 for the status, 1 each for no fields, the body's length and no trailer.
    let (_, mut exchange) = opened(&gateway);
    assert_eq!(exchange.seal(&reply(&[0; 33]), 38).err(), Some(Error::Size));
    // It was not used up by what did not fit.
    assert!(exchange.seal(&reply(&[0; 32]), 38).is_ok());
    let longest = Request::seal(gateway.config(), &call(&[0; 36]), SIZE);
    assert!(longest.is_ok());
    for (body, size) in [(37, SIZE), (0, 0), (0, MESSAGE_MAX + 1), (0, usize::MAX)] {
        let refused = Request::seal(gateway.config(), &call(&vec![0; body]), size);
        assert_eq!(refused.err(), Some(Error::Size));
    }
}

#[test]
fn each_end_is_used_once() {
    let gateway = gateway();
    let (mut request, mut exchange) = opened(&gateway);
    let response = exchange.seal(&reply(b""), SIZE).unwrap();
    assert_eq!(exchange.seal(&reply(b""), SIZE).err(), Some(Error::Spent));
    assert!(request.open(&response).is_ok());
    assert_eq!(request.open(&response).err(), Some(Error::Spent));
}

#[test]
fn a_response_that_does_not_open_spends_the_request() {
    let gateway = gateway();
    let (mut request, mut exchange) = opened(&gateway);
    let response = exchange.seal(&reply(b""), SIZE).unwrap();
    assert_eq!(request.open(b"").err(), Some(Error::Sealed));
    assert_eq!(request.open(&response).err(), Some(Error::Spent));
}

#[test]
fn a_response_to_another_request_does_not_open() {
    let gateway = gateway();
    let (mut request, _) = opened(&gateway);
    let (_, mut exchange) = opened(&gateway);
    let response = exchange.seal(&reply(b""), SIZE).unwrap();
    assert_eq!(request.open(&response).err(), Some(Error::Sealed));
}

#[test]
fn two_responses_to_a_replayed_request_share_no_nonce() {
    let gateway = gateway();
    let (_, sealed) = request(&gateway);
    let [one, two] = [(), ()].map(|()| {
        let (mut exchange, _) = gateway.open(&sealed).unwrap();
        exchange.seal(&reply(b""), SIZE).unwrap()
    });
    assert_ne!(one[..32], two[..32]);
}

#[test]
fn no_truncation_of_a_request_opens() {
    let gateway = gateway();
    let (_, sealed) = request(&gateway);
    for length in 0..sealed.len() {
        assert_eq!(gateway.open(&sealed[..length]).err(), Some(Error::Sealed));
    }
}

#[test]
fn no_truncation_of_a_response_opens() {
    let gateway = gateway();
    for length in 0..SIZE + RESPONSE_OVERHEAD {
        let (mut request, mut exchange) = opened(&gateway);
        let response = exchange.seal(&reply(b"answer"), SIZE).unwrap();
        assert_eq!(request.open(&response[..length]).err(), Some(Error::Sealed));
    }
}

#[test]
fn no_changed_byte_of_a_request_passes() {
    let gateway = gateway();
    let (_, sealed) = request(&gateway);
    for at in 0..sealed.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut changed = sealed.clone();
            changed[at] ^= change;
            let expected = if at < HEADER {
                Error::Key
            } else {
                Error::Sealed
            };
            // X25519 reads no more than 255 bits, yet the shared secret hashes all 256.
            assert_eq!(gateway.open(&changed).err(), Some(expected), "byte {at}");
        }
    }
}

#[test]
fn no_changed_byte_of_a_response_passes() {
    let gateway = gateway();
    for at in 0..SIZE + RESPONSE_OVERHEAD {
        let (mut request, mut exchange) = opened(&gateway);
        let mut response = exchange.seal(&reply(b"answer"), SIZE).unwrap();
        response[at] ^= 1;
        assert_eq!(request.open(&response).err(), Some(Error::Sealed));
    }
}

#[test]
fn more_bytes_behind_do_not_pass() {
    let gateway = gateway();
    let (mut request, mut sealed) = request(&gateway);
    let (mut exchange, _) = gateway.open(&sealed).unwrap();
    let mut response = exchange.seal(&reply(b""), SIZE).unwrap();
    sealed.push(0);
    response.push(0);
    assert_eq!(gateway.open(&sealed).err(), Some(Error::Sealed));
    assert_eq!(request.open(&response).err(), Some(Error::Sealed));
}

#[test]
fn another_key_id_and_another_key_are_refused() {
    let (_, sealed) = request(&gateway());
    let renamed = Gateway::from_seed(&[42; 32], KEY_ID + 1).unwrap();
    assert_eq!(renamed.open(&sealed).err(), Some(Error::Key));
    let other = Gateway::from_seed(&[43; 32], KEY_ID).unwrap();
    assert_eq!(other.open(&sealed).err(), Some(Error::Sealed));
}

#[test]
fn points_of_low_order_do_not_open() {
    let gateway = gateway();
    let (_, sealed) = request(&gateway);
    let mut one = [0; 32];
    one[0] = 1;
    let eight =
        hex::decode("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800").unwrap();
    for point in [[0; 32].as_slice(), &one, &eight] {
        let mut changed = sealed.clone();
        changed[X25519].copy_from_slice(point);
        assert_eq!(gateway.open(&changed).err(), Some(Error::Sealed));
    }
}

#[test]
fn configurations_of_other_shapes_are_refused() {
    let gateway = gateway();
    let good = gateway.config();
    let seal = |config: &[u8]| Request::seal(config, &call(b""), SIZE).map(drop);
    assert_eq!(seal(good), Ok(()));
    for length in 0..good.len() {
        assert_eq!(seal(&good[..length]), Err(Error::Config));
    }
    assert_eq!(seal(&[good, &[0]].concat()), Err(Error::Config));
    // The KEM, and all that follows the public key.
    for at in (1..3).chain(CONFIG - 6..CONFIG) {
        let mut changed = good.to_vec();
        changed[at] ^= 1;
        assert_eq!(seal(&changed), Err(Error::Config), "byte {at}");
    }
    // ML-KEM's coefficients are below 3,329: these are all 4,095.
    let mut changed = good.to_vec();
    changed[3..3 + 1152].fill(0xff);
    assert_eq!(seal(&changed), Err(Error::Config));
}

#[test]
fn methods_paths_and_statuses_that_http_has_not_are_refused() {
    let gateway = gateway();
    for (method, path) in [
        ("", "/"),
        ("post", "/"),
        ("GET ", "/"),
        ("GET", ""),
        ("GET", "v1"),
        ("GET", "/a b"),
        ("GET", "/\r\n"),
        ("GET", "/\u{e9}"),
    ] {
        let bad = Call {
            method: method.into(),
            path: path.into(),
            body: Vec::new(),
        };
        let refused = Request::seal(gateway.config(), &bad, SIZE);
        assert_eq!(refused.err(), Some(Error::Message));
    }
    let (_, mut exchange) = opened(&gateway);
    for status in [0, 99, 100, 199, 600, u16::MAX] {
        let bad = Reply {
            status,
            body: Vec::new(),
        };
        assert_eq!(exchange.seal(&bad, SIZE).err(), Some(Error::Message));
    }
}

#[test]
fn nothing_shows_what_it_holds() {
    let gateway = gateway();
    let (request, exchange) = opened(&gateway);
    assert_eq!(
        format!(
            "{gateway:?} {request:?} {exchange:?} {:?} {:?}",
            call(b"s"),
            reply(b"s")
        ),
        "Gateway Request Exchange Call Reply"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_no_request(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        prop_assert!(gateway().open(&bytes).is_err());
    }

    #[test]
    fn any_bytes_after_a_header_are_no_request(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        let gateway = gateway();
        let request = [&[KEY_ID, 0x64, 0x7a, 0, 1, 0, 3], bytes.as_slice()].concat();
        prop_assert_eq!(gateway.open(&request).err(), Some(Error::Sealed));
    }

    #[test]
    fn any_bytes_are_no_response(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (mut request, _) = request(&gateway());
        prop_assert_eq!(request.open(&bytes).err(), Some(Error::Sealed));
    }

    #[test]
    fn any_bytes_are_no_configuration(bytes in prop::collection::vec(any::<u8>(), CONFIG)) {
        prop_assert_eq!(Request::seal(&bytes, &call(b""), SIZE).err(), Some(Error::Config));
    }

    #[test]
    fn every_body_comes_through(body in prop::collection::vec(any::<u8>(), 0..2000), more in 0usize..2000) {
        let gateway = gateway();
        let size = body.len() + SIZE + more;
        let (mut request, sealed) = Request::seal(gateway.config(), &call(&body), size).unwrap();
        let (mut exchange, got) = gateway.open(&sealed).unwrap();
        prop_assert!(got == call(&body));
        let response = exchange.seal(&reply(&body), size).unwrap();
        prop_assert!(request.open(&response).unwrap() == reply(&body));
    }
}
