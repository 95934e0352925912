"""A carrier in memory keeps every SMS that it is given, and brings SMS from telephones to the server."""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from grue.errors import GrueError
from grue.server.accounts.registration import SMS_TEXT
from grue.server.sms.gateway import Event, Inbound, Receipt, Sms

_CODE: Final = re.compile(re.escape(SMS_TEXT).replace(re.escape("{code}"), r"([\d-]+)"))


@dataclass(eq=False, repr=False)
class Carrier:
    """The server's SMS gateway, and the telephone company behind it. Numbers are E.164."""

    description: str = "a carrier in memory"
    """How the server names it to clients."""
    health: str = "bound"
    """Whether it can be reached, as the server's inspection shows it."""
    failure: GrueError | None = None
    """What the carrier answers to every SMS from now on, such as `grue.SmsThrottled()`; None: it delivers."""
    delivered: list[Sms] = field(default_factory=list)
    """Every SMS that was delivered to a telephone, codes for registrations included."""

    def __post_init__(self) -> None:
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._shown: defaultdict[str, asyncio.Queue[str]] = defaultdict(asyncio.Queue)

    async def start(self) -> None:
        """Connect, which here needs nothing; the server calls it."""

    async def close(self) -> None:
        """End `events`; the server calls it."""
        self._events.put_nowait(None)

    async def submit(self, sms: Sms) -> str:
        """Deliver an SMS; returns the carrier's id of it, which counts from "1". Raises `failure`."""
        if self.failure is not None:
            raise self.failure
        self.delivered.append(sms)
        if not _CODE.fullmatch(sms.text):
            self._shown[sms.to].put_nowait(sms.text)
        return str(len(self.delivered))

    async def events(self) -> AsyncIterator[Event]:
        """What comes in for the server: receipts, and SMS from telephones."""
        while (event := await self._events.get()) is not None:
            yield event

    def receipt(self, n: int, state: str) -> None:
        """Tell the server what became of the SMS with this id: `delivered` or `failed`."""
        self._events.put_nowait(Receipt(str(n), state))

    async def inject(self, sender: str, to: str, text: str) -> None:
        """Bring an SMS from a telephone to a number, and wait until the server has stored it for whom it is.

        One to a number that nobody there has is dropped. Raises RuntimeError when the server could not store it.
        """
        settled: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._events.put_nowait(Inbound(sender, to, text, settled.set_result))
        if not await settled:
            raise RuntimeError("the server could not store the SMS")

    def code(self, number: str) -> str:
        """The newest registration code that this number was sent. Raises LookupError when there is none."""
        codes = [_CODE.fullmatch(sms.text) for sms in self.delivered if sms.to == number]
        return [code[1] for code in codes if code][-1]

    async def next_text(self, number: str) -> str:
        """The oldest SMS of `texts` that was not asked for by this yet; waits until there is one."""
        return await self._shown[number].get()

    def texts(self, number: str) -> list[str]:
        """The SMS that this number's telephone has shown, oldest first, codes left out."""
        return [sms.text for sms in self.delivered if sms.to == number and not _CODE.fullmatch(sms.text)]
