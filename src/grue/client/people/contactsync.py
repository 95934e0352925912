"""A sync looks the whole address book up: it evaluates new numbers in batches, and searches the own copy for all.

The server sees how many batches there are, and how large; in tier 2 also how many queries, one a number and epoch as
far as the allowance goes: for new numbers first, and then for those that were asked for longest ago. They depend on how
many numbers there are, are new here, and were asked for, and on nothing that is found: everything is asked before
anything is searched for, and the search asks nobody.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

from grue.client.context import Context
from grue.client.lookup import gossip, pir
from grue.client.lookup.directory import RESTARTS, Copy, copy_of, remember
from grue.client.people import tables
from grue.client.people.tables import SYNCING, Contact
from grue.client.store.engine import Db
from grue.client.store.entries import get_meta, put_meta
from grue.errors import BadDirectory, BadRecord, EpochEnded, GrueError, LimitReached, NotAGrueServer
from grue.protocol import wire
from grue.protocol.conversation.fallback import Route
from grue.protocol.directory.addressbook import BATCH, Batch, padded
from grue.protocol.directory.directory_sync import Current, Known
from grue.protocol.directory.lookup import look
from grue.protocol.directory.pir import PRIVATE_TIER
from grue.protocol.directory.record import derive
from grue.protocol.tokens import Purpose

RESERVE: Final = 50
"""Lookup tokens that a sync leaves, so that a number that is typed can be looked up all the same."""

ROUND: Final = 10
"""Batches that are evaluated before their numbers are asked for by private queries: an address book of 500 at once."""

CHECKED_AT_ONCE: Final = 500
"""Numbers searched for in one transaction of the store, some 50 ms, so that messages do not wait."""

Progress = Callable[[int, int], None]
"""Told how many of how many steps are done: each new number's evaluation, and in tier 2 each number's private query."""


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
    """Numbers of which nothing is known, for they could not be asked for yet."""
    earlier: int
    """Numbers whose earlier result still stands, with its date, for they could not be asked for again yet: in tier 2 in
    this epoch of the directory, in either after a change of the server's key for lookups."""
    retry_after: int
    """Seconds until the server allows more; 0 when none are left and no check is an earlier one. It goes on by itself,
    with the daily round."""
    news: list[Contact]
    """Whose route is another one than when it was checked before, each told once."""


async def sync(context: Context, progress: Progress | None = None) -> Synced:
    """Look up what is new and check all. What was evaluated is kept, whatever ends it.

    A limit is a result, not an error: see `Synced.left`. Raises NetworkError, VerificationFailed, ..., after it has
    checked what it can.
    """
    await context.store.transact(put_meta, SYNCING, True)
    evaluated, failure = await _sync(context, progress)
    if failure is not None and not isinstance(failure, LimitReached):
        raise failure
    left, earlier = await context.store.read(_behind, await context.directory.known())
    news = await context.store.transact(tables.take_news)
    routes = [contact.route for contact in await context.store.read(tables.everybody)]
    return Synced(
        contacts=len(routes),
        evaluated=evaluated,
        encrypted=routes.count(Route.ENCRYPTED),
        sms=routes.count(Route.SMS),
        unknown=routes.count(Route.UNKNOWN),
        left=left,
        earlier=earlier,
        retry_after=failure.retry_after if failure is not None and left + earlier else 0,
        news=news,
    )


async def resume(context: Context) -> None:
    """Go on by itself, once a day, after a first `sync`. What has changed is told by the next one. Raises as `sync`."""
    if await context.store.read(get_meta, SYNCING, bool):
        _, failure = await _sync(context, None)
        if failure is not None and not isinstance(failure, LimitReached):
            raise failure


@dataclass
class _Run:
    """How far a sync has come."""

    progress: Progress | None
    evaluated: int = 0
    done: int = 0
    left: int = 0

    def begin(self, left: int) -> None:
        self.left = left
        if left:
            self._tell()

    def took(self, count: int) -> None:
        self.done, self.left = self.done + count, max(0, self.left - count)
        self._tell()

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress(self.done, self.done + self.left)


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
    await _check(context, current)
    return run.evaluated, failure


async def _ask(context: Context, current: Current, run: _Run) -> None:
    """Evaluate what is new; and in tier 2 ask for it, and then again for all that was not asked for in this epoch.

    In this order, since an epoch's allowance may be less than a large address book takes: what was looked up once keeps
    its result meanwhile, and what was not has none.
    """
    epoch, in_row = current.manifest.contents.oprf_epoch, 0
    run.begin(await context.store.read(_todo, current))
    await _retrieve(context, current, run, again=False)
    while numbers := await context.store.read(_new, epoch):
        in_row = in_row or await _batches(context, current)
        outputs = await _evaluate(context, current, numbers)
        await context.store.note(_learn, current, outputs)
        run.evaluated += len(outputs)
        run.took(len(outputs))
        in_row -= 1
        if not in_row:
            await _retrieve(context, current, run, again=False)
    await _retrieve(context, current, run, again=False)
    await _retrieve(context, current, run, again=True)


