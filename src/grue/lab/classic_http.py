"""`grue lab classic` serves the classic directory over HTTP, to clients and to whoever orders its log.

One process, one log.

POST /lookup                    {"account", "number"}   a client, on each complete number that is typed
POST /orders                    {"target", "begun"}     an order
POST /orders/ID/extend          {"days"}
GET  /orders                                            all of them
GET  /orders/ID                                         its return
POST /clock                     {"days"}                turns the clock, for trying orders out
GET  /pen-register/NUMBER                               numbers as they are typed, a JSON object a line
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import aiohttp
import msgspec
from aiohttp import web

from grue.errors import Unreachable, UsageError
from grue.exposure.lives import DAY
from grue.exposure.records import Asked, Ordered, Return
from grue.lab.classic import KEPT_DAYS, ClassicDirectory
from grue.server import listening

SWEEP_SECONDS: Final = 3600.0

MAX_BODY: Final = 4096

MOST_TURNED: Final = 3660
"""Days by which a clock is turned at a time: ten years, each of whose days is swept."""

Number = Annotated[str, msgspec.Meta(pattern=r"^\+[1-9][0-9]{4,14}\Z")]


class Lookup(msgspec.Struct, forbid_unknown_fields=True):
    """A client's question."""

    account: Number
    """Who asks: such a client is logged in."""
    number: Number


class OrderRequest(msgspec.Struct, forbid_unknown_fields=True):
    target: Number
    begun: float
    """Unix seconds."""
    days: int = 30


class Extension(msgspec.Struct, forbid_unknown_fields=True):
    days: int


class Turn(msgspec.Struct, forbid_unknown_fields=True):
    days: int


class Clock:
    """The time, and as many days more as it was turned."""

    def __init__(self) -> None:
        self._turned = 0

    def __call__(self) -> float:
        return time.time() + self._turned * DAY

    def turn(self, directory: ClassicDirectory, days: int) -> float:
        """Let days pass, with a sweep on each; returns what time it is then. Raises UsageError."""
        if not 1 <= days <= MOST_TURNED:
            raise UsageError(f"A clock is turned on by 1 to {MOST_TURNED} days.")
        for _ in range(days):
            self._turned += 1
            directory.sweep()
        return self()


