"""A short week; `make week` plays longer ones."""

import asyncio
from pathlib import Path

import pytest

from grue.client.client import Client
from tests.cli.play import PASSPHRASE
from tests.often import WEEKLY
from tests.week.week import Week

pytestmark = pytest.mark.whole


@pytest.mark.parametrize("seed", range(1, 9) if WEEKLY else [1])
def test_every_device_ends_with_the_same(tmp_path: Path, seed: int) -> None:
    days, rounds = (7, 40) if WEEKLY else (2, 10)
    with Week(tmp_path, seed) as week:
        week.begin()
        for _ in range(days):
            week.day(rounds)
        assert week.faults() == []


async def _forget_newest(home: Path) -> None:
    async with Client(home, passphrase=PASSPHRASE) as client:
        await client.context.store.transact(
            lambda db: db.execute("DELETE FROM message WHERE n = (SELECT max(n) FROM message)")
        )


def test_what_a_device_lacks_is_found(tmp_path: Path) -> None:
    with Week(tmp_path, 1) as week:
        week.begin()
        anna, ben = week.people["anna"].devices[0], week.people["ben"].devices[0]
        text = anna.done("send", to=week.groups["Hike"], text="Nine at the station")["id"]
        ben.done("read")
        ben.stop()
        asyncio.run(_forget_newest(tmp_path / "ben"))
        faults = week.faults()
        assert [one for one in faults if text in one] == faults
        assert any(one.startswith(f"Hike: ('ben', 0) lacks {text}") for one in faults)
