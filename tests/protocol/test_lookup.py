"""Looking numbers up: what is asked, what is found, and that no failure is an absence."""

import os

import pytest
from msgspec.structs import replace

from grue._core import OprfKey
from grue.errors import BadProof, BadRecord, KeyChanged, ProtocolViolation, StaleDirectory
from grue.protocol import wire
from grue.protocol.conversation.contents import Transcript
from grue.protocol.conversation.fallback import Route
from grue.protocol.directory import directory
from grue.protocol.directory.directory_sync import RecordTable, Synced
from grue.protocol.directory.lookup import Absent, Found, Lookup, LookupState, SelfLookup, check_transcript
from grue.protocol.directory.record import seal
from tests.protocol.directories import ALICE, BOB, CAROL, NOBODY, NOW, FakeDirectory, a_record, looked_up, synced


@pytest.fixture
def fake() -> FakeDirectory:
    made = FakeDirectory().with_base({ALICE: a_record(1), BOB: a_record(2)})
    made.put(CAROL, a_record(3))
    return made


def own_transcript(fake: FakeDirectory, number: str) -> tuple[Transcript, Synced, RecordTable]:
    result, table = synced(fake)
    own = SelfLookup(result.current, number)
    transcript, _ = own.transcript(fake.evaluate(own.request()))
    return transcript, result, table


# --- results --------------------------------------------------------------------------------------


def test_a_registered_number_is_found_with_its_record(fake: FakeDirectory) -> None:
    assert looked_up(fake, ALICE) == {ALICE: Found(ALICE, a_record(1), 1)}
    assert looked_up(fake, ALICE)[ALICE].route is Route.ENCRYPTED


def test_a_number_in_the_overlay_is_found(fake: FakeDirectory) -> None:
    assert looked_up(fake, CAROL) == {CAROL: Found(CAROL, a_record(3), 1)}


def test_a_number_that_is_not_there_is_absent_by_this_head(fake: FakeDirectory) -> None:
    absent = looked_up(fake, NOBODY)[NOBODY]
    assert absent == Absent(NOBODY, 1, 1, NOW, NOW + directory.VALID_FOR)
    assert absent.route is Route.SMS


def test_a_number_that_was_taken_away_is_absent(fake: FakeDirectory) -> None:
    fake.remove(ALICE)
    assert isinstance(looked_up(fake, ALICE)[ALICE], Absent)


def test_a_number_that_was_registered_anew_gives_the_newest_record(fake: FakeDirectory) -> None:
    fake.remove(ALICE)
    fake.put(ALICE, a_record(7))
    assert looked_up(fake, ALICE)[ALICE] == Found(ALICE, a_record(7), 1)


def test_many_numbers_are_looked_up_at_once(fake: FakeDirectory) -> None:
    results = looked_up(fake, ALICE, NOBODY, BOB, ALICE)
    assert list(results) == [ALICE, NOBODY, BOB]
    assert [result.route for result in results.values()] == [Route.ENCRYPTED, Route.SMS, Route.ENCRYPTED]


# --- what the server sees -------------------------------------------------------------------------


def test_hits_and_misses_make_the_same_requests(fake: FakeDirectory) -> None:
    result, _ = synced(fake)
    shapes = set()
    for number in (ALICE, NOBODY):
        lookup = Lookup(result.current, [number])
        request = lookup.start()
        assert request is not None
        assert lookup.evaluated(fake.evaluate(request)) is None
        # All requests are made, and nothing was searched yet.
        assert lookup.state is LookupState.SEARCHING
        shapes.add((request.oprf_epoch, len(request.blinded), len(wire.encode(request))))
    assert len(shapes) == 1


def test_the_directory_never_sees_a_number(fake: FakeDirectory) -> None:
    # The same number twice gives two unrelated elements, so the request depends on fresh randomness alone: for
    # every element and every number there is a blind that leads from one to the other.
    result, _ = synced(fake)
    first, second = Lookup(result.current, [ALICE]).start(), Lookup(result.current, [ALICE]).start()
    assert first is not None
    assert second is not None
    assert first.blinded != second.blinded
    for request in (first, second):
        assert ALICE.encode() not in wire.encode(request)
        assert fake.key(ALICE).tag not in wire.encode(request)


