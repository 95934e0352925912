"""The world in memory is a real server on a real disk and real clients in one process, with a clock that obeys.

Only the bytes between clients and server take a short cut; see `grue.testing.network`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from grue.client.client import Client
from grue.client.store.home import make_key
from grue.client.transport.transport import Transport
from grue.server.accounts.codes import Caps
from grue.server.app import Server
from grue.server.directory.directory import Directory
from grue.server.keys.keys import open_keys
from grue.server.mailboxes.blobs import Blobs
from grue.server.sms.sms import SmsRole
from grue.server.store.files import BLOBS, DATABASE
from grue.server.store.interface import Store
from grue.server.store.sqlite import open_store
from grue.testing.carrier import Carrier
from grue.testing.network import MemoryTransport, Network

PASSPHRASE: Final = "correct horse battery staple"  # noqa: S105 -- of homes that last seconds

NO_CAPS: Final = Caps(in_all=1_000_000, prefix=1_000_000)
"""Codes an hour: in a world everybody may come at once, with numbers that begin alike."""

BEGUN: Final = 1_800_000_000.0
"""Unix seconds at which a world begins, unless it is told otherwise: in January 2027."""


@dataclass(eq=False)
class Clock:
    """Unix seconds that pass only when a test says so."""

    now: float = BEGUN
    """What it shows; a test may set it."""

    def __call__(self) -> float:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        """Let time pass; fewer than none turn the clock back."""
        self.now += seconds


class World:
    """One server with its carrier, the network before it, and clients. `async with` starts and closes all of it.

    path        the folder that the server's data and the homes are in
    now         Unix seconds at which the clock stands
    carrier     what delivers SMS: one of your own, where it has to do more than `Carrier`
    open_store  what opens the server's database

    The clock of server and clients stands still until `pass_days` or `clock.pass_seconds`.
    """

    url: Final[str] = "http://localhost"
    """What to register at, for a test of registering."""
    passphrase: Final[str] = PASSPHRASE
    """What every home is opened with, for a test of a program that opens its home itself."""

    def __init__(
        self,
        path: Path,
        *,
        now: float = BEGUN,
        carrier: Carrier | None = None,
        open_store: Callable[[Path], Awaitable[Store]] = open_store,
    ) -> None:
        self.path = path
        self.data = path / "server"
        """Where the server keeps everything."""
        self.clock = Clock(now)
        self.network = Network()
        self.carrier = Carrier() if carrier is None else carrier
        self.server: Server
        self._open_store = open_store
        self._role: SmsRole
        self._clients: list[Client] = []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    # --- the server -------------------------------------------------------------------------------

    async def start(self, folder: str = "server") -> None:
        """Start the server on what this folder holds; on one that holds nothing it is another server."""
        self.data = self.path / folder
        self.data.mkdir(parents=True, exist_ok=True)
        keys = open_keys(self.data)
        store = await self._open_store(self.data / DATABASE)
        self._role = SmsRole(self.carrier)
        directory = Directory(self.data, keys, self.clock)
        blobs = Blobs(self.data / BLOBS)
        self.server = Server(
            store, keys=keys, directory=directory, blobs=blobs, sms=self._role, clock=self.clock, caps=NO_CAPS
        )
        self.network.server = self.server
        await self._role.start(self.server.context, self.server.mailboxes)

    async def stop(self) -> None:
        """End the server as a crash does: only what is on disk is left. Clients find nobody until `start`."""
        self.network.server = None
        self.network.cut()
        await self._role.close()
        await self.server.store.close()

    async def restart(self) -> None:
        """`stop`, and `start` at once."""
        await self.stop()
        await self.start()

    async def pass_days(self, days: float) -> None:
        """Let time pass, and the directory be signed anew, as a server does meanwhile. Clients do nothing by it."""
        self.clock.pass_seconds(days * 86_400)
        await self.server.directory.tend()

    async def close(self) -> None:
        """Close every client, then the server."""
        for client in self._clients:
            await client.close()
        await self.server.directory.close()
        await self.stop()

    # --- people -----------------------------------------------------------------------------------

    async def person(self, number: str, name: str | None = None) -> Client:
        """A client with this number, registered by the code that the carrier delivered.

        `name` is its home's, below `path`; the number unless it is given. Some 0.1 s.
        """
        client = await self.open(name or number)
        await client.register(number, self.url)
        await client.verify(self.code(number))
        return client

    async def open(self, name: str, *, ahead: float = 0) -> Client:
        """A client of the home with this name, which is made when there is none; several may be open on one home.

        `ahead` is how many seconds its clock is before the server's. The world closes it.
        """
        home = self.path / name
        make_key(home, PASSPHRASE, passes=1, memory_kib=64)
        client = Client(
            home,
            passphrase=PASSPHRASE,
            transport=lambda _endpoint: self.transport(name),
            clock=lambda: self.clock() + ahead,
        )
        await client.__aenter__()
        self._clients.append(client)
        return client

    def transport(self, _name: str) -> Transport:
        """How the client of a home reaches the server: override it to look on, or to stand between."""
        return MemoryTransport(self.network)

    def code(self, number: str) -> str:
        """The newest registration code that this number was sent."""
        return self.carrier.code(number)

    def texts(self, number: str) -> list[str]:
        """The SMS that this number's telephone has shown, oldest first, codes left out."""
        return self.carrier.texts(number)
