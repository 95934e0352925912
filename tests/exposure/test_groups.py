"""What each observer makes of a group that is made, written to, joined and left, and out of which somebody is put."""

import asyncio
from dataclasses import dataclass

import pytest

from grue.client.client import Client
from grue.client.conversations import tables as stored
from grue.client.transport.transport import Transport
from grue.exposure import groups
from grue.exposure.captures import CARRIER, RELAYED, Capture, Event, network_view
from grue.exposure.facts import found
from grue.exposure.groups import Seen
from grue.exposure.scanner import encodings
from grue.exposure.scanner.rest import Table, tables
from grue.exposure.scanner.scan import NUMBER, TEXT, Canary, Hit, Together, name
from grue.exposure.scanner.snapshot import databases_in
from grue.lab.scan import scan, secrets_of
from grue.protocol import wire
from grue.protocol.conversation.groups import state_hash
from grue.server import chores
from grue.server.directory.directory import record_key
from grue.server.keys.keys import open_keys
from tests.exposure.tapped import ALICE, BOB, DAVE, TappedTransport, TappedWorld
from tests.world.memory import take
from tests.world.test_groups import settle

pytestmark = pytest.mark.whole

ERIN = "+447700900855"
ADDRESSES = {ALICE: "127.83.17.11", BOB: "127.83.17.22", DAVE: "127.83.17.44", ERIN: "127.83.17.55"}
NAME, ABOUT = "Lighthouse keepers", "boots and raincoats"
TOGETHER_TEXT, AFTER_TEXT = "nine at the station", "bob must not read this"


@dataclass(frozen=True)
class Told:
    """What a run left."""

    events: list[Event]
    of_group: list[Event]
    """Those since the group was made."""
    carried: Capture
    disks: dict[str, list[Table]]
    """What the server had on its disk, by when."""
    hits: dict[str, list[Hit]]
    numbers: dict[bytes, str]
    """By tag, for who has the directory's key."""
    group: bytes
    """Its id in MLS."""
    mailboxes: list[bytes]
    """The group's, one after the other."""

    def live(self) -> list[Seen]:
        seen = groups.live(self.events)
        return [seen[mailbox] for mailbox in self.mailboxes]

    def readers(self, when: str) -> list[int]:
        counted = groups.at_rest(self.disks[when])
        return [counted.get(mailbox, 0) for mailbox in self.mailboxes]


class GroupWorld(TappedWorld):
    """A group of three is made, lets one in, puts one out and lets one go."""

    def transport(self, name: str) -> Transport:
        return TappedTransport(self, ADDRESSES[name])

    async def play(self) -> Told:
        self.disks: dict[str, list[Table]] = {}
        self.hits: dict[str, list[Hit]] = {}
        self.mailboxes: list[bytes] = []
        self.group = b""
        alice, bob, dave, erin = self.people = [await self.person(number) for number in ADDRESSES]
        keys = open_keys(self.data)
        numbers = {record_key(keys, number).tag: number for number in ADDRESSES}
        for other in (bob, dave, erin):
            await alice.send(other.number, "hello")
            await take(other)
            await other.send(ALICE, "hello")
            await settle(alice, other)
        self.clock.pass_seconds(60)
        before = len(self.events)
        group = await alice.groups.create(NAME, BOB, DAVE, description=ABOUT)
        await self._look("invited", alice)
        await settle(*self.people)
        await bob.send(group.id, TOGETHER_TEXT)
        await settle(*self.people)
        await self._look("met", alice)
        self.clock.pass_seconds(60)
        await alice.groups.add(group.id, ERIN)
        await settle(*self.people)
        await self._look("joined", alice)
        self.clock.pass_seconds(60)
        await alice.groups.remove(group.id, BOB)
        await settle(*self.people)
        await alice.send(group.id, AFTER_TEXT)
        await settle(*self.people)
        await self._look("removed", alice)
        self.clock.pass_seconds(60)
        await dave.groups.leave(group.id)
        await settle(*self.people)
        await self._look("left", alice)
        await self.pass_days(3)
        await settle(*self.people)
        await chores.sweep(self.server)
        await self._look("days later", alice)
        carried = Capture(CARRIER, self.carried)
        return Told(
            self.events, self.events[before:], carried, self.disks, self.hits, numbers, self.group, self.mailboxes
        )

    async def _look(self, when: str, alice: Client) -> None:
        """At the server's disk, as tables and with the scanner, which has all keys."""
        (conversation,) = [one for one, _ in await alice.context.store.read(stored.reading_conversations) if one.group]
        if conversation.log.mailbox not in self.mailboxes:
            self.mailboxes.append(conversation.log.mailbox)
        await self.server.store.flush()
        files = {path.name: path.read_bytes() for path in self.data.iterdir() if path.is_file()}
        self.disks[when] = [table for taken in databases_in(files) for table in tables(taken)]
        assert conversation.group is not None
        canaries = [Canary(NUMBER, number) for number in ADDRESSES]
        canaries += [Canary(TEXT, text) for text in (NAME, ABOUT, TOGETHER_TEXT, AFTER_TEXT)]
        identities = [member.identity for member in conversation.group.members]
        beside = [Together(name(identity), name(mailbox)) for identity in identities for mailbox in self.mailboxes]
        self.hits[when] = scan([self.data], canaries, secrets_of(self.data), together=beside)
        secrets = [state_hash(conversation.id, conversation.group), wire.encode(conversation.group)]
        assert [one for one in secrets if any(one in contents for contents in files.values())] == []
        self.group = conversation.id


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    async def played() -> Told:
        async with GroupWorld(tmp_path_factory.mktemp("group")) as world:
            return await world.play()

    return asyncio.run(played())


