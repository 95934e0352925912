"""Lookups of numbers in the own copy of the directory, sans-I/O.

A lookup stands on a `Current` directory (`directory_sync`), evaluates the numbers blindly, and then searches the copy.
All requests are made before the search, so hits and misses cannot differ in them. A result is `Found` or `Absent`;
whatever goes wrong raises, so a failure is never an absence.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from grue._core import OprfBlind, OprfError, oprf_finalize
from grue.errors import BadProof, BadRecord, KeyChanged, SpoiltAnswer, StaleDirectory
from grue.protocol import wire
from grue.protocol.conversation.contents import Transcript
from grue.protocol.conversation.fallback import Route
from grue.protocol.directory.directory_sync import Current
from grue.protocol.directory.record import Record, derive, open_record
from grue.protocol.states import Machine, Table, advance


class LookupState(StrEnum):
    IDLE = "idle"
    EVALUATING = "evaluating"
    SEARCHING = "searching"
    DONE = "done"
    FAILED = "failed"


class LookupEvent(StrEnum):
    START = "start"
    ALL_KNOWN = "all_known"
    MORE = "more"
    EVALUATED = "evaluated"
    SEARCHED = "searched"
    FAIL = "fail"


TABLE: Final[Table[LookupState, LookupEvent]] = {
    LookupState.IDLE: {LookupEvent.START: LookupState.EVALUATING, LookupEvent.ALL_KNOWN: LookupState.SEARCHING},
    LookupState.EVALUATING: {
        LookupEvent.MORE: LookupState.EVALUATING,
        LookupEvent.EVALUATED: LookupState.SEARCHING,
        LookupEvent.FAIL: LookupState.FAILED,
    },
    LookupState.SEARCHING: {LookupEvent.SEARCHED: LookupState.DONE, LookupEvent.FAIL: LookupState.FAILED},
    LookupState.DONE: {},
    LookupState.FAILED: {},
}

Find: TypeAlias = Callable[[bytes], bytes | None]
"""Gives the record under a tag from a checked copy: the overlay's newest entry, or else the base's."""


@dataclass(frozen=True)
class Found:
    """The number is on Grue, and this is what its record says."""

    number: str
    record: Record
    epoch: int
    route: Route = Route.ENCRYPTED


@dataclass(frozen=True)
class Absent:
    """No account with this number is to be found, by a directory whose head was valid when this was made.

    The number is not on Grue, or its account chose not to be found.
    """

    number: str
    epoch: int
    length: int
    """Entries of the overlay that were searched."""
    issued: int
    valid_until: int
    """Unix seconds."""
    route: Route = Route.SMS


Result: TypeAlias = Found | Absent

ANSWERED: Final = (SpoiltAnswer, BadRecord)
"""What is raised of an answer that came, and says nothing: it stays so for the epoch. What is asked afterwards has to
be what a result is followed by, or it would tell whose query the answer was for."""


class Lookup:
    """Some numbers, once: `start`, then `evaluated` for each answer until it returns None, then `search`."""

    def __init__(self, current: Current, numbers: Iterable[str], known: Mapping[str, bytes] | None = None) -> None:
        """
        numbers  E.164, see `grue.protocol.numbers`
        known    PRF outputs from earlier lookups under this directory's OPRF epoch
        """
        self._current = current
        self._numbers = list(dict.fromkeys(numbers))
        self._outputs = {number: known[number] for number in self._numbers if number in known} if known else {}
        self._asking = [number for number in self._numbers if number not in self._outputs]
        self._asked: list[tuple[str, OprfBlind]] = []
        self._machine = Machine(TABLE, LookupState.IDLE)
        self.learned: dict[str, bytes] = {}
        """New PRF outputs, to be kept for the OPRF epoch: with them a lookup asks nobody."""

    @property
    def state(self) -> LookupState:
        return self._machine.state

    def start(self) -> wire.Evaluate | None:
        """The first request; None when every number was evaluated before."""
        if not self._asking:
            self._machine.fire(LookupEvent.ALL_KNOWN)
            return None
        self._machine.fire(LookupEvent.START)
        return self._ask()

    def evaluated(self, answer: wire.Evaluated) -> wire.Evaluate | None:
        """Check an answer (LOOKUP-01, -02); returns the next request, if any. Raises BadProof."""
        try:
            outputs = finalize(self._current, [blind for _, blind in self._asked], answer)
        except BadProof:
            self.failed()
            raise
        self.learned.update((number, output) for (number, _), output in zip(self._asked, outputs, strict=True))
        if self._asking:
            self._machine.fire(LookupEvent.MORE)
            return self._ask()
        self._machine.fire(LookupEvent.EVALUATED)
        return None

    def failed(self) -> None:
        """An answer did not come, or was a refusal: there will be no result."""
        self._machine.fire(LookupEvent.FAIL)

    def tags(self) -> list[bytes]:
        """Where the numbers' records lie, once all are evaluated: what private queries are made for."""
        advance(TABLE, self.state, LookupEvent.SEARCHED)
        outputs = self._outputs | self.learned
        return [derive(outputs[number]).tag for number in self._numbers]

    def search(self, find: Find, now: int) -> dict[str, Result]:
        """Search the copy that belongs to `current`; `now` is Unix seconds.

        LOOKUP-03 the head is still valid. Raises StaleDirectory.
        LOOKUP-04 a record under the number's tag opens (RECORD-01 to -03). Raises BadRecord.
        """
        advance(TABLE, self.state, LookupEvent.SEARCHED)
        self._outputs |= self.learned
        try:
            results = {
                number: look(self._current, number, self._outputs[number], find, now) for number in self._numbers
            }
        except Exception:
            self.failed()
            raise
        self._machine.fire(LookupEvent.SEARCHED)
        return results

    def _ask(self) -> wire.Evaluate:
        now, self._asking = self._asking[: wire.MAX_EVALUATIONS], self._asking[wire.MAX_EVALUATIONS :]
        self._asked = [(number, blind(number)) for number in now]
        return wire.Evaluate(
            self._current.manifest.contents.oprf_epoch, [blinded.element for _, blinded in self._asked]
        )


