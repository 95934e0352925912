"""The carrier against another library's client, and against bytes from the standard; nothing of Grue's own gateway."""

import asyncio
import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from grue.errors import SmsGatewayDown, TooLarge, UsageError
from tests.server.smskit import ANN, BEN, CAT, company, eventually, pdu

smpp34 = pytest.importorskip("smpp34")

from grue.lab.carrier import inject  # noqa: E402 -- needs smpp34
from grue.lab.smsc import Behaviour, Mode  # noqa: E402

SERVICE = ANN[1:]
UDH = b"\x05\x00\x03\x07\x02"


@asynccontextmanager
async def service(address: str, bind: str = "TRX", name: str = "service") -> AsyncIterator[Any]:
    """Another library's client, bound."""
    host, port = address.split(":")
    client = smpp34.Client(host, int(port), name, "", bind_type=bind)
    bound = await client.connect()
    try:
        yield bound
    finally:
        await bound.unbind()
        await client.stop()


async def submit(bound: Any, to: str, message: bytes, **fields: Any) -> Any:
    return await bound.submit_sm(to[1:], message, source_addr=SERVICE, source_addr_ton=1, dest_addr_ton=1, **fields)


# --- passing SMS on -------------------------------------------------------------------------------


async def test_an_sms_is_shown_with_both_numbers_and_its_text() -> None:
    async with company() as carrier, service(carrier.address) as bound:
        answer = await submit(bound, BEN, b"hello \x1be")
        assert answer.is_success
        assert carrier.seen == [{"from": ANN, "to": BEN, "text": "hello €"}]


async def test_parts_are_shown_as_one_sms_whatever_their_order() -> None:
    async with company() as carrier, service(carrier.address) as bound:
        await submit(bound, BEN, UDH + b"\x02two", esm_class=0x40)
        assert carrier.seen == []
        await submit(bound, BEN, UDH + b"\x01one ", esm_class=0x40)
        assert carrier.texts == ["one two"]


async def test_a_long_text_may_come_as_a_payload() -> None:
    async with company() as carrier, service(carrier.address) as bound:
        await submit(bound, BEN, b"", tlvs=[smpp34.Tlv(smpp34.TLV_MESSAGE_PAYLOAD, b"x" * 500)])
        assert carrier.texts == ["x" * 500]


async def test_what_is_not_text_is_shown_as_bytes() -> None:
    async with company() as carrier, service(carrier.address) as bound:
        await submit(bound, BEN, b"\x00\xff", data_coding=4)
        assert carrier.texts == ["00ff"]


async def test_a_receipt_comes_when_it_was_asked_for_and_only_then() -> None:
    async with company({CAT: Mode.FAIL}) as carrier, service(carrier.address) as bound:
        await submit(bound, BEN, b"no receipt")
        fine = await submit(bound, BEN, b"receipt", registered_delivery=1)
        failed = await submit(bound, CAT, b"receipt", registered_delivery=1)
        receipts = [await bound.next(), await bound.next()]
    assert [(receipt.source_addr_ton, "+" + receipt.source_addr) for receipt in receipts] == [(1, BEN), (1, CAT)]
    assert {receipt.esm_class for receipt in receipts} == {0x04}
    texts = [receipt.short_message.decode() for receipt in receipts]
    assert texts[0].startswith(f"id:{fine.message_id} sub:001 dlvrd:001 submit date:")
    assert " stat:DELIVRD err:000 " in texts[0]
    assert texts[1].startswith(f"id:{failed.message_id} ")
    assert " stat:UNDELIV err:001 " in texts[1]


@pytest.mark.parametrize("text", ["hi", "я" * 71, "€" * 300], ids=["short", "UCS-2", "extended"])
async def test_a_telephone_writes_to_a_service(text: str) -> None:
    async with company() as carrier, service(carrier.address) as bound:
        await inject(carrier.address, BEN, ANN, text)
        assert carrier.seen == [{"from": BEN, "to": ANN, "text": text}]
        event = await bound.next()
        assert ("+" + event.source_addr, "+" + event.destination_addr) == (BEN, ANN)


async def test_what_a_telephone_writes_waits_for_a_service_that_can_take_it() -> None:
    async with company() as carrier, service(carrier.address, bind="TX"):
        await inject(carrier.address, BEN, ANN, "hi")
        async with service(carrier.address, bind="RX") as receiver:
            assert (await receiver.next()).short_message == b"hi"