def test_a_number_whose_output_is_known_asks_nobody(fake: FakeDirectory) -> None:
    result, table = synced(fake)
    first = Lookup(result.current, [ALICE])
    request = first.start()
    assert request is not None
    first.evaluated(fake.evaluate(request))
    assert set(first.learned) == {ALICE}
    again = Lookup(result.current, [ALICE], first.learned)
    assert again.start() is None
    assert again.search(table.find, NOW) == first.search(table.find, NOW)
    assert again.learned == {}


def test_only_unknown_numbers_are_evaluated(fake: FakeDirectory) -> None:
    result, table = synced(fake)
    output = fake.oprf.output([ALICE.encode()])[0]
    lookup = Lookup(result.current, [ALICE, BOB], {ALICE: output, "+447700900555": output})
    request = lookup.start()
    assert request is not None
    assert len(request.blinded) == 1
    lookup.evaluated(fake.evaluate(request))
    assert list(lookup.search(table.find, NOW)) == [ALICE, BOB]


def test_an_address_book_is_asked_in_full_requests(fake: FakeDirectory) -> None:
    numbers = [f"+4477{n:08}" for n in range(wire.MAX_EVALUATIONS + 3)] + [ALICE]
    result, table = synced(fake)
    lookup = Lookup(result.current, numbers)
    sizes = []
    request = lookup.start()
    while request is not None:
        sizes.append(len(request.blinded))
        request = lookup.evaluated(fake.evaluate(request))
    assert sizes == [wire.MAX_EVALUATIONS, 4]
    results = lookup.search(table.find, NOW)
    assert len(results) == len(numbers)
    assert isinstance(results[ALICE], Found)


# --- the checks -----------------------------------------------------------------------------------


def test_lookup_01_an_answer_with_another_number_of_elements_is_refused(fake: FakeDirectory) -> None:
    result, _ = synced(fake)
    for count in (0, 1, 3):
        lookup = Lookup(result.current, [ALICE, BOB])
        request = lookup.start()
        assert request is not None
        answer = fake.evaluate(request)
        elements = (answer.elements + answer.elements)[:count]
        with pytest.raises(BadProof):
            lookup.evaluated(replace(answer, elements=elements))


def test_lookup_02_an_answer_under_another_key_is_refused(fake: FakeDirectory) -> None:
    result, _ = synced(fake)
    lookup = Lookup(result.current, [ALICE])
    request = lookup.start()
    assert request is not None
    with pytest.raises(BadProof):
        lookup.evaluated(wire.Evaluated(*OprfKey.generate().evaluate(request.blinded)))
    assert lookup.state is LookupState.FAILED


def test_lookup_02_no_answer_can_be_replayed_reordered_or_changed(fake: FakeDirectory) -> None:
    result, _ = synced(fake)
    request = Lookup(result.current, [ALICE, BOB]).start()
    assert request is not None
    earlier = fake.evaluate(request)
    for change in ("replay", "reorder", "element", "proof", "garbage"):
        lookup = Lookup(result.current, [ALICE, BOB])
        request = lookup.start()
        assert request is not None
        answer = fake.evaluate(request)
        bad = {
            "replay": earlier,
            "reorder": replace(answer, elements=answer.elements[::-1]),
            "element": replace(answer, elements=[answer.elements[0], answer.elements[0]]),
            "proof": replace(answer, proof=earlier.proof),
            "garbage": wire.Evaluated([os.urandom(32), bytes(32)], os.urandom(64)),
        }
        with pytest.raises(BadProof):
            lookup.evaluated(bad[change])


