"""Groups: what a message and a change cost in one of 128 devices, what a message writes, a night's messages, and 1,000.

Alice and Bob are whole clients, with the real server and its disk in one process and no network between. The other
members have key packages and leaves and no home: the group is just made, so the tree is blank but for what Alice has
committed, and a commit is as large as it gets. A change costs its committer the lookup, the commit, the posts and the
move of the mailbox, until it has read its own commit. `follow` is from the fetched envelopes to what is on disk.

`group_state_bytes_per_message` is what SQLite is given to write for one message that Bob reads, the message itself
included: the median of ten, once the sender has written 33. It does not count SQLite's own pages.
`group_1000_post_s` is from `send` until 999 readers have fetched the message, one after another on the same core, and
opened its envelope, and one has decrypted it: their own decryption runs on as many machines.
`night_500_s` has a server process of its own: 25 messages of each of 20 people who wrote while Bob was not there, from
the opening of his home until all are stored.
"""

import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvloop

from bench.people import BOB, processes
from grue._core import MlsSession
from grue.client import chats
from grue.client.client import Client
from grue.client.conversations import steps, tables
from grue.client.store.engine import Db, Value
from grue.client.store.entries import mls_entries
from grue.errors import NotPermitted
from grue.protocol import wire
from grue.protocol.conversation import envelope
from grue.protocol.conversation.conversation import Conversation, Purpose, Tools, hashed
from grue.protocol.conversation.first_contact import Peer, start_group
from grue.testing import World
from tests.protocol.people import Person

ALICE, DAVE = "+447700900001", "+447700900004"

ROUNDS: Final = 5
MESSAGES: Final = 10
SIZES: Final = (2, 32, 512)
SETTLED: Final = 33
"""Messages after which a ratchet holds no key of a message that was somebody else's: invitations are messages too."""

PEOPLE, EACH = 20, 25
"""Of the night."""


@dataclass
class Choir:
    """A group in which Alice, its admin, and Bob are whole clients."""

    world: World
    alice: Client
    bob: Client
    group: str
    id: bytes
    slots: list[bytes]
    """Secrets of the places that were kept for the others in its mailbox."""

    async def of(self, client: Client) -> Conversation:
        return await client.context.store.read(_conversation, self.id)

    async def settle(self) -> None:
        for client in (self.bob, self.alice, self.bob, self.alice):
            await client.poll()

    async def follow(self) -> float:
        """Seconds in which Bob stores what waits for him, once it is fetched."""
        inbox, conversation = self.bob._parts.inbox, await self.of(self.bob)
        log = conversation.log
        fetched = await self.bob.context.transport.anonymous(
            wire.Fetch(log.mailbox, conversation.read_key, log.cursor, wire.MAX_FETCH, 0)
        )
        assert isinstance(fetched, wire.Fetched)
        start = time.perf_counter()
        await inbox.conversation(log.mailbox, fetched.incarnation, fetched.envelopes, acknowledge=False)
        return time.perf_counter() - start


async def choir_of(world: World, size: int) -> Choir:
    """A group of so many devices, in which Bob has just been accepted."""
    alice, bob = await world.person(ALICE), await world.person(BOB)
    (claimed,) = await alice._parts.groups._claim([BOB])
    others = [Person(f"+44770091{n:04}").checked() for n in range(size - 2)]
    group, id, slots = await alice.context.store.transact(_start, alice, [claimed.peer, *others])
    await alice.poll()
    await bob.poll()
    (request,) = await bob.requests.list()
    await bob.requests.accept(request.chat)
    choir = Choir(world, alice, bob, group, id, slots)
    await choir.settle()
    return choir


@asynccontextmanager
async def _choir(size: int) -> AsyncIterator[Choir]:
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as path:
        async with World(Path(path)) as world:
            yield await choir_of(world, size)


def _start(db: Db, alice: Client, peers: list[Peer]) -> tuple[str, bytes, list[bytes]]:
    """As the client does, for who has no home; of the invitations only Bob's goes out."""
    drawn: list[bytes] = []

    def random(count: int) -> bytes:
        drawn.append(os.urandom(count))
        return drawn[-1]

    context, session = alice.context, MlsSession(mls_entries(db, b"s"))
    step = start_group(session, context.account.me, peers, "Choir", "", Tools(context.now_ms, random))
    created = step.outgoing[0].request
    assert isinstance(created, wire.CreateMailbox)
    slots = [secret for secret in drawn if hashed(secret) in created.slots]
    first = next(one for one in step.outgoing if one.purpose is Purpose.INTRODUCE)
    step.outgoing = [one for one in step.outgoing if one.purpose is not Purpose.INTRODUCE or one is first]
    chat = chats.for_group(db, step.conversation.id, "Choir")
    steps.save(context, db, chat.id, step, session)
    return chat.name, step.conversation.id, slots


def _conversation(db: Db, group: bytes) -> Conversation:
    found = tables.conversation_by_id(db, group)
    assert found is not None
    return found[0]


# --- of 128 ---------------------------------------------------------------------------------------