async def test_what_a_service_refuses_is_brought_again_unless_it_says_never() -> None:
    async with company() as carrier, raw(carrier.address) as (reader, writer):
        await bind(reader, writer)
        await inject(carrier.address, BEN, ANN, "hi")
        statuses = [0x64, 0x14, 0x65]
        for status in statuses:
            command, _, sequence, body = await hear(reader)
            assert (command, body[-2:]) == (0x05, b"hi")
            writer.write(pdu(0x80000005, status, sequence, b"\0"))
        writer.write(pdu(0x15, 0, 99))
        assert (await hear(reader))[:3] == (0x80000015, 0, 99)
        await asyncio.sleep(0.05)
        writer.write(pdu(0x15, 0, 100))
        assert (await hear(reader))[:3] == (0x80000015, 0, 100)


async def test_a_telephone_without_a_carrier_and_a_text_that_is_too_long() -> None:
    with pytest.raises(SmsGatewayDown):
        await inject("127.0.0.1:1", BEN, ANN, "hi")
    with pytest.raises(TooLarge):
        await inject("127.0.0.1:1", BEN, ANN, "x" * 1531)
    with pytest.raises(UsageError):
        await inject("nowhere", BEN, ANN, "hi")


# --- its bad days ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "status"), [(Mode.THROTTLE, 0x58), (Mode.FULL, 0x14), (Mode.REJECT, 0x0B), (Mode.SLOW, 0)]
)
async def test_it_answers_as_it_was_told_to(mode: Mode, status: int) -> None:
    async with company({"+4477009": mode, BEN: Mode.DELIVER}) as carrier, service(carrier.address) as bound:
        assert (await submit(bound, BEN, b"fine")).command_status == 0
        assert (await submit(bound, CAT, b"not")).command_status == status
        assert carrier.texts == (["fine", "not"] if status == 0 else ["fine"])


async def test_it_takes_an_sms_and_never_answers() -> None:
    async with company({"": Mode.SILENT}) as carrier, service(carrier.address) as bound:
        waiting = asyncio.create_task(submit(bound, BEN, b"hello"))
        await eventually(lambda: carrier.texts == ["hello"])
        assert not waiting.done()
        waiting.cancel()


async def test_it_closes_the_connection_instead_of_an_answer() -> None:
    async with company({"": Mode.CLOSE}) as carrier, raw(carrier.address) as (reader, writer):
        await bind(reader, writer)
        writer.write(submit_bytes(1))
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await hear(reader)
        assert carrier.seen == []


def test_its_modes_are_written_as_words() -> None:
    behaviour = Behaviour.parse(["slow", "reject:+4477", "deliver:+447700900002"])
    numbers = ["+33123456789", CAT, BEN]
    assert [behaviour.mode(number) for number in numbers] == [Mode.SLOW, Mode.REJECT, Mode.DELIVER]
    with pytest.raises(UsageError):
        Behaviour.parse(["explode"])


# --- SMPP, byte by byte ---------------------------------------------------------------------------

BIND_OF_THE_STANDARD = bytes.fromhex(
    "0000002f 00000002 00000000 00000001534d50503354455354 00 7365637265743038 00 5355424d495431 00 00 01 01 00"
)
"""SMPP 3.4, 3.2.3: a `bind_transmitter` of SMPP3TEST, secret08."""


