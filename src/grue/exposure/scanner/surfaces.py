"""Surfaces are all that bytes can lie on: files, databases with their pages and rows, logs, compressed streams, memory.

A surface is some bytes, and for every offset in them the name of what stands there.
"""

import bz2
import importlib
import lzma
import os
import re
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import apsw

from grue.errors import CorruptDatabase
from grue.exposure.scanner.rest import tables
from grue.exposure.scanner.snapshot import MAGIC, Snapshot, opened, snapshot
from grue.protocol.directory.record import RECORD_BYTES

DATABASE: Final = "database"
ROW: Final = "database row"
FREE_PAGE: Final = "free page"
WAL: Final = "write-ahead log"
SHM: Final = "index of the write-ahead log"
LOG: Final = "log"
TEMPORARY: Final = "temporary file"
KEY_FILE: Final = "key file"
DIRECTORY_FILE: Final = "directory file"
BLOB: Final = "part of an attachment"
CORE: Final = "core image"
NAME: Final = "file name"
FILE: Final = "file"
MEMORY: Final = "live memory"
IMAGE: Final = "file system image"

TAG: Final = "the directory's tag"
"""What the server keeps of a number on purpose: it says the number to whoever also holds the directory's key."""

COUNTED: Final = "the name that codes are counted under"
"""What the server keeps of a number that had a code, for an hour, or had wrong ones, for a week."""

ASKED: Final = "the name that a code was sent under"
"""What the server keeps of a number and the identity that asked for a code, for two windows."""

KEPT: Final = {
    ("account", "phone_tag"): TAG,
    ("token_quota", "phone_tag"): TAG,
    ("claim", "phone_tag"): TAG,
    ("code_sent", "name"): ASKED,
    ("code_sent", "number"): COUNTED,
    ("code_count", "name"): COUNTED,
    ("code_lock", "name"): COUNTED,
}
"""Where what is made of a number is kept on purpose, besides the tag in the directory's public files."""

TAG_FILES: Final = re.compile(r"(^|/)directory/\d+/(base|overlay)$")
"""Records, each with its tag first."""

CHUNK: Final = 32 << 20
"""Bytes of a large file, device or memory that are searched at once."""

OVERLAP: Final = 4096
"""Bytes that two chunks share, so that nothing is cut apart between them."""

MAX_UNPACKED: Final = 16 << 20
"""Bytes taken from one packed stream: a small one can hold no end of zeros."""

MAX_DEPTH: Final = 3
"""Streams within streams."""

FED: Final = 256
"""Bytes given to a decompressor at once: what it made before it met a fault is kept."""

WAL_HEADER, FRAME_HEADER = 32, 24


class Part(NamedTuple):
    """What begins at an offset of a surface."""

    start: int
    where: str
    group: int
    """What is in one group belongs together: a row, a page."""
    holds: frozenset[str] = frozenset()
    """What may stand here of what is made of a number."""
    kind: str | None = None
    """Another than the surface's."""


@dataclass(frozen=True)
class Surface:
    """Some bytes, and where they lie."""

    kind: str
    where: str
    data: bytes
    parts: Sequence[Part] = ()
    """In the order of their starts; none when it is all one."""
    rows: bool = False
    """Whether all of a group belongs together, however far apart."""
    tag_every: int | None = None
    """The tag may stand at multiples of this only."""
    values: Sequence[tuple[int, object]] = field(default=(), repr=False)
    """Of a table: what stands at an offset, as the database has it."""

    def part(self, offset: int) -> Part:
        """What stands at an offset."""
        if not self.parts:
            return Part(0, self.where, 0, self._holds(offset), self.kind)
        return self.parts[bisect_right(self.parts, offset, key=lambda part: part.start) - 1]

    def _holds(self, offset: int) -> frozenset[str]:
        if self.tag_every == 1:
            return frozenset(KEPT.values())
        return frozenset({TAG} if self.tag_every is not None and offset % self.tag_every == 0 else ())


# --- files ----------------------------------------------------------------------------------------


def of_directory(directory: Path) -> Iterator[Surface]:
    """Every file under a directory, its name included."""
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        yield Surface(NAME, name, os.fsencode(name))
        if path.is_file() and not path.is_symlink():
            with suppress(FileNotFoundError):  # Gone since: nothing lies there.
                yield from of_file(path, name)


