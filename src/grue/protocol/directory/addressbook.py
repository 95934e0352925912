"""Batches of an address book, sans-I/O: requests evaluate its numbers, and their sizes hardly tell how many there are.

A batch is a request like that of a lookup. It is filled up with random elements, which nobody can tell from blinded
numbers, and whose outputs are thrown away.
"""

from collections.abc import Callable, Sequence
from typing import Final

from grue._core import OprfBlind
from grue.protocol import wire
from grue.protocol.directory.directory_sync import Current
from grue.protocol.directory.lookup import blind, finalize

BATCH: Final = 50
"""Numbers in one request: what one draw of tokens pays for, so that on a day that allows no more, one goes through."""

FILLING_BYTES: Final = 32
"""Bytes of a random input that fills a batch up."""


def padded(count: int) -> int:
    """How many elements stand for `count` numbers, 1 to `BATCH`: the next power of two, or a whole batch.

    At most 17 more than there are. One new number stays one, which is what any lookup looks like.
    """
    return min(BATCH, 1 << (count - 1).bit_length())


class Batch:
    """Some numbers, at most `BATCH`, once: `request`, then `evaluated`."""

    def __init__(self, current: Current, numbers: Sequence[str], random: Callable[[int], bytes]) -> None:
        self._current = current
        self._numbers = list(numbers)
        filling = padded(len(self._numbers)) - len(self._numbers)
        self._blinds = [blind(number) for number in self._numbers]
        self._blinds += [OprfBlind.blind(random(FILLING_BYTES)) for _ in range(filling)]

    def request(self) -> wire.Evaluate:
        epoch = self._current.manifest.contents.oprf_epoch
        return wire.Evaluate(epoch, [blinded.element for blinded in self._blinds])

    def evaluated(self, answer: wire.Evaluated) -> dict[str, bytes]:
        """The PRF's output for each number. Raises BadProof (LOOKUP-01, -02). Some 100 us a number."""
        outputs = finalize(self._current, self._blinds, answer)
        return dict(zip(self._numbers, outputs, strict=False))
