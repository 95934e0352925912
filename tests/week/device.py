"""One device of the week: a process that holds a home open, does what it is told, and may be killed at any moment.

Reads a line of JSON for each thing to do, and writes a line for each that is done, or refused.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from grue.client.api.devices import AskingDevice, NewDevice
from grue.client.api.groups import Group
from grue.client.api.messages import Message
from grue.client.chats import person
from grue.client.client import Client
from grue.client.store.home import make_key
from grue.errors import GrueError
from grue.protocol.conversation.contents import Role
from tests.cli.play import PASSPHRASE


@dataclass
class Clock:
    """The machine's clock, and so many seconds ahead of it."""

    ahead: float = 0

    def __call__(self) -> float:
        return time.time() + self.ahead


def described(group: Group) -> dict[str, Any]:
    return {
        "id": group.id,
        "name": group.name,
        "members": {member.person: member.role.value for member in group.members},
        "state": group.state.value,
    }


def told(message: Message) -> dict[str, Any]:
    return {"id": message.id, "text": message.text, "incoming": message.incoming, "state": message.state.value}


class Device:
    """What a line may ask for: each is a method, and its arguments are the line's."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._linking = AsyncExitStack()
        self._offered: NewDevice | None = None
        self._asking: AskingDevice | None = None

    async def register(self, number: str, server: str) -> None:
        await self._client.register(number, server)

    async def verify(self, code: str) -> None:
        await self._client.verify(code)

    async def offer(self, server: str, name: str) -> str:
        """Wait to be linked; returns the link."""
        self._offered = await self._linking.enter_async_context(self._client.devices.link(server, name))
        return self._offered.link

    async def meet(self) -> str:
        assert self._offered is not None
        return await self._offered.meet()

    async def finish(self) -> str:
        assert self._offered is not None
        number = await self._offered.finish()
        await self._linking.aclose()
        return number

    async def see(self, link: str) -> str:
        """Meet who waits at this link; returns the digits."""
        self._asking = await self._client.devices.accept(link)
        return self._asking.code

    async def take_in(self) -> None:
        assert self._asking is not None
        await self._asking.accept()

    async def person(self) -> str:
        """The id by which the others know this account."""
        return person(self._client.context.account.identity_public)

    async def send(self, to: str, text: str) -> dict[str, Any]:
        """Returns who was in the group before and after, as far as this device knew."""
        before = await self._members(to)
        sent = await self._client.send(to, text)
        return {"id": sent.id, "state": sent.state.value, "before": before, "after": await self._members(to)}

    async def read(self) -> list[str]:
        """Fetch what waits, show it, accept whoever asks, and say what was shown."""
        await self._client.poll()
        for request in await self._client.requests.list():
            await self._client.requests.accept(request.chat)
        async with aclosing(self._client.receive(idle=0)) as messages:
            shown = [message.id async for message in messages]
        await self._client.notices()
        return shown

    async def create(self, name: str, numbers: list[str]) -> str:
        return (await self._client.groups.create(name, *numbers)).id

    async def add(self, group: str, number: str) -> None:
        await self._client.groups.add(group, number)

    async def remove(self, group: str, number: str) -> None:
        await self._client.groups.remove(group, number)

    async def rename(self, group: str, name: str) -> None:
        await self._client.groups.rename(group, name)

    async def promote(self, group: str, number: str) -> None:
        await self._client.groups.set_role(group, number, Role.ADMIN)

    async def leave(self, group: str) -> None:
        await self._client.groups.leave(group)

    async def groups(self) -> list[dict[str, Any]]:
        return [described(group) for group in await self._client.groups.list()]

    async def histories(self) -> dict[str, list[dict[str, Any]]]:
        found = {}
        for chat in await self._client.chats():
            found[chat.chat] = [told(message) for message in await self._client.history(chat.chat)]
        return found

    async def _members(self, group: str) -> list[str]:
        for one in await self._client.groups.list():
            if one.id == group:
                return [member.person for member in one.members]
        return []


LONGEST: Final = 90
"""Seconds that one thing may take, on a machine that is busy."""


async def main(home: Path, ahead: float) -> None:
    """Serve until standard input ends."""
    clock = Clock(ahead)
    if not home.exists():
        home.mkdir()
        make_key(home, PASSPHRASE, passes=1, memory_kib=8)
    lines: asyncio.Queue[str] = asyncio.Queue()
    asyncio.get_running_loop().add_reader(sys.stdin, lambda: lines.put_nowait(sys.stdin.readline()))
    async with Client(home, passphrase=PASSPHRASE, create=True, clock=clock) as client:
        device = Device(client)
        while line := await lines.get():
            asked = json.loads(line)
            what: Callable[..., Awaitable[object]] = getattr(device, asked.pop("do"))
            try:
                async with asyncio.timeout(LONGEST):
                    answer = {"done": await what(**asked)}
            except GrueError as error:
                answer = {"refused": error.code}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2])))
