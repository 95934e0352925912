"""The answer of a server to a demand about one number, read from its files, of which none is changed.

The rows are found by their values and not by a list of tables: a table or a column that is added shows up by itself,
described or not. From the number's tag on, every row that holds a known identifier is taken, and the identifiers in
it are followed in turn, with three exceptions that keep other people out:

- a value that other rows hold in the same column too is no identifier (after a restore, all mailboxes share one);
- of a row that is one of several under its key, only the key is followed: the rest may be of a stranger's making,
  as an envelope's id is;
- a row that names another account is shown when a key of the number's own stands in it, and leads no further.
"""

import fcntl
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final, cast

import apsw

from grue.errors import BadRecord, CorruptDatabase, UsageError, VerificationFailed
from grue.protocol.directory import directory
from grue.protocol.directory.directory import UnverifiedManifest
from grue.protocol.directory.record import NONCE_BYTES, RECORD_BYTES, TAG_BYTES, RecordKey, open_record
from grue.protocol.registration import CODE_WINDOW
from grue.protocol.wire import ENVELOPE_DAYS
from grue.server.accounts.codes import CODE_WINDOWS, COUNTED_WINDOWS, number_name
from grue.server.accounts.keypackages import LAST_RESORT_WEEKS, PACKAGE_WEEKS
from grue.server.accounts.registration import ACCOUNT_WEEKS
from grue.server.demands.demands import CANNOT, LIVE, Unanswerable
from grue.server.directory.directory import record_key
from grue.server.keys.keys import DIRECTORY, Keys, open_keys
from grue.server.mailboxes.mailboxes import MAILBOX_DAYS, MAILBOX_STEP
from grue.server.store.files import DATABASE, LOCK
from grue.server.store.interface import Value
from grue.server.store.schema import TABLES
from grue.server.store.sqlite import opened_to_read

IDENTIFIER_BYTES: Final = range(16, 65)
"""Bytes of what can name something: shorter values meet by chance, longer ones are contents."""

AT_ONCE: Final = 500
"""Identifiers in one statement: SQLite takes some thousands of parameters."""

NOT_DESCRIBED: Final = "(not described)"

_SAYS: Final = {(table.name, column.name): column.says for table in TABLES for column in table.columns}

_RECORD_SAYS: Final = {
    "place": "after how many other changes of the directory it came",
    "tag": "the phone number, to whoever also holds the directory's key",
    "nonce": "nothing: 12 random bytes",
    "state": "whether the record stands or was taken away",
    "intro_mailbox": "which mailbox takes this account's first contacts",
    "identity_pub": "the account to its contacts, who know this key",
    "device_list_hash": "nothing more: a hash of the device list",
    "flags": "nothing: none is in use",
}


@dataclass(frozen=True)
class HeldColumn:
    """One value of one row."""

    name: str
    value: str | int | float | None
    """Up to 64 bytes in hex; of what is longer, its size and the start of its SHA-256."""
    says: str
    date: str | None = None
    """What a day or a week is in the calendar."""
    means: str | None = None
    """What follows from a date of expiry."""
    others: int = 0
    """How many rows of others hold the same value there."""


@dataclass(frozen=True)
class HeldRow:
    table: str
    """Or the file, for a record of the directory."""
    columns: tuple[HeldColumn, ...]


@dataclass(frozen=True)
class Answer:
    """Everything that could be answered about a number, and what could not."""

    number: str
    registered: bool
    held: tuple[HeldRow, ...]
    live: tuple[str, ...]
    cannot: tuple[Unanswerable, ...]
    server_public: bytes
    served: bool
    """Whether the server was running."""
    made: datetime

    @property
    def fingerprint(self) -> str:
        """The server's public key, as SHA-256 in hex."""
        return sha256(self.server_public).hexdigest()


def gather(
    data: Path, number: str, directory_key: Path | None = None, clock: Callable[[], float] = time.time
) -> Answer:
    """Answer for an E.164 number from a server's directory, running or not.

    Reads every table once a step, some four steps: a second for a few 100 MB. Changes nothing and logs nothing.
    Raises UsageError (no such directory, no database, a key that is missing or another one), ForeignDatabase,
    CorruptDatabase.
    """
    served, keys = _is_served(data), _keys(data, directory_key)
    key = record_key(keys, number)
    records = list(_records(data / DIRECTORY, keys, key))
    with opened_to_read(data / DATABASE, served=served) as connection:
        names = [name for record in records for name in record.keys]
        search = _Search(connection, key.tag, [number_name(keys, number), *names])
        found = search.run()
    registered = any(row.table.name == "account" and key.tag in row.values for row in found)
    held = [_described(search, row) for row in found]
    held += [record.row for record in records]
    made = datetime.fromtimestamp(int(clock()), UTC)
    return Answer(number, registered, tuple(held), LIVE, CANNOT, keys.server_public, served, made)


