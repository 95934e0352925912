"""What was written is found again, in any language, and what is deleted is not."""

from pathlib import Path

import pytest

from grue.client.api.search import MAX_QUERY, MAX_WORDS, Found
from grue.client.client import Client
from grue.client.search import tables
from grue.client.store.engine import Db
from grue.errors import NoSuchChat, UsageError
from grue.testing import World
from tests.world.memory import ALICE, BOB, CAROL, take


def texts(found: Found) -> list[str]:
    return [hit.message.text for hit in found.hits]


async def noted(world: World, *lines: str) -> Client:
    alice = await world.person(ALICE)
    for line in lines:
        await alice.send("me", line)
    return alice


async def test_every_part_of_a_word_is_found_the_newest_first(world: World) -> None:
    alice = await noted(world, "Nine at the station", "the trainstation in Zürich", "明日は東京タワーで", "nothing")
    assert texts(await alice.search("STATION")) == ["the trainstation in Zürich", "Nine at the station"]
    assert texts(await alice.search("rain zurich")) == ["the trainstation in Zürich"]
    assert texts(await alice.search("station nine")) == ["Nine at the station"]
    assert texts(await alice.search("京")) == texts(await alice.search("東京")) == ["明日は東京タワーで"]
    assert texts(await alice.search('"the station"')) == ["Nine at the station"]
    assert texts(await alice.search("100%")) == texts(await alice.search("n_ne")) == []
    assert (await alice.search("")).hits == (await alice.search(' "" ')).hits == ()
    (hit,) = (await alice.search("zurich")).hits
    assert hit.snippet == (("the trainstation in ", False), ("Zürich", True))


async def test_signs_that_the_database_reads_otherwise_are_found_as_they_are(world: World) -> None:
    alice = await noted(world, "100% sure", "snake_case", "back\\slash", "nul\0behind it", "don't")
    for typed in ("100%", "e_c", "k\\s", "behind", "n't"):
        assert len((await alice.search(typed)).hits) == 1, typed


async def test_it_goes_on_page_by_page_and_stays_in_one_chat(world: World) -> None:
    alice, _ = await world.person(ALICE), await world.person(BOB)
    for n in range(5):
        await alice.send("me", f"note {n}")
    await alice.send(BOB, "note to bob")
    first = await alice.search("note", limit=2)
    assert (texts(first), first.more) == (["note to bob", "note 4"], True)
    second = await alice.search("note", limit=4, before=first.hits[-1].message.row)
    assert (texts(second), second.more) == (["note 3", "note 2", "note 1", "note 0"], False)
    assert texts(await alice.search("note", chat=BOB)) == ["note to bob"]
    with pytest.raises(NoSuchChat):
        await alice.search("note", chat=CAROL)


async def test_chats_are_found_by_what_they_are_called(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "hi")
    group = await alice.groups.create("Samstägliche Wanderung", BOB)
    await alice.contacts.name(BOB, "Uncle Björn")
    assert [one.chat for one in (await alice.search("bjorn")).chats] == [BOB]
    assert [one.chat for one in (await alice.search("wander samstag")).chats] == [group.id]
    assert [one.chat for one in (await alice.search(BOB[4:])).chats] == [BOB]
    assert (await alice.search("bjorn", chat=BOB)).chats == ()
    # Who has no chat here is found in the address book.
    await alice.contacts.name(CAROL, "Cousin Zoë")
    assert (await alice.search("zoe")).contacts == ((CAROL, "Cousin Zoë"),)
    assert (await alice.search("bjorn")).contacts == (await alice.search("zoe", before=9)).contacts == ()
    await bob.close()


async def test_a_file_is_found_by_its_name(world: World, tmp_path: Path) -> None:
    alice, _ = await world.person(ALICE), await world.person(BOB)
    file = tmp_path / "Fahrplan Sömmerda.pdf"
    file.write_bytes(b"%PDF")
    await alice.send(BOB, "as promised", file=file)
    (hit,) = (await alice.search("sommerda")).hits
    assert hit.in_file
    assert ("Sömmerda", True) in hit.snippet
    (hit,) = (await alice.search("promised fahrplan")).hits
    assert not hit.in_file


async def test_what_comes_is_found_and_costs_nothing_before_somebody_searches(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    await bob.send(ALICE, "the harbour at nine")
    await take(alice)
    assert await alice.context.store.read(lambda db: db.rows("SELECT * FROM searchable")) == []
    (hit,) = (await alice.search("harbour")).hits
    assert (hit.message.incoming, hit.message.request) == (True, True)
    await bob.send(ALICE, "the harbour at ten")
    await alice.requests.look()
    assert len((await alice.search("harbour")).hits) == 2
    await alice.requests.decline(hit.message.chat)
    # Whoever was turned down is in no list.
    assert (await alice.search("harbour")).hits == ()


async def test_what_is_deleted_or_changed_is_not_found_as_it_was(world: World) -> None:
    alice = await noted(world, "first secret", "second secret", "third secret")
    assert len((await alice.search("secret")).hits) == 3

    def change(db: Db) -> None:
        db.execute("DELETE FROM message WHERE text = 'first secret'")
        db.execute("UPDATE message SET text = 'nothing' WHERE text = 'second secret'")

    await alice.context.store.transact(change)
    assert texts(await alice.search("secret")) == ["third secret"]
    assert texts(await alice.search("nothing")) == ["nothing"]
    folded = await alice.context.store.read(lambda db: db.rows("SELECT text FROM searchable ORDER BY n"))
    assert folded == [("nothing",), ("third secret",)]


async def test_many_messages_are_made_ready_in_batches(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "FOLDED_AT_ONCE", 2)
    alice = await noted(world, *(f"note {n}" for n in range(7)))
    assert len((await alice.search("note")).hits) == 7


async def test_nothing_that_is_searched_can_be_read_in_the_files(world: World, tmp_path: Path) -> None:
    alice = await noted(world, "a very particular needle")
    assert (await alice.search("needle")).hits
    await alice.close()
    found = [path for path in tmp_path.rglob("*") if path.is_file() and b"particular" in path.read_bytes()]
    assert found == []


async def test_a_search_has_limits(world: World) -> None:
    alice = await noted(world, "a note")
    for typed in ("x" * (MAX_QUERY + 1), " ".join(map(str, range(MAX_WORDS + 1)))):
        with pytest.raises(UsageError):
            await alice.search(typed)