@asynccontextmanager
async def raw(address: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()


async def hear(reader: asyncio.StreamReader) -> tuple[int, int, int, bytes]:
    async with asyncio.timeout(10):
        length, command, status, sequence = struct.unpack("!IIII", await reader.readexactly(16))
        return command, status, sequence, await reader.readexactly(length - 16)


async def bind(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, command: int = 0x09) -> None:
    writer.write(pdu(command, 0, 1, b"service\0\0\0\x34\0\0\0"))
    assert (await hear(reader))[:3] == (command | 0x80000000, 0, 1)


def submit_bytes(sequence: int) -> bytes:
    return bytes(
        smpp34.SubmitSm(
            source_addr=SERVICE, destination_addr=BEN[1:], dest_addr_ton=1, short_message=b"x", sequence_number=sequence
        ).encode()
    )


async def test_the_bind_of_the_standard_is_answered() -> None:
    async with company() as carrier, raw(carrier.address) as (reader, writer):
        writer.write(BIND_OF_THE_STANDARD)
        assert (await hear(reader))[:3] == (0x80000002, 0, 1)


async def test_credentials_are_asked_for_only_when_there_are_some() -> None:
    async with company(credentials=("SMPP3TEST", "another")) as carrier, raw(carrier.address) as (reader, writer):
        writer.write(BIND_OF_THE_STANDARD)
        assert (await hear(reader))[:3] == (0x80000002, 0x0E, 1)
        await inject(carrier.address, BEN, ANN, "telephones need none")
    async with company(credentials=("SMPP3TEST", "secret08")) as carrier, raw(carrier.address) as (reader, writer):
        writer.write(BIND_OF_THE_STANDARD)
        assert (await hear(reader))[:3] == (0x80000002, 0, 1)


async def test_who_is_not_bound_submits_nothing() -> None:
    async with company() as carrier, raw(carrier.address) as (reader, writer):
        writer.write(submit_bytes(5))
        assert (await hear(reader))[:3] == (0x80000004, 0x04, 5)
        assert carrier.seen == []


async def test_it_says_that_it_is_there_that_it_does_not_know_and_goodbye() -> None:
    async with company() as carrier, raw(carrier.address) as (reader, writer):
        await bind(reader, writer)
        writer.write(pdu(0x15, 0, 2) + pdu(0x0103, 0, 3, b"data_sm") + pdu(0x06, 0, 4))
        assert [(await hear(reader))[:3] for _ in range(3)] == [
            (0x80000015, 0, 2),
            (0x80000000, 3, 3),
            (0x80000006, 0, 4),
        ]
        assert await reader.read() == b""


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 16, b"\xff" * 16, pdu(0x09, 0, 1, b"no nul"), pdu(0x09, 0, 1)],
    ids=["http", "zeros", "ones", "bind without an end", "empty bind"],
)
async def test_what_does_not_speak_smpp_is_left_and_the_carrier_goes_on(garbage: bytes) -> None:
    async with company() as carrier:
        async with raw(carrier.address) as (reader, writer):
            writer.write(garbage)
            writer.write_eof()
            assert await reader.read() == b""
        async with raw(carrier.address) as (reader, writer):
            await bind(reader, writer)
            writer.write(pdu(0x04, 0, 2, b"not a submit_sm"))
            assert await reader.read() == b""
        async with service(carrier.address) as bound:
            await submit(bound, BEN, b"still here")
        assert carrier.texts == ["still here"]


# --- as a process ---------------------------------------------------------------------------------


async def test_its_record_holds_what_a_telephone_company_keeps(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    async with company(record=record) as carrier, service(carrier.address, name="grue") as bound:
        await submit(bound, BEN, UDH + b"\x01one ", esm_class=0x40)
        await submit(bound, BEN, UDH + b"\x02two", esm_class=0x40)
        await inject(carrier.address, BEN, ANN, "😀")
    first, second = map(json.loads, record.read_text().splitlines())
    assert (first["from"], first["to"], first["text"], first["length"]) == (ANN, BEN, "one two", 7)
    assert (first["direction"], first["system_id"], len(first["pdus"])) == ("to handset", "grue", 2)
    assert (second["text"], second["direction"], second["pdus"][0]["data_coding"]) == ("😀", "from handset", 8)
    assert first["peer"].startswith("127.0.0.1:")
    assert all(seen["time"] <= part["time"] for seen in (first, second) for part in seen["pdus"])


def test_a_process_says_where_it_listens_and_ends_cleanly_when_told(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    program = f"from pathlib import Path; from grue.lab.carrier import run; run('127.0.0.1:0', Path({str(record)!r}))"
    # A terminal that cannot show the text is no reason to fail: what comes out is UTF-8 in any case.
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as process:
        try:
            assert process.stdout
            address = json.loads(process.stdout.readline())["listening"]
            asyncio.run(inject(address, BEN, ANN, "😀"))
            assert json.loads(process.stdout.readline()) == {"from": BEN, "to": ANN, "text": "😀"}
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()
    assert json.loads(record.read_text())["text"] == "😀"


@pytest.mark.parametrize("listen", ["127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999", ":"])
async def test_an_address_that_is_none_is_said(listen: str) -> None:
    with pytest.raises(UsageError):
        async with company(listen=listen):
            pass


async def test_two_carriers_at_one_address_and_a_record_that_cannot_be_written(tmp_path: Path) -> None:
    async with company() as carrier:
        with pytest.raises(UsageError):
            async with company(listen=carrier.address):
                pass
    with pytest.raises(UsageError):
        async with company(record=tmp_path / "nowhere" / "record"):
            pass