def of_file(path: Path, name: str) -> Iterator[Surface]:
    """One file, as what it is."""
    with path.open("rb") as file:
        first = file.read(32)
    if first.startswith(MAGIC):
        yield from _database(path, name)
    elif name.endswith("-wal") and path.with_name(path.name.removesuffix("-wal")).exists():
        return  # Came with its database.
    else:
        kind = _kind(name, first)
        every = RECORD_BYTES if TAG_FILES.search(name) else None
        yield from _chunks(path, kind, name, every)


def of_image(path: Path) -> Iterator[Surface]:
    """A block device or its image: blocks have no names, so what may stand in some is not told apart."""
    yield from _chunks(path, IMAGE, str(path), 1)


def of_memory(process: int) -> Iterator[Surface]:
    """What a running process has written in its memory; not the programs and libraries that are mapped to be read.

    Raises PermissionError without the right to trace it.
    """
    maps = Path(f"/proc/{process}/maps").read_text().splitlines()
    with Path(f"/proc/{process}/mem").open("rb", buffering=0) as memory:
        for line in maps:
            span, rights, *_, name = [*line.split(maxsplit=5), ""][:6]
            low, high = (int(end, 16) for end in span.split("-"))
            written = rights.startswith("rw") or not name.startswith("/")
            if rights.startswith("r") and written and not name.startswith("[v"):
                for at in range(low, high, CHUNK):
                    with suppress(OSError, ValueError):
                        memory.seek(at)
                        where = f"process {process}, {name or 'memory'}"
                        yield Surface(MEMORY, where, memory.read(min(CHUNK + OVERLAP, high - at)), tag_every=1)


def _kind(name: str, first: bytes) -> str:
    base = name.rsplit("/", 1)[-1]
    if first.startswith(b"\x7fELF") and first[16:18] in (b"\x04\0", b"\0\x04"):
        return CORE
    if base.endswith("-shm"):
        return SHM
    if base.endswith(".key"):
        return KEY_FILE
    if re.search(r"\.log\b|(^|/)logs?/", name):
        return LOG
    if base.startswith((".", "~", "tmp")) or re.search(r"\.(tmp|temp|new|part|swp)$|-journal$", base):
        return TEMPORARY
    if re.search(r"(^|/)blobs/", name):
        return BLOB
    return DIRECTORY_FILE if re.search(r"(^|/)directory/", name) else FILE


def _chunks(path: Path, kind: str, name: str, tag_every: int | None) -> Iterator[Surface]:
    with path.open("rb") as file:
        at = 0
        while data := file.read(CHUNK + OVERLAP):
            yield Surface(kind, name, data if kind != IMAGE else _dense(data), tag_every=tag_every)
            if len(data) <= CHUNK:
                return
            at += CHUNK
            file.seek(at)


def _dense(data: bytes) -> bytes:
    """Without the blocks that hold nothing but zeros."""
    blocks = (data[at : at + 4096] for at in range(0, len(data), 4096))
    return b"".join(block if any(block) else bytes(16) for block in blocks)


# --- databases ------------------------------------------------------------------------------------


def _database(path: Path, name: str) -> Iterator[Surface]:
    """The file and its log page by page, then what SQLite reads in them."""
    taken = snapshot(path)
    data, log = taken
    try:
        owners = _owners(taken)
        rows = [_table(name, table.name, table.heads, table.rows) for table in tables(taken)]
    except apsw.Error:
        # Torn, as a server wrote meanwhile, or damaged. To read the rest only would look like "nothing found".
        raise CorruptDatabase(f"({name})") from None
    earlier = owners
    with suppress(apsw.Error):  # The file without its log need not be whole.
        earlier = _owners(Snapshot(data))
    page = int.from_bytes(data[16:18], "big") or 1
    page = 65536 if page == 1 else page
    yield Surface(DATABASE, name, data, _pages(name, len(data), page, earlier))
    if log:
        yield Surface(WAL, f"{name}-wal", log, _frames(name, log, page, {**earlier, **owners}))
    yield from rows


def _owners(taken: Snapshot) -> dict[int, str]:
    """Which table, or which table's index, each page belongs to. Free pages are in none."""
    with opened(taken) as connection:
        table_of = dict(connection.execute("SELECT name, tbl_name FROM sqlite_schema"))
        owners = connection.execute("SELECT pageno, name FROM dbstat")
        return {int(str(number)): str(table_of.get(name, name)) for number, name in owners}


