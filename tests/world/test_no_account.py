"""What a client says before its number is verified, after it has left, and outside of `async with`."""

import inspect
import io
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from grue.cli.shell import Shell
from grue.cli.verbs import messages as verbs
from grue.client.api.messages import Message
from grue.client.client import Client
from grue.errors import AlreadyRegistered, NoSuchChat, NotRegistered
from grue.protocol.conversation.contents import Role
from grue.protocol.conversation.delivery import MessageState
from grue.protocol.conversation.fallback import Route
from grue.testing import World
from tests.world.memory import ALICE, BOB
from tests.world.test_devices import A_LINK

Call = Callable[[Client], Awaitable[object]]

A_MESSAGE: Final = Message(
    "00" * 16, BOB, BOB, "", ALICE, "hello", Route.ENCRYPTED, 0.0, incoming=True, state=MessageState.DELIVERED, row=1
)


async def _receive(client: Client) -> None:
    async for _ in client.receive(idle=0):
        pass


async def _type(client: Client) -> None:
    client.directory.as_you_type()


async def _history(client: Client) -> None:
    with suppress(NoSuchChat):
        await client.history(BOB)


async def _seen(client: Client) -> None:
    with suppress(NoSuchChat):
        await client.seen(BOB, 1)


async def _of_no_chat(call: Awaitable[object]) -> None:
    with suppress(NoSuchChat):
        await call


async def _changes(client: Client) -> None:
    async with aclosing(client.changes()) as changes:
        await anext(changes)


async def _link(client: Client) -> None:
    async with client.devices.link("http://localhost", "laptop"):
        pass


def _property(name: str) -> Call:
    async def get(client: Client) -> object:
        found: object = client
        for part in name.split("."):
            found = getattr(found, part)
        return found

    return get


NEED_AN_ACCOUNT: Final[dict[str, Call]] = {
    "number": _property("number"),
    "server": _property("server"),
    "context": _property("context"),
    "lookup": lambda client: client.lookup(BOB),
    "send": lambda client: client.send(BOB, "hello"),
    "receive": _receive,
    "flush": lambda client: client.flush(),
    "poll": lambda client: client.poll(),
    "take": lambda client: client.take(),
    "shown": lambda client: client.shown(A_MESSAGE),
    "put_back": lambda client: client.put_back(A_MESSAGE),
    "unshown": lambda client: client.unshown(),
    "save": lambda client: client.save("00" * 16, Path("/nowhere/file")),
    "opened": lambda client: client.opened(BOB),
    "account.delete": lambda client: client.account.delete(),
    "account.release": lambda client: client.account.release("00" * 8),
    "account.claims": lambda client: client.account.claims(),
    "account.object": lambda client: client.account.object(),
    "account.server_hello": lambda client: client.account.server_hello(),
    "account.daily_round": lambda client: client.account.daily_round(),
    "contacts.import_file": lambda client: client.contacts.import_file(io.BytesIO(b"Name,Phone\n")),
    "contacts.sync": lambda client: client.contacts.sync(),
    "contacts.name": lambda client: client.contacts.name(BOB, "Bob"),
    "contacts.forget": lambda client: client.contacts.forget(BOB),
    "people.profile": lambda client: client.people.profile(),
    "people.report": lambda client: client.people.report(BOB, Path("/nowhere/file")),
    "people.link": lambda client: client.people.link(),
    "people.add": lambda client: client.people.add("grue:person/x"),
    "account.is_discoverable": lambda client: client.account.is_discoverable(),
    "account.set_discoverable": lambda client: client.account.set_discoverable(False),
    "people.set_profile": lambda client: client.people.set_profile(name="Alice"),
    "groups.create": lambda client: client.groups.create("Hike", BOB),
    "groups.add": lambda client: client.groups.add("Hike", BOB),
    "groups.remove": lambda client: client.groups.remove("Hike", BOB),
    "groups.rename": lambda client: client.groups.rename("Hike", "Walk"),
    "groups.describe": lambda client: client.groups.describe("Hike", "Boots"),
    "groups.allow": lambda client: client.groups.allow("Hike", add=Role.ADMIN),
    "groups.set_role": lambda client: client.groups.set_role("Hike", BOB, Role.ADMIN),
    "groups.link": lambda client: client.groups.link("Hike"),
    "groups.join": lambda client: client.groups.join("grue:join/AQABAv_i7yYw"),
    "groups.leave": lambda client: client.groups.leave("Hike"),
    "groups.list": lambda client: client.groups.list(),
    "groups.show": lambda client: client.groups.show("Hike"),
    "devices.accept": lambda client: client.devices.accept(A_LINK),
    "devices.list": lambda client: client.devices.list(),
    "devices.rename": lambda client: client.devices.rename("laptop", "kitchen"),
    "devices.remove": lambda client: client.devices.remove("laptop"),
    "devices.leave_identity": lambda client: client.devices.leave_identity(),
    "people.safety": lambda client: client.people.safety(BOB),
    "people.compare": lambda client: client.people.compare(BOB, "0" * 60),
    "people.verify": lambda client: client.people.verify(BOB),
    "people.unverify": lambda client: client.people.unverify(BOB),
    "requests.look": lambda client: client.requests.look(),
    "requests.turned_away": lambda client: client.requests.turned_away(),
    "requests.joining": lambda client: client.requests.joining(),
    "requests.accept": lambda client: client.requests.accept(BOB),
    "requests.decline": lambda client: client.requests.decline(BOB),
    "requests.block": lambda client: client.requests.block(BOB),
    "requests.unblock": lambda client: client.requests.unblock(BOB),
    "requests.blocked": lambda client: client.requests.blocked(),
    "requests.list": lambda client: client.requests.list(),
    "directory.fetched": _property("directory.fetched"),
    "directory.heads": lambda client: client.directory.heads(),
    "directory.start_over": lambda client: client.directory.start_over(),
    "directory.as_you_type": _type,
}
NEED_A_HOME: Final[dict[str, Call]] = {
    "chats.list": lambda client: client.chats.list(),
    "chats.pin": lambda client: _of_no_chat(client.chats.pin(BOB)),
    "chats.unpin": lambda client: _of_no_chat(client.chats.unpin(BOB)),
    "chats.mute": lambda client: _of_no_chat(client.chats.mute(BOB)),
    "chats.unmute": lambda client: _of_no_chat(client.chats.unmute(BOB)),
    "chats.archive": lambda client: _of_no_chat(client.chats.archive(BOB)),
    "chats.unarchive": lambda client: _of_no_chat(client.chats.unarchive(BOB)),
    "chats.drop_draft": lambda client: _of_no_chat(client.chats.drop_draft(BOB, "as I was saying")),
    "chats.draft": lambda client: _of_no_chat(client.chats.draft(BOB, "as I was saying")),
    "search": lambda client: client.search("hello"),
    "history": _history,
    "seen": _seen,
    "changes": _changes,
    "unreached": _property("unreached"),
    "notices": lambda client: client.notices(),
    "account.transport_settings": lambda client: client.account.transport_settings(),
    "account.set_transport": lambda client: client.account.set_transport(),
    "contacts.all": lambda client: client.contacts.all(),
    "contacts.forget_all": lambda client: client.contacts.forget_all(),
    "exposure.since": lambda client: client.exposure.since(),
    "exposure.by_day": lambda client: client.exposure.by_day(),
}
"""What lies in a home is there after its account is gone; and how a server is reached is said before there is one."""

