"""A home's own record: every kind of request has its words, and none is left out."""

import typing

from grue.exposure.own import CARRIERS, GIVEN, SERVER, own_exposure
from grue.protocol import wire

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
