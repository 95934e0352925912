"""The world as it is: a server and a carrier as processes of their own, on sockets, that can be killed."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path

from grue.client.client import Client
from grue.testing.world import PASSPHRASE

GRUE = Path(sys.executable).with_name("grue")
READY_SECONDS = 30
PATIENCE_SECONDS = 40
"""Far beyond what anything takes on a busy machine: what waits longer hangs."""


class Service:
    """One `grue` verb that keeps running, and what it has printed."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self._process: Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self.lines: list[dict[str, str]] = []
        self.address = ""

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(str(GRUE), "--json", *self._arguments, stdout=PIPE)
        assert self._process.stdout is not None
        async with asyncio.timeout(READY_SECONDS):
            self.address = json.loads(await self._process.stdout.readline())["listening"]
        self._reader = asyncio.create_task(self._read(self._process.stdout))

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self._process is not None
        assert self._reader is not None
        self._process.send_signal(number)
        await self._reader
        return await self._process.wait()

    async def _read(self, stdout: asyncio.StreamReader) -> None:
        async for line in stdout:
            self.lines.append(json.loads(line))


class ProcessWorld:
    """The same face as `World`, without what only a test's own network and clock can do.

    relayed  the clients' anonymous requests go through a relay, which is a process as well
    """

    def __init__(self, path: Path, *, relayed: bool = False) -> None:
        self.path = path
        self._relayed = relayed
        self._relay: Service | None = None
        self._relay_address = "127.0.0.1:0"
        self.carrier = Service("carrier", "--listen", "127.0.0.1:0")
        self._server: Service
        self._clients: list[Client] = []
        self._address = "127.0.0.1:0"
        self.options: list[str] = []
        """More of `grue serve`, from its next start on."""

    @property
    def url(self) -> str:
        return f"http://{self._address}"

    @property
    def relay(self) -> str:
        """The relay's URL; empty without one."""
        return f"http://{self._relay_address}" if self._relayed else ""

    async def start(self) -> None:
        if not self.carrier.address:
            await self.carrier.start()
        sms = f"smpp://grue:secret@{self.carrier.address}"
        data = str(self.path / "server")
        self._server = Service("serve", "--data", data, "--listen", self._address, "--sms", sms, *self.options)
        await self._server.start()
        self._address = self._server.address
        if self._relayed:
            self._relay = Service("relay", "--listen", self._relay_address, "--to", self.url)
            await self._relay.start()
            self._relay_address = self._relay.address

    async def restart(self) -> None:
        """Kill the server, as a power cut would, and start it again on the same port.

        A relay as well: it would hand out the key of the killed one for two minutes.
        """
        await self._stop(signal.SIGKILL)
        await self.start()

    async def stop(self) -> int:
        """Stop the server, and the relay as in `restart`."""
        return await self._stop(signal.SIGTERM)

    async def _stop(self, number: signal.Signals) -> int:
        # At once: alone, the relay would wait two seconds for the long polls that the server ends.
        stopped = await asyncio.gather(*(one.stop(number) for one in (self._server, self._relay) if one is not None))
        return stopped[0]

    async def close(self) -> None:
        for client in self._clients:
            await client.close()
        assert await self.stop() == 0
        assert await self.carrier.stop() == 0

    async def open(self, name: str) -> Client:
        client = Client(self.path / name, passphrase=PASSPHRASE, create=True)
        await client.__aenter__()
        self._clients.append(client)
        return client

    async def person(self, number: str, name: str | None = None) -> Client:
        client = await self.open(name or number)
        await client.register(number, self.url, relay=self.relay)
        await until(lambda: self._codes(number))
        await client.verify(self._codes(number)[-1])
        return client

    async def code(self, number: str) -> str:
        await until(lambda: self._codes(number))
        return self._codes(number)[-1]

    async def texts(self, number: str, count: int) -> list[str]:
        """The SMS that this number's telephone has shown, codes left out, once there are so many."""
        await until(lambda: len(self._texts(number)) >= count)
        return self._texts(number)

    async def inject(self, sender: str, to: str, text: str) -> None:
        from grue.lab.carrier import inject

        await inject(self.carrier.address, sender, to, text)

    def _texts(self, number: str) -> list[str]:
        texts = [line["text"] for line in self.carrier.lines if line["to"] == number]
        return [text for text in texts if "Grue code" not in text]

    def _codes(self, number: str) -> list[str]:
        texts = [line["text"] for line in self.carrier.lines if line["to"] == number]
        return [text.split()[0] for text in texts if "Grue code" in text]


async def until(holds: Callable[[], object]) -> None:
    """Wait for something that other processes do; fails after a generous while."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():  # noqa: ASYNC110 -- other processes set no event
            await asyncio.sleep(0.01)


async def eventually(client: Client, wanted: list[str]) -> list[str]:
    """What the client shows, once it has shown as much as is wanted."""
    shown: list[str] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(shown) < len(wanted):
            await client.poll()
            shown += [message.text for message in await client.unshown()]
    return shown
