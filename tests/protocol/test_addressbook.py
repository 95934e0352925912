"""Batches of an address book: how large they are, and that what fills them up changes nothing."""

import os

import pytest

from grue.errors import BadProof
from grue.protocol import wire
from grue.protocol.directory.addressbook import BATCH, Batch, padded
from grue.protocol.tokens import Purpose, price
from tests.protocol.directories import FakeDirectory, synced


def test_a_batch_has_one_of_few_sizes() -> None:
    sizes = [padded(count) for count in range(1, BATCH + 1)]
    assert set(sizes) == {1, 2, 4, 8, 16, 32, 50}
    assert all(size >= count for count, size in enumerate(sizes, 1))
    assert max(size - count for count, size in enumerate(sizes, 1)) == 17
    assert padded(BATCH) == BATCH == wire.TOKEN_BATCH


@pytest.mark.parametrize("count", [1, 2, 3, 33, BATCH])
def test_every_number_gets_its_output_and_the_filling_none(count: int) -> None:
    fake = FakeDirectory()
    numbers = [f"+12025550{n:03}" for n in range(count)]
    batch = Batch(synced(fake)[0].current, numbers, os.urandom)
    request = batch.request()
    assert len(set(request.blinded)) == padded(count)
    assert price(request) == (Purpose.LOOKUP, padded(count))
    expected = fake.oprf.output([number.encode() for number in numbers])
    assert batch.evaluated(fake.evaluate(request)) == dict(zip(numbers, expected, strict=True))


def test_a_batch_that_was_evaluated_under_another_key_is_refused() -> None:
    fake = FakeDirectory()
    batch = Batch(synced(fake)[0].current, ["+12025550100"] * 3, os.urandom)
    with pytest.raises(BadProof):
        batch.evaluated(FakeDirectory().evaluate(batch.request()))
