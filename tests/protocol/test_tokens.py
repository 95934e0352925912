"""Tokens, from the side of who draws and spends them."""

import os

import pytest

from grue._core import OprfKey
from grue.errors import BadProof
from grue.protocol import wire
from grue.protocol.tokens import Draw, Purpose, fare, price, spend, use_of

KEY = OprfKey.generate()
KEYS = [
    wire.TokenKey("lookup", 8, OprfKey.generate().public),
    wire.TokenKey("lookup", 9, KEY.public),
    wire.TokenKey("post", 10, OprfKey.generate().public),
]
EVALUATE = wire.Evaluate(1, [bytes(32), bytes(32)])


def drawn(draw: Draw, key: OprfKey = KEY) -> wire.Drawn:
    return wire.Drawn(*key.evaluate(draw.request().blinded))


def test_a_batch_is_drawn_under_the_newest_key_of_its_purpose() -> None:
    draw = Draw(Purpose.LOOKUP, KEYS, os.urandom)
    request = draw.request()
    assert (request.purpose, request.epoch, len(request.blinded)) == ("lookup", 9, wire.TOKEN_BATCH)
    tokens = draw.drawn(drawn(draw))
    assert len({token.nonce for token in tokens}) == wire.TOKEN_BATCH
    assert [token.output for token in tokens] == KEY.output([token.nonce for token in tokens])


def test_token_01_without_a_key_in_the_manifest_nothing_is_drawn() -> None:
    with pytest.raises(BadProof):
        Draw(Purpose.POST, KEYS[:2], os.urandom)


def test_token_02_tokens_of_another_key_are_refused() -> None:
    """Whoever drew under a key of their own would be known by it."""
    draw = Draw(Purpose.LOOKUP, KEYS, os.urandom)
    with pytest.raises(BadProof):
        draw.drawn(drawn(draw, OprfKey.generate()))


def test_a_batch_that_is_cut_short_is_refused() -> None:
    draw = Draw(Purpose.LOOKUP, KEYS, os.urandom)
    answer = drawn(draw)
    with pytest.raises(BadProof):
        draw.drawn(wire.Drawn(answer.elements[:-1], answer.proof))


def test_what_is_drawn_shows_nothing_of_what_is_spent() -> None:
    draw = Draw(Purpose.LOOKUP, KEYS, os.urandom)
    request = wire.encode(draw.request())
    for token in draw.drawn(drawn(draw)):
        spent = wire.encode(spend(EVALUATE, [token]))
        assert token.nonce in spent
        assert token.output not in spent
        assert token.nonce not in request
        assert token.output[:32] not in request


def test_a_token_is_tied_to_its_request() -> None:
    output = os.urandom(64)
    assert use_of(output, b"one") != use_of(output, b"other")
    assert use_of(output, b"one") != use_of(os.urandom(64), b"one")


def test_a_lookup_costs_a_token_for_each_number() -> None:
    assert price(EVALUATE) == (Purpose.LOOKUP, 2)
    assert price(wire.Claim(bytes(32))) == (Purpose.POST, 1)
    assert price(wire.Fetch(bytes(32), bytes(32), 0)) is None


def test_a_post_costs_nothing_and_is_worth_a_token_where_one_is_asked_for() -> None:
    post = wire.Post(bytes(32), bytes(32), bytes(16), bytes(1024))
    assert price(post) is None
    assert fare(post) == (Purpose.POST, 1)
    assert fare(EVALUATE) == price(EVALUATE)


def test_no_token_is_printed() -> None:
    draw = Draw(Purpose.LOOKUP, KEYS, os.urandom)
    token = draw.drawn(drawn(draw))[0]
    assert repr(token) == "StoredToken()"
