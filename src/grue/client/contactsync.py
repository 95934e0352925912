"""Look the whole address book up: new numbers evaluated in batches, all of them searched for in the own copy.

The server sees how many batches there are, and how large; in tier 2 also how many queries, one a number and epoch.
They depend on how many numbers there are and are new here, and on nothing that is found: everything is asked before
anything is searched for, and the search asks nobody.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from grue.client import contacts, gossip, private, rows
from grue.client.contacts import SYNCING, Contact
from grue.client.context import Context
from grue.client.directory import RESTARTS, Copy, copy_of, remember
from grue.client.store import Db
from grue.errors import BadDirectory, BadRecord, EpochEnded, GrueError, LimitReached, NotAGrueServer
from grue.protocol import wire
from grue.protocol.addressbook import BATCH, Batch, padded
from grue.protocol.directory_sync import Current, Known
from grue.protocol.fallback import Route
from grue.protocol.lookup import look
from grue.protocol.pir import PRIVATE_TIER
from grue.protocol.record import derive
from grue.protocol.tokens import Purpose

RESERVE: Final = 50
"""Lookup tokens that a sync leaves, so that a number that is typed can be looked up all the same."""

ROUND: Final = 10
"""Batches that are evaluated before their numbers are asked for by private queries: an address book of 500 at once."""

CHECKED_AT_ONCE: Final = 500
"""Numbers searched for in one transaction of the store, some 50 ms, so that messages do not wait."""

Progress = Callable[[int, int], None]
"""Told how many of how many new numbers have been evaluated."""


@dataclass(frozen=True)
class Synced:
    """What is known of the address book now."""

    contacts: int
    evaluated: int
    """New numbers in this run. Those known before asked nobody anything."""
    encrypted: int
    sms: int
    unknown: int
    left: int
    """Numbers that could not be evaluated yet, or in tier 2 not be asked for in this epoch of the directory."""
    retry_after: int
    """Seconds until the server allows more; 0 when none are left. It goes on by itself, with the daily round."""
    news: list[Contact]
    """Whose route is another one than when it was checked before, each told once."""


async def sync(context: Context, progress: Progress | None = None) -> Synced:
    """Look up what is new and check all. What was evaluated is kept, whatever ends it.

    A limit is a result, not an error: see `Synced.left`. Raises NetworkError, VerificationFailed, ..., after it has
    checked what it can.
    """
    await context.store.transact(rows.put_meta, SYNCING, True)
    evaluated, failure = await _sync(context, progress)
    if failure is not None and not isinstance(failure, LimitReached):
        raise failure
    epoch = await _oprf_epoch(context)
    left = await context.store.read(_left, epoch) + await context.store.read(_unasked, await context.directory.known())
    news = await context.store.transact(contacts.take_news)
    routes = [contact.route for contact in await context.store.read(contacts.everybody)]
    return Synced(
        contacts=len(routes),
        evaluated=evaluated,
        encrypted=routes.count(Route.ENCRYPTED),
        sms=routes.count(Route.SMS),
        unknown=routes.count(Route.UNKNOWN),
        left=left,
        retry_after=failure.retry_after if failure is not None and left else 0,
        news=news,
    )


async def resume(context: Context) -> None:
    """Go on by itself, once a day, after a first `sync`. What has changed is told by the next one. Raises as `sync`."""
    if await context.store.read(rows.get_meta, SYNCING, bool):
        _, failure = await _sync(context, None)
        if failure is not None and not isinstance(failure, LimitReached):
            raise failure


@dataclass
class _Run:
    """How far a sync has come with the numbers that are new."""

    progress: Progress | None
    evaluated: int = 0
    left: int = 0

    def tell(self) -> None:
        if self.progress is not None:
            self.progress(self.evaluated, self.evaluated + self.left)

    def took(self, count: int) -> None:
        self.evaluated, self.left = self.evaluated + count, max(0, self.left - count)


async def _sync(context: Context, progress: Progress | None) -> tuple[int, GrueError | None]:
    """How many were evaluated, and what ended it early."""
    run = _Run(progress)
    failure: GrueError | None = None
    for _ in range(RESTARTS):
        current, failure = await context.directory.current(), None
        try:
            await _ask(context, current, run)
        except EpochEnded as ended:
            # The base that was asked is there no more; what was evaluated serves in the next.
            failure = ended
            continue
        except GrueError as error:
            failure = error
        break
    if run.evaluated:
        run.tell()
    await _check(context, current)
    return run.evaluated, failure


async def _ask(context: Context, current: Current, run: _Run) -> None:
    """Evaluate what is new; and in tier 2 ask for all that was not asked for in this epoch."""
    epoch = current.manifest.contents.oprf_epoch
    run.left, in_row = await context.store.read(_left, epoch), 0
    await _retrieve(context, current)
    while numbers := await context.store.read(_new, epoch):
        run.tell()
        in_row = in_row or await _batches(context, current, run.left)
        outputs = await _evaluate(context, current, numbers)
        await context.store.note(remember, current, outputs)
        run.took(len(outputs))
        in_row -= 1
        if not in_row:
            await _retrieve(context, current)
    await _retrieve(context, current)


async def _batches(context: Context, current: Current, left: int) -> int:
    """How many batches to evaluate in a row.

    In tier 2 as many as there are tokens for, a query for each of their numbers included: so that an allowance that
    ends gives answers, and not evaluations alone.
    """
    if current.tier != PRIVATE_TIER:
        return ROUND
    wanted = min(left, ROUND * BATCH)
    paid = (await context.purse.gather(Purpose.LOOKUP, 2 * wanted + RESERVE) - RESERVE) // 2
    return ROUND if paid >= wanted else max(1, paid // BATCH)


async def _evaluate(context: Context, current: Current, numbers: list[str]) -> dict[str, bytes]:
    await context.purse.stock(Purpose.LOOKUP, padded(len(numbers)) + RESERVE)
    batch = Batch(current, numbers, context.random)
    answer = await context.purse.ask(batch.request())
    if not isinstance(answer, wire.Evaluated):
        raise NotAGrueServer
    return batch.evaluated(answer)


async def _retrieve(context: Context, current: Current) -> None:
    """In tier 2: ask for every number whose output is known, once in each of the directory's epochs."""
    if current.tier != PRIVATE_TIER:
        return
    tags = await context.store.read(_tags, current)
    for at in range(0, len(tags), wire.MAX_QUERIES):
        some = tags[at : at + wire.MAX_QUERIES]
        if await context.store.read(private.missing, current.manifest.contents.epoch, some):
            await context.purse.stock(Purpose.LOOKUP, len(some) + RESERVE)
            await context.directory.retrieve(current, some)


