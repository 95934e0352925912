"""The SMS role: who may send, what is sent once, and what comes in; in memory first, then over a real carrier."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar, cast

import pytest

from grue.errors import (
    BadRequest,
    DiskFull,
    GrueError,
    NotPermitted,
    SmsGatewayDown,
    SmsMayHaveGone,
    SmsRejected,
    SmsThrottled,
    SmsUnavailable,
)
from grue.lab.carrier import inject
from grue.lab.smsc import Mode
from grue.protocol import accountkey, wire
from grue.protocol.conversation.contents import INTRO_PAYLOAD, IntroSms, ReceivedSms
from grue.protocol.conversation.padding import unpad
from grue.protocol.sms import smsseal
from grue.server.directory.directory import tag_of
from grue.server.keys.keys import Keys
from grue.server.mailboxes import mailboxes
from grue.server.mailboxes.mailboxes import MAX_INTRO_BACKLOG_KIB
from grue.server.sms import sms
from grue.server.sms.gateway import Event, Inbound, Receipt, Sms, SmsGateway
from grue.server.sms.smpp import Config, SmppGateway
from grue.server.sms.sms import SmsRole
from grue.server.store.interface import Tx
from tests.server.kit import TestServer, serving
from tests.server.smskit import ANN, BEN, CAT, PATIENT, company, eventually

T = TypeVar("T")

ID, OTHER_ID = b"1" * 16, b"2" * 16


class Memory:
    """An SMS gateway in memory, which does what a test says."""

    description = "nobody"
    health = "bound"

    def __init__(self) -> None:
        self.sent: list[Sms] = []
        self.fails: GrueError | None = None
        self.hold = asyncio.Event()
        self.hold.set()
        self.queue: asyncio.Queue[Event | None] = asyncio.Queue()

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        self.queue.put_nowait(None)

    async def submit(self, sms: Sms) -> str:
        self.sent.append(sms)
        await self.hold.wait()
        if self.fails:
            raise self.fails
        return f"m{len(self.sent)}"

    async def events(self) -> AsyncIterator[Event]:
        while (event := await self.queue.get()) is not None:
            yield event

    async def receive(self, text: str, to: str = ANN, sender: str = BEN) -> bool:
        """Bring an SMS; whether it was stored."""
        stored: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.queue.put_nowait(Inbound(sender, to, text, stored.set_result))
        async with asyncio.timeout(10):
            return await stored


class Account:
    """Somebody with an account at a server, as far as SMS goes."""

    def __init__(self, number: str) -> None:
        self.number = number
        self.id, self.intro, self.read_key = os.urandom(16), os.urandom(32), os.urandom(32)
        self.secret = os.urandom(accountkey.SECRET_BYTES)

    async def register(self, server: TestServer) -> "Account":
        hpke, tag = accountkey.public_of(self.secret), tag_of(server.keys, self.number)
        read_hash = mailboxes.key_hash(self.read_key)

        async def insert(tx: Tx) -> None:
            await mailboxes.create_intro(tx, self.intro, read_hash, bytes(16), server.today)
            await tx.run(
                "INSERT INTO account (account, phone_tag, identity_pub, hpke_pub, device_list, intro_mailbox,"
                " discoverable, expires_week) VALUES ($1, $2, $3, $4, $5, $6, 1, 9999)",
                self.id, tag, bytes(32), hpke, b"", self.intro,
            )  # fmt: skip

        await server.store.transact(insert)
        return self

    async def envelopes(self, server: TestServer) -> list[wire.Delivery]:
        return cast("list[wire.Delivery]", (await server.ask(wire.Fetch(self.intro, self.read_key, 0))).envelopes)

    async def inbox(self, server: TestServer) -> list[ReceivedSms]:
        """What the account's device reads."""
        found = []
        for envelope in await self.envelopes(server):
            payload = INTRO_PAYLOAD.decode(unpad(envelope.blob))
            assert isinstance(payload, IntroSms)
            found.append(smsseal.open_sms(self.secret, server.keys.server_public, self.number, payload.sealed))
        return found


@asynccontextmanager
async def world(
    transport: SmsGateway | None = None, path: Path | None = None, keys: Keys | None = None, a_day: int = sms.SMS_A_DAY
) -> AsyncIterator[tuple[TestServer, Account]]:
    """A server with an SMS gateway, and ANN with an account there."""
    role = SmsRole(transport, a_day) if transport else None
    async with serving(path, keys=keys or Keys.generate(), sms=role) as server:
        ann = await Account(ANN).register(server)
        if role:
            await role.start(server.context, server.mailboxes)
        try:
            yield server, ann
        finally:
            if role:
                await role.close()


