"""A life through Grue, event by event: what the light clients of a whole life meet that two of them do not."""

import pytest

from grue.exposure.captures import RELAYED, Event
from grue.exposure.decode import messages
from grue.exposure.lives import DAY, Kind, Life, Person, Role, Stay
from grue.exposure.lives import Event as Happening
from grue.lab.life import BEGUN
from grue.lab.play import play_grue
from grue.protocol import wire

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


def polls(events: list[Event]) -> list[tuple[float, int]]:
    """Of each poll by the relay: the seconds until it was answered, and how many envelopes it brought."""
    begun: dict[str, float] = {}
    found = []
    for read in messages(events):
        match read.message:
            case wire.Fetch():
                begun[read.event.connection] = read.event.at
            case wire.Fetched(envelopes=envelopes):
                found.append((read.event.at - begun[read.event.connection], len(envelopes)))
    return found


async def test_what_expired_unread_is_polled_for_in_vain_by_the_clock_of_the_life() -> None:
    """Nobody waits for it in real seconds: the year of the bench had five such polls, of 30 s each."""
    life = a_life(50, [(0.5, ALICE, BOB), (0.6, ALICE, BOB), (45.5, BOB, ALICE)])
    tapes = (await play_grue(life, oblivious=True)).tapes
    in_vain = [seconds for seconds, envelopes in polls(tapes.server) if not envelopes]
    assert in_vain == [pytest.approx(wire.MAX_WAIT, abs=0.1)]
    assert all(1 <= seconds < wire.MAX_WAIT for seconds, envelopes in polls(tapes.server) if envelopes)
    assert {event.address for event in tapes.server if event.where.endswith("/anonymous")} == {RELAYED}
