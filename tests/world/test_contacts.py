"""An address book in the world: brought in, looked up in batches, kept, and told to nobody."""

import asyncio
import io
import os
import tracemalloc
from collections.abc import Sequence

import pytest

from grue.client.client import Client
from grue.client.people.addressfile import Skip
from grue.client.people.contactsync import RESERVE
from grue.errors import LimitReached, NoSuchContact, NotAnAddressBook, TimedOut, Unreachable
from grue.lab.fill import numbers
from grue.protocol import wire
from grue.protocol.conversation.fallback import Route
from grue.protocol.directory.addressbook import BATCH, padded
from grue.protocol.directory.record import NONCE_BYTES, Record, derive, seal
from grue.protocol.tokens import Purpose
from grue.server.directory import directory as directories
from grue.server.tokens import tokens
from grue.testing import World
from tests.world.memory import ALICE, BOB, NOBODY

pytestmark = pytest.mark.tiers

DAY = 86_400


def book(people: Sequence[str]) -> io.BytesIO:
    return io.BytesIO("".join(["Name,Phone\n", *(f"P{n},{number}\n" for n, number in enumerate(people))]).encode())


async def with_book(world: World, people: Sequence[str], number: str = ALICE) -> Client:
    client = await world.person(number)
    await client.contacts.import_file(book(people))
    return client


async def listed(world: World, people: Sequence[str]) -> None:
    """Have the directory list these numbers."""
    for output in directories.outputs(world.server.keys, list(people)):
        record = Record(os.urandom(32), os.urandom(32), os.urandom(16))
        await world.server.directory.put(seal(record, derive(output), os.urandom(NONCE_BYTES)))


async def unlisted(world: World, number: str) -> None:
    await world.server.directory.remove(directories.tag_of(world.server.keys, number))


def evaluations(world: World) -> list[int]:
    return [len(request.blinded) for request in world.network.seen if isinstance(request, wire.Evaluate)]


async def routes(client: Client) -> dict[str, Route]:
    return {contact.number: contact.route for contact in await client.contacts.all()}


# --- importing and listing ------------------------------------------------------------------------


async def test_an_import_counts_what_it_took_and_what_it_left_out(world: World) -> None:
    alice = await world.person(ALICE)
    file = (
        "Name,Phone\nAnn,+1 202 555 0100\n,(001) 202-555-0101\nAnn again,+12025550100\nBob,12345678901234567890\n"
        "Own country,07700 900777\nPolice,999\nFlowers,1-800-FLOWERS\nNobody,\nDesk,+1 202 555 0102 ext 5\n"
    )
    before = list(world.network.seen)
    imported = await alice.contacts.import_file(io.BytesIO(file.encode()))
    assert (imported.imported, imported.known, imported.duplicates) == (3, 0, 1)
    assert imported.skipped == {
        Skip.SHORT: 1,
        Skip.LETTERS: 1,
        Skip.NO_NUMBER: 1,
        Skip.EXTENSION: 1,
        Skip.NOT_A_NUMBER: 1,
    }
    assert [(contact.name, contact.number) for contact in await alice.contacts.all()] == [
        ("Ann", "+12025550100"),
        ("Own country", "+447700900777"),
        ("", "+12025550101"),
    ]
    again = await alice.contacts.import_file(io.BytesIO(b"Name,Phone\nCarol,+12025550101\n,+12025550100\n"))
    assert (again.imported, again.known) == (0, 2)
    assert [contact.name for contact in await alice.contacts.all()] == ["Ann", "Carol", "Own country"]
    assert world.network.seen == before


async def test_a_file_that_is_no_address_book_changes_nothing(world: World) -> None:
    alice = await with_book(world, [BOB])
    with pytest.raises(NotAnAddressBook):
        await alice.contacts.import_file(io.BytesIO(b"Name,Email\nAnn,ann@example.com\n"))
    assert list(await routes(alice)) == [BOB]


async def test_an_address_book_has_an_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grue.client.people.contacts.MAX_CONTACTS", 3)
    alice = await with_book(world, numbers(2, 1))
    imported = await alice.contacts.import_file(book(numbers(5, 2)))
    assert (imported.imported, imported.skipped) == (1, {Skip.TOO_MANY: 4})


