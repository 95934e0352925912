"""The SMPP gateway against a carrier over TCP, and against a peer that does what carriers should not."""

import asyncio
import logging
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grue.errors import GrueError, SmsGatewayDown, SmsMayHaveGone, SmsRejected, SmsThrottled, TooLarge
from grue.lab.carrier import inject
from grue.lab.smsc import Mode
from grue.protocol.sms.smpp import Command, read_deliver
from grue.server.sms import smpp
from grue.server.sms.gateway import Sms
from tests.server.smskit import (
    ANN,
    BEN,
    CAT,
    PATIENT,
    Gateway,
    company,
    deliver_sm,
    eventually,
    gateway,
    impatient,
    peer,
)

SUBMIT_RESP, DELIVER, DELIVER_RESP = 0x80000004, 0x05, 0x80000005
TEMPORARY, PERMANENT = 0x64, 0x65


# --- out ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "€{}[]~|^\\",
        "Grüße, señor Ångström",
        "привет",
        "👩‍👩‍👧‍👦 😀",
        "a" * 160,
        "a" * 161,
        "€" * 700,
        "😀" * 330,
    ],
    ids=lambda text: f"{text[:5]} x {len(text)}",
)
async def test_a_text_arrives_as_it_was_written(text: str) -> None:
    async with company() as carrier, gateway(carrier.address) as sms:
        await sms.text(text=text)
        assert carrier.seen == [{"from": ANN, "to": BEN, "text": text}]


async def test_a_code_comes_from_the_service_by_name() -> None:
    async with company() as carrier, gateway(carrier.address, service="Helpline") as sms:
        await sms.submit(Sms(None, BEN, "123456"))
        assert carrier.seen == [{"from": "Helpline", "to": BEN, "text": "123456"}]


async def test_many_at_once_all_arrive_and_know_their_receipts() -> None:
    async with company() as carrier, gateway(carrier.address) as sms:
        ids = await asyncio.gather(*(sms.text(text=f"{n} " + "x" * n) for n in range(200)))
        assert len(set(ids)) == 200
        assert sorted(map(str, carrier.texts)) == sorted(f"{n} " + "x" * n for n in range(200))
        await eventually(lambda: len(sms.receipts) == 200)
        assert sms.receipts == dict.fromkeys(ids, "delivered")


async def test_a_receipt_says_that_it_was_not_delivered() -> None:
    async with company({CAT: Mode.FAIL}) as carrier, gateway(carrier.address) as sms:
        fine, failed, long = await sms.text(BEN), await sms.text(CAT), await sms.text(CAT, "x" * 400)
        await eventually(lambda: len(sms.receipts) == 3)
        assert sms.receipts == {fine: "delivered", failed: "failed", long: "failed"}


async def test_an_sms_of_more_than_ten_parts_is_refused_before_anything_goes() -> None:
    async with company() as carrier, gateway(carrier.address) as sms:
        with pytest.raises(TooLarge):
            await sms.text(text="😀" * 331)
        assert carrier.seen == []


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        (Mode.THROTTLE, SmsThrottled),
        (Mode.FULL, SmsThrottled),
        (Mode.REJECT, SmsRejected),
        (Mode.CLOSE, SmsMayHaveGone),
    ],
)
async def test_what_the_carrier_does_not_take_has_a_name_and_the_next_goes(mode: Mode, error: type[GrueError]) -> None:
    async with company({CAT: mode}) as carrier, gateway(carrier.address) as sms:
        with pytest.raises(error):
            await sms.text(CAT)
        await sms.bound()
        await sms.text(BEN)
        assert [event["to"] for event in carrier.seen] == [BEN]


async def test_throttled_says_how_long_to_wait() -> None:
    async with company({"": Mode.THROTTLE}) as carrier, gateway(carrier.address) as sms:
        with pytest.raises(SmsThrottled) as caught:
            await sms.text()
        assert caught.value.retry_after == PATIENT.throttle


async def test_a_slow_carrier_is_waited_for_and_holds_nobody_else_up() -> None:
    async with company({CAT: Mode.SLOW}) as carrier, gateway(carrier.address) as sms:
        slow = asyncio.create_task(sms.text(CAT))
        await eventually(lambda: len(carrier.seen) == 1)
        await sms.text(BEN)
        assert not slow.done()
        assert await slow


