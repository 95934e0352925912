"""A search in a home with 100,000 messages, from the call to its results.

The messages are made up: some 11 words each, every tenth a line of Chinese and Japanese. The figure is the slowest of
five kinds of searches, each the median of 9: a word that is in many, in one, in none; one character; and a word that is
found in another writing. What is made ready, once for each message, is timed apart.
"""

import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from grue.client.client import Client
from grue.client.store.engine import Db, Row, Value
from grue.client.store.home import PASSPHRASE_VARIABLE

MESSAGES: Final = 100_000
ROUNDS: Final = 9
NEEDLE: Final = "Nadelöhr 針穴"
SEARCHES: Final = {
    "in many": "station",
    "in one": "nadelohr",
    "in none": "qqzzxx",
    "one character": "針",
    "two words": "naïve zurich",
}
COMMON: Final = [
    "the",
    "of",
    "and",
    "station",
    "nine",
    "hike",
    "boots",
    "weather",
    "tomorrow",
    "evening",
    "train",
    "dinner",
    "Zürich",
    "café",
    "über",
    "naïve",
]
LETTERS: Final = "etaoinshrdlucmfwypvbgkqjxz"


def measure() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as path:
        os.environ[PASSPHRASE_VARIABLE] = "bench"
        return asyncio.run(_measured(Path(path) / "home"))


async def _measured(home: Path) -> list[dict[str, Any]]:
    async with Client(home, create=True) as client:
        store = client._opened.store
        await store.transact(_fill)
        began = time.perf_counter()
        await client.search("")
        ready = time.perf_counter() - began
        size = await store.read(_bytes)
        took: dict[str, float] = {}
        found: dict[str, int] = {}
        for kind, words in SEARCHES.items():
            times = []
            for _ in range(ROUNDS):
                began = time.perf_counter()
                found[kind] = len((await client.search(words)).hits)
                times.append((time.perf_counter() - began) * 1000)
            took[kind] = round(statistics.median(times), 1)
        assert found["in one"] == found["one character"] == 1, found
        assert (found["in many"], found["in none"]) == (50, 0), found
    peers = {
        **took,
        "bytes a message": round(size / MESSAGES),
        "made ready, us a message": round(ready / MESSAGES * 1e6, 1),
    }
    return [{"id": "desktop_search_ms", "value": max(took.values()), "unit": "ms", "reach": 150, "peers": peers}]


def _fill(db: Db) -> None:
    db.execute("INSERT INTO chat (number) VALUES ('+447700900222')")
    db.many(
        "INSERT INTO message (id, chat, sender, incoming, route, text, sent, state, conversation, shown)"
        " VALUES (?, 1, ?, 1, 'encrypted', ?, 0, 'delivered', ?, 1)",
        _rows(),
    )


def _rows() -> Iterator[Row]:
    chance = random.Random(7)
    rare = ["".join(chance.choices(LETTERS, k=chance.randint(2, 10))) for _ in range(20_000)]
    for n in range(MESSAGES):
        id: Value = chance.randbytes(16)
        yield (id, bytes(32), NEEDLE if n == MESSAGES // 9 else _text(chance, rare, n), bytes(32))


def _text(chance: random.Random, rare: list[str], n: int) -> str:
    if n % 10 == 0:
        # CJK ideographs up to U+91DC, the one before the needle's.
        return "".join(chr(chance.randint(0x4E00, 0x91DC)) for _ in range(chance.randint(5, 60)))
    words = range(min(60, 1 + int(chance.expovariate(1 / 11))))
    return " ".join(chance.choice(COMMON if chance.random() < 0.4 else rare) for _ in words)


def _bytes(db: Db) -> int:
    row = db.row("SELECT sum(pgsize) FROM dbstat WHERE name = 'searchable'")
    return int(str(row[0])) if row else 0
