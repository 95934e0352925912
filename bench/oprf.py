"""`oprf_evaluate_us`: what one blinded number costs the server, proof included, on one core, through Python.

Requests of 256 elements, the largest there are. A request of one costs more an element, since its proof is not
shared; that and the client's side stand beside it. It is the thread's time on the core, so that others who
use the machine do not count.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any, Final

from grue._core import OprfBlind, OprfKey, oprf_finalize
from grue.protocol.wire import MAX_EVALUATIONS

SECONDS: Final = 2.0


def median_us(work: Callable[[], object], elements: int) -> float:
    """Microseconds an element, in the middle of as many runs as fit `SECONDS`."""
    work()
    times = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.thread_time()
        work()
        times.append((time.thread_time() - start) / elements * 1e6)
    return round(statistics.median(times), 1)


def measure() -> list[dict[str, Any]]:
    key = OprfKey.generate()
    numbers = [f"+4477009{n:05}".encode() for n in range(MAX_EVALUATIONS)]
    blinds = [OprfBlind.blind(number) for number in numbers]
    elements = [blind.element for blind in blinds]
    evaluated, proof = key.evaluate(elements)
    public = key.public
    one_evaluated, one_proof = key.evaluate(elements[:1])
    return [
        {
            "id": "oprf_evaluate_us",
            "value": median_us(lambda: key.evaluate(elements), len(elements)),
            "unit": "us",
            "reach": 100,
        },
        {"id": "oprf_evaluate_one_us", "value": median_us(lambda: key.evaluate(elements[:1]), 1), "unit": "us"},
        {"id": "oprf_blind_us", "value": median_us(lambda: OprfBlind.blind(numbers[0]), 1), "unit": "us"},
        {
            "id": "oprf_finalize_one_us",
            "value": median_us(lambda: oprf_finalize(blinds[:1], one_evaluated, one_proof, public), 1),
            "unit": "us",
        },
        {
            "id": "oprf_finalize_us",
            "value": median_us(lambda: oprf_finalize(blinds, evaluated, proof, public), len(elements)),
            "unit": "us",
        },
    ]