async def test_an_answer_that_is_lost_is_not_asked_for_again() -> None:
    async with company({"": Mode.SILENT}) as carrier, gateway(carrier.address, impatient(answer=0.1)) as sms:
        with pytest.raises(SmsMayHaveGone):
            await sms.text()
        assert carrier.texts == ["hello"]


async def test_an_sms_of_which_only_the_beginning_was_taken_may_have_gone() -> None:
    async with peer() as (address, peers), gateway(address) as sms:
        other = await peers.get()
        sending = asyncio.create_task(sms.text(text="x" * 200))
        _, _, first, _ = await other.hear()
        other.say(SUBMIT_RESP, 0, first, b"a\0")
        _, _, second, _ = await other.hear()
        other.say(SUBMIT_RESP, 0x58, second)
        with pytest.raises(SmsMayHaveGone):
            await sending


async def test_an_answer_to_nothing_and_one_that_comes_late_change_nothing() -> None:
    async with peer() as (address, peers), gateway(address, impatient(answer=0.5)) as sms:
        other = await peers.get()
        other.say(SUBMIT_RESP, 0, 77, b"a\0")
        with pytest.raises(SmsMayHaveGone):
            await sms.text()
        _, _, sequence, _ = await other.hear()
        other.say(SUBMIT_RESP, 0, sequence, b"a\0")
        sending = asyncio.create_task(sms.text())
        _, _, sequence, _ = await other.hear()
        other.say(SUBMIT_RESP, 0, sequence, b"b\0")
        assert await sending == "b"


@pytest.mark.parametrize(
    ("command", "status", "error"),
    [
        (SUBMIT_RESP, 0x40A, SmsRejected),
        (SUBMIT_RESP, 0x0B, SmsRejected),
        (SUBMIT_RESP, 0x08, SmsGatewayDown),
        (SUBMIT_RESP, 0x04, SmsGatewayDown),
        (Command.GENERIC_NACK, 0x03, SmsRejected),
        (Command.GENERIC_NACK, 0x00, SmsRejected),
        (Command.GENERIC_NACK, 0x58, SmsThrottled),
        (0x80000015, 0x00, SmsRejected),
    ],
)
async def test_every_refusal_has_a_name_even_those_of_one_vendor(
    command: int, status: int, error: type[GrueError]
) -> None:
    async with peer() as (address, peers), gateway(address) as sms:
        other = await peers.get()
        sending = asyncio.create_task(sms.text())
        _, _, sequence, _ = await other.hear()
        other.say(command, status, sequence)
        with pytest.raises(error):
            await sending
        assert sms.health == "bound"


async def test_no_more_than_the_window_wait_for_an_answer_and_the_others_are_told() -> None:
    async with peer() as (address, peers), gateway(address, impatient(window=0.05), window=2) as sms:
        other = await peers.get()
        sending = [asyncio.create_task(sms.text(text=str(n))) for n in range(3)]
        with pytest.raises(SmsThrottled):
            await sending[2]
        for _ in range(2):
            _, _, sequence, _ = await other.hear()
            other.say(SUBMIT_RESP, 0, sequence, b"%d\0" % sequence)
        assert len(set(await asyncio.gather(*sending[:2]))) == 2


async def test_the_two_ends_agree_on_what_a_submit_is() -> None:
    async with peer() as (address, peers), gateway(address) as sms:
        other = await peers.get()
        sending = asyncio.create_task(sms.text(text="я"))
        command, _, sequence, body = await other.hear()
        submit = read_deliver(body)
        assert (command, submit.source.number, submit.destination.number) == (Command.SUBMIT_SM, ANN, BEN)
        assert (submit.data_coding, submit.message, submit.registered_delivery) == (8, b"\x04\x4f", 1)
        other.say(SUBMIT_RESP, 0, sequence, b"a\0")
        await sending


# --- down, and back -------------------------------------------------------------------------------