def test_lookup_03_an_absence_by_a_head_that_has_run_out_is_none(fake: FakeDirectory) -> None:
    result, table = synced(fake)
    for number in (ALICE, NOBODY):
        lookup = Lookup(result.current, [number], {number: fake.oprf.output([number.encode()])[0]})
        lookup.start()
        with pytest.raises(StaleDirectory):
            lookup.search(table.find, NOW + directory.VALID_FOR + 1)
        assert lookup.state is LookupState.FAILED


def test_lookup_04_a_record_that_does_not_open_is_no_absence(fake: FakeDirectory) -> None:
    # A directory that cannot deny a number could still spoil its record.
    tag = fake.key(ALICE).tag
    fake.overlay += tag + os.urandom(112)
    with pytest.raises(BadRecord):
        looked_up(fake, ALICE)
    fake.overlay += seal(a_record(1), fake.key(ALICE)._replace(key=bytes(32)), os.urandom(12))
    with pytest.raises(BadRecord):
        looked_up(fake, ALICE)


def test_a_lookup_that_failed_has_no_result(fake: FakeDirectory) -> None:
    result, table = synced(fake)
    lookup = Lookup(result.current, [ALICE])
    lookup.start()
    lookup.failed()
    with pytest.raises(ProtocolViolation):
        lookup.search(table.find, NOW)


def test_a_lookup_cannot_be_searched_before_it_was_evaluated(fake: FakeDirectory) -> None:
    result, table = synced(fake)
    lookup = Lookup(result.current, [ALICE])
    lookup.start()
    with pytest.raises(ProtocolViolation):
        lookup.search(table.find, NOW)


# --- transcripts of a self-lookup -----------------------------------------------------------------


def test_a_transcript_shows_whose_number_it_is(fake: FakeDirectory) -> None:
    transcript, result, table = own_transcript(fake, ALICE)
    identity = a_record(1).identity_public
    checked, _ = check_transcript(result.current, ALICE, identity, transcript, table.find, NOW)
    assert checked == Found(ALICE, a_record(1), 1)


def test_a_transcript_of_a_number_that_is_not_listed_proves_nothing(fake: FakeDirectory) -> None:
    transcript, result, table = own_transcript(fake, NOBODY)
    checked, _ = check_transcript(result.current, NOBODY, bytes(32), transcript, table.find, NOW)
    assert isinstance(checked, Absent)


def test_lookup_05_a_transcript_does_not_serve_another_number(fake: FakeDirectory) -> None:
    transcript, result, table = own_transcript(fake, ALICE)
    with pytest.raises(BadProof):
        check_transcript(result.current, BOB, a_record(2).identity_public, transcript, table.find, NOW)


def test_lookup_05_a_forged_transcript_is_refused(fake: FakeDirectory) -> None:
    transcript, result, table = own_transcript(fake, ALICE)
    elements, proof = OprfKey.generate().evaluate([transcript.evaluated])
    for bad in (
        replace(transcript, oprf_epoch=2),
        replace(transcript, scalar=bytes(32)),
        replace(transcript, scalar=os.urandom(32)),
        replace(transcript, evaluated=elements[0]),
        replace(transcript, evaluated=bytes(32)),
        replace(transcript, proof=proof),
        Transcript(1, transcript.scalar, elements[0], proof),
    ):
        with pytest.raises(BadProof):
            check_transcript(result.current, ALICE, a_record(1).identity_public, bad, table.find, NOW)


def test_lookup_06_somebody_who_knows_a_number_cannot_claim_it(fake: FakeDirectory) -> None:
    # Anybody can make a transcript of Alice's number; the record says whose identity is behind it.
    transcript, result, table = own_transcript(fake, ALICE)
    with pytest.raises(KeyChanged):
        check_transcript(result.current, ALICE, a_record(2).identity_public, transcript, table.find, NOW)


def test_a_self_lookup_asks_like_any_other(fake: FakeDirectory) -> None:
    result, _ = synced(fake)
    own, other = SelfLookup(result.current, ALICE).request(), Lookup(result.current, [BOB]).start()
    assert other is not None
    assert len(wire.encode(own)) == len(wire.encode(other))
