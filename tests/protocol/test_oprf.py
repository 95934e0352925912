"""The oblivious PRF as Python gets it: RFC 9497's vectors across the seam, and nothing but `OprfError` from any bytes.

The crate's own tests, `rust/oprf/tests`, go further.
"""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grue._core import CoreError, OprfBlind, OprfError, OprfKey, oprf_finalize

VECTORS = Path(__file__).parents[2] / "rust" / "oprf" / "tests" / "vectors" / "rfc9497-voprf.json"
SUITE: dict[str, Any] = next(suite for suite in json.loads(VECTORS.read_text()) if suite["mode"] == 1)
KEY = OprfKey.from_bytes(bytes.fromhex(SUITE["skSm"]))


def split(text: str) -> list[bytes]:
    return [bytes.fromhex(part) for part in text.split(",")]


@pytest.mark.parametrize("vector", SUITE["vectors"], ids=lambda vector: f"batch of {vector['Batch']}")
def test_the_vectors_of_rfc_9497(vector: dict[str, Any]) -> None:
    inputs, scalars = split(vector["Input"]), split(vector["Blind"])
    blinds = [OprfBlind.from_scalar(one, scalar) for one, scalar in zip(inputs, scalars, strict=True)]
    assert [blind.element for blind in blinds] == split(vector["BlindedElement"])
    assert [blind.scalar() for blind in blinds] == scalars
    evaluated, _ = KEY.evaluate(split(vector["BlindedElement"]))
    assert evaluated == split(vector["EvaluationElement"])
    proof = bytes.fromhex(vector["Proof"]["proof"])
    assert oprf_finalize(blinds, evaluated, proof, KEY.public) == split(vector["Output"]) == KEY.output(inputs)


def test_the_public_key_is_the_vectors() -> None:
    assert KEY.public.hex() == SUITE["pkSm"]
    assert KEY.to_bytes().hex() == SUITE["skSm"]


def test_a_fresh_proof_verifies_and_another_keys_does_not() -> None:
    blinds = [OprfBlind.blind(number) for number in (b"+447700900001", b"+447700900002")]
    evaluated, proof = KEY.evaluate([blind.element for blind in blinds])
    assert oprf_finalize(blinds, evaluated, proof, KEY.public) == KEY.output([b"+447700900001", b"+447700900002"])
    with pytest.raises(OprfError):
        oprf_finalize(blinds, evaluated, proof, OprfKey.generate().public)
    with pytest.raises(OprfError):
        oprf_finalize(blinds, evaluated[::-1], proof, KEY.public)


@pytest.mark.parametrize("bad", [b"", bytes(32), b"\xff" * 32, bytes(31), bytes(33)])
def test_bad_elements_scalars_and_proofs_are_refused(bad: bytes) -> None:
    blind = OprfBlind.blind(b"x")
    evaluated, proof = KEY.evaluate([blind.element])
    for attempt in (
        lambda: OprfKey.from_bytes(bad),
        lambda: OprfBlind.from_scalar(b"x", bad),
        lambda: KEY.evaluate([bad]),
        lambda: oprf_finalize([blind], [bad], proof, KEY.public),
        lambda: oprf_finalize([blind], evaluated, bad, KEY.public),
        lambda: oprf_finalize([blind], evaluated, proof, bad),
        lambda: oprf_finalize([], [], proof, KEY.public),
        lambda: KEY.evaluate([]),
    ):
        with pytest.raises(OprfError):
            attempt()
    assert issubclass(OprfError, CoreError)


@given(st.lists(st.binary(max_size=40), max_size=4), st.binary(max_size=80), st.binary(max_size=40))
def test_any_bytes_are_refused_and_nothing_panics(elements: list[bytes], proof: bytes, public: bytes) -> None:
    blind = OprfBlind.blind(b"x")
    with pytest.raises(OprfError):
        oprf_finalize([blind], elements, proof, public)
    try:
        evaluated, _ = KEY.evaluate(elements)
    except OprfError as error:
        # The digits of a byte or two stand in many a word, such as "malformed".
        assert all(element.hex() not in str(error) for element in elements if len(element) > 3)  # noqa: PT017
    else:
        assert len(evaluated) == len(elements)


def test_the_lock_is_released_while_it_computes() -> None:
    # A thread that only counts gets on while another evaluates.
    elements = [OprfBlind.blind(os.urandom(8)).element for _ in range(256)] * 8
    counted, done = 0, threading.Event()

    def evaluate() -> None:
        KEY.evaluate(elements)
        done.set()

    worker = threading.Thread(target=evaluate)
    worker.start()
    while not done.is_set():
        counted += 1
        time.sleep(0.001)
    worker.join()
    assert counted > 2
