"""One program at the other end of a stream of frames: JSON-RPC 2.0, requests in any order, events as notifications.

Source: the JSON-RPC 2.0 specification. Batches, which it allows, are refused.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from grue.client.client import Client
from grue.errors import GrueError
from grue.rpc import types
from grue.rpc.service import Event, Service, failure

log: Final = logging.getLogger("grue.rpc")

MAX_FRAME: Final = 1 << 20
"""Bytes of one request: far more than a message's text may have."""
MAX_UNDER_WAY: Final = 64
"""Requests of one program that are not answered yet; the next waits."""

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
REFUSED: Final = -32000
"""Grue's own refusals: `data` says which."""

Asked = TypeVar("Asked", bound=Struct)
Answered = TypeVar("Answered")


@dataclass(frozen=True)
class Method(Generic[Asked, Answered]):
    """What one method takes and gives."""

    params: type[Asked]
    result: Any
    call: Callable[[Service, Asked], Awaitable[Answered]]


METHODS: Final[Mapping[str, Method[Any, Any]]] = {
    "state": Method(types.Nothing, types.State, Service.state),
    "register": Method(types.Register, types.Registering, Service.register),
    "verify": Method(types.Verify, types.State, Service.verify),
    "gateway": Method(types.Nothing, types.Gateway, Service.gateway),
    "chats": Method(types.Nothing, list[types.Chat], Service.chats),
    "open": Method(types.PageOf, types.Page, Service.open),
    "thread": Method(types.Around, types.Page, Service.thread),
    "search": Method(types.Search, types.Found, Service.search),
    "seen": Method(types.Seen, types.Nothing, Service.seen),
    "send": Method(types.Send, types.Sent, Service.send),
    "accept": Method(types.OfChat, types.Nothing, Service.accept),
    "decline": Method(types.OfChat, types.Nothing, Service.decline),
    "block": Method(types.OfChat, types.Nothing, Service.block),
    "pin": Method(types.Pin, types.Nothing, Service.pin),
    "mute": Method(types.Mute, types.Nothing, Service.mute),
    "archive": Method(types.Archive, types.Nothing, Service.archive),
    "draft": Method(types.Draft, types.Nothing, Service.draft),
    "typed": Method(types.Typed, types.Shown, Service.typed),
}
"""All that can be asked for."""

EVENTS: Final[Mapping[str, type[Event]]] = {
    "chats_changed": types.ChatsChanged,
    "messages_changed": types.MessagesChanged,
    "number_shown": types.Shown,
    "trouble": types.Trouble,
}
"""All that is told without being asked for."""

_NAMES: Final = {kind: name for name, kind in EVENTS.items()}


class _Request(Struct):
    id: int | str
    method: str
    jsonrpc: str = ""
    params: Raw = Raw(b"{}")


_DECODER: Final = msgspec.json.Decoder(_Request)


class Session:
    """Serves one program. `async with` tells it what changes; `receive` takes each of its frames."""

    def __init__(self, client: Client, write: Callable[[bytes], Awaitable[None]]) -> None:
        """`write` sends one frame."""
        self._write = write
        self._out: asyncio.Queue[bytes] = asyncio.Queue()
        self._service = Service(client, self._tell)
        self._room = asyncio.Semaphore(MAX_UNDER_WAY)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Session":
        for work in (self._service.follow(), self._send()):
            self._start(work)
        return self

    async def __aexit__(self, *_error: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._service.close()

    async def receive(self, frame: bytes) -> None:
        """Take one frame; what it asks for is answered when it is done, whatever was asked for before."""
        await self._room.acquire()
        self._start(self._answer(frame))

    def _start(self, work: "Awaitable[None]") -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, frame: bytes) -> None:
        try:
            self._out.put_nowait(await self._answered(frame))
        finally:
            self._room.release()

    async def _answered(self, frame: bytes) -> bytes:
        try:
            request = _DECODER.decode(frame)
        except msgspec.ValidationError:
            return _error(None, INVALID_REQUEST, "Not a JSON-RPC request")
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _error(None, PARSE_ERROR, "Not JSON")
        method = METHODS.get(request.method)
        if request.jsonrpc != "2.0" or method is None:
            code = INVALID_REQUEST if request.jsonrpc != "2.0" else METHOD_NOT_FOUND
            return _error(request.id, code, "No such method, or no such version of JSON-RPC")
        try:
            params = msgspec.json.decode(request.params, type=method.params)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _error(request.id, INVALID_PARAMS, "Other parameters than this method takes")
        try:
            result = await method.call(self._service, params)
        except GrueError as error:
            return _error(request.id, REFUSED, error.message, failure(error))
        except Exception as error:  # noqa: BLE001 -- a fault of ours is told as one, and the program goes on
            log.warning("%s failed: %s", request.method, type(error).__name__)
            return _error(request.id, INTERNAL_ERROR, GrueError.message, failure(GrueError()))
        return msgspec.json.encode({"jsonrpc": "2.0", "id": request.id, "result": result})

    def _tell(self, event: Event) -> None:
        self._out.put_nowait(msgspec.json.encode({"jsonrpc": "2.0", "method": _NAMES[type(event)], "params": event}))

    async def _send(self) -> None:
        while True:
            await self._write(await self._out.get())


def _error(of: int | str | None, code: int, message: str, data: types.Failure | None = None) -> bytes:
    error = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return msgspec.json.encode({"jsonrpc": "2.0", "id": of, "error": error})
