"""A world whose server's machine can be scanned: its data, its logs and its temporary files, at any moment."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from grue.client import account
from grue.client.conversations.attachments import put
from grue.exposure.scanner.scan import ADDRESS, INSTANT, NUMBER, TEXT, Canary, Hit, Together, name
from grue.lab.scan import scan, secrets_of
from grue.protocol import wire
from grue.server import chores
from grue.server.store.interface import Tx
from grue.testing import World
from tests.world.memory import take

ALICE, BOB, CAROL = "+447700900811", "+447700900822", "+447700900833"
"""Carol is not on Grue."""

DECOYS = [f"+4477009007{n:02}" for n in range(5)]
"""Numbers that nobody ever used."""

HELLO, ANSWER = "meet me at the observatory", "bring the binoculars then"
PHOTOGRAPH = "the observatory by night, as a picture shows it"
GREEN, GREEN_ANSWER = "the greengrocer is closing", "understood and overheard"

ADDRESS_4, ADDRESS_6 = "203.0.113.77", "2001:db8:17::4d"
"""What a server that kept addresses would keep: those of Alice."""

BEGUN = 1_812_345_678.901234
"""A moment that nothing else has."""


class ScannedWorld(World):
    """`story` registers, looks up, writes and sends SMS; `everything` is what of it must not be at rest."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, now=BEGUN)
        self.host = path / "host"
        self.data = self.host / "server"
        self.logs = self.host / "logs"
        self.codes: list[str] = []
        self.together: list[Together] = []
        self.data.mkdir(parents=True)
        self.logs.mkdir()

    async def start(self, folder: str = "host/server") -> None:
        await super().start(folder)

    async def story(self) -> None:
        """Until everything is in flight."""
        self.alice, self.bob = await self.person(ALICE), await self.person(BOB)
        self.codes = [self.code(number) for number in (ALICE, BOB)]
        for number in (BOB, CAROL):
            await self.alice.lookup(number)
        await self.alice.send(BOB, HELLO)
        await self.alice.send(CAROL, GREEN, sms=True)
        await self.carrier.inject(CAROL, ALICE, GREEN_ANSWER)
        await put(self.alice.context, PHOTOGRAPH.encode() * 100)
        self.together = await self.server.store.read(_names)

    async def registrations(self) -> None:
        """The beginning of `story`, without clients: both ask for a code."""
        for number in (ALICE, BOB):
            answer = await self.server.account(wire.encode(wire.RegisterStart(number, os.urandom(32))))
            assert isinstance(wire.ACCOUNT_ANSWER.decode(answer), wire.CodeSent)

    async def acknowledged(self) -> None:
        """Everything is read, and answered."""
        assert await take(self.bob) == [HELLO]
        await self.bob.send(ALICE, ANSWER)
        assert sorted(await take(self.alice)) == sorted([ANSWER, GREEN_ANSWER])
        await self.server.store.flush()

    async def day_later(self) -> None:
        """The chores are done, and the log was cut."""
        await self.pass_days(1)
        await chores.sweep(self.server)
        await self.log_cut()

    async def log_cut(self) -> None:
        """A minute later: what was deleted is gone from the write-ahead log too."""
        self.server.store._writer._checkpointed = float("-inf")  # type: ignore[attr-defined]
        await self.server.store.flush()
        await self.server.store.flush()

    def everything(self) -> list[Canary]:
        numbers = [Canary(NUMBER, number) for number in (ALICE, BOB, CAROL)]
        addresses = [Canary(ADDRESS, address) for address in (ADDRESS_4, ADDRESS_6)]
        texts = [Canary(TEXT, text) for text in (HELLO, ANSWER, PHOTOGRAPH, GREEN, GREEN_ANSWER, *self.codes)]
        return [*numbers, *addresses, *texts, Canary(INSTANT, repr(BEGUN))]

    def scanned(self, canaries: Sequence[Canary] | None = None, *places: Path) -> list[Hit]:
        """What is found on the server's machine now."""
        return scan(
            places or [self.host],
            self.everything() if canaries is None else canaries,
            secrets_of(self.data, moments=[BEGUN]),
            together=self.together,
        )


async def _names(tx: Tx) -> list[Together]:
    """Names of accounts beside the mailboxes of conversations: who writes to whom."""
    rows = await tx.rows("SELECT account, identity_pub, intro_mailbox FROM account")
    accounts = cast("list[tuple[bytes, bytes, bytes]]", rows)
    conversations = [
        cast("bytes", row[0]) for row in await tx.rows("SELECT mailbox FROM mailbox WHERE write_hash IS NOT NULL")
    ]
    assert len(accounts) == 2
    assert conversations
    return [
        Together(name(who), name(mailbox), rows_only=who == intro or mailbox not in conversations)
        for account_id, identity, intro in accounts
        for who in (account_id, identity, intro)
        for mailbox in (*conversations, *(row[2] for row in accounts))
        if mailbox != intro
    ]


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """Everything that anything logs, in a file."""
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        handler.close()


@contextmanager
def few_key_packages() -> Iterator[None]:
    """So that a registration takes no time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(account, "KEY_PACKAGES", 2)
        yield