async def test_without_a_carrier_nothing_is_sent_and_the_server_starts_all_the_same() -> None:
    async with gateway("127.0.0.1:1", impatient(start=0.5)) as sms:
        with pytest.raises(SmsGatewayDown):
            await sms.text()
        assert sms.health == "no connection (ConnectionRefusedError)"


async def test_a_host_that_is_no_name_is_said_to_the_operator() -> None:
    async with gateway(f"a..{'b' * 64}:1") as sms:
        with pytest.raises(SmsGatewayDown):
            await sms.text()
        assert sms.health.startswith("no connection (")


async def test_a_carrier_that_comes_later_is_found() -> None:
    async with company() as carrier:
        address = carrier.address
    async with gateway(address, impatient(start=0.05)) as sms:
        with pytest.raises(SmsGatewayDown):
            await sms.text()
        async with company(listen=address) as carrier:
            await sms.bound()
            await sms.text()
            assert carrier.texts == ["hello"]


async def test_a_carrier_that_starts_again_is_bound_to_again() -> None:
    async with company() as first, gateway(first.address) as sms:
        await sms.text()
        first.task.cancel()
        await eventually(lambda: sms.health != "bound")
        with pytest.raises(SmsGatewayDown):
            await sms.text(text="not sent")
        async with company(listen=first.address) as second:
            await sms.bound()
            await sms.text(text="again")
            assert (first.texts, second.texts) == (["hello"], ["again"])


async def test_an_sms_without_an_answer_when_the_connection_ends_may_have_gone() -> None:
    async with peer() as (address, peers), gateway(address) as sms:
        other = await peers.get()
        sending = asyncio.create_task(sms.text())
        await other.hear()
        other.writer.close()
        with pytest.raises(SmsMayHaveGone):
            await sending
        again = await peers.get()
        await sms.bound()
        sending = asyncio.create_task(sms.text(text="next"))
        _, _, sequence, body = await again.hear()
        assert read_deliver(body).message == b"next"
        again.say(SUBMIT_RESP, 0, sequence, b"a\0")
        await sending


async def test_a_wrong_password_is_said_to_the_operator_and_nothing_is_sent() -> None:
    word = "secret"
    async with company(credentials=("grue", word)) as carrier:
        async with gateway(carrier.address, system_id="grue", password=word[:-1]) as sms:
            with pytest.raises(SmsGatewayDown):
                await sms.text()
            assert sms.health == "bind refused (0x0000000E)"
        async with gateway(carrier.address, system_id="grue", password=word) as sms:
            await sms.text()


async def test_a_carrier_that_unbinds_us_is_answered_and_bound_to_again() -> None:
    async with peer() as (address, peers), gateway(address) as sms:
        other = await peers.get()
        other.say(Command.UNBIND, 0, 5)
        assert (await other.hear())[:3] == (Command.UNBIND_RESP, 0, 5)
        await peers.get()
        await sms.bound()


async def test_we_unbind_when_we_stop() -> None:
    async with peer() as (address, peers):
        async with gateway(address):
            other = await peers.get()
        assert (await other.hear())[0] == Command.UNBIND


async def test_a_silent_carrier_is_asked_and_left_when_it_does_not_answer() -> None:
    async with peer() as (address, peers), gateway(address, impatient(idle=0.05, answer=0.5)) as sms:
        other = await peers.get()
        command, _, sequence, _ = await other.hear()
        assert command == Command.ENQUIRE_LINK
        other.say(Command.ENQUIRE_LINK_RESP, 0, sequence)
        assert (await other.hear())[0] == Command.ENQUIRE_LINK
        await peers.get()  # It was not answered, so we came again.
        await sms.bound()


async def test_a_carrier_that_asks_us_is_answered() -> None:
    async with peer() as (address, peers), gateway(address):
        other = await peers.get()
        other.say(Command.ENQUIRE_LINK, 0, 9)
        assert (await other.hear())[:3] == (Command.ENQUIRE_LINK_RESP, 0, 9)