async def _of_128() -> dict[str, list[float]]:
    took: dict[str, list[float]] = {name: [] for name in ("send", "read", "add", "remove", "follow")}
    async with _choir(128) as choir:
        dave = await choir.world.person(DAVE)
        for n in range(MESSAGES):
            took["send"].append(await _seconds(choir.alice.send(choir.group, f"verse {n}")))
            took["read"].append(await choir.follow())
        for _ in range(ROUNDS):
            await choir.settle()
            took["add"].append(await _seconds(choir.alice.groups.add(choir.group, DAVE)))
            took["follow"].append(await choir.follow())
            await choir.settle()
            took["remove"].append(await _seconds(choir.alice.groups.remove(choir.group, DAVE)))
            took["follow"].append(await choir.follow())
            await choir.settle()
            await dave.poll()
    return took


async def _seconds(work: Any) -> float:
    start = time.perf_counter()
    await work
    return time.perf_counter() - start


# --- what a message writes --------------------------------------------------------------------------


async def _bytes_per_message(size: int) -> float:
    """Median bytes of what Bob's client gives SQLite to write for one message that he reads."""
    written: list[int] = []
    async with _choir(size) as choir:
        for n in range(SETTLED):
            await choir.alice.send(choir.group, f"rehearsal {n}")
        await choir.follow()
        db = choir.bob.context.store._db
        execute = db.execute

        def counted(sql: str, *arguments: Value) -> int:
            changed = execute(sql, *arguments)
            if changed and not sql.startswith("DELETE"):
                written[-1] += sum(len(one) if isinstance(one, bytes | str) else 8 for one in arguments)
            return changed

        setattr(db, "execute", counted)  # noqa: B010
        for n in range(MESSAGES):
            await choir.alice.send(choir.group, f"verse {n}")
            written.append(0)
            await choir.follow()
    return statistics.median(written)


# --- of 1,000 ---------------------------------------------------------------------------------------


async def _of_1000() -> tuple[float, dict[str, float]]:
    """Seconds of one post to all, and which part took how long."""
    async with _choir(1000) as choir:
        transport, conversation = choir.alice.context.transport, await choir.of(choir.alice)
        mailbox, readers = conversation.log.mailbox, []
        for secret in choir.slots:
            read_key = os.urandom(32)
            with suppress(NotPermitted):
                # Bob's is exchanged.
                await transport.anonymous(wire.ExchangeSlot(mailbox, secret, hashed(read_key)))
                readers.append(read_key)
        await choir.alice.send(choir.group, "warm")
        await choir.settle()
        conversation = await choir.of(choir.alice)
        start = time.perf_counter()
        await choir.alice.send(choir.group, "from the top")
        sent = time.perf_counter()
        for read_key in readers:
            request = wire.Fetch(mailbox, read_key, conversation.log.cursor, wire.MAX_FETCH, 0)
            fetched = await transport.anonymous(request)
            assert isinstance(fetched, wire.Fetched)
            for one in fetched.envelopes:
                envelope.unseal(conversation.epoch_keys, mailbox, one.envelope, one.blob)
        given = time.perf_counter()
        read = await choir.follow()
        return given - start + read, {
            "sender": sent - start,
            f"{len(readers)} fetches on one core": given - sent,
            "decryption and storing at one": read,
        }


# --- a night ----------------------------------------------------------------------------------------


async def _night() -> float:
    async with processes("--codes-an-hour-prefix", "100") as world:
        bob = await world.person(BOB)
        people = [await world.person(f"+4477009002{n:02}") for n in range(PEOPLE)]
        for one in people:
            await one.send(BOB, "hello")
            await bob.poll()
            await bob.send(one.number, "hello")
            await one.poll()
        await bob.poll()
        await bob.__aexit__(None, None, None)
        for one in people:
            for n in range(EACH):
                await one.send(BOB, f"of the night {n}")
        start = time.perf_counter()
        again = await world.open(BOB)
        await again.poll()
        took = time.perf_counter() - start
        stored = [message for message in await again.unshown() if message.text.startswith("of the night")]
        assert len(stored) == PEOPLE * EACH, len(stored)
        return took


def measure() -> list[dict[str, Any]]:
    """Medians; one post to 1,000, and one night."""
    took = uvloop.run(_of_128())
    reaches = {"send": 5, "read": 5, "add": 100, "remove": 100, "follow": 50}
    figures: list[dict[str, Any]] = [
        {
            "id": f"group_128_{name}_ms",
            "value": round(statistics.median(took[name]) * 1e3, 1),
            "unit": "ms",
            "reach": reach,
        }
        for name, reach in reaches.items()
    ]
    by_size = {size: uvloop.run(_bytes_per_message(size)) for size in SIZES}
    many = by_size[SIZES[-1]]
    written = {f"{size} devices": value for size, value in by_size.items()}
    figures.append({"id": "group_state_bytes_per_message", "value": many, "unit": "bytes", "peers": written})
    post, parts = uvloop.run(_of_1000())
    rounded = {name: round(seconds, 3) for name, seconds in parts.items()}
    figures.append({"id": "group_1000_post_s", "value": round(post, 2), "unit": "s", "peers": rounded})
    figures.append({"id": "night_500_s", "value": round(uvloop.run(_night()), 2), "unit": "s", "reach": 2})
    return figures
