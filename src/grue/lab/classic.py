"""The classic directory is asked, number by number, how a message goes, and keeps the questions.

It reproduces what is described of systems in use (`docs/exposure-lab.md` names the sources), so that everybody can see
what such a log says. It belongs to the lab: nothing that `grue serve` starts leads here. Never give it a real number.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, cast

import apsw

from grue.errors import UsageError
from grue.exposure.lives import DAY
from grue.exposure.records import Asked, Ordered, Return, Snapshot

WARNING: Final = (
    "This is a laboratory's reproduction of a directory that logs every number its users type. It is no part of a Grue "
    "server. Give it no real number."
)

KEPT_DAYS: Final = 30
"""How long such a log is kept, by its operator's own word; 25 is documented as well."""

STEPS: Final = (30, 60)
"""Days by which an order is extended at a time."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS asked (
    at REAL NOT NULL, account TEXT NOT NULL, address TEXT NOT NULL, number TEXT NOT NULL, devices INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS asked_account ON asked (account, at);
CREATE INDEX IF NOT EXISTS asked_at ON asked (at);
CREATE TABLE IF NOT EXISTS legal_order (
    id INTEGER PRIMARY KEY, target TEXT NOT NULL, begun REAL NOT NULL, until REAL NOT NULL);
CREATE INDEX IF NOT EXISTS order_target ON legal_order (target);
CREATE TABLE IF NOT EXISTS step (legal_order INTEGER NOT NULL, begun REAL NOT NULL, ended REAL NOT NULL);
CREATE TABLE IF NOT EXISTS preserved (
    legal_order INTEGER NOT NULL, at REAL NOT NULL, account TEXT NOT NULL, address TEXT NOT NULL, number TEXT NOT NULL,
    devices INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS preserved_order ON preserved (legal_order, at);
"""

_COLUMNS: Final = "at, account, address, number, devices"

Pen = Callable[[Asked], None]