async def test_a_long_file_takes_little_memory(world: World) -> None:
    alice = await world.person(ALICE)

    class Lines(io.BytesIO):
        """Twenty megabytes that are made while they are read: a thousand numbers, each ten times, with notes."""

        sent = 0

        def read(self, _size: int | None = -1, /) -> bytes:
            start, self.sent = self.sent, min(self.sent + 50, 10_000)
            rows = (f"Somebody,+1 202 555 {n % 1000:04},{'x' * 2000}\n" for n in range(start, self.sent))
            return ("" if start else "Name,Phone,Notes\n").encode() + "".join(rows).encode()

    tracemalloc.start()
    try:
        imported = await alice.contacts.import_file(Lines())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (imported.imported, imported.duplicates) == (1000, 9000)
    assert peak < 10 << 20


@pytest.mark.weekly
@pytest.mark.whole
async def test_a_hundred_thousand_lines_of_which_most_are_no_new_number(world: World) -> None:
    alice = await world.person(ALICE)
    listed = numbers(10_000, 17)
    bad = ["999", "112", "911", "88888", "1-800-FLOWERS", "n/a", ""]
    rows = [f"P{n},{listed[n % len(listed)] if n % 2 else bad[n // 2 % len(bad)]}\n" for n in range(100_000)]
    imported = await alice.contacts.import_file(io.BytesIO(("Name,Phone\n" + "".join(rows)).encode()))
    short, letters, none = (
        sum(bad[n % len(bad)] in some for n in range(50_000)) for some in (bad[:4], bad[4:6], bad[6:])
    )
    assert (imported.imported, imported.duplicates) == (5_000, 45_000)
    assert imported.skipped == {Skip.SHORT: short, Skip.LETTERS: letters, Skip.NO_NUMBER: none}
    assert set(await routes(alice)) == set(listed[1::2])


# --- looking up -----------------------------------------------------------------------------------


# Progress counts queries besides in tier 2: `test_progress_counts_evaluations_and_queries`.
@pytest.mark.usefixtures("tier_1")
async def test_an_address_book_is_looked_up_in_batches_with_progress_and_survives_a_restart(world: World) -> None:
    people = numbers(123, 1)
    await listed(world, people[:40])
    alice = await with_book(world, people)
    world.network.seen.clear()
    seen: list[tuple[int, int]] = []
    synced = await alice.contacts.sync(lambda done, of: seen.append((done, of)))
    assert (synced.contacts, synced.evaluated, synced.encrypted, synced.sms) == (123, 123, 40, 83)
    assert (synced.unknown, synced.left, synced.retry_after, synced.news) == (0, 0, 0, [])
    assert evaluations(world) == [BATCH, BATCH, padded(23)]
    assert seen == [(0, 123), (50, 123), (100, 123), (123, 123)]
    found = await routes(alice)
    await alice.close()
    alice = await world.open(ALICE)
    assert await routes(alice) == found
    assert [number for number, route in found.items() if route is Route.ENCRYPTED] == sorted(
        people[:40], key=list(found).index
    )
    assert {contact.checked for contact in await alice.contacts.all()} == {int(world.clock())}


async def test_the_server_sees_the_same_whoever_of_the_contacts_is_on_grue(world: World) -> None:
    everybody = numbers(240, 3)
    await listed(world, everybody[:60] + everybody[120:150])
    traces = []
    for n, number in enumerate([ALICE, BOB, NOBODY]):
        client = await with_book(world, everybody[60 * n : 60 * n + 60], number)
        await client.lookup(number)
        world.network.seen.clear()
        files: list[str] = []
        world.network.change_file = lambda path, file, files=files: (files.append(path), file)[1]  # type: ignore[misc]
        synced = await client.contacts.sync()
        again = await client.contacts.sync()
        assert (synced.encrypted, again.encrypted) == [(60, 60), (0, 0), (30, 30)][n]
        traces.append(([(type(one).__name__, len(wire.encode(one))) for one in world.network.seen], list(files)))
    assert traces[0] == traces[1] == traces[2]
    assert [name for name, _ in traces[0][0]].count("Evaluate") == 2


async def test_checking_again_evaluates_nothing_and_tells_each_change_once(world: World) -> None:
    people = numbers(12, 4)
    await listed(world, people[:3])
    alice = await with_book(world, people)
    first = await alice.contacts.sync()
    assert (first.encrypted, first.sms, first.news) == (3, 9, [])
    world.network.seen.clear()
    world.clock.pass_seconds(60)
    await listed(world, people[3:4])
    await unlisted(world, people[0])
    second = await alice.contacts.sync()
    assert (second.evaluated, second.encrypted, second.sms) == (0, 3, 9)
    assert {(one.number, one.route) for one in second.news} == {(people[3], Route.ENCRYPTED), (people[0], Route.SMS)}
    assert {contact.number for contact in await alice.contacts.all() if contact.changed} == {people[0], people[3]}
    assert evaluations(world) == []
    assert (await alice.contacts.sync()).news == []