MAKE_ONE: Final[dict[str, Call]] = {
    "register": lambda client: client.register(ALICE, "http://localhost"),
    "verify": lambda client: client.verify("000000"),
    "devices.link": lambda client: _link(client),
}


def _public(kind: object, prefix: str = "") -> Iterator[str]:
    for name in vars(kind):
        if not name.startswith("_"):
            yield prefix + name


def test_every_public_call_is_tried_here() -> None:
    client = Client(Path("/nowhere"), passphrase="none")
    public = {name for name in _public(Client) if name != "close"}
    for name, part in vars(client).items():
        if not name.startswith("_"):
            assert not inspect.isroutine(part)
            public |= set(_public(type(part), f"{name}."))
    assert public == {*NEED_AN_ACCOUNT, *NEED_A_HOME, *MAKE_ONE}


@pytest.mark.parametrize("call", NEED_AN_ACCOUNT)
async def test_before_the_code_is_handed_in_there_is_no_account(world: World, call: str) -> None:
    alice = await world.open(ALICE)
    await alice.register(ALICE, "http://localhost")
    with pytest.raises(NotRegistered) as raised:
        await NEED_AN_ACCOUNT[call](alice)
    assert raised.value.code == "no_account"


async def test_what_lies_in_a_home_needs_no_account(world: World) -> None:
    alice = await world.open(ALICE)
    await alice.register(ALICE, "http://localhost")
    for call in NEED_A_HOME.values():
        await call(alice)
    await alice.verify(world.code(ALICE))
    with pytest.raises(AlreadyRegistered):
        await alice.register(ALICE, "http://localhost")


async def test_after_leaving_there_is_no_account(world: World) -> None:
    alice = await world.person(ALICE)
    await alice.account.delete()
    for call in NEED_AN_ACCOUNT.values():
        with pytest.raises(NotRegistered):
            await call(alice)
    for call in NEED_A_HOME.values():
        await call(alice)


async def test_after_leaving_the_history_is_read_as_before(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send("me", "a note")
    await bob.send(ALICE, "hello")
    await alice.poll()
    notes, (asked,) = await alice.history("me"), await alice.history("07700 900002")
    assert (asked.text, asked.request) == ("hello", True)
    await alice.account.delete()
    await alice.close()
    left = await world.open(ALICE)
    assert await left.history("me") == notes
    assert await left.history("07700 900002") == [replace(asked, request=False)]
    listed = [(chat.chat, chat.notes, chat.last) for chat in await left.chats()]
    assert listed == [(BOB, False, "hello"), (ALICE, True, "a note")]


async def test_after_leaving_the_verbs_chats_and_show_read_what_is_in_the_home(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await bob.send(ALICE, "hello")
    await alice.poll()
    await alice.account.delete()
    await alice.close()
    monkeypatch.setenv("GRUE_PASSPHRASE", world.passphrase)
    shell = Shell(home=world.path / ALICE, as_json=True)
    await verbs.chats(shell=shell)
    await verbs.show(BOB, shell=shell)
    listed, shown = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (listed["chat"], listed["last"], shown["text"]) == (BOB, "hello", "hello")


async def test_a_client_that_is_not_open_says_how_to_open_it(tmp_path: Path) -> None:
    client = Client(tmp_path / "home", passphrase="none", create=True)
    for call in (NEED_AN_ACCOUNT | NEED_A_HOME | MAKE_ONE).values():
        with pytest.raises(RuntimeError, match="async with grue"):
            await call(client)
    await client.close()
    assert not (tmp_path / "home").exists()


async def test_a_client_that_was_closed_says_so(world: World) -> None:
    alice = await world.person(ALICE)
    await alice.close()
    await alice.close()
    with pytest.raises(RuntimeError, match="async with grue"):
        await alice.send(BOB, "hello")
