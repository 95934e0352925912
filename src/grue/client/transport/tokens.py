"""Anonymous tokens are drawn with the account's name, kept in the store, and spent without it.

The client draws them ahead, so that a draw does not say when something is looked up or sent. Only when somebody does
more at once than is in stock, the server sees it by the draw.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from types import MappingProxyType
from typing import Final, cast

from grue.client.store.engine import Store
from grue.client.transport import tables
from grue.client.transport.transport import UNASKED, Transport
from grue.errors import BadToken, GrueError, LimitReached, NetworkError, NotAGrueServer, TokenExpired, TokenSpent
from grue.protocol import wire
from grue.protocol.tokens import Draw, Purpose, StoredToken, fare, price, spend

STOCK: Final[Mapping[Purpose, int]] = MappingProxyType({Purpose.LOOKUP: 200, Purpose.POST: 100})
"""Tokens that are kept ready: an address book of a person who is new, and a day of new contacts."""

TRIES: Final = 3
"""Sets of tokens tried for one request; a home from a backup has some that were spent already."""

UNSETTLED: Final = 256
"""Requests without an answer whose tokens are kept for them, the latest: more than an outbox has under way. Lookups are
none of them, since each is blinded anew."""

Signed = Callable[[wire.DrawTokens], Awaitable[wire.Drawn]]
Keys = Callable[[bool], Awaitable[list[wire.TokenKey]]]


class Tokens:
    """Makes anonymous requests, and pays for those that have a price.

    signed  sends a request with the account's name
    keys    the token keys of the manifest, as it is known, or brought up to date
    """

    def __init__(
        self, store: Store, transport: Transport, signed: Signed, keys: Keys, random: Callable[[int], bytes]
    ) -> None:
        self._store = store
        self._transport = transport
        self._signed = signed
        self._keys = keys
        self._random = random
        self._unsettled: dict[bytes, list[StoredToken]] = {}

    async def ask(self, request: wire.AnonymousRequest) -> wire.AnonymousAnswer:
        """The answer to one anonymous request. Raises LimitReached, and what the transport raises."""
        if price(request) is None:
            return await self._transport.anonymous(request)
        return await self.pay(cast("wire.Priced", request))

    async def pay(self, request: wire.Priced) -> wire.AnonymousAnswer:
        """The same for what need not be paid for always, once it is asked for.

        While it is not known whether it was done, the same request again goes with the same tokens: it costs no more.
        """
        cost, name = fare(request), sha256(wire.encode(request)).digest()
        failure: GrueError | None = None
        for _ in range(TRIES):
            seen = self._unsettled.pop(name, None)
            tokens = seen or await self._take(*cost)
            try:
                return await self._transport.anonymous(spend(request, tokens))
            except (TokenSpent, TokenExpired, BadToken) as error:
                failure = error
                if isinstance(error, TokenExpired):
                    await self._store.note(tables.forget_tokens, cost[0], min(token.epoch for token in tokens))
            except (NetworkError, NotAGrueServer, *UNASKED) as error:
                if seen is None and isinstance(error, UNASKED):
                    await self._store.note(tables.put_tokens, cost[0], tokens)
                elif cost[0] is Purpose.POST:
                    self._keep(name, tokens)
                raise
        raise failure or NotAGrueServer

    def _keep(self, name: bytes, tokens: list[StoredToken]) -> None:
        """For the same request only: a token that was seen under two would say that one client made both."""
        if len(self._unsettled) >= UNSETTLED:
            del self._unsettled[next(iter(self._unsettled))]
        self._unsettled[name] = tokens

    async def fill(self) -> None:
        """Draw what is missing of the stock, once half of it is gone, as far as may be. Raises NetworkError, ..."""
        for purpose, stock in STOCK.items():
            count = await self._store.read(tables.count_tokens, purpose)
            if count <= stock // 2:
                with suppress(LimitReached):
                    for _ in range((stock - count) // wire.TOKEN_BATCH):
                        await self._draw(purpose)

    async def gather(self, purpose: Purpose, count: int) -> int:
        """Draw until there are so many, as far as may be; returns how many there are. Raises NetworkError, ..."""
        with suppress(LimitReached):
            await self.stock(purpose, count)
        return await self._store.read(tables.count_tokens, purpose)

    async def stock(self, purpose: Purpose, count: int) -> None:
        """Draw until there are so many. Raises LimitReached once no more may be drawn, NetworkError, ..."""
        while await self._store.read(tables.count_tokens, purpose) < count:
            await self._draw(purpose)

    async def _take(self, purpose: Purpose, count: int) -> list[StoredToken]:
        while not (tokens := await self._store.note(tables.take_tokens, purpose, count)):
            await self._draw(purpose)
        return tokens

    async def _draw(self, purpose: Purpose) -> None:
        try:
            tokens = await self._drawn(purpose, await self._keys(False))
        except TokenExpired:
            tokens = await self._drawn(purpose, await self._keys(True))
        await self._store.note(tables.put_tokens, purpose, tokens)

    async def _drawn(self, purpose: Purpose, keys: list[wire.TokenKey]) -> list[StoredToken]:
        draw = Draw(purpose, keys, self._random)
        return draw.drawn(await self._signed(draw.request()))