class SelfLookup:
    """Look up the own number, alone, so that the proof stands for it: the transcript shows others whose it is."""

    def __init__(self, current: Current, number: str) -> None:
        self._current = current
        self._blind = blind(number)

    def request(self) -> wire.Evaluate:
        return wire.Evaluate(self._current.manifest.contents.oprf_epoch, [self._blind.element])

    def transcript(self, answer: wire.Evaluated) -> tuple[Transcript, bytes]:
        """What contacts can check offline, and the PRF's output. Raises BadProof (LOOKUP-01, -02)."""
        (output,) = finalize(self._current, [self._blind], answer)
        epoch = self._current.manifest.contents.oprf_epoch
        return Transcript(epoch, self._blind.scalar(), answer.elements[0], answer.proof), output


def blind(number: str) -> OprfBlind:
    """Blind an E.164 number with a fresh scalar: the request says nothing about it."""
    return OprfBlind.blind(number.encode())


def finalize(current: Current, blinds: list[OprfBlind], answer: wire.Evaluated) -> list[bytes]:
    """The PRF's outputs, 64 bytes each. Raises BadProof.

    LOOKUP-01 there is one element for each number. LOOKUP-02 they were made with the manifest's OPRF key.
    """
    try:
        return oprf_finalize(blinds, answer.elements, answer.proof, current.manifest.contents.oprf_public)
    except OprfError:
        raise BadProof from None


def look(current: Current, number: str, output: bytes, find: Find, now: int) -> Result:
    """Search for one number whose PRF output is known (LOOKUP-03, -04). Raises StaleDirectory, BadRecord."""
    head = current.head.contents
    if now > head.valid_until:
        raise StaleDirectory
    key = derive(output)
    sealed = find(key.tag)
    if sealed is None:
        return Absent(number, head.epoch, head.length, head.issued, head.valid_until)
    return Found(number, open_record(sealed, key), head.epoch)


def check_transcript(
    current: Current, number: str, identity_public: bytes, transcript: Transcript, find: Find, now: int
) -> tuple[Result, bytes]:
    """Check, offline, that a claimed number's record is the claimant's; `Absent` proves nothing about them.

    Returns the PRF's output too, with which the number's record can be watched from now on.

    LOOKUP-05 the transcript is of this directory's OPRF epoch, and its proof is right for this number (BadProof).
    LOOKUP-06 the record names the claimant's identity key (KeyChanged). Raises also what `look` raises.
    """
    output = claimed_output(current, number, transcript)
    result = look(current, number, output, find, now)
    if isinstance(result, Found) and result.record.identity_public != identity_public:
        raise KeyChanged
    return result, output


def claimed_output(current: Current, number: str, transcript: Transcript) -> bytes:
    """The PRF's output for a claimed number, by its transcript (LOOKUP-05). Raises BadProof."""
    if transcript.oprf_epoch != current.manifest.contents.oprf_epoch:
        raise BadProof("(a transcript of another epoch)")
    try:
        blinded = OprfBlind.from_scalar(number.encode(), transcript.scalar)
    except OprfError:
        raise BadProof from None
    (output,) = finalize(current, [blinded], wire.Evaluated([transcript.evaluated], transcript.proof))
    return output