class ClassicDirectory:
    """The directory with its log and its orders. `close` it."""

    def __init__(
        self,
        path: Path | None,
        registered: Iterable[str] = (),
        *,
        kept_days: int = KEPT_DAYS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        path        the log's database; None keeps it in memory
        registered  numbers that have the messenger
        Raises UsageError.
        """
        check_kept(kept_days)
        self._registered = set(registered)
        self._kept = kept_days * DAY
        self._clock = clock
        self._pens: defaultdict[str, list[Pen]] = defaultdict(list)
        try:
            self._database = apsw.Connection(str(path) if path is not None else ":memory:")
            self._database.execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL")
            self._database.execute(_SCHEMA)
        except apsw.Error:
            raise UsageError(f"{path} cannot be the log's database.") from None

    def close(self) -> None:
        self._database.close()

    # --- what clients ask -------------------------------------------------------------------------

    def ask(self, account: str, address: str, number: str) -> str:
        """`encrypted` or `sms`; and the question is in the log, whether or not a message follows."""
        devices = int(number in self._registered)
        asked = Asked(self._clock(), account, address, number, devices)
        self._database.execute(
            f"INSERT INTO asked ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)",  # noqa: S608 -- our own names
            (asked.at, account, address, number, devices),
        )
        for pen in self._pens[account]:
            pen(asked)
        return "encrypted" if devices else "sms"

    def sweep(self) -> int:
        """Delete what is older than it is kept for; returns how much. What an order asks for is set aside before."""
        now = self._clock()
        with self._database:
            self._set_aside(now - self._kept)
            self._database.execute("DELETE FROM asked WHERE at < ?", (now - self._kept,))
        return self._database.changes()

    # --- orders -----------------------------------------------------------------------------------

    def order(self, target: str, begun: float, days: int = 30) -> int:
        """Take an order for everything that `target` asks, from `begun` (Unix seconds) until `days` from now.

        What lies before is handed over as far as it is still kept. Orders may overlap; each has a return of its own. A
        target that was never seen is no error: its return is empty, and later questions fill it. Raises UsageError for
        a start in the future, or a number of days that is no step.
        """
        now = self._clock()
        if begun > now:
            raise UsageError("An order begins now or earlier.")
        _check_step(days)
        until = now + days * DAY
        with self._database:
            self._database.execute(
                "INSERT INTO legal_order (target, begun, until) VALUES (?, ?, ?)", (target, begun, until)
            )
            order = self._database.last_insert_rowid()
            self._database.execute("INSERT INTO step VALUES (?, ?, ?)", (order, begun, until))
        return order

    def extend(self, order: int, days: int) -> float:
        """Let an order go on for another step; returns until when. Raises UsageError."""
        _check_step(days)
        _, _, until = self._order(order)
        with self._database:
            self._database.execute("UPDATE legal_order SET until = ? WHERE id = ?", (until + days * DAY, order))
            self._database.execute("INSERT INTO step VALUES (?, ?, ?)", (order, until, until + days * DAY))
        return until + days * DAY

    def produce(self, order: int) -> Return:
        """The return of an order as of now: one snapshot for each step that has begun. Raises UsageError."""
        target, begun, until = self._order(order)
        now = self._clock()
        sql = "SELECT begun, ended FROM step WHERE legal_order = ? AND begun <= ? ORDER BY begun"
        steps = cast("list[tuple[float, float]]", self._database.execute(sql, (order, now)).fetchall())
        snapshots = [self._snapshot(order, target, step, now) for step in steps]
        responsive = any(snapshot.records for snapshot in snapshots)
        return Return(order, target, begun, until, now, responsive, snapshots, kept_from=now - self._kept)

    def orders(self) -> list[Ordered]:
        """Every order that was taken, the first one first."""
        rows = self._database.execute("SELECT id, target, begun, until FROM legal_order ORDER BY id").fetchall()
        return [Ordered(*row) for row in cast("list[tuple[int, str, float, float]]", rows)]

    def pen_register(self, target: str, pen: Pen) -> Callable[[], None]:
        """From now on, call `pen` with each number as `target` types it; returns what ends it."""
        self._pens[target].append(pen)
        return lambda: self._pens[target].remove(pen)

    # --- parts ------------------------------------------------------------------------------------

    def _order(self, order: int) -> tuple[str, float, float]:
        row = self._database.execute("SELECT target, begun, until FROM legal_order WHERE id = ?", (order,)).fetchone()
        if row is None:
            raise UsageError(f"There is no order {order}.")
        return str(row[0]), float(row[1]), float(row[2])

    def _set_aside(self, before: float) -> None:
        """Keep what orders ask for of what the sweep is about to delete."""
        self._database.execute(
            "INSERT INTO preserved SELECT o.id, a.at, a.account, a.address, a.number, a.devices FROM asked a"
            " JOIN legal_order o ON o.target = a.account AND a.at >= o.begun AND a.at < o.until WHERE a.at < ?",
            (before,),
        )

    def _snapshot(self, order: int, target: str, step: tuple[float, float], now: float) -> Snapshot:
        """What came from the step's beginning on and before its end, up to now: set aside, or still in the log."""
        begun, ended = step
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM preserved WHERE legal_order = ?1 AND at >= ?3 AND at < ?4"  # noqa: S608 -- our own
            f" UNION ALL SELECT {_COLUMNS} FROM asked WHERE account = ?2 AND at >= ?3 AND at < ?4 ORDER BY at",
            (order, target, begun, ended),
        ).fetchall()
        records = [Asked(*row) for row in cast("list[tuple[float, str, str, str, int]]", rows)]
        return Snapshot(begun, min(ended, now), records)


def check_kept(days: int) -> None:
    """Raises UsageError."""
    if days < 1:
        raise UsageError("The log is kept for a day at least.")


def _check_step(days: int) -> None:
    if days not in STEPS:
        raise UsageError(f"An order goes on in steps of {' or '.join(map(str, STEPS))} days.")