Body = TypeVar("Body", bound=msgspec.Struct)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ClassicServer:
    """The routes over one directory."""

    def __init__(self, directory: ClassicDirectory, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self.app = web.Application(client_max_size=MAX_BODY, middlewares=[_refusals])
        self.app.router.add_post("/lookup", self._lookup)
        self.app.router.add_post("/clock", self._turn)
        self.app.router.add_get("/orders", self._orders)
        self.app.router.add_post("/orders", self._order)
        self.app.router.add_post("/orders/{order:[0-9]{1,9}}/extend", self._extend)
        self.app.router.add_get("/orders/{order:[0-9]{1,9}}", self._produce)
        self.app.router.add_get("/pen-register/{number}", self._pen_register)

    async def _lookup(self, request: web.Request) -> web.Response:
        asked = await _body(request, Lookup)
        route = self._directory.ask(asked.account, request.remote or "", asked.number)
        return web.json_response({"route": route})

    async def _order(self, request: web.Request) -> web.Response:
        wanted = await _body(request, OrderRequest)
        return web.json_response({"order": self._directory.order(wanted.target, wanted.begun, wanted.days)})

    async def _turn(self, request: web.Request) -> web.Response:
        wanted = await _body(request, Turn)
        return web.json_response({"now": self._clock.turn(self._directory, wanted.days)})

    async def _orders(self, _request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(self._directory.orders()), content_type="application/json")

    async def _extend(self, request: web.Request) -> web.Response:
        wanted = await _body(request, Extension)
        until = self._directory.extend(int(request.match_info["order"]), wanted.days)
        return web.json_response({"until": until})

    async def _produce(self, request: web.Request) -> web.Response:
        produced = self._directory.produce(int(request.match_info["order"]))
        return web.Response(body=msgspec.json.encode(produced), content_type="application/json")

    async def _pen_register(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        # Begins with an empty line, so that who listens knows that nothing is missed from here on.
        dialled: asyncio.Queue[Asked] = asyncio.Queue()
        end = self._directory.pen_register(request.match_info["number"], dialled.put_nowait)
        try:
            await response.write(b"\n")
            while True:
                await response.write(msgspec.json.encode(await dialled.get()) + b"\n")
        finally:
            end()


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except UsageError as error:
        return web.json_response({"message": str(error.detail or error)}, status=400)


async def _body(request: web.Request, kind: type[Body]) -> Body:
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except msgspec.DecodeError as error:
        raise UsageError(f"That is no such request: {error}.") from None


async def serve(
    listen: str,
    database: Path | None,
    registered: Iterable[str],
    ready: Callable[[str], None],
    kept_days: int = KEPT_DAYS,
) -> None:
    """Run the directory at HOST:PORT of this machine until cancelled. Raises UsageError."""
    host, _, port = listen.rpartition(":")
    if host not in ("127.0.0.1", "localhost", "[::1]") or not port.isdecimal():
        raise UsageError("It listens on this machine only: 127.0.0.1:PORT. It is no server for anybody.")
    clock = Clock()
    directory = ClassicDirectory(database, registered, kept_days=kept_days, clock=clock)
    runner = listening.runner(ClassicServer(directory, clock).app, shutdown_seconds=0.1)
    try:
        await runner.setup()
        try:
            await web.TCPSite(runner, host.strip("[]"), int(port)).start()
        except OSError:
            raise UsageError(f"It cannot listen at {listen}.") from None
        ready(f"{host}:{runner.addresses[0][1]}")
        while True:
            directory.sweep()
            await asyncio.sleep(SWEEP_SECONDS)
    finally:
        await runner.cleanup()
        directory.close()


def run(
    listen: str,
    database: Path | None,
    registered: Iterable[str],
    ready: Callable[[str], None],
    kept_days: int = KEPT_DAYS,
) -> None:
    """`serve` as a process: until SIGTERM or SIGINT, which end it cleanly."""

    async def until_told() -> None:
        task = asyncio.create_task(serve(listen, database, registered, ready, kept_days))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(until_told())


# --- who types a number -----------------------------------------------------------------------------


async def ask(server: str, account: str, number: str) -> str:
    """`encrypted` or `sms`, as a client asks on each number that is typed. Raises as `order`."""
    answer = await _ask(server, "POST", "/lookup", {"account": account, "number": number})
    return str(msgspec.json.decode(answer)["route"])


async def turn(server: str, days: int) -> float:
    """Let days pass at the directory; what time it is there then, in Unix seconds. Raises as `order`."""
    return float(msgspec.json.decode(await _ask(server, "POST", "/clock", {"days": days}))["now"])


# --- who asks with an order -----------------------------------------------------------------------


async def order(server: str, target: str, begun: float, days: int) -> int:
    """The number of a new order. Raises UsageError for what the directory refuses, Unreachable."""
    answer = await _ask(server, "POST", "/orders", {"target": target, "begun": begun, "days": days})
    return int(msgspec.json.decode(answer)["order"])


async def extend(server: str, order: int, days: int) -> float:
    """Until when the order goes on, in Unix seconds. Raises as `order`."""
    answer = await _ask(server, "POST", f"/orders/{order}/extend", {"days": days})
    return float(msgspec.json.decode(answer)["until"])


async def orders(server: str) -> list[Ordered]:
    """Every order. Raises as `order`."""
    return msgspec.json.decode(await _ask(server, "GET", "/orders", None), type=list[Ordered])


async def produced(server: str, order: int) -> Return:
    """The return of an order. Raises as `order`."""
    return msgspec.json.decode(await _ask(server, "GET", f"/orders/{order}", None), type=Return)


async def dialled(server: str, target: str) -> AsyncGenerator[Asked, None]:
    """Numbers as they are typed, until the directory stops. Raises as `order`."""
    no_limit = aiohttp.ClientTimeout(total=None, sock_connect=5)
    try:
        async with (
            aiohttp.ClientSession(timeout=no_limit) as session,
            session.get(f"{server.rstrip('/')}/pen-register/{target}") as response,
        ):
            async for line in response.content:
                if line.strip():
                    yield msgspec.json.decode(line, type=Asked)
    except (aiohttp.ClientError, ValueError):
        raise Unreachable from None


async def _ask(server: str, method: str, path: str, body: dict[str, Any] | None) -> bytes:
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session,
            session.request(method, server.rstrip("/") + path, json=body) as response,
        ):
            answer = await response.read()
            if response.status != 200:
                raise UsageError(_message(answer))
            return answer
    except (aiohttp.ClientError, TimeoutError, ValueError):
        raise Unreachable from None


def _message(answer: bytes) -> str:
    try:
        return str(msgspec.json.decode(answer)["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return "That is no classic directory."
