"""A program at the other end of JSON-RPC: what it asks for, and what it is told."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from grue.client.client import Client
from grue.rpc.session import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, Session
from grue.testing import World
from tests.world.conftest import *  # noqa: F403
from tests.world.memory import ALICE, BOB, NOBODY


class Program:
    """Speaks JSON-RPC to a session, and keeps what it was told."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._last = 0
        self.answers: dict[int | None, dict[str, Any]] = {}
        self.told: list[tuple[str, Any]] = []
        self._something = asyncio.Event()

    def take(self, frame: bytes) -> None:
        message = json.loads(frame)
        if "method" in message:
            self.told.append((message["method"], message["params"]))
        else:
            self.answers[message["id"]] = message
        self._something.set()

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._last += 1
        await self.write({"jsonrpc": "2.0", "id": self._last, "method": method, "params": params})
        await self.until(lambda: self._last in self.answers)
        return self.answers.pop(self._last)

    async def call(self, method: str, **params: Any) -> Any:
        answer = await self.ask(method, **params)
        assert "result" in answer, answer
        return answer["result"]

    async def write(self, frame: object) -> None:
        await self._session.receive(frame if isinstance(frame, bytes) else json.dumps(frame).encode())

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                self._something.clear()
                await self._something.wait()

    def last(self, event: str) -> Any:
        return next((params for name, params in reversed(self.told) if name == event), None)


@asynccontextmanager
async def program(client: Client) -> AsyncIterator[Program]:
    spoken: list[Program] = []

    async def write(frame: bytes) -> None:
        spoken[0].take(frame)

    session = Session(client, write)
    spoken.append(Program(session))
    async with session:
        yield spoken[0]


async def test_a_number_is_looked_up_while_it_is_typed_and_once_it_is_said_to_be_whole(world: World) -> None:
    alice, _ = await world.person(ALICE), await world.person(BOB)
    async with program(alice) as page:
        shown = await page.call("typed", text=BOB)
        # A number of films, which is in no plan.
        assert (shown["text"], shown["number"]) == ("+44 7700 900002", None)
        assert (await page.call("typed", text=BOB, done=True))["number"] == BOB
        await page.until(lambda: (page.last("number_shown") or {}).get("route") == "encrypted")
        await page.call("typed", text=NOBODY, done=True)
        await page.until(lambda: (page.last("number_shown") or {}).get("route") == "sms")


async def test_what_is_said_is_told_to_whoever_has_the_chat_open(world: World) -> None:
    alice, bob = await world.person(ALICE), await world.person(BOB)
    async with program(alice) as page, program(bob) as other:
        sent = await page.call("send", to=BOB, text="hello")
        assert sent["route"] == "encrypted"
        await other.until(lambda: other.last("chats_changed"))
        (chat,) = other.last("chats_changed")["changed"]
        assert (chat["chat"], chat["last"], chat["unread"], chat["request"]) == (ALICE, "hello", 1, True)
        (message,) = (await other.call("open", chat=ALICE))["messages"]
        await other.call("accept", chat=ALICE)
        await other.call("seen", chat=ALICE, row=message["row"])
        await other.until(lambda: not other.last("chats_changed")["changed"][0]["unread"])
        await page.call("open", chat=BOB)
        await other.call("send", to=ALICE, text="hello yourself")
        await page.until(lambda: page.last("messages_changed"))
        states = {one["text"]: one["state"] for one in (await page.call("open", chat=BOB))["messages"]}
        assert states["hello yourself"] == "delivered"


async def test_a_page_has_so_many_messages_and_says_whether_there_are_more(world: World) -> None:
    alice, _ = await world.person(ALICE), await world.person(BOB)
    for n in range(5):
        await alice.send(BOB, str(n))
    async with program(alice) as page:
        newest = await page.call("open", chat=BOB, limit=2)
        assert ([one["text"] for one in newest["messages"]], newest["more"]) == (["3", "4"], True)
        before = newest["messages"][0]["row"]
        older = await page.call("open", chat=BOB, limit=3, before=before)
        assert ([one["text"] for one in older["messages"]], older["more"]) == (["0", "1", "2"], False)


async def test_an_error_is_told_with_its_code_and_what_to_do(world: World) -> None:
    alice = await world.person(ALICE)
    async with program(alice) as page:
        error = (await page.ask("send", to=NOBODY, text="hello"))["error"]
        assert error["data"]["code"] == "consent_needed"
        assert error["data"]["exit"] == 3
        assert error["data"]["fix"]