def _pages(name: str, length: int, page: int, owners: dict[int, str]) -> list[Part]:
    parts = []
    for at in range(0, length, page):
        number = at // page + 1
        owner = owners.get(number)
        where = f"{name}, page {number} of {owner}" if owner else f"{name}, free page {number}"
        parts.append(Part(at, where, number, _kept_in(owner), DATABASE if owner else FREE_PAGE))
    return parts


def _frames(name: str, log: bytes, page: int, owners: dict[int, str]) -> list[Part]:
    parts = [Part(0, f"{name}-wal, header", 0)]
    for at in range(WAL_HEADER, len(log), page + FRAME_HEADER):
        number = int.from_bytes(log[at : at + 4], "big")
        owner = owners.get(number)
        parts.append(Part(at, f"{name}-wal, page {number} of {owner or 'nothing'}", at, _kept_in(owner), WAL))
    return parts


def _kept_in(table: str | None) -> frozenset[str]:
    return frozenset(form for (keeper, _), form in KEPT.items() if keeper == table)


def _table(database: str, table: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> Surface:
    """A table's values one after the other; a row is a group."""
    out = bytearray()
    parts: list[Part] = []
    values: list[tuple[int, object]] = []
    for number, row in enumerate(rows):
        for head, value in zip(heads, row, strict=False):
            holds = frozenset({KEPT[table, head]} if (table, head) in KEPT else ())
            parts.append(Part(len(out), f"{database}, {table}.{head}", number, holds, ROW))
            values.append((len(out), value))
            out += value if isinstance(value, bytes) else b"" if value is None else str(value).encode()
            out += b"\0\0\0\0"
    return Surface(ROW, f"{database}, {table}", bytes(out), parts, rows=True, values=values)


# --- packed streams -------------------------------------------------------------------------------


def _zlib(bits: int) -> Callable[[], Any]:
    return lambda: zlib.decompressobj(wbits=bits)


def _zstd() -> Callable[[], Any] | None:
    """Of Python 3.14, or of the `zstandard` package; Grue itself needs neither."""
    with suppress(ImportError):
        made: Callable[[], Any] = importlib.import_module("compression.zstd").ZstdDecompressor
        return made
    with suppress(ImportError):
        package = importlib.import_module("zstandard")
        return lambda: package.ZstdDecompressor().decompressobj()
    return None


STREAMS: Final[dict[str, tuple[bytes, Callable[[], Any] | None]]] = {
    "gzip": (rb"\x1f\x8b\x08", _zlib(31)),
    "zlib": (rb"\x78[\x01\x5e\x9c\xda]", _zlib(15)),
    "bzip2": (rb"BZh[1-9]1AY&SY", bz2.BZ2Decompressor),
    "xz": (rb"\xfd7zXZ\0", lzma.LZMADecompressor),
    "zstd": (rb"\x28\xb5\x2f\xfd", _zstd()),
}
"""What a packed stream begins with, and what unpacks it; None where nothing here does."""


def unpacked(surface: Surface, depth: int = MAX_DEPTH) -> Iterator[Surface]:
    """What is packed in a surface, and what is packed in that."""
    for name, (magic, decompressor) in STREAMS.items():
        if decompressor is None:
            continue
        for match in re.finditer(magic, surface.data):
            data = _unpack(surface.data, match.start(), decompressor())
            if data:
                part = surface.part(match.start())
                inner = Surface(part.kind or surface.kind, f"{part.where}, {name} stream", data)
                yield inner
                if depth > 1:
                    yield from unpacked(inner, depth - 1)


def unopened(surface: Surface) -> Iterator[str]:
    """Where a packed stream begins that nothing here unpacks."""
    for name, (magic, decompressor) in STREAMS.items():
        if decompressor is None:
            for match in re.finditer(magic, surface.data):
                yield f"{surface.part(match.start()).where}, {name} stream"


def _unpack(data: bytes, at: int, decompressor: Any) -> bytes:
    """As much as comes out before the end, a fault or `MAX_UNPACKED`."""
    out = bytearray()
    with suppress(zlib.error, OSError, ValueError, lzma.LZMAError, EOFError):
        for start in range(at, len(data), FED):
            out += decompressor.decompress(data[start : start + FED])
            if decompressor.eof or len(out) > MAX_UNPACKED:
                break
    return bytes(out)