async def test_a_request_that_we_do_not_know_is_refused_and_the_connection_stays() -> None:
    async with peer() as (address, peers), gateway(address) as sms:
        other = await peers.get()
        other.say(0x0103, 0, 9, b"data_sm")
        assert (await other.hear())[:3] == (Command.GENERIC_NACK, 0x03, 9)
        assert sms.health == "bound"


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 64, b"\xff" * 64, b"\0\0\0"])
async def test_what_does_not_speak_smpp_is_left_and_tried_again(garbage: bytes) -> None:
    async with peer() as (address, peers), gateway(address) as sms:
        other = await peers.get()
        other.writer.write(garbage)
        other.writer.write_eof()
        await other.hears_nothing_more()
        await peers.get()
        await sms.bound()


# --- in -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["hi", "😀" * 100, "€" * 300, ""], ids=["short", "emoji", "extended", "empty"])
async def test_an_sms_from_a_telephone_comes_in(text: str) -> None:
    async with company() as carrier, gateway(carrier.address) as sms:
        await inject(carrier.address, BEN, ANN, text)
        await eventually(lambda: bool(sms.inbound))
        assert sms.inbound == [(BEN, ANN, text)]


async def test_what_came_while_we_were_away_comes_when_we_are_back() -> None:
    async with company() as carrier:
        await inject(carrier.address, BEN, ANN, "hi")
        async with gateway(carrier.address) as sms:
            await eventually(lambda: bool(sms.inbound))


async def test_sms_04_what_could_not_be_stored_is_not_acknowledged_and_comes_again() -> None:
    async with company() as carrier, gateway(carrier.address) as sms:
        sms.stores = False
        await inject(carrier.address, BEN, ANN, "x" * 400)
        await eventually(lambda: len(sms.inbound) >= 2)
        sms.stores = True
        await eventually(lambda: sms.came[-1] is not sms.came[0] and len(sms.inbound) >= 3)
        count = len(sms.inbound)
        await asyncio.sleep(0.1)
        assert sms.inbound == [(BEN, ANN, "x" * 400)] * count


async def test_it_is_answered_only_when_it_is_stored() -> None:
    async with peer() as (address, peers):
        made = Gateway(smpp.Config("127.0.0.1", int(address.split(":")[1])), PATIENT)
        await made.start()
        other = await peers.get()
        other.say(DELIVER, 0, 1, deliver_sm(b"one"))
        events = made.events()
        event = await anext(events)
        other.say(Command.ENQUIRE_LINK, 0, 2)
        assert (await other.hear())[:3] == (Command.ENQUIRE_LINK_RESP, 0, 2)
        event.settle(True)  # type: ignore[union-attr]
        assert (await other.hear())[:3] == (DELIVER_RESP, 0, 1)
        await made.close()


async def test_when_too_much_waits_to_be_stored_the_carrier_keeps_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smpp, "MAX_UNSTORED", 2)
    async with peer() as (address, peers):
        made = Gateway(smpp.Config("127.0.0.1", int(address.split(":")[1])), impatient(stop=0.01))
        await made.start()
        other = await peers.get()
        for n in range(1, 4):
            other.say(DELIVER, 0, n, deliver_sm(b"hi"))
        assert (await other.hear())[:3] == (DELIVER_RESP, TEMPORARY, 3)
        await made.close()


CONCATENATED = [
    ("8-bit reference", [(b"\x05\0\x03\x07\x02\x01ab", 0x40, b""), (b"\x05\0\x03\x07\x02\x02cd", 0x40, b"")]),
    ("16-bit reference", [
        (b"\x06\x08\x04\x01\x07\x02\x01ab", 0x40, b""), (b"\x06\x08\x04\x01\x07\x02\x02cd", 0x40, b""),
    ]),
    ("SAR", [
        (b"ab", 0, struct.pack("!HHHHHBHHB", 0x20C, 2, 7, 0x20E, 1, 2, 0x20F, 1, 1)),
        (b"cd", 0, struct.pack("!HHHHHBHHB", 0x20C, 2, 7, 0x20E, 1, 2, 0x20F, 1, 2)),
    ]),
]  # fmt: skip


