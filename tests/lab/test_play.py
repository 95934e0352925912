"""A life through Grue, event by event: what the light clients of a whole life meet that two of them do not."""

import pytest

from grue.exposure.captures import RELAYED, Event
from grue.exposure.decode import messages
from grue.exposure.lives import DAY, Kind, Life, Person, Role, Stay
from grue.exposure.lives import Event as Happening
from grue.exposure.views import from_server
from grue.lab import light_client
from grue.lab.life import BEGUN, Shape, generate
from grue.lab.play import play_grue
from grue.protocol import wire
from grue.protocol.tokens import Purpose
from grue.server.tokens import tokens

ALICE, BOB = "+61755506588", "+12435550132"
HOMES = {ALICE: "2001:db8::a", BOB: "2001:db8::b"}


def a_life(days: int, happenings: list[tuple[float, str, str]]) -> Life:
    """Two people who write to each other, on these days."""
    people = [
        Person(ALICE, "The subject", Role.SUBJECT, True, HOMES[ALICE]),
        Person(BOB, "Partner", Role.FAMILY, True, HOMES[BOB]),
    ]
    events = [Happening(BEGUN + day * DAY, Kind.TEXT, who, whom) for day, who, whom in happenings]
    stays = [Stay(BEGUN, BEGUN + days * DAY, "home", HOMES[ALICE])]
    return Life(1, BEGUN, days, ALICE, people, events, stays, 3.0, BOB, "", "")


def polls(events: list[Event]) -> list[tuple[int, float, int]]:
    """Of each poll by the relay: how long it might wait, the seconds until its answer, and how much that brought."""
    begun: dict[str, tuple[int, float]] = {}
    found = []
    for read in messages(events):
        match read.message:
            case wire.Fetch(wait=wait):
                begun[read.event.connection] = wait, read.event.at
            case wire.Fetched(envelopes=envelopes):
                wait, at = begun[read.event.connection]
                found.append((wait, read.event.at - at, len(envelopes)))
    return found


async def test_a_poll_that_waits_brings_something_and_the_first_one_does_not_wait() -> None:
    """Else the server would wait in real seconds, as it did five times in a year: for what had expired."""
    life = a_life(50, [(0.5, ALICE, BOB), (0.6, ALICE, BOB), (45.5, BOB, ALICE)])
    tapes = (await play_grue(life, oblivious=True)).tapes
    found = polls(tapes.server)
    assert [(seconds, envelopes) for wait, seconds, envelopes in found if not wait] == [(0, 0)]
    waited = [(wait, seconds, envelopes) for wait, seconds, envelopes in found if wait]
    assert len(waited) > 2
    assert all(1 <= seconds < wait == wire.MAX_WAIT and envelopes == 1 for wait, seconds, envelopes in waited)
    assert {event.address for event in tapes.server if event.where.endswith("/anonymous")} == {RELAYED}


@pytest.mark.whole
@pytest.mark.timeout(120)
async def test_more_contacts_than_a_stream_reads_and_an_allowance_pays_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a life with 10,000 contacts meets, with both bounds lower: everything is played, and seen, all the same."""
    monkeypatch.setattr(wire, "MAX_SUBSCRIPTIONS", 4)
    monkeypatch.setattr(light_client, "TOKENS", dict.fromkeys(Purpose, 50))
    monkeypatch.setattr(tokens, "WEEKLY_POSTS", 50)
    life = generate(1, Shape(days=3, contacts=60, events=400))
    tapes = (await play_grue(life, oblivious=False)).tapes
    read = [one.message for one in messages(tapes.server)]
    refused = {message.code for message in read if isinstance(message, wire.Refusal)}
    assert refused == {"challenge", "limit_reached"}
    assert not [message for message in read if isinstance(message, wire.NotSubscribed)]
    grue = {one.number for one in life.people if one.grue}
    written = {one.whom for one in life.events if one.kind is Kind.TEXT and one.who == life.subject} & grue
    sighted = {one.whom for one in from_server(tapes.server) if one.who == life.subject}
    assert sighted & grue == written
    assert len(written) > 4 * 3
    assert [one for one in tapes.server if " stream 4 " in one.connection]
