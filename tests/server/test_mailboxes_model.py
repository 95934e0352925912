"""A mailbox against the simplest thing that could be one: a dict, in any order of requests that hypothesis finds."""

import asyncio
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from grue.protocol import wire
from grue.protocol.wire import ENVELOPE_DAYS
from grue.server.mailboxes import mailboxes
from grue.server.store.interface import Tx
from grue.server.store.sqlite import open_store
from tests.often import LONGER
from tests.server.kit import Clock, TestServer, key_hash, paid_post

MAILBOX, WRITE_KEY = b"m" * 32, b"w" * 32
BLOBS = [bytes([fill]) * size for size in wire.ENVELOPE_BUCKETS[:2] for fill in (1, 2)]

names = st.integers(0, 5)
envelope_ids = st.integers(0, 15).map(lambda n: bytes([n]) * 16)
blobs = st.sampled_from(BLOBS)
seqs = st.integers(0, 20)
MODEL_LIMIT, MODEL_FREE = 20, 18


def key(name: int) -> bytes:
    return bytes([name + 100]) * 32


class Model:
    """What a mailbox is."""

    def __init__(self) -> None:
        self.seq = 0
        self.envelopes: dict[int, tuple[bytes, bytes, int]] = {}
        self.posted: dict[bytes, tuple[int, tuple[object, ...], int]] = {}
        self.cursors = {0: 0}
        self.slots: dict[int, int] = {}

    def held(self) -> int:
        return sum(len(blob) >> 10 for _, blob, _ in self.envelopes.values())

    def let_go(self) -> None:
        low = min([*self.cursors.values(), *self.slots.values()])
        self.envelopes = {seq: envelope for seq, envelope in self.envelopes.items() if seq > low}


class MailboxMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = Clock()
        self.limit, mailboxes.MAX_BACKLOG_KIB = mailboxes.MAX_BACKLOG_KIB, MODEL_LIMIT  # type: ignore[misc]
        self.server: TestServer = self.runner.run(self.start())
        self.model: Model | None = Model()
        self.ask(wire.CreateMailbox(MAILBOX, key_hash(WRITE_KEY), key_hash(key(0)), []))

    async def start(self) -> TestServer:
        return TestServer(await open_store(None), clock=self.clock)

    def ask(self, request: wire.Message) -> Any:
        answer = self.runner.run(self.server.ask(request))
        self.runner.run(self.server.store.flush())
        return answer.code if isinstance(answer, wire.Refusal) else answer

    def teardown(self) -> None:
        mailboxes.MAX_BACKLOG_KIB = self.limit  # type: ignore[misc]
        self.runner.run(self.server.store.close())
        self.runner.close()

    @rule(envelope=envelope_ids, blob=blobs, slots=st.lists(names, max_size=2, unique=True))
    def post(self, envelope: bytes, blob: bytes, slots: list[int]) -> None:
        answer = self.ask(wire.Post(MAILBOX, WRITE_KEY, envelope, blob, [key_hash(key(name)) for name in slots]))
        assert answer == self.expected_post(envelope, blob, slots, MODEL_FREE)

    @rule(envelope=envelope_ids, blob=blobs)
    def pay_for_a_post(self, envelope: bytes, blob: bytes) -> None:
        answer = self.ask(paid_post(self.server, wire.Post(MAILBOX, WRITE_KEY, envelope, blob)))
        assert answer == self.expected_post(envelope, blob, [], MODEL_LIMIT)

    def expected_post(self, envelope: bytes, blob: bytes, slots: list[int], free: int) -> object:
        model, contents = self.model, (blob, tuple(slots))
        if model is None:
            return "no_such_mailbox"
        if envelope in model.posted:
            seq, known, _ = model.posted[envelope]
            return wire.Posted(seq) if known == contents else "mailbox_conflict"
        if model.held() + (len(blob) >> 10) > MODEL_LIMIT:
            return "mailbox_full"
        if model.held() + (len(blob) >> 10) > free:
            return "token_needed"
        if any(name in model.cursors or name in model.slots for name in slots):
            return "mailbox_conflict"
        model.seq += 1
        day = self.server.today
        model.envelopes[model.seq] = (envelope, blob, day)
        model.posted[envelope] = (model.seq, contents, day)
        model.slots.update(dict.fromkeys(slots, model.seq))
        return wire.Posted(model.seq)

    @rule(slot=names, reader=names)
    def exchange(self, slot: int, reader: int) -> None:
        answer = self.ask(wire.ExchangeSlot(MAILBOX, key(slot), key_hash(key(reader))))
        model = self.model
        if model is None:
            assert answer == "no_such_mailbox"
        elif reader in model.cursors:
            assert answer == wire.Reading(model.cursors[reader])
        elif reader in model.slots:
            assert answer == "mailbox_conflict"
        elif slot in model.slots:
            model.cursors[reader] = model.slots.pop(slot)
            assert answer == wire.Reading(model.cursors[reader])
        else:
            assert answer == "not_permitted"

    @rule(reader=names, seq=seqs)
    def ack(self, reader: int, seq: int) -> None:
        answer = self.ask(wire.Ack(MAILBOX, key(reader), seq))
        model = self.model
        if model is None:
            assert answer == "no_such_mailbox"
        elif reader not in model.cursors:
            assert answer == "not_permitted"
        elif seq > model.seq:
            assert answer == "bad_request"
        else:
            assert answer == wire.Done()
            if seq > model.cursors[reader]:
                model.cursors[reader] = seq
                model.let_go()

    @rule(reader=names)
    def remove(self, reader: int) -> None:
        assert self.ask(wire.RemoveReader(MAILBOX, key(reader))) == wire.Done()
        model = self.model
        if model is not None and (model.cursors.pop(reader, None), model.slots.pop(reader, None)) != (None, None):
            if model.cursors or model.slots:
                model.let_go()
            else:
                self.model = None

    @rule(days=st.integers(1, ENVELOPE_DAYS))
    def time_passes(self, days: int) -> None:
        self.clock.days(days)
        self.runner.run(self.server.sweep())
        if self.model is not None:
            oldest = self.server.today - ENVELOPE_DAYS
            self.model.envelopes = {s: e for s, e in self.model.envelopes.items() if e[2] > oldest}
            self.model.posted = {i: p for i, p in self.model.posted.items() if p[2] > oldest}

    @invariant()
    def every_reader_sees_what_the_model_holds(self) -> None:
        for name in range(6):
            answer = self.ask(wire.Fetch(MAILBOX, key(name), 0))
            if self.model is None:
                assert answer == "no_such_mailbox"
            elif name not in self.model.cursors and name not in self.model.slots:
                assert answer == "not_permitted"
            else:
                found = [(e.seq, e.envelope, e.blob) for e in answer.envelopes]
                assert found == [(s, i, b) for s, (i, b, _) in sorted(self.model.envelopes.items())]
                assert answer.head == self.model.seq

    @invariant()
    def the_backlog_is_counted_right(self) -> None:
        async def held(tx: Tx) -> object:
            return await tx.row("SELECT held, seq FROM mailbox")

        async def read() -> object:
            return await self.server.store.read(held)

        expected = None if self.model is None else (self.model.held(), self.model.seq)
        assert self.runner.run(read()) == expected


MailboxMachine.TestCase.settings = settings(max_examples=30 * LONGER, stateful_step_count=40)
test_a_mailbox_does_what_the_model_does = MailboxMachine.TestCase
