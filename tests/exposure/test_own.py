"""A home's own record: every kind of request has its words, and none is left out."""

import typing

import pytest

from grue.exposure import captures
from grue.exposure.facts import Verdict
from grue.exposure.own import CARRIERS, GIVEN, GUESS, NETWORK, RELAY, SERVER, TALKS, own_exposure, sights
from grue.protocol import wire
from tests.exposure.expected import EXPECTED, OBSERVERS

REQUESTS = {
    kind.__name__
    for union in (wire.AccountRequest, wire.SignedRequest, wire.AnonymousRequest, wire.StreamRequest)
    for kind in typing.get_args(union)
}


def test_every_request_that_there_is_has_its_words() -> None:
    # `Signed` is counted as what is signed, and `Spend` as what is paid for.
    assert REQUESTS - {"Signed", "Spend"} - GIVEN.keys() == set()


def test_an_sms_is_given_to_two_parties() -> None:
    rows = own_exposure([("server", "SendSms", 2)])
    assert [(row.party, row.times) for row in rows] == [(SERVER, 2), (CARRIERS, 2)]
    assert all("text" in row.what for row in rows)


def test_a_lookup_says_what_it_hides() -> None:
    (row,) = own_exposure([("server", "Evaluate", 5)])
    assert row.hidden == "the numbers, and whether they were found"


def test_a_kind_without_words_is_not_left_out() -> None:
    assert [(row.party, row.what) for row in own_exposure([("server", "Brandnew", 1)])] == [("server", "Brandnew")]


# --- with the present settings --------------------------------------------------------------------

COLUMNS = {
    SERVER: captures.SERVER_LIVE,
    RELAY: captures.RELAY,
    NETWORK: captures.NETWORK,
    CARRIERS: captures.CARRIER,
}
"""Which of the demo's observers a party is."""


def test_what_is_said_of_a_home_with_a_relay_is_what_the_demo_shows() -> None:
    seen = {sight.party: sight for sight in sights(relay=True, proxy=False)}
    assert seen.keys() == COLUMNS.keys()
    for party, observer in COLUMNS.items():
        verdict = EXPECTED["who_wrote"][OBSERVERS.index(observer)]
        assert (f"{TALKS}, {GUESS}" in seen[party].hidden) == (verdict is Verdict.GUESSED), party
        assert TALKS not in seen[party].hidden.replace(f"{TALKS}, {GUESS}", ""), party
        assert EXPECTED["looked_up"][OBSERVERS.index(observer)] is Verdict.NOT
        by_address = EXPECTED["address"][OBSERVERS.index(observer)]
        assert ("your address" in seen[party].sees or party == NETWORK) == (by_address is Verdict.LEARNED), party


@pytest.mark.parametrize("proxy", [False, True])
@pytest.mark.parametrize("relay", [False, True])
def test_nobody_who_sees_requests_come_and_go_is_said_not_to_guess_by_their_times(relay: bool, proxy: bool) -> None:
    for sight in sights(relay=relay, proxy=proxy):
        if sight.party != CARRIERS:
            assert GUESS in sight.hidden or TALKS in sight.sees, sight.party