async def test_a_new_base_is_checked_without_evaluations(world: World) -> None:
    people = numbers(5, 5)
    alice = await with_book(world, people)
    await alice.contacts.sync()
    epoch = world.server.directory.manifest.epoch
    await listed(world, people + numbers(40, 6))
    await world.pass_days(40)
    assert world.server.directory.manifest.epoch > epoch
    world.network.seen.clear()
    assert (await alice.contacts.sync()).encrypted == 5
    assert evaluations(world) == []


async def test_a_new_number_looks_like_any_lookup(world: World) -> None:
    alice = await with_book(world, numbers(10, 7))
    await alice.contacts.sync()
    world.network.seen.clear()
    await alice.contacts.import_file(book([NOBODY]))
    await alice.contacts.sync()
    by_hand = await alice.lookup(BOB)
    assert by_hand[0].error is None
    assert evaluations(world) == [1, 1]


async def test_a_new_lookup_key_evaluates_all_anew_and_keeps_what_was_known(world: World) -> None:
    people = numbers(6, 8)
    await listed(world, people)
    alice = await with_book(world, people)
    await alice.contacts.sync()
    await alice.context.store.transact(lambda db: db.execute("UPDATE evaluation SET oprf_epoch = 0"))
    assert set((await routes(alice)).values()) == {Route.ENCRYPTED}
    world.network.seen.clear()
    assert (await alice.contacts.sync()).evaluated == 6
    assert evaluations(world) == [8]


# --- limits and failures --------------------------------------------------------------------------


# Where a number takes one token; where it takes two: `test_an_allowance_that_ends_has_given_answers`.
@pytest.mark.usefixtures("tier_1")
async def test_a_limit_stops_it_and_the_next_days_go_on_by_themselves(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "FIRST_LOOKUPS", 200)
    people = numbers(300, 9)
    await listed(world, people[::2])
    alice = await with_book(world, people)
    synced = await alice.contacts.sync()
    assert (synced.evaluated, synced.left) == (100, 200)
    assert synced.encrypted + synced.sms == 100
    assert 0 < synced.retry_after <= 7 * DAY
    # What was left for numbers that are typed is there.
    (typed,) = await alice.lookup(NOBODY)
    assert typed.error is None
    assert (await alice.contacts.sync()).evaluated == 0
    left = [200]
    for _ in range(20):
        await world.pass_days(1)
        await alice.poll()
        left.append(sum(route is Route.UNKNOWN for route in (await routes(alice)).values()))
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0
    assert list((await routes(alice)).values()).count(Route.ENCRYPTED) == 150


async def test_it_does_not_start_by_itself(world: World) -> None:
    alice = await with_book(world, numbers(10, 10))
    world.network.seen.clear()
    for _ in range(3):
        await world.pass_days(2)
        await alice.poll()
    assert set((await routes(alice)).values()) == {Route.UNKNOWN}
    assert set(evaluations(world)) == {1}, "only the own number, alone"


# Where an evaluation is an answer; in tier 2: `tests/cli/test_killed_sync.py`.
@pytest.mark.usefixtures("tier_1")
async def test_what_was_evaluated_before_it_was_broken_off_is_not_evaluated_again(world: World) -> None:
    alice = await with_book(world, numbers(130, 11))
    world.network.seen.clear()
    world.network.lose = lambda _request: evaluations(world) == [BATCH, BATCH]
    with pytest.raises(TimedOut):
        await alice.contacts.sync()
    assert sum(route is Route.SMS for route in (await routes(alice)).values()) == BATCH
    await alice.close()
    world.network.lose = lambda _request: False
    alice = await world.open(ALICE)
    world.network.seen.clear()
    assert (await alice.contacts.sync()).evaluated == 80
    assert evaluations(world) == [BATCH, 32]


async def test_without_a_network_nothing_changes(world: World) -> None:
    alice = await with_book(world, numbers(3, 12))
    await alice.contacts.sync()
    before = await alice.contacts.all()
    world.network.down = True
    with pytest.raises(Unreachable):
        await alice.contacts.sync()
    assert await alice.contacts.all() == before


