"""The polls that bring nothing, which a played life leaves out: added to a day of it, nobody knows more by them.

They are made here as the real client makes them (`client/transport/oblivious.py`): one for each mailbox that somebody
reads, one after the other, each of which waits 20 to 30 seconds, with up to a second between two.
"""

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import pytest

from grue.client.transport.oblivious import SPREAD_SECONDS, WAIT_SECONDS
from grue.exposure.captures import RELAYED, Event
from grue.exposure.decode import messages
from grue.exposure.lives import UNKNOWN, Life, Sighting
from grue.exposure.records import Passed
from grue.exposure.views import from_both, from_relay, from_server
from grue.lab.life import Shape, generate
from grue.lab.play import GrueTapes, play_grue
from grue.lab.seen import _subscribers
from grue.lab.taps import ANONYMOUS, Tapes, sealed_size
from grue.protocol import wire

pytestmark = [pytest.mark.whole, pytest.mark.timeout(180)]

A_DAY: Final = Shape(days=1, contacts=8, events=150)
SEEDS: Final = range(3)


@dataclass(frozen=True)
class Reader:
    """Somebody who polls for one mailbox."""

    client: str
    """The name of its connections."""
    poll: wire.Fetch
    """Its first."""
    begun: float


def readers(tapes: Tapes) -> list[Reader]:
    """Everybody who ever polls, by the truth: a request has the same number at the relay and at the server."""
    clients = {one.connection.split()[1]: one.connection.split()[0] for one in tapes.relay}
    found: dict[tuple[str, bytes], Reader] = {}
    for read in messages(tapes.server):
        if isinstance(read.message, wire.Fetch):
            client = clients[read.event.connection.removeprefix(f"{RELAYED} ")]
            found.setdefault((client, read.message.mailbox), Reader(client, read.message, read.event.at))
    return list(found.values())


def idle(reader: Reader, ends: float, coin: random.Random) -> Iterator[tuple[float, float, wire.Fetch]]:
    """When each poll begins and runs out, until the day ends."""
    at = reader.begun + coin.random()
    while at < ends:
        wait = coin.randint(*WAIT_SECONDS)
        yield at, at + wait, wire.Fetch(reader.poll.mailbox, reader.poll.read_key, reader.poll.after, wait=wait)
        at += wait + coin.random() * SPREAD_SECONDS


def with_idle_polls(life: Life, tapes: Tapes, where: Callable[[str, float], str]) -> Tapes:
    """The same captures with every poll of that day that brought nothing. `where` gives a client's address."""
    coin = random.Random(life.seed)
    server, relay = list(tapes.server), list(tapes.relay)
    nothing = wire.encode(wire.Fetched(bytes(16), 0, []))
    down = sealed_size(len(nothing), up=False)
    for reader in readers(tapes):
        for begun, ran_out, poll in idle(reader, life.ended, coin):
            name, asked = f"idle{len(server)}", wire.encode(poll)
            up = sealed_size(len(asked), up=True)
            server.append(Event(begun, RELAYED, name, True, ANONYMOUS, asked))
            server.append(Event(ran_out, RELAYED, name, False, ANONYMOUS, nothing))
            relay.append(Passed(begun, where(reader.client, begun), name, True, up, "relay"))
            relay.append(Passed(ran_out, where(reader.client, begun), name, False, down, "relay"))
    return replace(tapes, server=server, relay=relay).by_time()


def whereabouts(tapes: Tapes) -> Callable[[str, float], str]:
    """A client's address, as it last was."""
    seen: dict[str, list[tuple[float, str]]] = {}
    for one in tapes.relay:
        seen.setdefault(one.connection.split()[0], []).append((one.at, one.address))

    def address(client: str, at: float) -> str:
        return next((where for then, where in reversed(seen[client]) if then <= at), seen[client][0][1])

    return address


@dataclass(frozen=True)
class Lived:
    life: Life
    tapes: Tapes
    idle: Tapes


@pytest.fixture(scope="module", params=SEEDS)
def lived(request: pytest.FixtureRequest) -> Lived:
    life = generate(request.param, A_DAY)
    played: GrueTapes = asyncio.run(play_grue(life, oblivious=True))
    tapes = played.tapes
    return Lived(life, tapes, with_idle_polls(life, tapes, whereabouts(tapes)))


def test_there_are_more_of_them_than_of_anything_else(lived: Lived) -> None:
    assert len(lived.idle.server) > 10 * len(lived.tapes.server)
    sizes = {one.size for one in lived.tapes.relay if not one.up}
    assert {one.size for one in lived.idle.relay if not one.up} == sizes


def test_a_server_learns_nothing_by_a_poll_that_a_relay_brings(lived: Lived) -> None:
    assert from_server(lived.idle.server) == from_server(lived.tapes.server)


def pairs(sightings: list[Sighting]) -> set[tuple[str, str]]:
    return {(one.who, one.whom) for one in sightings if UNKNOWN not in (one.who, one.whom)}


def test_a_server_and_its_relay_together_name_no_other_people_by_them(lived: Lived) -> None:
    quiet, idle = (from_both(tapes.server, tapes.relay) for tapes in (lived.tapes, lived.idle))
    assert pairs(idle) == pairs(quiet)


def test_a_relay_takes_polls_that_run_out_for_messages_and_is_right_less_often(lived: Lived) -> None:
    subscribers = _subscribers(lived.life)
    quiet, idle = (from_relay(tapes.relay, subscribers) for tapes in (lived.tapes, lived.idle))
    true = {(event.who, event.whom) for event in lived.life.events}
    true |= {(whom, who) for who, whom in true}
    assert pairs(quiet) <= true
    assert share(idle, true) < share(quiet, true)


def share(sightings: list[Sighting], true: set[tuple[str, str]]) -> float:
    """How many of the named are of people who were in touch."""
    named = [(one.who, one.whom) for one in sightings if UNKNOWN not in (one.who, one.whom)]
    return sum(pair in true for pair in named) / len(named)