async def _batches(context: Context, current: Current) -> int:
    """How many batches to evaluate in a row.

    In tier 2 as many as there are tokens for, a query for each of their numbers included: so that an allowance that
    ends gives answers, and not evaluations alone.
    """
    if current.tier != PRIVATE_TIER:
        return ROUND
    wanted = min(await context.store.read(_left, current.manifest.contents.oprf_epoch), ROUND * BATCH)
    paid = (await context.tokens.gather(Purpose.LOOKUP, 2 * wanted + RESERVE) - RESERVE) // 2
    return ROUND if paid >= wanted else max(1, paid // BATCH)


async def _evaluate(context: Context, current: Current, numbers: list[str]) -> dict[str, bytes]:
    await context.tokens.stock(Purpose.LOOKUP, padded(len(numbers)) + RESERVE)
    batch = Batch(current, numbers, context.random)
    answer = await context.tokens.ask(batch.request())
    if not isinstance(answer, wire.Evaluated):
        raise NotAGrueServer
    return batch.evaluated(answer)


async def _retrieve(context: Context, current: Current, run: _Run, *, again: bool) -> None:
    """In tier 2: ask for every number whose output is known, once in each of the directory's epochs.

    again  those too that were asked for in an epoch before, those first for which that is longest ago
    """
    if current.tier != PRIVATE_TIER:
        return
    unasked = await context.store.read(_unasked, current, again)
    for at in range(0, len(unasked), wire.MAX_QUERIES):
        some = unasked[at : at + wire.MAX_QUERIES]
        await context.tokens.stock(Purpose.LOOKUP, len(some) + RESERVE)
        await context.directory.retrieve(current, [one.tag for one in some])
        await context.store.note(_asked, [one.number for one in some], int(context.clock()))
        run.took(len(some))


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


class _Evaluated(NamedTuple):
    """A number whose output is known."""

    asked: int
    """Unix seconds of the private query for it; 0: none yet. Kept apart from when it was checked, which depends on
    whether the overlay has it."""
    tag: bytes
    number: str


# --- in transactions ------------------------------------------------------------------------------


def _left(db: Db, epoch: int) -> int:
    row = db.row(
        "SELECT count(*) FROM contact LEFT JOIN evaluation AS e ON e.number = contact.number AND e.oprf_epoch = ?"
        " WHERE e.number IS NULL",
        epoch,
    )
    return cast("int", row[0]) if row is not None else 0


def _todo(db: Db, current: Known) -> int:
    """How many steps there are: evaluations, and in tier 2 a query for each number."""
    left = _left(db, current.manifest.contents.oprf_epoch)
    return 2 * left + len(_unasked(db, current, again=True)) if current.tier == PRIVATE_TIER else left


def _behind(db: Db, known: Known | None) -> tuple[int, int]:
    """How many numbers are yet to be asked for: those of which nothing is known, and those that were checked before."""
    if known is None:
        return tables.count(db), 0
    epoch = known.manifest.contents.oprf_epoch
    unasked = {one.number for one in _unasked(db, known, again=True)} if known.tier == PRIVATE_TIER else set()
    everybody = db.rows(
        "SELECT contact.number, checked, output FROM contact LEFT JOIN evaluation AS e"
        " ON e.number = contact.number AND e.oprf_epoch = ?",
        epoch,
    )
    behind = [checked for number, checked, output in everybody if output is None or number in unasked]
    earlier = sum(1 for checked in behind if checked)
    return len(behind) - earlier, earlier


def _unasked(db: Db, current: Known, again: bool) -> list[_Evaluated]:
    """What is evaluated and was not asked for in this epoch: what never was, and with `again` the rest.

    What was asked for longest ago comes first; else in the order of the tags, which says nothing.
    """
    found = cast(
        "list[tuple[str, bytes, int]]",
        db.rows(
            "SELECT contact.number, output, ifnull(asked.time, 0) FROM contact JOIN evaluation AS e"
            " ON e.number = contact.number AND e.oprf_epoch = ? LEFT JOIN asked ON asked.number = contact.number"
            " WHERE ? OR asked.time IS NULL",
            current.manifest.contents.oprf_epoch, again,
        ),
    )  # fmt: skip
    evaluated = sorted(_Evaluated(asked, derive(output).tag, number) for number, output, asked in found)
    missing = set(pir.missing(db, current.manifest.contents.epoch, [one.tag for one in evaluated]))
    return [one for one in evaluated if one.tag in missing]


def _asked(db: Db, numbers: Sequence[str], now: int) -> None:
    # What was forgotten meanwhile stays so.
    for number in numbers:
        db.execute("INSERT OR REPLACE INTO asked SELECT number, ? FROM contact WHERE number = ?", now, number)


def _learn(db: Db, current: Current, outputs: dict[str, bytes]) -> None:
    """Keep PRF outputs. Under a new key a number has another tag, which nobody was asked for."""
    remember(db, current, outputs)
    for number in outputs:
        db.execute("DELETE FROM asked WHERE number = ?", number)


def _new(db: Db, epoch: int) -> list[str]:
    """The next batch: what never was asked for, then what longest ago was, under a key that has ended.

    By chance where that is the same: so two processes of this home that are at it hardly pay for the same numbers.
    """
    found = db.rows(
        "SELECT contact.number FROM contact LEFT JOIN evaluation AS e ON e.number = contact.number"
        " AND e.oprf_epoch = ? LEFT JOIN asked ON asked.number = contact.number WHERE e.number IS NULL"
        " ORDER BY ifnull(asked.time, 0), random() LIMIT ?",
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
