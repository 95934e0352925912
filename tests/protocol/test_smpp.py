"""Reading SMPP: another library's PDUs first, then what carriers send, then anything."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grue.protocol.sms import smpp
from grue.protocol.sms.smpp import (
    Address,
    BadPdu,
    Deliver,
    Outcome,
    Receipts,
    Tag,
    read_deliver,
    read_header,
    read_receipt,
)

NUL = b"\0"


def body(message: bytes = b"hi", *, esm: int = 0, coding: int = 0, options: bytes = b"", ton: int = 1) -> bytes:
    return (
        NUL + bytes([ton, 1]) + b"447700900001\0" + bytes([1, 1]) + b"447700900002\0"
        + bytes([esm, 0, 0]) + NUL + NUL + bytes([0, 0, coding, 0, len(message)]) + message + options
    )  # fmt: skip


def tlv(tag: int, value: bytes) -> bytes:
    return struct.pack("!HH", tag, len(value)) + value


def receipt(text: str, options: bytes = b"") -> Deliver:
    return read_deliver(body(text.encode("latin-1"), esm=4, options=options))


def test_a_pdu_of_another_library_is_read() -> None:
    smpp34 = pytest.importorskip("smpp34")
    pdu = smpp34.DeliverSm(
        source_addr="447700900001", source_addr_ton=1, destination_addr="447700900002", dest_addr_ton=0,
        short_message=b"\x05\x00\x03\x01\x02\x01hi", esm_class=0x40, data_coding=8, sequence_number=9,
        tlvs=[smpp34.Tlv(0x1403, b"xx")],
    ).encode()  # fmt: skip
    header = read_header(pdu[:16])
    assert (header.command, header.sequence, header.length) == (smpp.Command.DELIVER_SM, 9, len(pdu))
    deliver = read_deliver(pdu[16:])
    assert (deliver.source.number, deliver.destination.number) == ("+447700900001", "+447700900002")
    assert (deliver.message, deliver.has_udh, deliver.data_coding) == (b"\x05\x00\x03\x01\x02\x01hi", True, 8)
    assert deliver.options == {0x1403: b"xx"}


@pytest.mark.parametrize("length", [0, 15, smpp.MAX_PDU + 1, 0xFFFFFFFF])
def test_a_length_that_makes_no_sense_ends_the_connection(length: int) -> None:
    with pytest.raises(BadPdu):
        read_header(struct.pack("!IIII", length, 5, 0, 1))


def test_a_status_and_a_command_that_nobody_knows_are_read_all_the_same() -> None:
    assert read_header(struct.pack("!IIII", 16, 0x80000004, 0x40A, 1)).status == 0x40A
    assert read_header(struct.pack("!IIII", 16, 0x0F0F, 0, 1)).command == 0x0F0F


def test_a_message_payload_counts_instead_of_the_short_message() -> None:
    assert read_deliver(body(b"", options=tlv(Tag.MESSAGE_PAYLOAD, b"x" * 300))).message == b"x" * 300


def test_an_empty_text_is_one() -> None:
    assert read_deliver(body(b"")).message == b""


@pytest.mark.parametrize(
    ("ton", "digits", "number"),
    [
        (1, "447700900001", "+447700900001"),
        (1, "+447700900001", "+447700900001"),
        (0, "447700900001", "+447700900001"),
        (0, "+447700900001", "+447700900001"),
        (2, "07700900001", "07700900001"),
        (0, "07700900001", "07700900001"),
        (0, "60606", "60606"),
        (3, "60606", "60606"),
        (5, "Big Bank", "Big Bank"),
        (5, "1234567890", "1234567890"),
        (7, "447700900001", "447700900001"),
        (1, "", ""),
        (1, "٣٣٣٣٣٣٣", "٣٣٣٣٣٣٣"),
    ],
)
def test_an_address_is_a_number_only_if_it_is_one(ton: int, digits: str, number: str) -> None:
    assert Address(ton, digits).number == number


@given(st.binary(max_size=200))
def test_any_bytes_are_a_deliver_sm_or_a_bad_pdu(data: bytes) -> None:
    try:
        deliver = read_deliver(data)
    except BadPdu:
        return
    assert isinstance(deliver.source.number, str)
    read_receipt(deliver)


@given(st.data())
def test_a_deliver_sm_that_is_cut_or_changed_is_one_or_a_bad_pdu(data: st.DataObject) -> None:
    pdu = bytearray(body(b"id:1 stat:DELIVRD", esm=4, options=tlv(Tag.RECEIPTED_MESSAGE_ID, b"1\0")))
    for _ in range(data.draw(st.integers(1, 5))):
        pdu[data.draw(st.integers(0, len(pdu) - 1))] = data.draw(st.integers(0, 255))
    try:
        deliver = read_deliver(bytes(pdu[: data.draw(st.integers(0, len(pdu)))]))
    except BadPdu:
        return
    message_id, outcome = read_receipt(deliver)
    assert isinstance(message_id, str)
    assert outcome is None or isinstance(outcome, Outcome)


@given(st.binary(min_size=16, max_size=16))
def test_any_sixteen_bytes_are_a_header_or_a_bad_pdu(data: bytes) -> None:
    with contextlib.suppress(BadPdu):
        assert read_header(data).body_bytes >= 0


def test_no_text_and_no_number_shows_in_a_repr() -> None:
    shown = repr(read_deliver(body(b"secret")))
    assert "secret" not in shown
    assert "7700" not in shown


# --- receipts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("id:0a1b sub:001 dlvrd:001 submit date:2601010101 done date:2601010102 stat:DELIVRD err:000 text:hello",
         b"", ("0a1b", Outcome.DELIVERED)),
        ("id:1 sub:001 dlvrd:000 submit date:260101010159 done date:260101010259 stat:UNDELIV err:0A1 Text:",
         b"", ("1", Outcome.FAILED)),
        ("ID:1 STAT:expired", b"", ("1", Outcome.FAILED)),
        ("id:1 stat:ACCEPTD", b"", ("1", None)),
        ("id:1 stat:ENROUTE", b"", ("1", None)),
        ("id:1", b"", ("1", None)),
        ("stat:DELIVRD", b"", ("", Outcome.DELIVERED)),
        ("id:1 stat:REJECTD text:id:2 stat:DELIVRD", b"", ("1", Outcome.FAILED)),
        ("", tlv(0x001E, b"abc\0") + tlv(0x0427, b"\x02"), ("abc", Outcome.DELIVERED)),
        ("", tlv(0x001E, b"abc") + tlv(0x0427, b"\x05"), ("abc", Outcome.FAILED)),
        ("id:1 stat:DELIVRD", tlv(0x0427, b"\x06"), ("1", None)),
        ("id:1 stat:DELIVRD", tlv(0x0427, b""), ("1", Outcome.DELIVERED)),
        ("anything else", b"", ("", None)),
    ],
)  # fmt: skip
def test_a_receipt_is_read_whatever_its_form(text: str, options: bytes, expected: tuple[str, Outcome | None]) -> None:
    deliver = receipt(text, options)
    assert deliver.is_receipt
    assert read_receipt(deliver) == expected


def test_an_sms_of_several_parts_is_delivered_when_all_are() -> None:
    receipts = Receipts()
    assert receipts.expect(["a", "b"]) == ("a", None)
    assert receipts.receive("b", Outcome.DELIVERED) is None
    assert receipts.receive("a", Outcome.DELIVERED) == ("a", Outcome.DELIVERED)


def test_an_sms_has_failed_when_one_part_has() -> None:
    receipts = Receipts()
    receipts.expect(["a", "b"])
    assert receipts.receive("b", Outcome.FAILED) == ("a", Outcome.FAILED)


def test_a_receipt_that_comes_before_its_answer_counts() -> None:
    receipts = Receipts()
    assert receipts.receive("a", Outcome.DELIVERED) is None
    assert receipts.expect(["a"]) == ("a", Outcome.DELIVERED)


def test_a_receipt_that_comes_twice_says_nothing_new() -> None:
    receipts = Receipts()
    receipts.expect(["a"])
    assert receipts.receive("a", Outcome.DELIVERED) == ("a", Outcome.DELIVERED)
    assert receipts.receive("a", Outcome.DELIVERED) is None


def test_receipts_are_kept_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smpp, "MAX_RECEIPTS", 3)
    receipts = Receipts()
    for n in range(10):
        receipts.receive(f"early {n}", Outcome.DELIVERED)
        receipts.expect([f"sent {n}"])
    assert receipts.expect(["early 0"]) == ("early 0", None)
    assert receipts.expect(["early 9"]) == ("early 9", Outcome.DELIVERED)