def at_rest(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


def sending(sms_id: bytes = ID, *, sender: str = ANN, to: str = BEN, text: str = "hello") -> wire.SendSms:
    return wire.SendSms(sms_id, sender, to, text)


@asynccontextmanager
async def restarted(transport: SmsGateway, path: Path, keys: Keys) -> AsyncIterator[TestServer]:
    """The same server again, in another process as far as it can tell."""
    role = SmsRole(transport)
    async with serving(path, keys=keys, sms=role) as server:
        await role.start(server.context, server.mailboxes)
        try:
            yield server
        finally:
            await role.close()


def smpp_gateway(address: str) -> SmppGateway:
    host, port = address.split(":")
    return SmppGateway(Config(host, int(port)), PATIENT)


async def until(look: Callable[[], Awaitable[T]], condition: Callable[[T], bool]) -> None:
    """Look until it holds: ten seconds at most, and no longer than it takes."""
    async with asyncio.timeout(10):
        while not condition(await look()):  # noqa: ASYNC110 -- what is waited for has no event
            await asyncio.sleep(0.002)


async def send(server: TestServer, account: Account, request: wire.SendSms) -> str:
    return (await sms.send(server.context, server.sms, account.id, request)).state


async def ask(server: TestServer, account: Account, *ids: bytes) -> list[str]:
    answer = await sms.ask(server.sms, account.id, wire.AskSms(list(ids)))
    assert [state.id for state in answer.states] == list(ids)
    return [state.state for state in answer.states]


# --- out ------------------------------------------------------------------------------------------


async def test_an_account_sends_from_its_number() -> None:
    transport = Memory()
    async with world(transport) as (server, ann):
        assert await send(server, ann, sending()) == "submitted"
        assert transport.sent == [Sms(ANN, BEN, "hello")]


@pytest.mark.parametrize("sender", [BEN, CAT, "+44770090000"])
async def test_sms_01_nobody_sends_from_a_number_that_is_not_theirs(sender: str) -> None:
    transport = Memory()
    async with world(transport) as (server, ann):
        await Account(BEN).register(server)
        with pytest.raises(NotPermitted):
            await send(server, ann, sending(sender=sender))
        assert transport.sent == []


async def test_sms_01_an_account_that_is_gone_sends_nothing() -> None:
    transport = Memory()
    async with world(transport) as (server, _):
        with pytest.raises(NotPermitted):
            await send(server, Account(ANN), sending())
        assert transport.sent == []


async def test_sms_02_the_same_again_has_the_same_state_and_is_not_sent_again() -> None:
    transport = Memory()
    async with world(transport) as (server, ann):
        assert [await send(server, ann, sending()) for _ in range(3)] == ["submitted"] * 3
        assert len(transport.sent) == 1


async def test_sms_02_the_same_again_while_it_is_under_way_is_not_sent_again() -> None:
    transport = Memory()
    transport.hold.clear()
    async with world(transport) as (server, ann):
        both = [asyncio.create_task(send(server, ann, sending())) for _ in range(2)]
        await eventually(lambda: len(transport.sent) == 1)
        assert await ask(server, ann, ID) == ["unknown"]
        transport.hold.set()
        assert await asyncio.gather(*both) == ["submitted"] * 2
        assert len(transport.sent) == 1


async def test_sms_02_a_lost_answer_is_unknown_for_good_and_is_not_sent_again() -> None:
    transport = Memory()
    transport.fails = SmsMayHaveGone()
    async with world(transport) as (server, ann):
        assert [await send(server, ann, sending()) for _ in range(2)] == ["unknown"] * 2
        transport.fails = None
        assert await send(server, ann, sending()) == "unknown"
        assert len(transport.sent) == 1


async def test_sms_02_one_account_and_another_may_use_the_same_id() -> None:
    transport = Memory()
    async with world(transport) as (server, ann):
        ben = await Account(BEN).register(server)
        await send(server, ann, sending())
        assert await send(server, ben, sending(sender=BEN, to=ANN)) == "submitted"
        assert len(transport.sent) == 2


async def test_another_sms_under_a_used_id_is_a_fault_of_the_client() -> None:
    transport = Memory()
    async with world(transport) as (server, ann):
        await send(server, ann, sending())
        with pytest.raises(BadRequest):
            await send(server, ann, sending(text="something else"))
        assert len(transport.sent) == 1


@pytest.mark.parametrize("error", [SmsGatewayDown(), SmsThrottled(retry_after=5), SmsRejected()], ids=lambda e: e.code)
async def test_what_was_definitely_not_sent_is_an_error_and_may_be_tried_again(error: GrueError) -> None:
    transport = Memory()
    transport.fails = error
    async with world(transport) as (server, ann):
        with pytest.raises(type(error)) as caught:
            await send(server, ann, sending())
        assert caught.value.retry_after == error.retry_after
        assert await ask(server, ann, ID) == ["unknown"]
        transport.fails = None
        assert await send(server, ann, sending()) == "submitted"
        assert len(transport.sent) == 2


async def test_a_client_that_goes_away_does_not_leave_it_open_whether_its_sms_went() -> None:
    transport = Memory()
    transport.hold.clear()
    async with world(transport) as (server, ann):
        going = asyncio.create_task(send(server, ann, sending()))
        await eventually(lambda: len(transport.sent) == 1)
        going.cancel()
        transport.hold.set()
        await asyncio.gather(going, return_exceptions=True)
        assert await send(server, ann, sending()) == "submitted"
        assert len(transport.sent) == 1


async def test_a_stop_waits_for_answers_that_are_under_way() -> None:
    transport = Memory()
    transport.hold.clear()
    async with world(transport) as (server, ann):
        going = asyncio.create_task(send(server, ann, sending()))
        await eventually(lambda: len(transport.sent) == 1)
        asyncio.get_running_loop().call_later(0.02, transport.hold.set)
    assert await going == "submitted"


async def test_receipts_are_told_when_asked_for() -> None:
    transport = Memory()
    async with world(transport) as (server, ann):
        await send(server, ann, sending())
        await send(server, ann, sending(OTHER_ID))
        transport.queue.put_nowait(Receipt("m1", "delivered"))
        transport.queue.put_nowait(Receipt("m2", "failed"))
        transport.queue.put_nowait(Receipt("m2", "delivered"))
        transport.queue.put_nowait(Receipt("nobody's", "delivered"))
        await eventually(lambda: transport.queue.empty())
        assert await ask(server, ann, ID, OTHER_ID, b"3" * 16) == ["delivered", "failed", "unknown"]
        assert await send(server, ann, sending()) == "delivered"


async def test_a_receipt_that_comes_before_the_answer_is_not_lost() -> None:
    transport = Memory()
    transport.hold.clear()
    async with world(transport) as (server, ann):
        going = asyncio.create_task(send(server, ann, sending()))
        transport.queue.put_nowait(Receipt("m1", "delivered"))
        await eventually(lambda: transport.queue.empty() and len(transport.sent) == 1)
        transport.hold.set()
        assert await going == "delivered"


async def test_nobody_learns_the_state_of_anothers_sms() -> None:
    async with world(Memory()) as (server, ann):
        ben = await Account(BEN).register(server)
        await send(server, ann, sending())
        assert await ask(server, ben, ID) == ["unknown"]


async def test_states_are_kept_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sms, "MAX_REMEMBERED", 3)
    transport = Memory()
    async with world(transport) as (server, ann):
        ids = [bytes([n]) * 16 for n in range(5)]
        for sms_id in ids:
            await send(server, ann, sending(sms_id))
            transport.queue.put_nowait(Receipt(f"early {sms_id!r}", "delivered"))
        assert await ask(server, ann, *ids) == ["unknown"] * 2 + ["submitted"] * 3


