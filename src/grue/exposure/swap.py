"""The features of the swap game: everything in a snapshot of a server's disk that can be counted, as named numbers.

The adversary has all that is at rest and the operator's keys, and so knows the tag of every person in the game. The
code names no table and no column, so it counts what is new in the schema as well.
"""

import struct
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path
from typing import Final, TypeAlias

from grue.exposure.scanner.rest import Table, tables
from grue.exposure.scanner.snapshot import MAGIC, databases_in, whole

Features: TypeAlias = dict[str, float]
"""By name; what is not there counts as 0. The name begins with the group, up to the first colon."""

ROWS: Final = "rows"
"""What SQLite reads: counts, values, lengths, the order of the rows."""
JOINED: Final = "joined"
"""What belongs to the people of the game: rows that the tag of their number leads to."""
DISK: Final = "disk"
"""Bytes: files, pages, what is free, the write-ahead log, where on the disk a row lies."""
SEARCH: Final = "search"
"""What a search for the people's numbers finds, in every form and under every key."""

ENDS: Final = 8
"""Rows at the beginning and at the end of a table whose values are looked at one by one."""

NAMES: Final = 8
"""Bytes from which on a value names something, so that two rows with it belong together."""

LONG: Final = 1024
"""Bytes of a value whose end may lie on another page than its beginning."""

CLOSE: Final = 1 << 15
"""Bytes, four pages: two rows of one table are mostly no further apart."""

FRAMES: Final = 32
"""Frames of the write-ahead log whose pages are looked at one by one."""

_WAL_HEADER, _FRAME_HEADER = 32, 24

Row: TypeAlias = tuple[object, ...]


@dataclass(frozen=True)
class Snapshot:
    """A server's data at one moment."""

    files: Mapping[str, bytes]
    """As they lie there."""
    database: bytes
    """The database with its log written back."""
    tables: Sequence[Table]


def snapshot(data: Path) -> Snapshot:
    """Read what is there; the server may be running."""
    files = {str(path.relative_to(data)): path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file()}
    databases = databases_in(files)
    read = [table for one in databases for table in tables(one)]
    return Snapshot(files, b"".join(map(whole, databases)), read)


def features(one: Snapshot, people: Mapping[str, Sequence[bytes]]) -> Features:
    """Everything countable. `people` are the names by which the players know each person, the tag first of all."""
    places = {table.name: _places(one.database, table) for table in one.tables}
    found: Features = {}
    for table in one.tables:
        found |= _table(table)
        found |= _on_disk(table, places[table.name])
    found |= _files(one.files)
    found |= _people(one, people, places)
    return found


# --- tables ---------------------------------------------------------------------------------------


def _table(table: Table) -> Features:
    found: Features = {f"{ROWS}: {table.name}": len(table.rows)}
    for head, values in _columns(table):
        name = f"{ROWS}: {table.name}.{head}"
        numbers = _numbers(values)
        found |= _summary(name, numbers)
        found[f"{name}, different"] = len(set(values))
        found |= _ends(f"{name} in order", numbers)
    return found


def _columns(table: Table) -> Iterator[tuple[str, Sequence[object]]]:
    return zip(table.heads, zip(*table.rows, strict=True), strict=False) if table.rows else iter(())


def _numbers(values: Sequence[object]) -> list[float]:
    """A column as numbers: integers as they are; of the rest the length, and which earlier row has the same."""
    first: dict[object, int] = {}
    numbers = []
    for at, value in enumerate(values):
        if isinstance(value, int | float):
            numbers.append(float(value))
        else:
            earlier = first.setdefault(value, at)
            length = len(value) if isinstance(value, bytes | str) else -1
            numbers.append(length if earlier == at else -2.0 - earlier)
    return numbers


def _summary(name: str, numbers: Sequence[float]) -> Features:
    if not numbers:
        return {}
    return {
        f"{name}, sum": sum(numbers),
        f"{name}, least": min(numbers),
        f"{name}, most": max(numbers),
        f"{name}, distinct": len(set(numbers)),
    }


