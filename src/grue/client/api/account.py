"""`client.account`: the own account at its server, and the way on which the server is reached."""

from dataclasses import dataclass
from datetime import date

from grue.client import account
from grue.client.context import Opened, load_account
from grue.client.daily_round import daily_round
from grue.client.signing import signed
from grue.client.store.engine import Db
from grue.client.store.entries import get_meta, put_meta
from grue.client.transport.http import check_proxy
from grue.client.transport.transport import TransportSettings
from grue.errors import NoClaim
from grue.protocol import wire
from grue.protocol.registration import read_claim, written_claim
from grue.protocol.urls import check_url


@dataclass(frozen=True)
class Claim:
    """Somebody who receives the own number's SMS wants the number on another device."""

    name: str
    """By which it is answered; that device shows it too."""
    until: date
    """From when on another SMS with a code takes the number."""
    objected: bool
    """Whether this device has objected to it."""


class OwnAccount:
    """The account that a home is registered with. `Client.register` and `Client.verify` make it."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened

    async def delete(self) -> None:
        """Leave: the server forgets the account, and its record goes. The history here stays. Raises NetworkError."""
        context = self._opened.ready
        await signed(context, wire.DeleteAccount(), wire.Done)
        await context.store.transact(account.forget)
        self._opened.leave()

    async def claims(self) -> list[Claim]:
        """Ask who proved to receive this number's SMS, and wants it on another device. Raises NetworkError."""
        context = self._opened.ready
        count = await signed(context, wire.CountKeyPackages(), wire.KeyPackageCount)
        await context.store.transact(account.note_claims, context.account, count.claims)
        return [
            Claim(written_claim(one.name), account.calendar_day(one.until_day), one.objected) for one in count.claims
        ]

    async def release(self, claim: str) -> None:
        """Let one who proved to receive this number's SMS have it at once. Raises NoClaim, UsageError.

        claim  its name, which the other device shows with `NumberHeld`
        """
        await signed(self._opened.ready, wire.AnswerClaim(read_claim(claim), True), wire.Done)

    async def object(self, claim: str = "") -> list[str]:
        """Have a claim's week begin anew, once; without a name that of each to which this device has not objected.

        Returns the names of those claims. Raises NoClaim, UsageError.
        """
        named = [claim] if claim else [one.name for one in await self.claims() if not one.objected]
        if not named:
            raise NoClaim
        for one in named:
            await signed(self._opened.ready, wire.AnswerClaim(read_claim(one), False), wire.Done)
        return named

    async def is_discoverable(self) -> bool:
        """Say whether people find the account by its number."""
        return not (await self._opened.ready.store.read(load_account)).hidden

    async def set_discoverable(self, on: bool) -> None:
        """Be found by the number, or not. Off, whoever has `client.people.link` can write, and who knows us already.

        Then the number is shown to nobody by itself either. Raises NetworkError; the next check-in says it once more.
        """
        await account.set_discoverable(self._opened.ready, on)

    async def server_hello(self) -> wire.ServerHello:
        """Ask the server what it is, and who carries its SMS. Raises NetworkError, NotAGrueServer, ..."""
        return await self._opened.ready.transport.hello()

    async def daily_round(self) -> None:
        """Refill key packages, look the own number up, check in, leave what has expired: once a day, if it is due.

        `poll` and `receive` do so by themselves. Raises NetworkError; `Client.notices` says what it found.
        """
        await daily_round(self._opened.ready)

    async def transport_settings(self) -> TransportSettings:
        """Say how the server is reached; this needs no account."""
        return await self._opened.store.read(_settings)

    async def set_transport(self, *, relay: str = "", proxy: str = "") -> TransportSettings:
        """Reach the server another way from the next opening on: straight, or as given. Raises UsageError.

        relay  the URL of a relay, which anonymous requests go through, sealed
        proxy  a SOCKS5 proxy for every connection, for example Tor's: socks5://127.0.0.1:9050
        """
        settings = TransportSettings(check_url(relay) if relay else "", check_proxy(proxy) if proxy else "")
        await self._opened.store.transact(put_meta, "transport", settings)
        return settings


def _settings(db: Db) -> TransportSettings:
    return get_meta(db, "transport", TransportSettings) or TransportSettings()