async def test_what_is_under_way_is_not_forgotten_for_what_comes_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sms, "MAX_REMEMBERED", 1)
    transport = Memory()
    first_answer = transport.hold
    first_answer.clear()
    async with world(transport) as (server, ann):
        first = asyncio.create_task(send(server, ann, sending()))
        await eventually(lambda: len(transport.sent) == 1)
        transport.hold = asyncio.Event()
        transport.hold.set()
        for n in range(3):
            await send(server, ann, sending(bytes([n]) * 16))
        again = asyncio.create_task(send(server, ann, sending()))
        first_answer.set()
        assert tuple(await asyncio.gather(first, again)) == ("submitted", "submitted")
        assert len(transport.sent) == 4


async def test_without_a_gateway_everything_is_refused_by_name() -> None:
    async with world() as (server, ann):
        for refused in (
            send(server, ann, sending()),
            ask(server, ann, ID),
            sms.send_code(server.sms, BEN, "123456"),
        ):
            with pytest.raises(SmsUnavailable):
                await refused


async def test_a_code_goes_out_and_a_lost_answer_is_no_error() -> None:
    transport = Memory()
    async with world(transport) as (server, _):
        await sms.send_code(server.sms, BEN, "123456")
        transport.fails = SmsMayHaveGone()
        await sms.send_code(server.sms, BEN, "123456")
        transport.fails = SmsGatewayDown()
        with pytest.raises(SmsGatewayDown):
            await sms.send_code(server.sms, BEN, "123456")
        assert transport.sent == [Sms(None, BEN, "123456")] * 3