def _ends(name: str, numbers: Sequence[float]) -> Features:
    begin = {f"{name}, {at}": value for at, value in enumerate(numbers[:ENDS])}
    return begin | {
        f"{name}, {at - ENDS}": value for at, value in enumerate(numbers[-ENDS:], ENDS - len(numbers[-ENDS:]))
    }


# --- the disk -------------------------------------------------------------------------------------


def _places(database: bytes, table: Table) -> list[tuple[int, int]]:
    """Where each row's beginning and its end lie; -1 where they cannot be found."""
    begins = _find(database, map(_needle, table.rows))
    ends = _find(database, map(_tail, table.rows))
    return list(zip(begins, ends, strict=True))


def _find(data: bytes, needles: Iterable[bytes]) -> list[int]:
    """Where each of a table's values lies. One mostly lies close to the one before, so that is looked at first."""
    found, last = [], 0
    for needle in needles:
        at = data.find(needle, max(0, last - CLOSE), last + CLOSE) if needle else -1
        if needle and at < 0:
            at = data.find(needle)
        found.append(at)
        last = max(at, 0) or last
    return found


def _needle(row: Row) -> bytes:
    """The first values that lie side by side and are long enough to be nowhere else."""
    run = b""
    for value in row:
        if isinstance(value, bytes | str):
            run += value if isinstance(value, bytes) else value.encode()
        elif value is not None:
            if len(run) >= 2 * NAMES:
                break
            run = b""
    return run[:64] if len(run) >= NAMES else b""


def _tail(row: Row) -> bytes:
    """The end of a value that is too long for its page."""
    return next(
        (value[-2 * NAMES :] for value in reversed(row) if isinstance(value, bytes) and len(value) >= LONG), b""
    )


def _on_disk(table: Table, places: Sequence[tuple[int, int]]) -> Features:
    """The values of the rows in the order in which they lie on the disk: whatever came last lies lowest on its page."""
    order = sorted(range(len(places)), key=lambda at: places[at][0])
    found: Features = {}
    for head, values in _columns(table):
        found |= _ends(f"{DISK}: {table.name}.{head} as it lies", _numbers([values[at] for at in order]))
    return found


def _files(files: Mapping[str, bytes]) -> Features:
    found: Features = {f"{DISK}: files": len(files)}
    for name, data in files.items():
        found[f"{DISK}: {name}, bytes"] = len(data)
        found[f"{DISK}: {name}, zeros"] = data.count(0)
        if data.startswith(MAGIC):
            found |= _database_file(name, data)
        elif name.endswith("-wal"):
            found |= _log(name, data)
    return found


def _database_file(name: str, data: bytes) -> Features:
    """SQLite's header, which counts pages, free ones and changes; and how many pages there are of each kind."""
    fields = struct.unpack(">21I", data[16:100])
    found: Features = {f"{DISK}: {name}, header {16 + 4 * at}": value for at, value in enumerate(fields)}
    page = fields[0] >> 16 or 1 << 16
    kinds = Counter(data[at] for at in range(page, len(data), page))
    return found | {f"{DISK}: {name}, pages of kind {kind}": count for kind, count in kinds.items()}


def _log(name: str, data: bytes) -> Features:
    """Which pages were written, in order: what was written back lies there until the log is cut."""
    pages = _frames(data)
    found: Features = {f"{DISK}: {name}, frame {at}": page for at, (page, _) in enumerate(pages[:FRAMES])}
    found[f"{DISK}: {name}, frames"] = len(pages)
    found[f"{DISK}: {name}, pages"] = len({page for page, _ in pages})
    found[f"{DISK}: {name}, commits"] = sum(commits > 0 for _, commits in pages)
    return found


def _frames(data: bytes) -> list[tuple[int, int]]:
    if len(data) < _WAL_HEADER:
        return []
    step = int.from_bytes(data[8:12], "big") + _FRAME_HEADER
    starts = range(_WAL_HEADER, len(data) - step + 1, step)
    return [struct.unpack(">II", data[at : at + 8]) for at in starts]


