"""The token issuer: allowances belong to numbers, and what was spent is known by its hash.

Nothing here links a draw to a spending: the evaluated elements are blinded. Token keys are derived from the server's
secret, so they need no table and outlive a restart. Who has that secret can make every one of them again, for ever: it
forges tokens, which are good in their time only, and unblinds nothing.
"""

import asyncio
import hmac
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple, cast

from grue._core import OprfError
from grue.errors import BadRequest, BadToken, LimitReached, NotPermitted, TokenExpired, TokenSpent
from grue.protocol import wire
from grue.protocol.tokens import Purpose, epoch_of, fare, spent_key, use_of
from grue.server.clock import DAY
from grue.server.context import Context
from grue.server.store.interface import Tx

FIRST_LOOKUPS: Final = 1000
"""Lookup tokens of a number's first week: an address book."""

DAILY_LOOKUPS: Final = 50
"""Lookup tokens that become available each day after it; what is not drawn in its week is gone."""

WEEKLY_POSTS: Final = 1000

QUOTA_WEEKS: Final = 4
"""Weeks without a draw until a number's row is forgotten. Three whole weeks of 50 a day that were not drawn are more
than the 1,000 that a forgotten number may draw anew, so the bound of 1,000 and 50 a day holds all the same."""

STEP_WEEKS: Final = 1
"""Weeks that a server's clock may go back: a day at once while it is believed (`clock.MAX_BEHIND`), perhaps more often.
So long spent tokens are remembered beyond the last week in which they are good, and so far ahead an allowance's week is
believed: what was spent or drawn before a step is so after it too."""

INLINE_TOKENS: Final = 2
"""Tokens checked without a thread: 0.1 ms, about what handing over costs."""

INLINE_BYTES: Final = 1 << 16
"""Bytes of a request that are hashed without a thread: 50 us; a private query has ten times as many."""


class Spent(NamedTuple):
    """A token that is right, as the store remembers it."""

    key: bytes
    use: bytes
    epoch: int


# --- drawing --------------------------------------------------------------------------------------


async def draw(context: Context, account: bytes, request: wire.DrawTokens) -> wire.Drawn:
    """Evaluate a batch, if the account's number may have one. Some 70 us a token, outside the event loop.

    TOKEN-03 purpose and epoch are ones that are in use (BadRequest, TokenExpired).
    TOKEN-04 the number's allowance is not used up (LimitReached, with the time to wait).
    TOKEN-05 every element is canonical and not the identity (BadRequest); that uses up no allowance.
    """
    purpose, now = _purpose(request.purpose), int(context.clock())
    _check_epoch(context, request.epoch)
    # Looked at before, so that what is refused costs nothing; counted after, so that a bad element uses nothing up.
    await context.store.read(_with_one_more, account, purpose, now)
    key = context.keys.token_key(purpose, request.epoch)
    try:
        elements, proof = await asyncio.to_thread(key.evaluate, request.blinded)
    except OprfError:
        raise BadRequest from None
    await context.store.transact(_take_allowance, account, purpose, now)
    return wire.Drawn(elements, proof)


def _purpose(name: str) -> Purpose:
    try:
        return Purpose(name)
    except ValueError:
        raise BadRequest from None


class _Quota(NamedTuple):
    """A row of `token_quota`."""

    phone_tag: bytes
    week: int
    first: int
    lookups: int
    posts: int


async def _take_allowance(tx: Tx, account: bytes, purpose: Purpose, now: int) -> None:
    """Count a batch. Raises LimitReached, NotPermitted."""
    await tx.run(
        "INSERT INTO token_quota (phone_tag, week, first, lookups, posts) VALUES ($1, $2, $3, $4, $5) ON CONFLICT"
        " (phone_tag) DO UPDATE SET week = $2, first = $3, lookups = $4, posts = $5",
        *await _with_one_more(tx, account, purpose, now),
    )


