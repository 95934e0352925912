"""How captures are read: each observer's records say what that observer can tell, and no more."""

import os

import pytest

from grue.exposure.captures import RELAYED, Event
from grue.exposure.lives import DAY, UNKNOWN, Kind, Sighting
from grue.exposure.records import Asked, CallDetail, Delivered, Dialled, Heard, Held, Passed, Return, Snapshot
from grue.exposure.views import (
    from_both,
    from_carrier,
    from_contact,
    from_network,
    from_radio,
    from_recorder,
    from_relay,
    from_rest,
    from_return,
    from_server,
)
from grue.protocol import wire

ALICE, BOB = "+447700900111", "+447700900222"
A, B = "2001:db8::a", "2001:db8::b"
M, KEY = os.urandom(32), os.urandom(32)


def post(at: float, address: str, mailbox: bytes = M) -> Event:
    body = wire.encode(wire.Post(mailbox, KEY, os.urandom(16), bytes(1024)))
    return Event(at, address, address, True, "POST /2/anonymous", body)


def check_in(at: float, address: str, number: str) -> Event:
    body = wire.encode(wire.CheckIn(number, b""))
    signed = wire.Signed(os.urandom(16), KEY, b"", body, os.urandom(64))
    return Event(at, address, f"{address} account", True, "POST /2/account", wire.encode(signed))


def fetch(at: float, address: str) -> Event:
    body = wire.encode(wire.Fetch(M, KEY, 0))
    return Event(at, address, address, True, "POST /2/anonymous", body)


NAMED = [check_in(1, A, ALICE), check_in(2, B, BOB)]


def texts(sightings: list[Sighting]) -> list[tuple[float, str, str]]:
    return [(one.at, one.who, one.whom) for one in sightings if one.kind is Kind.TEXT]


def test_a_return_names_who_asked_and_for_whom() -> None:
    asked = Asked(5.0, ALICE, A, BOB, 1)
    one = Return(1, ALICE, 0, 9, 9, True, [Snapshot(0, 5, [asked]), Snapshot(5, 9, [asked])])
    assert from_return(one.records()) == [Sighting(5.0, Kind.LOOKUP, ALICE, BOB)]


def test_a_carrier_names_both_sides() -> None:
    assert from_carrier([CallDetail(5.0, "call", ALICE, BOB, 9), CallDetail(6.0, "sms", BOB, ALICE, text="x")]) == [
        Sighting(5.0, Kind.CALL, ALICE, BOB),
        Sighting(6.0, Kind.TEXT, BOB, ALICE),
    ]


def test_addresses_and_mailboxes_say_who_writes_to_whom() -> None:
    assert texts(from_server([*NAMED, fetch(3, B), post(4, A)])) == [(4, ALICE, BOB)]


def test_who_reads_a_mailbox_may_come_later() -> None:
    assert texts(from_server([*NAMED, post(4, A), fetch(50, B)])) == [(4, ALICE, BOB)]


def test_an_address_whose_number_is_not_known_is_named_by_itself() -> None:
    assert texts(from_server([NAMED[0], fetch(3, B), post(4, A)])) == [(4, ALICE, B)]


def test_an_address_is_whose_account_was_last_seen_there() -> None:
    events = [*NAMED, fetch(3, B), post(4, A), check_in(5, "2001:db8::c", ALICE), post(6, "2001:db8::c")]
    assert texts(from_server(events)) == [(4, ALICE, BOB), (6, ALICE, BOB)]


def test_a_receipt_is_no_message() -> None:
    assert texts(from_server([*NAMED, fetch(3, B), post(4, A), post(4.4, B)])) == [(4, ALICE, BOB)]


def test_by_a_relay_nobody_is_named() -> None:
    assert texts(from_server([*NAMED, fetch(3, RELAYED), post(4, RELAYED)])) == [(4, UNKNOWN, UNKNOWN)]


def test_a_relay_gives_the_server_its_addresses_back() -> None:
    events = [*NAMED, fetch(3, RELAYED), post(4, RELAYED)]
    passed = [Passed(3.001, B, "b", True, 2679, "relay"), Passed(4.001, A, "a", True, 2679, "relay")]
    assert texts(from_both(events, passed)) == [(4, ALICE, BOB)]


def test_what_the_relay_lacks_stays_without_an_address() -> None:
    events = [*NAMED, fetch(3, RELAYED), post(4, RELAYED)]
    assert texts(from_both(events, [Passed(3.0, B, "b", True, 2679, "relay")])) == [(4, UNKNOWN, BOB)]


def test_what_cannot_be_read_is_passed_over() -> None:
    broken = Event(3.5, A, A, True, "POST /2/anonymous", b"\x99\x00")
    assert texts(from_server([*NAMED, fetch(3, B), broken, post(4, A)])) == [(4, ALICE, BOB)]


# --- a relay --------------------------------------------------------------------------------------


def asked(at: float, address: str, name: str, until: float | None = None) -> list[Passed]:
    """A request, and its answer: at once, or when it had waited."""
    return [
        Passed(at, address, name, True, 2679, "relay"),
        Passed(at + 0.01 if until is None else until, address, name, False, 1584, "relay"),
    ]


def test_a_relay_pairs_a_request_with_the_polls_that_it_ends() -> None:
    passed = [*asked(90, B, "poll"), *asked(95, B, "waiting", 100.05), *asked(100, A, "post")]
    assert from_relay(passed, {A: ALICE}) == [Sighting(100, Kind.TEXT, ALICE, B)]


@pytest.mark.parametrize("late", [99.9, 100.5])
def test_a_poll_that_ends_at_another_time_is_no_pair(late: float) -> None:
    assert from_relay([*asked(95, B, "waiting", late), *asked(100, A, "post")], {}) == []