# --- in -------------------------------------------------------------------------------------------


async def test_an_inbound_sms_is_sealed_to_the_account_with_that_number() -> None:
    transport = Memory()
    async with world(transport) as (server, ann):
        assert await transport.receive("See you at 5 😀")
        (received,) = await ann.inbox(server)
        assert received == ReceivedSms(BEN, ANN, "See you at 5 😀", int(server.clock() * 1000))


async def test_an_inbound_sms_goes_to_nobody_else() -> None:
    transport = Memory()
    async with world(transport) as (server, ann):
        ben = await Account(BEN).register(server)
        assert await transport.receive("for Ben", to=BEN, sender=ANN)
        assert await ann.envelopes(server) == []
        assert [received.text for received in await ben.inbox(server)] == ["for Ben"]


async def test_an_sms_to_a_number_that_is_not_hosted_here_leaves_no_trace(tmp_path: Path) -> None:
    transport = Memory()
    path = tmp_path / "server.db"
    async with world(transport, path) as (server, ann):
        for to in (CAT, "60606", "Grue", ""):
            assert await transport.receive("nobody's business", to=to)
        assert await ann.envelopes(server) == []
    everything = at_rest(tmp_path)
    assert [word for word in ("nobody's", BEN[1:], CAT[1:]) if word.encode() in everything] == []


async def test_what_is_stored_shows_neither_numbers_nor_text(tmp_path: Path) -> None:
    transport = Memory()
    async with world(transport, tmp_path / "server.db") as (server, ann):
        assert await transport.receive("a secret text")
        await send(server, ann, sending(text="another secret text"))
        assert len(await ann.inbox(server)) == 1
    everything = at_rest(tmp_path)
    assert [word for word in ("secret", ANN[1:], BEN[1:]) if word.encode() in everything] == []


async def test_an_sms_in_more_parts_than_one_message_holds_is_several() -> None:
    transport = Memory()
    async with world(transport) as (server, ann):
        text = "".join(f"{n:05}" for n in range(700))
        assert await transport.receive(text)
        received = await ann.inbox(server)
        assert [len(part.text) for part in received] == [1530, 1530, 440]
        assert "".join(part.text for part in received) == text


@pytest.mark.parametrize("sender", ["60606", "Big Bank", "07700900001", "", "x" * 21], ids=str)
async def test_a_sender_that_is_no_number_does_not_stand_in_the_mailboxs_way(sender: str) -> None:
    transport = Memory()
    async with world(transport) as (server, ann):
        assert await transport.receive("hello", sender=sender)
        assert await transport.receive("next")
        received = await ann.inbox(server)
        assert received[-1].text == "next"
        assert [got.sender for got in received[:-1]] in ([], [sender])


async def test_an_empty_sms_arrives() -> None:
    transport = Memory()
    async with world(transport) as (server, ann):
        assert await transport.receive("")
        assert [received.text for received in await ann.inbox(server)] == [""]


async def test_sms_04_while_nothing_can_be_stored_the_carrier_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    transport = Memory()
    async with world(transport) as (server, ann):
        post = server.mailboxes.post_intro

        async def full(_request: wire.PostIntro) -> wire.Posted:
            raise DiskFull

        monkeypatch.setattr(server.mailboxes, "post_intro", full)
        assert not await transport.receive("hello")
        monkeypatch.setattr(server.mailboxes, "post_intro", post)
        assert await transport.receive("hello")
        assert [received.text for received in await ann.inbox(server)] == ["hello"]