def relayed(events: list[Event]) -> list[Event]:
    """The same requests as a relay hands them on: no address, and nothing that connects two of them."""
    return [
        event
        if event.where.endswith("/account")
        else Event(event.at, RELAYED, str(n), event.up, event.where, event.data)
        for n, event in enumerate(events)
    ]


# --- at rest ----------------------------------------------------------------------------------------


def test_a_server_at_rest_has_of_a_group_no_number_name_or_state_while_people_come_and_go(told: Told) -> None:
    assert list(told.hits) == ["invited", "met", "joined", "removed", "left", "days later"]
    assert {when: hits for when, hits in told.hits.items() if hits} == {}


def test_a_server_at_rest_has_how_many_devices_a_group_has_and_that_its_mailbox_is_another(told: Told) -> None:
    assert {when: told.readers(when) for when in told.disks} == {
        "invited": [3, 0, 0],
        "met": [3, 0, 0],
        "joined": [4, 0, 0],
        "removed": [3, 3, 0],
        "left": [2, 2, 2],
        "days later": [0, 0, 2],
    }


def test_at_rest_no_invitation_says_into_which_group_it_is(told: Told) -> None:
    """Also with the directory's key: an invitation is sealed to its account."""
    assert [groups.invited_at_rest(disk, told.numbers) for disk in told.disks.values()] == [{}] * len(told.disks)


# --- live -------------------------------------------------------------------------------------------


def test_a_live_server_without_a_relay_sees_who_is_in_a_group_and_which_mailbox_it_moves_to(told: Told) -> None:
    by_address = groups.numbers_by_address(told.events)
    members = [{by_address[address] for address in seen.addresses} for seen in told.live()]
    first, second, third = told.mailboxes
    assert members == [set(ADDRESSES), {ALICE, DAVE, ERIN}, {ALICE, ERIN}]
    assert groups.moved(groups.live(told.events)) == [(first, second), (second, third)]


def test_a_live_server_behind_a_relay_sees_who_is_asked_at_one_time_and_no_group(told: Told) -> None:
    events = relayed(told.events)
    assert [seen.addresses for seen in groups.live(events).values() if seen.addresses] == []
    assert groups.moved(groups.live(events)) == []
    assert [groups.live(events)[mailbox].readers for mailbox in told.mailboxes] == told.readers("days later")
    assert groups.welcomed(events)[-2:] == [{BOB, DAVE}, {ERIN}]
    assert groups.invited(events) == {}


# --- others -----------------------------------------------------------------------------------------


def test_a_network_and_a_carrier_are_given_no_number_name_or_mailbox_of_a_group(told: Told) -> None:
    words = [encodings.of_text(text) for text in (NAME, ABOUT, TOGETHER_TEXT, AFTER_TEXT)]
    ids = [frozenset(encodings.of_bytes(mailbox)) for mailbox in told.mailboxes]
    for capture in (network_view(told.of_group), told.carried):
        assert found(capture, [*words, *ids]).instances == 0
    assert found(network_view(told.of_group), [encodings.of_number(number) for number in ADDRESSES]).instances == 0