async def _with_one_more(tx: Tx, account: bytes, purpose: Purpose, now: int) -> _Quota:
    """What is counted for a number with one more batch. Raises LimitReached, NotPermitted."""
    owner = await tx.row("SELECT phone_tag FROM account WHERE account = $1", account)
    if owner is None:
        raise NotPermitted
    tag, day = cast("bytes", owner[0]), now // DAY
    row = await tx.row("SELECT week, first, lookups, posts FROM token_quota WHERE phone_tag = $1", tag)
    known_week, first, lookups, posts = cast("tuple[int, int, int, int]", row or (day // 7, 1, 0, 0))
    if day // 7 < known_week <= day // 7 + STEP_WEEKS:
        # The clock went back. What was drawn in the week that is to come again counts there, as on its first day.
        day = known_week * 7
    week = day // 7
    if known_week != week:
        first, lookups, posts = 0, 0, 0
    if purpose is Purpose.LOOKUP:
        lookups += wire.TOKEN_BATCH
    else:
        posts += wire.TOKEN_BATCH
    _check_allowance(purpose, lookups if purpose is Purpose.LOOKUP else posts, bool(first), day, now)
    return _Quota(tag, week, first, lookups, posts)


def _check_allowance(purpose: Purpose, drawn: int, first: bool, day: int, now: int) -> None:
    next_week = (day // 7 + 1) * 7 * DAY - now
    if purpose is Purpose.POST:
        allowed, wait = WEEKLY_POSTS, next_week
    elif first:
        allowed, wait = FIRST_LOOKUPS, next_week
    else:
        allowed, wait = DAILY_LOOKUPS * (day % 7 + 1), (day + 1) * DAY - now
    if drawn > allowed:
        raise LimitReached(retry_after=wait)


# --- spending -------------------------------------------------------------------------------------


async def check(context: Context, spend: wire.Spend) -> tuple[wire.Priced, list[Spent]]:
    """Check what pays for a request, without spending it yet. Some 50 us a token.

    TOKEN-06 there are as many tokens as the request costs, all different (BadToken).
    TOKEN-07 they are of a key in use (TokenExpired). TOKEN-08 they were made with it, for this very request (BadToken).
    TOKEN-10 for a lookup, which is never repeated, none is spent at all: seen before any work is done (TokenSpent).
    TOKEN-11 where some are bad, those that were found good before are spent with them: no work is for nothing.
    """
    request = wire.PRICED.decode(spend.body)
    purpose, count = fare(request)
    if len(spend.tokens) != count or len({token.nonce for token in spend.tokens}) != count:
        raise BadToken
    for token in spend.tokens:
        _check_epoch(context, token.epoch)
    paid = [Spent(spent_key(token.nonce), token.mac[:16], token.epoch) for token in spend.tokens]
    if purpose is Purpose.LOOKUP:
        await context.store.read(_check_unspent, paid)
    if count <= INLINE_TOKENS and len(spend.body) <= INLINE_BYTES:
        good = _good(context, purpose, spend)
    else:
        good = await asyncio.to_thread(_good, context, purpose, spend)
    if good < count:
        if good:
            await context.store.transact(take, paid[:good])
        raise BadToken
    return request, paid


@contextmanager
def one_at_a_time(spending: set[bytes], spend: wire.Spend) -> Iterator[None]:
    """Keep tokens of a large request from being checked again while they are: a hundred at once would all find them
    unspent. `spending` has the nonces of those that are under way. Raises TokenSpent.
    """
    nonces = {token.nonce for token in spend.tokens} if len(spend.tokens) > INLINE_TOKENS else set()
    if nonces & spending:
        raise TokenSpent
    spending |= nonces
    try:
        yield
    finally:
        spending -= nonces


def _good(context: Context, purpose: Purpose, spend: wire.Spend) -> int:
    """How many tokens were made with the purpose's key for this request, up to the first that was not."""
    for n, token in enumerate(spend.tokens):
        (output,) = context.keys.token_key(purpose, token.epoch).output([token.nonce])
        if not hmac.compare_digest(use_of(output, spend.body), token.mac):
            return n
    return len(spend.tokens)


def _check_epoch(context: Context, epoch: int) -> None:
    if not 0 <= context.token_epoch - epoch <= 1:
        raise TokenExpired


async def _check_unspent(tx: Tx, tokens: Sequence[Spent]) -> None:
    """Some 5 us a token."""
    for token in tokens:
        if await tx.row("SELECT 1 FROM token_spent WHERE key = $1", token.key) is not None:
            raise TokenSpent


async def take(tx: Tx, tokens: Sequence[Spent]) -> bool:
    """Mark tokens as spent; whether all of them were already, on the very same request.

    TOKEN-09 none was spent on another request (TokenSpent).
    """
    repeated = 0
    for token in tokens:
        inserted = await tx.run(
            "INSERT INTO token_spent (key, use, epoch) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", *token
        )
        if not inserted:
            row = await tx.row("SELECT use FROM token_spent WHERE key = $1", token.key)
            if row is None or not hmac.compare_digest(cast("bytes", row[0]), token.use):
                raise TokenSpent
            repeated += 1
    return repeated == len(tokens)


# --- forgetting -----------------------------------------------------------------------------------


async def expire(tx: Tx, first_byte: int, week: int, generation: int) -> None:
    """Forget a slice of what was spent under keys that no step of the clock brings into use again, of any generation
    before, and of allowances long not used, or of a week that the clock was in only by being quite wrong.
    """
    above, below = bytes([first_byte]), bytes([first_byte, *b"\xff" * 64])
    in_use = epoch_of(week - STEP_WEEKS, generation) - 1
    await tx.run("DELETE FROM token_spent WHERE key >= $1 AND key <= $2 AND epoch < $3", above, below, in_use)
    await tx.run(
        "DELETE FROM token_quota WHERE phone_tag >= $1 AND phone_tag <= $2 AND (week <= $3 OR week > $4)",
        above, below, week - QUOTA_WEEKS, week + STEP_WEEKS,
    )  # fmt: skip