async def test_sms_04_a_full_mailbox_refuses_and_the_next_sms_to_another_is_stored() -> None:
    transport = Memory()
    async with world(transport) as (server, ann):
        ben = await Account(BEN).register(server)

        async def fill(tx: Tx) -> None:
            await tx.run("UPDATE mailbox SET held = $2 WHERE mailbox = $1", ann.intro, MAX_INTRO_BACKLOG_KIB)

        await server.store.transact(fill)
        assert not await transport.receive("hello")
        assert await transport.receive("hello", to=BEN, sender=ANN)
        assert len(await ben.inbox(server)) == 1


@pytest.mark.parametrize(
    "change", ["UPDATE account SET hpke_pub = x'00'", "DELETE FROM mailbox"], ids=["key", "mailbox"]
)
async def test_an_account_that_can_never_read_it_does_not_keep_the_carrier_busy(
    change: str, caplog: pytest.LogCaptureFixture
) -> None:
    transport = Memory()
    async with world(transport) as (server, _):

        async def break_it(tx: Tx) -> None:
            await tx.run(change)

        await server.store.transact(break_it)
        assert await transport.receive("hello")
    assert caplog.text == ""


async def test_a_fault_of_ours_keeps_it_at_the_carrier_and_the_task_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    transport = Memory()
    async with world(transport) as (server, ann):
        with monkeypatch.context() as broken:
            broken.setattr(smsseal, "seal_sms", lambda *_: 1 / 0)
            assert not await transport.receive("a secret text")
        assert await transport.receive("hello")
        assert len(await ann.inbox(server)) == 1
    assert "ZeroDivisionError" in caplog.text
    assert "secret" not in caplog.text


# --- over a real carrier --------------------------------------------------------------------------


async def test_from_telephone_to_account_and_back() -> None:
    async with company() as carrier, world(smpp_gateway(carrier.address)) as (server, ann):
        await inject(carrier.address, BEN, ANN, "Are you there? " * 20)
        await until(lambda: ann.envelopes(server), bool)
        assert [(got.sender, got.text) for got in await ann.inbox(server)] == [(BEN, "Are you there? " * 20)]
        assert await send(server, ann, sending(text="yes")) in ("submitted", "delivered")
        await until(lambda: ask(server, ann, ID), lambda states: states == ["delivered"])
        assert carrier.texts == ["Are you there? " * 20, "yes"]


async def test_what_is_not_taken_has_the_same_names_all_the_way() -> None:
    modes = {BEN: Mode.THROTTLE, CAT: Mode.REJECT}
    async with company(modes) as carrier, world(smpp_gateway(carrier.address)) as (server, ann):
        with pytest.raises(SmsThrottled):
            await send(server, ann, sending())
        with pytest.raises(SmsRejected):
            await send(server, ann, sending(to=CAT))
        carrier.task.cancel()
        await eventually(lambda: cast("SmsRole", server.sms).gateway.health != "bound")
        with pytest.raises(SmsGatewayDown):
            await send(server, ann, sending())


async def test_the_carrier_sees_a_service_and_not_who_asked(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    async with company(record=record) as carrier, world(smpp_gateway(carrier.address)) as (server, ann):
        ben = await Account(BEN).register(server)
        await send(server, ann, sending(to=CAT))
        await send(server, ben, sending(sender=BEN, to=CAT))
    first, second = (json.loads(line) for line in record.read_text().splitlines())
    numbers_and_text = {"from", "to", "text", "length"}
    differing = {key for key in first if first[key] != second[key]}
    assert set(first) == numbers_and_text | {"time", "direction", "system_id", "peer", "pdus"}
    assert differing <= {"from", "time", "pdus"}


async def test_a_server_that_starts_again_gets_what_came_meanwhile_and_knows_no_states(tmp_path: Path) -> None:
    keys, path = Keys.generate(), tmp_path / "server.db"
    async with company() as carrier:
        async with world(smpp_gateway(carrier.address), path, keys) as (server, ann):
            assert await send(server, ann, sending()) in ("submitted", "delivered")
        await inject(carrier.address, BEN, ANN, "while you were away")
        async with restarted(smpp_gateway(carrier.address), path, keys) as server:
            await until(lambda: ann.envelopes(server), bool)
            assert [got.text for got in await ann.inbox(server)] == ["while you were away"]
            assert await ask(server, ann, ID) == ["unknown"]
