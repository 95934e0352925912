"""Attachments in the world: up from one client and down into another's file, whatever happens between."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from grue.client.api.messages import File
from grue.client.client import Client
from grue.client.conversations import attachments
from grue.client.conversations.attachments import get, put
from grue.client.store.entries import get_meta
from grue.errors import (
    BadAttachment,
    DiskFailed,
    LimitReached,
    NoSuchBlob,
    NoSuchChat,
    NotAGrueServer,
    TimedOut,
    TooLarge,
    UsageError,
)
from grue.protocol import wire
from grue.protocol.blobs import MAX_ATTACHMENT, PART_BYTES, PART_ROOM, Sealing
from grue.protocol.conversation.contents import ATTACHMENT, Attachment
from grue.server.tokens import tokens
from grue.testing import World
from tests.damage import flipped
from tests.world.memory import ALICE, BOB, NOBODY

NOTHING = b""
FEW = b"a few bytes"
THREE_PARTS = os.urandom(3 * PART_ROOM - 1000)


def file_with(path: Path, contents: bytes) -> Path:
    place = path / "photo.jpg"
    place.write_bytes(contents)
    return place


def puts(world: World) -> list[wire.PutBlob]:
    return [request for request in world.network.seen if isinstance(request, wire.PutBlob)]


def only(count: int) -> Callable[[wire.Message], bool]:
    """Lose the answer to the part after so many."""
    seen = iter(range(1000))
    return lambda request: isinstance(request, wire.PutBlob | wire.GetBlob) and next(seen) == count


async def uploads(client: Client) -> int:
    return len(await client.context.store.read(lambda db: db.rows("SELECT key FROM meta WHERE key LIKE 'upload %'")))


@pytest.mark.parametrize("contents", [NOTHING, FEW, THREE_PARTS], ids=["nothing", "few", "three parts"])
@pytest.mark.parametrize("from_file", [True, False])
async def test_what_one_puts_another_gets(world: World, contents: bytes, from_file: bool) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    source = file_with(world.path, contents) if from_file else contents
    attachment = await put(alice.context, source)
    received = ATTACHMENT.decode(wire.encode(attachment))
    await get(bob.context, received, world.path / "got.jpg")
    assert (world.path / "got.jpg").read_bytes() == contents
    assert [path.name for path in world.path.glob(".*")] == []
    assert await uploads(alice) == 0


async def test_parts_are_paid_one_by_one_and_share_nothing(world: World) -> None:
    alice = await world.person(ALICE)
    attachment = await put(alice.context, THREE_PARTS)
    parts = puts(world)
    assert [len(part.blob) for part in parts] == [PART_BYTES] * 3
    assert len({part.id for part in parts}) == 3
    for part in parts:
        assert attachment.key not in wire.encode(part)


async def test_the_reference_is_as_long_for_a_large_one_as_for_a_small_one(world: World) -> None:
    alice = await world.person(ALICE)
    small, large = [await put(alice.context, contents) for contents in (FEW, THREE_PARTS)]
    assert len(wire.encode(large)) - len(wire.encode(small)) <= 8


async def test_an_upload_that_was_broken_off_goes_on_with_its_part(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    source = file_with(world.path, THREE_PARTS)
    world.network.lose = only(1)
    with pytest.raises(TimedOut):
        await put(alice.context, source)
    await world.restart()
    again = await world.open(ALICE)
    attachment = await put(again.context, source)
    ids = [part.id for part in puts(world)]
    assert len(ids) == 4
    assert ids[1] == ids[2]
    assert puts(world)[1].blob == puts(world)[2].blob
    await get(bob.context, attachment, world.path / "got")
    assert (world.path / "got").read_bytes() == THREE_PARTS


async def test_the_same_file_sent_twice_is_two_attachments(world: World) -> None:
    alice = await world.person(ALICE)
    source = file_with(world.path, FEW)
    first, second = [await put(alice.context, source) for _ in range(2)]
    assert first.key != second.key
    assert puts(world)[0].id != puts(world)[1].id


async def test_a_file_that_changed_meanwhile_goes_up_anew_under_another_key(world: World) -> None:
    alice = await world.person(ALICE)
    source = file_with(world.path, THREE_PARTS)
    world.network.lose = only(1)
    with pytest.raises(TimedOut):
        await put(alice.context, source)
    source.write_bytes(THREE_PARTS[::-1])
    attachment = await put(alice.context, source)
    assert len({part.id for part in puts(world)}) == 2 + 3
    await get(alice.context, attachment, world.path / "got")
    assert (world.path / "got").read_bytes() == THREE_PARTS[::-1]


async def test_a_change_that_the_files_time_does_not_show_is_never_sealed_under_the_same_key(
    world: World,
) -> None:
    alice = await world.person(ALICE)
    source = file_with(world.path, THREE_PARTS)
    times = source.stat().st_atime_ns, source.stat().st_mtime_ns
    world.network.lose = only(1)
    with pytest.raises(TimedOut):
        await put(alice.context, source)
    source.write_bytes(THREE_PARTS[::-1])
    os.utime(source, ns=times)
    with pytest.raises(UsageError):
        await put(alice.context, source)
    assert len(puts(world)) == 2
    attachment = await put(alice.context, source)
    assert len({part.id for part in puts(world)}) == 2 + 3
    await get(alice.context, attachment, world.path / "got")
    assert (world.path / "got").read_bytes() == THREE_PARTS[::-1]


async def test_a_file_that_changes_while_it_is_sent_is_not_passed_off_as_whole(world: World) -> None:
    alice = await world.person(ALICE)
    source = file_with(world.path, THREE_PARTS)

    def shortened(request: wire.Message, answer: wire.Message) -> wire.Message:
        if isinstance(request, wire.PutBlob):
            source.write_bytes(THREE_PARTS + FEW)
        return answer

    world.network.change = shortened
    with pytest.raises(UsageError):
        await put(alice.context, source)
    assert await uploads(alice) == 0


async def test_two_processes_that_send_one_file_seal_nothing_twice(world: World) -> None:
    alice = await world.person(ALICE)
    source = file_with(world.path, THREE_PARTS)
    world.network.lose = only(0)
    with pytest.raises(TimedOut):
        await put(alice.context, source)
    stale = await alice.context.store.read(lambda db: get_meta(db, attachments._name(source), attachments.Upload))
    assert stale is not None
    await put(alice.context, source)
    # The other process, which still is where it was.
    assert not await alice.context.store.transact(attachments._under_way, stale, 0, bytes(32))


async def test_an_upload_that_is_too_old_is_begun_anew(world: World) -> None:
    alice = await world.person(ALICE)
    source = file_with(world.path, THREE_PARTS)
    world.network.lose = only(1)
    with pytest.raises(TimedOut):
        await put(alice.context, source)
    await world.pass_days(attachments.UPLOAD_DAYS)
    await put(alice.context, source)
    assert len({part.id for part in puts(world)}) == 2 + 3


async def test_what_the_limit_stops_goes_on_when_there_are_tokens_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "WEEKLY_POSTS", 0)
    alice = await world.person(ALICE)
    await alice.context.store.transact(lambda db: db.execute("DELETE FROM token WHERE purpose = 'post'"))
    source = file_with(world.path, THREE_PARTS)
    with pytest.raises(LimitReached):
        await put(alice.context, source)
    monkeypatch.setattr(tokens, "WEEKLY_POSTS", 50)
    assert (await put(alice.context, source)).length == len(THREE_PARTS)


async def test_a_download_that_was_broken_off_goes_on(world: World) -> None:
    alice = await world.person(ALICE)
    attachment = await put(alice.context, THREE_PARTS)
    world.network.lose = only(2)
    with pytest.raises(TimedOut):
        await get(alice.context, attachment, world.path / "got")
    assert not (world.path / "got").exists()
    await get(alice.context, attachment, world.path / "got")
    assert (world.path / "got").read_bytes() == THREE_PARTS
    assert world.network.requests().count("GetBlob") == 4


async def test_two_downloads_at_once_beside_each_other_are_both_whole(world: World) -> None:
    alice = await world.person(ALICE)
    attachment = await put(alice.context, THREE_PARTS)
    places = [world.path / "one", world.path / "two"]
    await asyncio.gather(*(get(alice.context, attachment, place) for place in places))
    assert [place.read_bytes() for place in places] == [THREE_PARTS] * 2


async def test_two_downloads_at_once_to_one_place_leave_one_whole_file(world: World) -> None:
    alice = await world.person(ALICE)
    attachment = await put(alice.context, THREE_PARTS)
    into = world.path / "got"
    results = await asyncio.gather(*(get(alice.context, attachment, into) for _ in range(2)), return_exceptions=True)
    assert sorted(isinstance(result, (UsageError, DiskFailed)) for result in results) == [False, True]
    assert into.read_bytes() == THREE_PARTS


async def test_a_file_that_came_into_being_meanwhile_is_not_replaced(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await world.person(ALICE)
    attachment = await put(alice.context, FEW)
    into, anonymous = world.path / "got", alice.context.transport.anonymous

    async def meanwhile(request: wire.AnonymousRequest) -> wire.AnonymousAnswer:
        into.write_bytes(b"mine")
        return await anonymous(request)

    monkeypatch.setattr(alice.context.transport, "anonymous", meanwhile)
    with pytest.raises(UsageError):
        await get(alice.context, attachment, into)
    assert into.read_bytes() == b"mine"


async def test_blob_03_a_server_that_changes_or_swaps_a_part_is_caught_and_nothing_is_left(world: World) -> None:
    alice = await world.person(ALICE)
    attachment = await put(alice.context, THREE_PARTS)
    parts = puts(world)
    lies = [parts[0].blob, flipped(parts[1].blob), parts[1].blob[: PART_BYTES // 2]]
    for lie in lies:

        def lying(request: wire.Message, answer: wire.Message, lie: bytes = lie) -> wire.Message:
            second = isinstance(request, wire.GetBlob) and request.id == parts[1].id
            return wire.BlobPart(lie) if second else answer

        world.network.change = lying
        with pytest.raises(BadAttachment):
            await get(alice.context, attachment, world.path / "got")
        assert [path.name for path in world.path.iterdir() if path.is_file()] == []


async def test_an_answer_of_another_kind_is_no_part(world: World) -> None:
    alice = await world.person(ALICE)
    attachment = await put(alice.context, FEW)
    world.network.change = lambda _request, _answer: wire.Reading(1)
    with pytest.raises(NotAGrueServer):
        await get(alice.context, attachment, world.path / "got")
    with pytest.raises(NotAGrueServer):
        await put(alice.context, FEW)


async def test_an_attachment_that_has_expired_says_so_and_leaves_nothing(world: World) -> None:
    alice = await world.person(ALICE)
    attachment = await put(alice.context, FEW)
    await world.pass_days(16)
    with pytest.raises(NoSuchBlob):
        await get(alice.context, attachment, world.path / "got")
    assert not (world.path / "got").exists()


async def test_blob_01_what_is_too_large_is_refused_before_anything_is_sent(world: World) -> None:
    alice = await world.person(ALICE)
    source = world.path / "film.mkv"
    with source.open("wb") as file:
        file.truncate(MAX_ATTACHMENT + 1)
    with pytest.raises(TooLarge):
        await put(alice.context, source)
    with pytest.raises(TooLarge):
        await get(alice.context, Attachment(bytes(32), MAX_ATTACHMENT + 1), world.path / "got")
    assert puts(world) == []
    assert await uploads(alice) == 0


async def test_files_that_cannot_be_read_or_are_there_already_are_left_as_they_are(world: World) -> None:
    alice = await world.person(ALICE)
    attachment = await put(alice.context, FEW)
    there = file_with(world.path, b"mine")
    for into in (there, world.path / "nowhere" / "got"):
        with pytest.raises(UsageError):
            await get(alice.context, attachment, into)
    for source in (world.path / "nothing.jpg", world.path):
        with pytest.raises(UsageError):
            await put(alice.context, source)
    assert there.read_bytes() == b"mine"


# --- with a message -------------------------------------------------------------------------------


async def test_a_file_goes_with_a_message_and_is_saved_by_who_has_it(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    source = file_with(world.path, THREE_PARTS)
    sent = await alice.send(BOB, "look", file=source)
    await bob.poll()
    (message,) = await bob.unshown()
    assert (message.id, message.text, message.file) == (sent.id, "look", File("photo.jpg", len(THREE_PARTS)))
    assert await bob.save(message.id, world.path / "got") == message.file
    assert (world.path / "got").read_bytes() == THREE_PARTS
    # Both ways, in the conversation that there is now, and by who has sent it.
    answer = await bob.send(ALICE, "", file=file_with(world.path, FEW))
    await alice.poll()
    (message,) = await alice.unshown()
    assert (message.text, message.file) == ("", File("photo.jpg", len(FEW)))
    for client, into in ((alice, "one"), (bob, "two")):
        await client.save(answer.id, world.path / into)
        assert (world.path / into).read_bytes() == FEW
    assert [message.file for message in await alice.history(BOB)] == [
        File("photo.jpg", len(THREE_PARTS)), File("photo.jpg", len(FEW)),
    ]  # fmt: skip
    assert [chat.last for chat in await alice.chats()] == ["photo.jpg"]


async def test_a_message_whose_upload_broke_off_was_not_sent_and_goes_when_it_is_sent_again(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    source = file_with(world.path, THREE_PARTS)
    world.network.lose = only(1)
    with pytest.raises(TimedOut):
        await alice.send(BOB, "look", file=source)
    assert await alice.chats() == []
    await alice.send(BOB, "look", file=source)
    assert len(puts(world)) == 4
    await bob.poll()
    assert [message.file for message in await bob.unshown()] == [File("photo.jpg", len(THREE_PARTS))]


async def test_a_message_with_a_file_that_could_not_go_goes_with_it_later(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "hello")
    await bob.poll()
    await bob.send(ALICE, "hello yourself")
    await alice.poll()
    world.network.lose = lambda request: isinstance(request, wire.Post)
    await alice.send(BOB, "look", file=file_with(world.path, FEW))
    world.network.lose = lambda _request: False
    await alice.poll()
    await bob.poll()
    assert [message.file for message in await bob.unshown()] == [None, File("photo.jpg", len(FEW))]


async def test_no_file_is_uploaded_for_who_is_not_on_grue_or_for_oneself(world: World) -> None:
    alice = await world.person(ALICE)
    source = file_with(world.path, FEW)
    for to in (NOBODY, "me"):
        with pytest.raises(UsageError):
            await alice.send(to, "look", file=source, sms=True)
    with pytest.raises(NoSuchChat):
        await alice.send("chat:77", "look", file=source)
    assert puts(world) == []
    assert world.texts(NOBODY) == []


async def test_a_file_whose_name_is_no_text_or_very_long_goes(world: World) -> None:
    alice = await world.person(ALICE)
    source = world.path / os.fsdecode(b"caf\xe9.txt")
    source.write_bytes(FEW)
    assert (await put(alice.context, source)).name == "caf\ufffd.txt"


@pytest.mark.parametrize("id", ["", "00", "no hex", "ab" * 16])
async def test_a_message_without_a_file_has_none_to_save(world: World, id: str) -> None:
    alice = await world.person(ALICE)
    with pytest.raises(UsageError):
        await alice.save(id, world.path / "got")


async def test_the_servers_disk_has_no_byte_of_it_and_not_which_parts_belong_together(world: World) -> None:
    alice = await world.person(ALICE)
    attachment = await put(alice.context, THREE_PARTS)
    sealing = Sealing(attachment.key, attachment.length)
    everything = {path: path.read_bytes() for path in (world.path / "server").rglob("*") if path.is_file()}
    names = " ".join(map(str, everything))
    for known in (attachment.key, *(sealing.part_id(n) for n in range(3)), THREE_PARTS[:32], THREE_PARTS[-32:]):
        assert not any(known in contents for contents in everything.values())
        assert known.hex() not in names
    blobs = [path for path in everything if path.parent.name == "blobs"]
    assert len(blobs) == 3
    assert len({path.stat().st_size for path in blobs}) == 1
    assert {path.stat().st_mtime % 86_400 for path in blobs} == {0}