# --- people ---------------------------------------------------------------------------------------


def _people(
    one: Snapshot, people: Mapping[str, Sequence[bytes]], places: Mapping[str, Sequence[tuple[int, int]]]
) -> Features:
    """What belongs to each person, by how much one has more than the other, and what two have in common."""
    index = _index(one.tables)
    reached = {person: _reached(one.tables, index, names) for person, names in people.items()}
    logs = [data for name, data in one.files.items() if name.endswith("-wal")]
    each = {
        person: _person(one.tables, rows, places) | _in_logs(one.tables, rows, names_of, logs)
        for (person, rows), names_of in zip(reached.items(), people.values(), strict=True)
    }
    found = {
        f"{group}: {what} of {person}": value for person, mine in each.items() for (group, what), value in mine.items()
    }
    for some, other in combinations(people, 2):
        for group, what in each[some].keys() | each[other].keys():
            difference = each[some].get((group, what), 0.0) - each[other].get((group, what), 0.0)
            found[f"{group}: {what} of {some} less {other}"] = difference
        found[f"{JOINED}: rows of both {some} and {other}"] = len(reached[some] & reached[other])
    return found


_At: TypeAlias = tuple[int, int]
"""A table and a row of it."""


def _index(read: Sequence[Table]) -> dict[object, list[_At]]:
    index: defaultdict[object, list[_At]] = defaultdict(list)
    for number, table in enumerate(read):
        for at, row in enumerate(table.rows):
            for name in _named(row):
                index[name].append((number, at))
    return index


def _named(row: Row) -> Iterator[object]:
    return (value for value in row if isinstance(value, bytes | str) and len(value) >= NAMES)


def _reached(read: Sequence[Table], index: Mapping[object, Sequence[_At]], names: Iterable[object]) -> set[_At]:
    """Rows that share a value with a row that was reached, and so on."""
    reached: set[_At] = set()
    waiting = list(names)
    known = set(waiting)
    while waiting:
        for table, at in index.get(waiting.pop(), ()):
            reached.add((table, at))
            more = set(_named(read[table].rows[at])) - known
            known |= more
            waiting += more
    return reached


def _person(
    read: Sequence[Table], reached: set[_At], places: Mapping[str, Sequence[tuple[int, int]]]
) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    by_table: defaultdict[int, list[int]] = defaultdict(list)
    for number, at in sorted(reached):
        by_table[number].append(at)
    for number, rows in by_table.items():
        table = read[number]
        found[JOINED, table.name] = len(rows)
        mine = Table(table.name, table.heads, [table.rows[at] for at in rows])
        for head, values in _columns(mine):
            for what, value in _summary(f"{table.name}.{head}", _numbers(values)).items():
                found[JOINED, what] = value
        found[JOINED, f"{table.name}, place in order"] = sum(rows) / len(rows)
        for which in (0, 1):
            found |= _lie([places[table.name][at][which] for at in rows], f"{table.name}, {('begin', 'end')[which]}")
    return found


def _lie(at: Sequence[int], name: str) -> dict[tuple[str, str], float]:
    """How rows lie that belong together: where, how far apart, and how often out of order."""
    known = [place for place in at if place >= 0]
    if not known:
        return {}
    return {
        (DISK, f"{name}, first"): min(known),
        (DISK, f"{name}, last"): max(known),
        (DISK, f"{name}, spread"): max(known) - min(known),
        (DISK, f"{name}, out of order"): sum(one > other for one, other in pairwise(known)),
    }


def _in_logs(
    read: Sequence[Table], reached: set[_At], names: Iterable[bytes], logs: Sequence[bytes]
) -> dict[tuple[str, str], float]:
    """How often the log has what names a person, the page that it lies on written once more each time."""
    short = {value for table, at in reached for value in _named(read[table].rows[at]) if len(str(value)) <= LONG}
    values = [value for value in (*names, *short) if isinstance(value, bytes) and len(value) <= 64]
    return {(DISK, "names in the log"): sum(log.count(value) for log in logs for value in set(values))}