async def _check(context: Context, current: Current) -> None:
    """Search the copy for every number whose output is known. Asks nobody."""
    after: str | None = ""
    for left in reversed(range(RESTARTS)):
        try:
            while after is not None:
                after = await context.store.note(_check_some, current, after, int(context.clock()))
        except EpochEnded:
            # Another process of this home was faster: what is evaluated serves in its copy, if the key is the same.
            if not left:
                raise
            current = await context.directory.current()


async def _oprf_epoch(context: Context) -> int:
    known = await context.directory.known()
    return known.manifest.contents.oprf_epoch if known is not None else 0


# --- in transactions ------------------------------------------------------------------------------


def _left(db: Db, epoch: int) -> int:
    row = db.row(
        "SELECT count(*) FROM contact LEFT JOIN evaluation AS e ON e.number = contact.number AND e.oprf_epoch = ?"
        " WHERE e.number IS NULL",
        epoch,
    )
    return cast("int", row[0]) if row is not None else 0


def _unasked(db: Db, known: Known | None) -> int:
    """How many are evaluated, and in tier 2 not asked for in this epoch."""
    if known is None or known.tier != PRIVATE_TIER:
        return 0
    return len(private.missing(db, known.manifest.contents.epoch, _tags(db, known)))


def _tags(db: Db, current: Known) -> list[bytes]:
    """Of all numbers whose output is known, in the order of the tags, which says nothing."""
    found = db.rows(
        "SELECT output FROM contact JOIN evaluation AS e ON e.number = contact.number AND e.oprf_epoch = ?",
        current.manifest.contents.oprf_epoch,
    )
    return sorted(derive(cast("bytes", row[0])).tag for row in found)


def _new(db: Db, epoch: int) -> list[str]:
    """The next batch, by chance: so two processes of this home that are at it hardly pay for the same numbers."""
    found = db.rows(
        "SELECT contact.number FROM contact LEFT JOIN evaluation AS e ON e.number = contact.number"
        " AND e.oprf_epoch = ? WHERE e.number IS NULL ORDER BY random() LIMIT ?",
        epoch,
        BATCH,
    )
    return [cast("str", row[0]) for row in found]


def _check_some(db: Db, current: Current, after: str, now: int) -> str | None:
    """Check some numbers in their order, and note what was found; returns the last one, None at the end.

    Raises SplitDirectory, when a message that was read meanwhile has shown another face of the directory; EpochEnded,
    when the store holds another copy by now.
    """
    gossip.check_whole(db)
    found = cast(
        "list[tuple[str, str, bytes]]",
        db.rows(
            "SELECT contact.number, contact.route, output FROM contact JOIN evaluation AS e"
            " ON e.number = contact.number AND e.oprf_epoch = ? WHERE contact.number > ?"
            " ORDER BY contact.number LIMIT ?",
            current.manifest.contents.oprf_epoch, after, CHECKED_AT_ONCE,
        ),
    )  # fmt: skip
    copy = copy_of(db, current)
    for number, before, output in found:
        if (route := _route(copy, number, output, now)) is not None:
            _note(db, number, Route(before), route, now)
    return found[-1][0] if found else None


def _route(copy: Copy, number: str, output: bytes, now: int) -> Route | None:
    """None where the list keeps what it knew."""
    try:
        return look(copy.current, number, output, copy.find, now).route
    except (BadRecord, BadDirectory):
        # Of this number nothing is known; the others are as they are.
        return Route.UNKNOWN
    except EpochEnded:
        # Tier 2, and not asked for yet in this epoch.
        return None


def _note(db: Db, number: str, before: Route, route: Route, now: int) -> None:
    if route is before or Route.UNKNOWN in (route, before):
        db.execute("UPDATE contact SET route = ?, checked = ? WHERE number = ?", route.value, now, number)
    else:
        sql = "UPDATE contact SET route = ?, checked = ?, changed = ?, news = 1 WHERE number = ?"
        db.execute(sql, route.value, now, now, number)
