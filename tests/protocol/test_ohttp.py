"""Oblivious HTTP as Python gets it: against a second implementation, and nothing but `OhttpError` from any bytes.

The crate's own tests, `rust/ohttp/tests`, go further. The second implementation is `second_hpke.py`; the example of
RFC 9458 checks it first.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from grue._core import CoreError, OhttpError, OhttpExchange, OhttpGateway, OhttpRequest
from tests.damage import flipped
from tests.protocol.second_hpke import X_WING, Labeled, XWing, open_request

SEED = bytes(range(32))
GATEWAY = OhttpGateway.from_seed(SEED, 7)
SIZE = 256
REQUEST_OVERHEAD = 7 + 1120 + 16
RESPONSE_OVERHEAD = 32 + 16


def asked(body: bytes = b"question", size: int = SIZE) -> tuple[OhttpRequest, bytes]:
    return OhttpRequest.seal(GATEWAY.config, "POST", "/v1/mailbox", body, size)


def exchanged() -> tuple[OhttpRequest, OhttpExchange]:
    request, sealed = asked()
    return request, GATEWAY.open(sealed)[0]


def test_client_and_gateway_agree() -> None:
    request, sealed = asked()
    exchange, *call = GATEWAY.open(sealed)
    assert call == ["POST", "/v1/mailbox", b"question"]
    assert request.open(exchange.seal(404, b"answer", SIZE)) == (404, b"answer")


def test_a_seed_makes_the_same_key_in_every_release() -> None:
    """Another one here would be another draft of X-Wing or of its DeriveKeyPair, which other releases lack."""
    assert len(GATEWAY.config) == 1225
    assert GATEWAY.config == OhttpGateway.from_seed(SEED, 7).config
    assert (
        hashlib.sha256(GATEWAY.config).hexdigest() == "0998397e927a2a61e986913bffacfbcd900a9f7c54b49e5ebedf7223ef545b5f"
    )
    assert OhttpGateway.from_seed(bytes(32), 7).config != GATEWAY.config


@pytest.mark.parametrize("size", [SIZE, SIZE + 1, 4096, 1 << 20])
def test_all_of_a_size_are_that_long(size: int) -> None:
    for body in (b"", b"x" * 100):
        _, sealed = asked(body, size)
        assert len(sealed) == size + REQUEST_OVERHEAD
        assert len(GATEWAY.open(sealed)[0].seal(200, body, size)) == size + RESPONSE_OVERHEAD


@pytest.mark.parametrize("size", [0, 31, (1 << 20) + 1, 1 << 62])
def test_what_does_not_fit_is_refused_and_leaves_the_exchange_unused(size: int) -> None:
    with pytest.raises(OhttpError, match="fit"):
        asked(b"x" * 30, size)
    request, exchange = exchanged()
    with pytest.raises(OhttpError, match="fit"):
        exchange.seal(200, b"x" * 30, size)
    assert request.open(exchange.seal(500, b"", SIZE)) == (500, b"")


def test_each_end_is_used_once() -> None:
    request, exchange = exchanged()
    response = exchange.seal(200, b"", SIZE)
    with pytest.raises(OhttpError, match="used before"):
        exchange.seal(200, b"", SIZE)
    assert request.open(response) == (200, b"")
    with pytest.raises(OhttpError, match="used before"):
        request.open(response)


def test_of_many_threads_one_uses_an_exchange() -> None:
    _, exchange = exchanged()

    def answered(_: int) -> bool:
        try:
            exchange.seal(200, b"", SIZE)
        except OhttpError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(answered, range(64))) == 1


def test_another_key_or_key_id_does_not_open() -> None:
    _, sealed = asked()
    with pytest.raises(OhttpError, match="another key"):
        OhttpGateway.from_seed(SEED, 8).open(sealed)
    with pytest.raises(OhttpError, match="does not open"):
        OhttpGateway.from_seed(bytes(32), 7).open(sealed)
    with pytest.raises(OhttpError, match="does not open"):
        exchanged()[0].open(exchanged()[1].seal(200, b"", SIZE))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_seed_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(OhttpError):
        OhttpGateway.from_seed(bytes(length), 7)


def test_nothing_shows_what_it_holds() -> None:
    for one in (GATEWAY, *exchanged()):
        assert repr(one) == object.__repr__(one)
    assert issubclass(OhttpError, CoreError)


@given(st.binary(max_size=2000))
def test_any_bytes_are_refused(data: bytes) -> None:
    for attempt in (
        lambda: GATEWAY.open(data),
        lambda: GATEWAY.open(GATEWAY.config[:1] + b"\x64\x7a\x00\x01\x00\x03" + data),
        lambda: OhttpRequest.seal(data, "GET", "/", b"", SIZE),
        lambda: exchanged()[0].open(data),
    ):
        with pytest.raises(OhttpError) as caught:
            attempt()
        assert caught.value.args[0] in {
            "it does not open",
            "the request is for another key",
            "the key configuration is malformed, or of another suite",
        }


@given(st.integers(0, SIZE + REQUEST_OVERHEAD - 1), st.integers(1, 255))
def test_any_changed_byte_is_refused(at: int, change: int) -> None:
    request, sealed = asked()
    with pytest.raises(OhttpError):
        GATEWAY.open(flipped(sealed, at, change))
    response = GATEWAY.open(sealed)[0].seal(200, b"answer", SIZE)
    with pytest.raises(OhttpError):
        request.open(flipped(response, at % len(response), change))


# --- against the second implementation ------------------------------------------------------------


def test_the_second_implementation_passes_the_example_of_rfc_9458() -> None:
    private = bytes.fromhex("3c168975674b2fa8e465970b79c8dcf09f1c741626480bd4c6162fc5b6a98e1a")
    request = bytes.fromhex(
        "010020000100014b28f881333e7c164ffc499ad9796f877f4e1051ee6d31bad19dec96c208b4726374e469135906992e1268c594d2a10c"
        "695d858c40a026e7965e7d86b83dd440b2c0185204b4d63525"
    )
    key = X25519PrivateKey.from_private_bytes(private)
    encapsulated = request[7:39]
    # DHKEM's Decap (RFC 9180, section 4.1).
    labeled = Labeled(b"KEM\x00\x20")
    exchanged = key.exchange(X25519PublicKey.from_public_bytes(encapsulated))
    secret = labeled.extract(b"", b"eae_prk", exchanged)
    shared = labeled.expand(secret, b"shared_secret", encapsulated + key.public_key().public_bytes_raw(), 32)
    opened = open_request(request, shared, 32)
    assert opened.message.hex() == "00034745540568747470730b6578616d706c652e636f6d012f"
    assert opened.secret.hex() == "62d87a6ba569ee81014c2641f52bea36"
    response = opened.seal(bytes.fromhex("0140c8"), bytes.fromhex("c789e7151fcba46158ca84b04464910d"))
    assert response.hex() == "c789e7151fcba46158ca84b04464910d86f9013e404feea014e7be4a441f234f857fbd"


def test_the_second_implementation_derives_the_same_key() -> None:
    suites = b"\x00\x04\x00\x01\x00\x03"
    assert GATEWAY.config == b"\x07" + X_WING.to_bytes(2, "big") + XWing.derive(SEED).public() + suites


def test_the_second_implementation_serves_our_client() -> None:
    request, sealed = asked()
    opened = open_request(sealed, XWing.derive(SEED).decapsulate(sealed[7:1127]), 1120)
    # Request of known length; POST, https, no authority, path; no fields; body; no trailer; zeros.
    message = b"\x00\x04POST\x05https\x00\x0b/v1/mailbox\x00\x08question\x00"
    assert opened.message == message.ljust(SIZE, b"\x00")
    # Response of known length; 201 in two bytes; no fields; body; no trailer; zeros.
    response = opened.seal(b"\x01\x40\xc9\x00\x06answer\x00".ljust(100, b"\x00"), bytes(range(32)))
    assert request.open(response) == (201, b"answer")


def test_our_gateway_answers_as_the_second_implementation_would() -> None:
    _, sealed = asked()
    opened = open_request(sealed, XWing.derive(SEED).decapsulate(sealed[7:1127]), 1120)
    response = GATEWAY.open(sealed)[0].seal(201, b"answer", 100)
    assert response == opened.seal(b"\x01\x40\xc9\x00\x06answer\x00".ljust(100, b"\x00"), response[:32])