async def test_a_home_without_an_account_says_so_and_registers(world: World) -> None:
    client = await world.open("new")
    async with program(client) as page:
        assert (await page.call("state"))["account"] is None
        assert (await page.ask("send", to=BOB, text="hello"))["error"]["data"]["code"] == "no_account"
        assert (await page.call("register", number="+44 7700 900001", server=world.url))["number"] == ALICE
        state = await page.call("verify", code=world.code(ALICE))
        assert state["account"]["number"] == ALICE


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"", PARSE_ERROR),
        (b"\xff", PARSE_ERROR),
        (b'{"id": 1, "method": "state"', PARSE_ERROR),
        (b"[]", INVALID_REQUEST),
        (b'{"id": 1, "method": "state"}', INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "no_such"}', METHOD_NOT_FOUND),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "__class__"}', METHOD_NOT_FOUND),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "send", "params": {"to": 1, "text": ""}}', INVALID_PARAMS),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "state", "params": {"more": 1}}', INVALID_PARAMS),
    ],
)
async def test_what_is_no_request_is_refused_and_the_next_one_is_answered(
    world: World, frame: bytes, code: int
) -> None:
    client = await world.open("new")
    async with program(client) as page:
        await page.write(frame)
        await page.until(lambda: page.answers)
        (answer,) = page.answers.values()
        assert answer["error"]["code"] == code
        page.answers.clear()
        assert (await page.call("state"))["account"] is None


async def test_a_fault_of_ours_is_told_as_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await world.open("new")

    def break_down() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(client, "chats", break_down)
    async with program(client) as page:
        assert (await page.ask("chats"))["error"]["code"] == INTERNAL_ERROR


async def test_the_list_is_arranged_and_every_program_is_told(world: World) -> None:
    alice, _ = await world.person(ALICE), await world.person(BOB)
    await alice.send(BOB, "hi")
    async with program(alice) as page, program(alice) as other:
        await other.call("chats")
        await page.call("pin", chat=BOB, on=True)
        await page.call("mute", chat=BOB, on=True)
        await page.call("archive", chat=BOB, on=True)
        await page.call("draft", chat=BOB, text="as I was")
        await other.until(lambda: (other.last("chats_changed") or {"changed": [{}]})["changed"][0].get("draft"))
        (chat,) = await other.call("chats")
        assert (chat["pinned"], chat["archived"], chat["draft"]) == (True, True, "as I was")
        assert chat["muted_until"] > 0
        for method in ("pin", "mute", "archive"):
            await page.call(method, chat=BOB, on=False)
        # What is sent is no draft any more; another text is.
        await page.call("send", to=BOB, text="something else")
        assert (await page.call("chats"))[0]["draft"] == "as I was"
        await page.call("send", to=BOB, text="as I was")
        (chat,) = await page.call("chats")
        assert (chat["pinned"], chat["archived"], chat["draft"], chat["muted_until"]) == (False, False, "", 0)
        error = (await page.ask("mute", chat=BOB, on=True, until=1.0))["error"]
        assert error["data"]["code"] == "usage"


async def test_a_message_that_is_found_is_shown_among_its_neighbours(world: World) -> None:
    alice = await world.person(ALICE)
    for n in range(9):
        await alice.send("me", f"note {n}")
    async with program(alice) as page:
        await page.call("chats")
        assert (await page.call("search", words=""))["hits"] == []
        found = await page.call("search", words="NOTE 4")
        (hit,) = found["hits"]
        assert [piece["text"] for piece in hit["snippet"] if piece["match"]] == ["note", "4"]
        thread = await page.call("thread", chat=hit["chat"], row=hit["row"], limit=4)
        assert [one["text"] for one in thread["messages"]] == ["note 2", "note 3", "note 4", "note 5"]
        assert (thread["more"], thread["later"]) == (True, True)
        # What comes is behind what was not asked for yet, and is not told.
        await page.call("send", to="me", text="note 9")
        await page.until(
            lambda: (page.last("chats_changed") or {"changed": [{}]})["changed"][0].get("last") == "note 9"
        )
        assert page.last("messages_changed") is None
        later = await page.call("open", chat=hit["chat"], after=thread["messages"][-1]["row"], limit=3)
        assert ([one["text"] for one in later["messages"]], later["later"]) == (["note 6", "note 7", "note 8"], True)
        older = await page.call("open", chat=hit["chat"], before=thread["messages"][0]["row"])
        assert ([one["text"] for one in older["messages"]], older["more"]) == (["note 0", "note 1"], False)
        later = await page.call("open", chat=hit["chat"], after=later["messages"][-1]["row"], limit=3)
        assert ([one["text"] for one in later["messages"]], later["later"]) == (["note 9"], False)
        await page.call("send", to="me", text="note 10")
        await page.until(lambda: page.last("messages_changed"))
        assert page.last("messages_changed")["changed"][0]["text"] == "note 10"
        error = (await page.ask("search", words="x" * 1001))["error"]
        assert error["data"]["code"] == "usage"
