"""The proxies pass on everything, and record it in the pieces in which it was meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grue.lab import recording_proxy


def pdu(body: bytes) -> bytes:
    return (16 + len(body)).to_bytes(4, "big") + bytes(12) + body


@given(st.lists(st.binary(max_size=40), max_size=6), st.lists(st.integers(1, 60), max_size=20))
def test_pdus_are_told_apart_however_they_are_cut(bodies: list[bytes], cuts: list[int]) -> None:
    data, waiting, seen = b"".join(map(pdu, bodies)), b"", []
    while data:
        length = cuts.pop() if cuts else len(data)
        pdus, waiting = recording_proxy._pdus(waiting + data[:length])
        seen += pdus
        data = data[length:]
    assert (seen, waiting) == ([pdu(body) for body in bodies], b"")


@pytest.mark.parametrize("length", [0, 3, 15])
def test_a_length_that_cannot_be_does_not_hang(length: int) -> None:
    assert recording_proxy._pdus(length.to_bytes(4, "big") + bytes(12) + b"rest") == (
        [length.to_bytes(4, "big") + bytes(12)],
        b"rest",
    )
