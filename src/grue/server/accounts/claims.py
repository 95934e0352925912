"""Claims of a number that somebody else's device still uses: each is held for a week, and the old device is told.

An SMS alone is not enough then, and not for ever too little: who proves by SMS twice, a week apart, has the number.
"""

from typing import Final, cast

from grue.errors import NoClaim, NotPermitted
from grue.protocol import wire
from grue.protocol.registration import CLAIMS, HOLD_DAYS, ClaimEvent, ClaimState, claim_name
from grue.protocol.states import advance
from grue.server.store.interface import Tx

CLAIM_DAYS: Final = 30
"""Days after its hold in which a claim can be ended by the second proof; then it is forgotten."""


async def claim(tx: Tx, tag: bytes, identity: bytes, device_list: bytes, today: int, *, may_begin: bool) -> int | None:
    """The day until which a proven claim is held; None when the hold is over, and the number is the claimant's.

    A new claim begins only where it `may_begin`. Raises NotPermitted where there is none, and it may not.
    """
    sql = "SELECT until_day, objected FROM claim WHERE phone_tag = $1 AND identity_pub = $2"
    row = await tx.row(sql, tag, identity)
    if row is None:
        if not may_begin:
            raise NotPermitted
        await tx.run(
            "INSERT INTO claim (phone_tag, identity_pub, device_list, until_day, objected) VALUES ($1, $2, $3, $4, 0)",
            tag,
            identity,
            device_list,
            today + HOLD_DAYS,
        )
        return today + HOLD_DAYS
    until, objected = cast("tuple[int, int]", row)
    state = advance(CLAIMS, _state(until, objected, today), ClaimEvent.PROVED)
    return None if state is ClaimState.TAKEN else until


async def held(tx: Tx, account: bytes, today: int) -> list[wire.NumberClaim]:
    """Who wants an account's number, as its device is told: first those to which it may still object.

    A day that has passed says that it may happen at any moment: a device that was away for a week is told then.
    """
    rows = await tx.rows(
        "SELECT identity_pub, until_day, objected FROM claim WHERE (until_day > $2 OR objected = 0) AND"
        " phone_tag = (SELECT phone_tag FROM account WHERE account = $1) ORDER BY objected, until_day LIMIT $3",
        account,
        today,
        wire.MAX_CLAIMS,
    )
    found = cast("list[tuple[bytes, int, int]]", rows)
    return [wire.NumberClaim(claim_name(identity), until, bool(objected)) for identity, until, objected in found]


async def answer(tx: Tx, account: bytes, name: bytes, release: bool, today: int) -> None:
    """The old device lets go of its number, or objects; REGISTRATION-10 to the claim that it names, and once.

    An objection begins the claim's hold anew. Raises NoClaim when none of that name is held that it could answer so:
    what was meant for one claim never meets another.
    """
    row = await tx.row("SELECT phone_tag FROM account WHERE account = $1", account)
    tag = cast("bytes", row[0]) if row is not None else b""
    event = ClaimEvent.RELEASED if release else ClaimEvent.OBJECTED
    rows = await tx.rows("SELECT identity_pub, until_day, objected FROM claim WHERE phone_tag = $1", tag)
    for identity, until, objected in cast("list[tuple[bytes, int, int]]", rows):
        state = _state(until, objected, today)
        if claim_name(identity) != name or event not in CLAIMS[state] or (objected and not release):
            continue
        after = advance(CLAIMS, state, event)
        await tx.run(
            "UPDATE claim SET until_day = $3, objected = $4 WHERE phone_tag = $1 AND identity_pub = $2",
            tag,
            identity,
            today + HOLD_DAYS if after is ClaimState.OBJECTED else today,
            # There is no more to answer.
            1,
        )
        return
    raise NoClaim


async def forget(tx: Tx, tag: bytes) -> None:
    """The number has another owner, or none: what was claimed of the one before is settled."""
    await tx.run("DELETE FROM claim WHERE phone_tag = $1", tag)


async def expire(tx: Tx, today: int) -> None:
    """Remove claims that nobody came back for."""
    await tx.run("DELETE FROM claim WHERE until_day <= $1", today - CLAIM_DAYS)


def _state(until: int, objected: int, today: int) -> ClaimState:
    if until <= today:
        return ClaimState.OPEN
    return ClaimState.OBJECTED if objected else ClaimState.HELD