def test_a_request_without_its_answer_says_nothing() -> None:
    assert from_relay([*asked(95, B, "waiting", 100.05)[:1], *asked(100, A, "post")], {}) == []


# --- lines, telephones, contacts ------------------------------------------------------------------


def test_a_network_sees_when_an_envelope_goes_and_not_with_whom() -> None:
    passed = [Passed(10, A, "a", True, 1200), Passed(10.1, A, "a", False, 90), Passed(20, B, "b", True, 1200)]
    assert from_network(passed, {A: ALICE}) == [Sighting(10, Kind.ACTIVE, ALICE)]


def test_a_receipt_that_follows_on_what_came_is_no_doing() -> None:
    came = Passed(10, A, "stream", False, 1100)
    passed = [came, Passed(10.3, A, "a", True, 1200), Passed(10.3, A, "a", False, 90)]
    assert from_network(passed, {A: ALICE}) == []


def test_what_is_pushed_in_the_moment_in_which_one_writes_is_ones_own() -> None:
    passed = [
        Passed(10, A, "a", True, 1200),
        Passed(10, A, "stream", False, 1100),
        Passed(10, A, "a", False, 90),
    ]
    assert from_network(passed, {A: ALICE}) == [Sighting(10, Kind.ACTIVE, ALICE)]


def test_a_poll_that_waits_is_no_doing() -> None:
    assert from_network(asked(95, A, "poll", 100), {A: ALICE}) == []


def test_a_recorder_names_its_line_and_the_other_number() -> None:
    found = from_recorder([Dialled(5.0, ALICE, BOB, True, "sms"), Dialled(6.0, ALICE, BOB, False, "call", 9)])
    assert found == [Sighting(5.0, Kind.TEXT, ALICE, BOB), Sighting(6.0, Kind.CALL, BOB, ALICE)]


def test_a_receiver_names_both_numbers_and_of_tls_that_the_handset_sent_something() -> None:
    heard = [
        Heard(1.0, "presence", ALICE),
        Heard(5.0, "sms", BOB, ALICE, "x"),
        Heard(9.0, "tls", ALICE, size=1200, up=True),
        Heard(20.0, "tls", ALICE, size=100, up=True),
        Heard(30.0, "tls", ALICE, size=1200),
    ]
    assert from_radio(heard) == [Sighting(5.0, Kind.TEXT, BOB, ALICE), Sighting(9.0, Kind.ACTIVE, ALICE)]


def test_a_contact_knows_who_wrote_and_takes_a_receipt_for_nobodys_doing() -> None:
    told = [Delivered(5.0, "request", ALICE, "x"), Delivered(6.0, "receipt", ALICE), Delivered(7.0, "text", ALICE, "y")]
    assert from_contact(told, BOB) == [Sighting(5.0, Kind.TEXT, ALICE, BOB), Sighting(7.0, Kind.TEXT, ALICE, BOB)]


# --- one role of a server -------------------------------------------------------------------------


def test_a_gateway_that_looks_numbers_up_knows_who_is_written_to() -> None:
    body = wire.encode(wire.Claim(M))
    claim = Event(3, RELAYED, "r", True, "POST /2/anonymous", body)
    assert from_server([claim]) == [Sighting(3, Kind.LOOKUP, UNKNOWN, UNKNOWN)]
    assert from_server([claim], intros={M.hex(): BOB}) == [Sighting(3, Kind.LOOKUP, UNKNOWN, BOB)]


def test_a_token_issuer_knows_which_account_draws_and_when() -> None:
    account = os.urandom(16)
    body = wire.encode(wire.DrawTokens("post", 1, [os.urandom(32)] * wire.TOKEN_BATCH))
    signed = wire.encode(wire.Signed(account, KEY, b"", body, os.urandom(64)))
    draws = [Event(at, A, A, True, "POST /2/account", signed) for at in (30, 30.1, 30.2)]
    assert from_server(draws, accounts={account.hex(): ALICE}) == [Sighting(30, Kind.ACTIVE, ALICE)]


# --- at rest --------------------------------------------------------------------------------------


def rows(packages: int) -> list[Held]:
    """Two accounts; Alice's device has so many key packages, Bob's three; an envelope waits in Bob's intro mailbox."""
    found = []
    for name in ("a", "b"):
        found.append(Held(DAY, "account", {"account": name, "phone_tag": f"tag {name}", "intro_mailbox": f"m {name}"}))
        found.append(Held(DAY, "device", {"account": name, "device_pub": f"d {name}"}))
        found.append(Held(DAY, "key_package", {"device_pub": f"d {name}", "last_resort": 1}))
        count = packages if name == "a" else 3
        found += [Held(DAY, "key_package", {"device_pub": f"d {name}", "last_resort": 0})] * count
    return [*found, Held(DAY, "envelope", {"mailbox": "m b"}), Held(DAY, "envelope", {"mailbox": "somebody's"})]


def test_at_rest_an_envelope_that_waits_says_that_somebody_wrote() -> None:
    found = from_rest(rows(3), {"tag a": ALICE, "tag b": BOB})
    assert found == [Sighting(0, Kind.TEXT, UNKNOWN, BOB, DAY)]


def test_at_rest_a_key_package_that_is_gone_says_the_same() -> None:
    found = from_rest(rows(2), {"tag a": ALICE, "tag b": BOB})
    assert found == [Sighting(0, Kind.TEXT, UNKNOWN, BOB, DAY), Sighting(0, Kind.TEXT, UNKNOWN, ALICE, DAY)]


def test_at_rest_nobody_is_named_without_the_directorys_key() -> None:
    assert {one.whom for one in from_rest(rows(2), {})} == {UNKNOWN}