async def test_a_record_that_does_not_open_makes_one_number_unknown_and_no_other(world: World) -> None:
    people = numbers(4, 13)
    await listed(world, people[:2])
    spoilt = directories.tag_of(world.server.keys, people[2])
    await world.server.directory.put(spoilt + os.urandom(112))
    alice = await with_book(world, people)
    synced = await alice.contacts.sync()
    assert (synced.encrypted, synced.sms, synced.unknown) == (2, 1, 1)
    assert (await routes(alice))[people[2]] is Route.UNKNOWN


async def test_two_processes_of_one_home_can_look_up_at_once(world: World) -> None:
    alice = await with_book(world, numbers(200, 14))
    other = await world.open(ALICE)
    synced = await asyncio.gather(alice.contacts.sync(), other.contacts.sync())
    assert [one.left for one in synced] == [0, 0]
    assert set((await routes(alice)).values()) == {Route.SMS}


async def test_a_limit_is_no_error_and_keeps_a_reserve(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "FIRST_LOOKUPS", RESERVE)
    alice = await with_book(world, numbers(5, 15))
    synced = await alice.contacts.sync()
    assert (synced.evaluated, synced.left, synced.unknown) == (0, 5, 5)
    with pytest.raises(LimitReached):
        await alice.context.tokens.stock(Purpose.LOOKUP, RESERVE + 1)


# --- forgetting -----------------------------------------------------------------------------------


async def test_who_is_forgotten_leaves_no_trace_in_the_home(world: World) -> None:
    people = numbers(4, 16)
    alice = await with_book(world, [*people, BOB])
    await world.person(BOB)
    await alice.contacts.sync()
    await alice.send(BOB, "hello")
    await alice.contacts.forget(people[0])
    with pytest.raises(NoSuchContact):
        await alice.contacts.forget(people[0])
    assert set(await routes(alice)) == {*people[1:], BOB}
    assert people[0] not in await known_numbers(alice)
    assert await alice.contacts.forget_all() == 4
    assert await alice.contacts.all() == []
    assert await known_numbers(alice) == {ALICE, BOB}, "who is written to stays known"
    world.network.seen.clear()
    await world.pass_days(2)
    await alice.poll()
    assert set(evaluations(world)) == {1}, "only the own number, alone"


async def known_numbers(client: Client) -> set[object]:
    return {row[0] for row in await client.context.store.read(lambda db: db.rows("SELECT number FROM evaluation"))}


async def test_who_was_reached_encrypted_does_not_turn_green_in_the_list(world: World) -> None:
    alice = await with_book(world, [BOB])
    await world.person(BOB)
    await alice.send(BOB, "hello")
    assert (await alice.contacts.sync()).encrypted == 1
    await unlisted(world, BOB)
    world.clock.pass_seconds(60)
    synced = await alice.contacts.sync()
    assert (synced.encrypted, synced.sms, synced.unknown) == (0, 0, 1)
    assert await routes(alice) == {BOB: Route.UNKNOWN}


# --- as it is typed -------------------------------------------------------------------------------


async def test_a_number_that_is_typed_is_looked_up_once_by_the_real_client(world: World) -> None:
    number = "+12025550177"
    await listed(world, [number])
    alice = await world.person(ALICE)
    world.network.seen.clear()
    async with alice.directory.as_you_type() as field:
        for at in range(1, len(number) + 1):
            field.typed(number[:at])
        async for shown in field:
            if shown.route is not None:
                break
        assert (shown.number, shown.route) == (number, Route.ENCRYPTED)
        assert field.typed(number).route is Route.ENCRYPTED
    assert evaluations(world) == [1]


# --- leaving --------------------------------------------------------------------------------------


async def test_at_another_server_nothing_of_the_first_ones_directory_is_believed(world: World) -> None:
    people = numbers(3, 18)
    await listed(world, people)
    alice = await with_book(world, people)
    assert (await alice.contacts.sync()).encrypted == 3
    await alice.account.delete()
    assert {(contact.route, contact.checked) for contact in await alice.contacts.all()} == {(Route.UNKNOWN, None)}
    await alice.close()
    await world.stop()
    await world.start("another")
    alice = await world.open(ALICE)
    await alice.register(ALICE, "http://localhost")
    await alice.verify(world.code(ALICE))
    (looked_up,) = await alice.lookup(people[0])
    assert (looked_up.route, looked_up.error) == (Route.SMS, None)
    assert (await alice.contacts.sync()).sms == 3