def _keys(data: Path, directory_key: Path | None) -> Keys:
    """The keys of a directory in use; `open_keys` would make them in one that is not."""
    if not data.is_dir():
        raise UsageError("There is no such directory.")
    if not (data / DATABASE).exists() or not (data / DIRECTORY).is_dir():
        raise UsageError("There is no server's database in that directory.")
    return open_keys(data, directory_key)


def _is_served(data: Path) -> bool:
    """Whether a server holds the directory. Asked without waiting, and given back at once."""
    try:
        with (data / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


# --- the database ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Table:
    name: str
    columns: tuple[str, ...]
    key: frozenset[int]
    """Places of the columns in the primary key or a unique index; all of them where there is none."""
    names: frozenset[int]
    """Those that name a row by themselves."""


@dataclass(frozen=True)
class _Row:
    table: _Table
    values: tuple[Value, ...]


class _Search:
    """One closure over one snapshot."""

    def __init__(self, connection: apsw.Connection, tag: bytes, keys: Iterable[bytes]) -> None:
        self._connection = connection
        self._tag = tag
        self._tables = _tables(connection)
        self._known = dict.fromkeys([tag, *keys], True)
        """Identifiers, and whether they stood in a key or were mere values."""
        self._found: dict[_Row, None] = {}
        self._own: dict[str, set[Value]] = {}
        """Under which names the number's own rows are known: a row with another value there is somebody else's."""
        self._counts: dict[tuple[str, str, bytes], int] = {}
        """How many rows hold a value in a column."""

    def run(self) -> list[_Row]:
        """Every row found, in the order of `TABLES`, those of other tables last."""
        new = list(self._known)
        while new:
            rows = [row for table in self._tables for row in self._holding(table, new) if row not in self._found]
            if not self._found:
                self._note_names(rows)
            self._found |= dict.fromkeys(row for row in rows if not self._is_anothers(row) or self._has_key(row))
            new = self._followed()
        order = {table.name: n for n, table in enumerate(TABLES)}
        return sorted(self._found, key=lambda row: order.get(row.table.name, len(order)))

    def others(self, row: _Row, place: int) -> int:
        """How many rows that were not found hold the same value in the same column."""
        value = row.values[place]
        total = (
            self._counts.get((row.table.name, row.table.columns[place], value)) if isinstance(value, bytes) else None
        )
        if total is None:
            return 0
        return total - sum(one.table.name == row.table.name and one.values[place] == value for one in self._found)

    def _holding(self, table: _Table, identifiers: list[bytes]) -> Iterator[_Row]:
        columns = ", ".join(map(_quoted, table.columns))
        for part, among in _parts(identifiers):
            where = " OR ".join(f"{_quoted(column)} IN ({among})" for column in table.columns)
            sql = f"SELECT {columns} FROM {_quoted(table.name)} WHERE {where}"  # noqa: S608 -- names from the schema
            for values in self._connection.execute(sql, part):
                yield _Row(table, cast("tuple[Value, ...]", values))

    def _note_names(self, rows: Iterable[_Row]) -> None:
        for row in rows:
            for place in row.table.names if self._tag in row.values else ():
                self._own.setdefault(row.table.columns[place], set()).add(row.values[place])

    def _is_anothers(self, row: _Row) -> bool:
        return any(
            value is not None and column in self._own and value not in self._own[column]
            for column, value in zip(row.table.columns, row.values, strict=True)
        )

    def _has_key(self, row: _Row) -> bool:
        return any(isinstance(value, bytes) and self._known.get(value, False) for value in row.values)

    def _followed(self) -> list[bytes]:
        """The identifiers in what was found so far that are new, and of nobody else."""
        candidates = list(self._candidates())
        self._count(candidates)
        new: dict[bytes, bool] = {}
        for row, place, value in candidates:
            if not self.others(row, place):
                new[value] = new.get(value, False) or place in row.table.key
        self._known |= new
        return list(new)

    def _candidates(self) -> Iterator[tuple[_Row, int, bytes]]:
        for row in self._found:
            if self._is_anothers(row):
                continue
            alone = any(row.values[place] in self._known for place in row.table.names)
            for place in range(len(row.values)) if alone else sorted(row.table.key):
                value = row.values[place]
                if isinstance(value, bytes) and len(value) in IDENTIFIER_BYTES and value not in self._known:
                    yield row, place, value

    def _count(self, candidates: Iterable[tuple[_Row, int, bytes]]) -> None:
        wanted: dict[tuple[str, str], set[bytes]] = {}
        for row, place, value in candidates:
            column = row.table.columns[place]
            if (row.table.name, column, value) not in self._counts:
                wanted.setdefault((row.table.name, column), set()).add(value)
        for (table, column), values in wanted.items():
            for part, among in _parts(sorted(values)):
                one, where = _quoted(column), f"{_quoted(column)} IN ({among})"
                sql = f"SELECT {one}, count(*) FROM {_quoted(table)} WHERE {where} GROUP BY 1"  # noqa: S608 -- likewise
                for value, count in cast("Iterable[tuple[bytes, int]]", self._connection.execute(sql, part)):
                    self._counts[table, column, value] = count


def _parts(identifiers: list[bytes]) -> Iterator[tuple[list[bytes], str]]:
    for at in range(0, len(identifiers), AT_ONCE):
        part = identifiers[at : at + AT_ONCE]
        yield part, ", ".join(f"?{n}" for n in range(1, len(part) + 1))


def _tables(connection: apsw.Connection) -> list[_Table]:
    """Every table that is there, as the file itself says."""
    listed = connection.execute("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'")
    names = sorted(cast("str", name) for (name,) in listed.fetchall())
    return [_table(connection, name) for name in names if not name.startswith("sqlite_")]


def _table(connection: apsw.Connection, name: str) -> _Table:
    info = connection.execute("SELECT name, pk FROM pragma_table_xinfo(?)", (name,)).fetchall()
    columns = tuple(cast("str", column) for column, _ in info)
    keys = [[place for place, (_, pk) in enumerate(info) if pk]]
    for (index,) in connection.execute('SELECT name FROM pragma_index_list(?) WHERE "unique"', (name,)).fetchall():
        parts = connection.execute("SELECT cid FROM pragma_index_info(?)", (index,)).fetchall()
        keys.append([cast("int", cid) for (cid,) in parts if cast("int", cid) >= 0])
    key = frozenset(place for places in keys for place in places)
    return _Table(
        name, columns, key or frozenset(range(len(columns))), frozenset(one[0] for one in keys if len(one) == 1)
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


# --- values ---------------------------------------------------------------------------------------


def _described(search: _Search, row: _Row) -> HeldRow:
    by_name = dict(zip(row.table.columns, row.values, strict=True))
    return HeldRow(
        row.table.name,
        tuple(
            HeldColumn(
                name,
                shown(value),
                _SAYS.get((row.table.name, name), NOT_DESCRIBED),
                _date(name, value),
                _meaning(row.table.name, name, by_name),
                search.others(row, place),
            )
            for place, (name, value) in enumerate(by_name.items())
        ),
    )


def shown(value: Value) -> str | int | float | None:
    """A value as people read it."""
    if not isinstance(value, bytes):
        return value
    if len(value) < IDENTIFIER_BYTES.stop:
        return value.hex()
    return f"{len(value)} bytes, SHA-256 {sha256(value).hexdigest()[:16]}..."


def _date(name: str, value: Value) -> str | None:
    """Days, weeks and windows of ten minutes count from 1 January 1970; such a week begins on a Thursday."""
    unit = name.rpartition("_")[2]
    if unit not in ("window", "day", "week") or not isinstance(value, int):
        return None
    if unit == "window":
        return _minutes(value)
    return _span(value, value) if unit == "day" else _span(value * 7, value * 7 + 6)


def _meaning(table: str, name: str, row: dict[str, Value]) -> str | None:
    """What a date of expiry gives away: the day or week from which it was counted."""
    value = row[name]
    if name == "expires_window" and isinstance(value, int) and table in _WINDOWS:
        minutes = _minutes(value - _WINDOWS[table])
        return None if minutes is None else f"sent in the ten minutes from {minutes}"
    if name not in ("expires_day", "expires_week") or not isinstance(value, int):
        return None
    if table in ("account", "device"):
        return _since("last checked in", (value - ACCOUNT_WEEKS) * 7, 6)
    if table == "key_package":
        weeks = LAST_RESORT_WEEKS if row.get("last_resort") else PACKAGE_WEEKS
        return _since("begun", (value - weeks) * 7, 6)
    if table == "envelope":
        return _since("came", value - ENVELOPE_DAYS - 1, 1)
    if table == "mailbox":
        return _since("last used", value - MAILBOX_DAYS - MAILBOX_STEP, MAILBOX_STEP)
    return None


_WINDOWS: Final = {"code_sent": CODE_WINDOWS, "code_count": COUNTED_WINDOWS}
"""Windows that a row of a table lives."""


def _minutes(window: int) -> str | None:
    """When a window begins; None for what no calendar has."""
    try:
        return datetime.fromtimestamp(window * CODE_WINDOW, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return None


def _since(what: str, first: int, more: int) -> str | None:
    span = _span(first, first + more)
    return None if span is None else f"{what} {span}"


def _span(first: int, last: int) -> str | None:
    """Days in the calendar; None for what no calendar has."""
    try:
        days = [(date(1970, 1, 1) + timedelta(days=day)).isoformat() for day in (first, last)]
    except OverflowError:
        return None
    return days[0] if first == last else " to ".join(days)


# --- the directory's files ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Record:
    row: HeldRow
    keys: tuple[bytes, ...] = ()
    """What names the account's rows."""


def _records(path: Path, keys: Keys, key: RecordKey) -> Iterator[_Record]:
    """Everything under a tag in every edition that lies on the disk, changes that were superseded included."""
    epochs = sorted(int(folder.name) for folder in path.iterdir() if folder.name.isdecimal())
    for epoch in epochs:
        try:
            base, overlay = _files(path / str(epoch), keys)
        except FileNotFoundError:
            if epoch == epochs[-1]:
                raise CorruptDatabase(f"(a file of {path / str(epoch)} is missing)") from None
            # A running server has just dropped it.
            continue
        found = directory.find_in_base(base, key.tag)
        if found is not None:
            yield _opened(f"{DIRECTORY}/{epoch}/base", {}, found, key)
        length = len(overlay) // RECORD_BYTES
        for n, entry in enumerate(directory.entries(overlay[: length * RECORD_BYTES]), 1):
            if entry[:TAG_BYTES] == key.tag:
                yield _opened(f"{DIRECTORY}/{epoch}/overlay", {"place": f"change {n} of {length}"}, entry, key)


def _files(folder: Path, keys: Keys) -> tuple[bytes, bytes]:
    try:
        manifest = UnverifiedManifest((folder / "manifest").read_bytes()).verify(keys.server_public)
        if manifest.contents.oprf_public != keys.oprf.public:
            raise UsageError("The directory was made with another directory key. Give that one with --directory-key.")
        return directory.check_base((folder / "base").read_bytes(), manifest), (folder / "overlay").read_bytes()
    except VerificationFailed as error:
        raise CorruptDatabase(f"({type(error).__name__} in {folder})") from None


def _opened(file: str, place: dict[str, Value], entry: bytes, key: RecordKey) -> _Record:
    fields = place | {"tag": entry[:TAG_BYTES]}
    if directory.is_tombstone(entry):
        return _Record(_row(file, fields | {"state": "taken away"}))
    fields |= {"nonce": entry[TAG_BYTES : TAG_BYTES + NONCE_BYTES]}
    try:
        record = open_record(entry, key)
    except BadRecord:
        return _Record(_row(file, fields | {"state": "does not open"}))
    fields |= {
        "state": "stands",
        "intro_mailbox": record.intro_mailbox,
        "identity_pub": record.identity_public,
        "device_list_hash": record.device_list_hash,
        "flags": record.flags,
    }
    return _Record(_row(file, fields), (record.intro_mailbox,))


def _row(file: str, fields: dict[str, Value]) -> HeldRow:
    return HeldRow(file, tuple(HeldColumn(name, shown(value), _RECORD_SAYS[name]) for name, value in fields.items()))
