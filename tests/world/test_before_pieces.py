"""Homes of before trees were stored by their nodes, made by that code: a group goes on, and is stored so then."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from grue.client.client import Client
from grue.client.conversations import naming
from grue.client.store.engine import Db
from grue.client.store.entries import group_prefix, mls_entries
from grue.testing import World
from tests.world.before_groups import unpack
from tests.world.before_pieces import ARCHIVE, HOMES, LEFT_AT
from tests.world.memory import take

WHOLE, APART = {b"t", b"m", b"l"}, {b"T", b"n", b"M", b"p"}
"""Tags of the entries that the tree and the message secrets were kept in, and are: rust/mls/src/storage.rs."""


@pytest.fixture
async def old(tmp_path: Path) -> AsyncIterator[World]:
    unpack(tmp_path, ARCHIVE, HOMES)
    async with World(tmp_path, now=LEFT_AT) as world:
        yield world


def tags(db: Db, group: str) -> set[bytes]:
    prefix = group_prefix(naming.group(db, group).group)
    return {key[len(prefix) : len(prefix) + 1] for key in mls_entries(db, prefix)}


async def tags_of(client: Client) -> set[bytes]:
    (group,) = await client.groups.list()
    return await client.context.store.read(tags, group.id)


async def test_a_group_of_before_is_read_on_and_stored_in_pieces(old: World) -> None:
    alice, bob, carol = [await old.open(number) for number in HOMES]
    assert await tags_of(bob) & (WHOLE | APART) == WHOLE
    for member in (bob, alice):
        assert "written before, read after" in await take(member)
    assert await tags_of(bob) & (WHOLE | APART) == APART
    (group,) = await bob.groups.list()
    await bob.send(group.id, "from the new version")
    for member in (alice, carol):
        assert (await take(member))[-1] == "from the new version"
    await carol.groups.show(group.id)
    await alice.groups.describe(group.id, "changed since")
    for member in (bob, carol, bob):
        await member.poll()
    assert (await bob.groups.show(group.id)).description == "changed since"
    await bob.send(group.id, "and on")
    assert (await take(carol))[-1] == "and on"
