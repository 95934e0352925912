"""What observers cannot learn, one test for each sentence that the documents say so."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from grue.exposure import views
from grue.exposure.captures import CARRIER, CONTACT, NETWORK, SERVER_AT_REST, SERVER_LIVE, Capture, Event
from grue.exposure.decode import messages
from grue.exposure.facts import Verdict
from grue.exposure.scanner import encodings
from grue.exposure.scanner.rest import at_rest
from grue.protocol import wire
from tests.exposure.tapped import ADDRESSES, ALICE, ANSWER, BOB, CAROL, DAVE, HELLO, Run

NOT: Final = Verdict.NOT

FINEST: Final = (1, 1_000, 1_000_000, 1_000_000_000)


def bytes_of(capture: Capture) -> Iterator[bytes]:
    yield from (piece.data for piece in capture.pieces)
    yield from (event.data for event in capture.events)


def holds(capture: Capture, forms: frozenset[bytes]) -> bool:
    return any(form in data for data in bytes_of(capture) for form in forms)


# --- lookups --------------------------------------------------------------------------------------


@pytest.mark.parametrize("observer", [SERVER_LIVE, SERVER_AT_REST, CARRIER, NETWORK, CONTACT])
def test_nobody_learns_which_numbers_are_looked_up(run: Run, observer: str) -> None:
    assert run.finding("looked_up", observer).verdict is NOT


def test_hits_and_misses_make_the_same_requests(run: Run) -> None:
    events = run.capture(SERVER_LIVE).events
    first, *others = [views.trace(events, lookup) for lookup in run.truth.lookups]
    assert len(set(others)) == 1
    # In tier 2 a private query comes last.
    assert [kind for _, kind, _ in others[0]][-2:] in (["Evaluate", "Evaluated"], ["Query", "Answers"])
    # The first may have brought the copy of the directory up to date, whatever was looked up.
    assert first[-2:] == others[0][-2:]
    assert {lookup.found for lookup in run.truth.lookups[1:]} == {True, False}


@pytest.mark.parametrize("observer", [SERVER_LIVE, SERVER_AT_REST, CARRIER, NETWORK, CONTACT])
def test_nobody_learns_whether_a_number_was_found(run: Run, observer: str) -> None:
    assert run.finding("whether_found", observer).verdict is NOT


def test_a_lookup_changes_nothing_on_the_servers_disk_but_spent_tokens(run: Run) -> None:
    assert run.quiet


def test_a_lookup_carries_nothing_that_names_who_looks(run: Run) -> None:
    events, lookups = run.capture(SERVER_LIVE).events, run.truth.lookups
    during = [event for event in events if any(lookup.holds(event.at) for lookup in lookups)]
    assert during
    assert names_in(during, run.truth.identifiers[ALICE]) == []


def test_a_blinded_number_is_another_each_time(run: Run) -> None:
    asked = [read.message for read in messages(run.capture(SERVER_LIVE).events)]
    blinded = [element for message in asked if isinstance(message, wire.Evaluate) for element in message.blinded]
    # Bob's own number, and Bob's as Alice looks it up, are among them.
    assert len(set(blinded)) == len(blinded) > 3


# --- messages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("observer", [SERVER_LIVE, SERVER_AT_REST, CARRIER, NETWORK])
@pytest.mark.parametrize("text", [HELLO, ANSWER])
def test_the_text_of_a_message_is_nowhere_but_with_the_two_clients(run: Run, observer: str, text: str) -> None:
    assert not holds(run.capture(observer), encodings.of_text(text))


def test_the_text_of_a_message_reaches_the_contact(run: Run) -> None:
    assert holds(run.capture(CONTACT), encodings.of_text(HELLO))


def test_the_sender_is_not_in_what_a_post_carries(run: Run) -> None:
    posts = [
        read.event
        for read in messages(run.capture(SERVER_LIVE).events)
        if isinstance(read.message, wire.Post | wire.PostIntro | wire.CreateMailbox | wire.Claim)
    ]
    for number, address in ADDRESSES.items():
        sent = [event for event in posts if event.address == address]
        assert names_in(sent, run.truth.identifiers[number]) == []
    assert posts


def test_no_connection_that_posts_or_looks_up_names_its_account(run: Run) -> None:
    """The intro mailbox belongs to the account: to read it where one posts would put a name under every post."""
    assert views.named_beside_what_is_anonymous(run.capture(SERVER_LIVE).events, run.truth) == []


def test_every_envelope_has_one_of_four_sizes(run: Run) -> None:
    posted = [read.message for read in messages(run.capture(SERVER_LIVE).events)]
    sizes = {len(message.blob) for message in posted if isinstance(message, wire.Post | wire.PostIntro)}
    assert sizes <= set(wire.ENVELOPE_BUCKETS)


def test_the_carrier_is_given_nothing_of_an_encrypted_message(run: Run) -> None:
    for fact in ("who_wrote", "message_text", "when", "address"):
        assert run.finding(fact, CARRIER).verdict is NOT


def test_the_network_is_given_no_number(run: Run) -> None:
    for number in (ALICE, BOB, CAROL, DAVE):
        assert not holds(run.capture(NETWORK), encodings.of_number(number))


# --- at rest --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [ALICE, BOB, CAROL, DAVE])
def test_no_number_is_at_rest(run: Run, number: str) -> None:
    assert not holds(run.capture(SERVER_AT_REST), encodings.of_number(number))


def test_no_sms_is_at_rest(run: Run) -> None:
    assert run.finding("sms_text", SERVER_AT_REST).verdict is NOT
    assert run.finding("sms_numbers", SERVER_AT_REST).verdict is NOT


def test_who_wrote_to_whom_cannot_be_joined_from_what_is_at_rest(run: Run) -> None:
    capture = run.capture(SERVER_AT_REST)
    assert run.finding("who_wrote", SERVER_AT_REST).verdict is NOT
    # The way that is looked for exists: an account and its intro mailbox are joined.
    identity, intro = run.truth.identifiers[ALICE][1], run.truth.identifiers[ALICE][3]
    assert any(identity in row and intro in row for row in capture.rows)


def test_no_time_finer_than_a_day_is_in_the_database(run: Run) -> None:
    """Every integer, read in every unit that software keeps time in."""
    integers = {value for row in run.capture(SERVER_AT_REST).rows for value in row if isinstance(value, int)}
    # An hour before and after: random numbers of 64 bits fall into so little once in a million runs.
    low, high = run.truth.lookups[0].begun - 3600, run.truth.sms[-1].ended + 3600
    assert [value for value in integers for unit in FINEST if low * unit <= value <= high * unit] == []


def test_the_directorys_key_is_apart_and_is_not_captured(tmp_path: Path) -> None:
    (tmp_path / "directory.key").write_bytes(b"a secret of its own")
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory" / "head").write_bytes(b"public")
    capture = at_rest(tmp_path)
    assert list(bytes_of(capture)) == [b"public"]


def names_in(events: list[Event], identifiers: list[bytes]) -> list[str]:
    """Where something that names an account stands in these events."""
    forms = [form for identifier in identifiers for form in encodings.of_bytes(identifier)]
    return [event.where for event in events if event.up and any(form in event.data for form in forms)]