@pytest.mark.parametrize("parts", [parts for _, parts in CONCATENATED], ids=[name for name, _ in CONCATENATED])
@pytest.mark.parametrize("order", [[0, 1], [1, 0], [1, 1, 0]], ids=["in order", "out of order", "one twice"])
async def test_parts_are_one_sms_again(parts: list[tuple[bytes, int, bytes]], order: list[int]) -> None:
    async with peer() as (address, peers), gateway(address) as sms:
        other = await peers.get()
        for sequence, n in enumerate(order, start=1):
            message, esm, options = parts[n]
            other.say(DELIVER, 0, sequence, deliver_sm(message, esm=esm, options=options))
            assert (await other.hear())[:3] == (DELIVER_RESP, 0, sequence)
        assert sms.inbound == [(BEN, ANN, "abcd")]


async def test_a_part_whose_companion_never_comes_is_given_out_with_a_mark() -> None:
    async with peer() as (address, peers), gateway(address, impatient(join=0.05)) as sms:
        other = await peers.get()
        other.say(DELIVER, 0, 1, deliver_sm(b"\x05\0\x03\x07\x02\x01ab", esm=0x40))
        await eventually(lambda: bool(sms.inbound))
        assert sms.inbound == [(BEN, ANN, "ab[…]")]


async def test_a_part_that_was_acknowledged_is_not_lost_when_the_server_stops() -> None:
    async with peer() as (address, peers):
        async with gateway(address) as sms:
            other = await peers.get()
            other.say(DELIVER, 0, 1, deliver_sm(b"\x05\0\x03\x07\x02\x01ab", esm=0x40))
            await other.hear()
        assert sms.inbound == [(BEN, ANN, "ab[…]")]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (deliver_sm(b"\x05", esm=0x40), 0),
        (deliver_sm(b"", options=b"\x04\x24\x00\x02hi"), 0),
        (deliver_sm(b"\xff\xfe", coding=4), 0),
        (deliver_sm(b"id:1 stat:NONSENSE err:0A1", esm=4), 0),
        (deliver_sm(b"", esm=4), 0),
        (deliver_sm(b"hi")[:-1], PERMANENT),
        (deliver_sm(b"hi", options=b"\x04"), PERMANENT),
        (b"", PERMANENT),
    ],
)
async def test_whatever_a_deliver_sm_holds_it_is_answered_and_the_next_is_read(body: bytes, status: int) -> None:
    async with peer() as (address, peers), gateway(address) as sms:
        other = await peers.get()
        other.say(DELIVER, 0, 1, body)
        assert (await other.hear())[:3] == (DELIVER_RESP, status, 1)
        other.say(DELIVER, 0, 2, deliver_sm(b"next"))
        assert (await other.hear())[:3] == (DELIVER_RESP, 0, 2)
        assert sms.inbound[-1][2] == "next"


class _Session:
    def acknowledge(self, _sequence: int, _status: int) -> None:
        pass


@given(st.lists(st.tuples(st.binary(max_size=12), st.integers(0, 255), st.integers(0, 255)), max_size=30))
def test_any_messages_leave_the_gateway_in_order(messages: list[tuple[bytes, int, int]]) -> None:
    async def take_all() -> None:
        made = Gateway(smpp.Config("127.0.0.1", 1), PATIENT)
        for message, esm, coding in messages:
            made._deliver(_Session(), 1, read_deliver(deliver_sm(message, esm=esm, coding=coding)))  # type: ignore[arg-type]
        taking = asyncio.create_task(made.take())
        await made.close()
        await taking
        assert made._unstored == 0
        assert made._joiner.overdue(1e12) == []

    asyncio.run(take_all())


# --- secrets --------------------------------------------------------------------------------------


async def test_nothing_of_an_sms_is_logged_or_printed(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(1)
    word = "hunter2"
    async with company({CAT: Mode.REJECT}) as carrier, gateway(carrier.address, password=word) as sms:
        await sms.text(text="a secret")
        with pytest.raises(SmsRejected):
            await sms.text(CAT, "another secret")
        await inject(carrier.address, BEN, ANN, "a third secret")
        await eventually(lambda: bool(sms.inbound))
        shown = repr([sms.came, Sms(ANN, BEN, "a secret"), sms._config])
    written = capfd.readouterr()
    everything = caplog.text + written.out + written.err + shown
    assert [word for word in ("secret", "7700", word) if word in everything] == []
    assert logging.root.handlers != []
