"""A reader for what carriers send over SMPP 3.4: headers, `deliver_sm`, delivery receipts.

Total, on any bytes: a value, or `BadPdu`. Ours, because the libraries give up on what carriers do send
(`docs/decisions/smpp.md`). Source: SMPP 3.4 Issue 1.2, sections 3.2, 4.6, 5.2, 5.3 and appendix B.
"""

import re
import struct
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final, TypeVar

from grue.errors import NetworkError

T = TypeVar("T")

HEADER_BYTES: Final = 16

MAX_PDU: Final = 1 << 16
"""Bytes: the largest `message_payload` and more; a peer that announces more is not speaking SMPP."""


class BadPdu(NetworkError):
    """The peer sent what SMPP 3.4 does not allow; never crosses the wire."""

    code = "bad_pdu"
    message = "The SMS gateway does not speak SMPP 3.4."
    fix = "Check its address and port."


class Command(IntEnum):
    """The `command_id`s that we meet."""

    GENERIC_NACK = 0x80000000
    SUBMIT_SM = 0x00000004
    SUBMIT_SM_RESP = 0x80000004
    DELIVER_SM = 0x00000005
    DELIVER_SM_RESP = 0x80000005
    UNBIND = 0x00000006
    UNBIND_RESP = 0x80000006
    BIND_RECEIVER = 0x00000001
    BIND_TRANSMITTER = 0x00000002
    BIND_TRANSCEIVER = 0x00000009
    BIND_TRANSCEIVER_RESP = 0x80000009
    ENQUIRE_LINK = 0x00000015
    ENQUIRE_LINK_RESP = 0x80000015


RESPONSE: Final = 0x80000000
"""The bit that makes a `command_id` an answer."""


class Status(IntEnum):
    """The `command_status`es that we act on; any other is a refusal."""

    OK = 0x00
    INVALID_COMMAND = 0x03
    NOT_BOUND = 0x04
    ALREADY_BOUND = 0x05
    SYSTEM_ERROR = 0x08
    BIND_FAILED = 0x0D
    WRONG_PASSWORD = 0x0E
    QUEUE_FULL = 0x14
    THROTTLED = 0x58
    TEMPORARY = 0x64
    """Of the receiving application: try again."""
    PERMANENT = 0x65


class Tag(IntEnum):
    """The optional parameters that we read."""

    RECEIPTED_MESSAGE_ID = 0x001E
    SAR_REFERENCE = 0x020C
    SAR_TOTAL = 0x020E
    SAR_INDEX = 0x020F
    MESSAGE_PAYLOAD = 0x0424
    MESSAGE_STATE = 0x0427


class Ton(IntEnum):
    """Types of number; carriers send others too."""

    UNKNOWN = 0
    INTERNATIONAL = 1
    ALPHANUMERIC = 5


UDH_INDICATOR: Final = 0x40
MESSAGE_TYPE: Final = 0x3C
RECEIPT_TYPE: Final = 0x04
"""Bits of `esm_class` (5.2.12)."""


@dataclass(frozen=True)
class Header:
    length: int
    command: int
    status: int
    sequence: int

    @property
    def body_bytes(self) -> int:
        return self.length - HEADER_BYTES


def read_header(data: bytes) -> Header:
    """Read the first 16 bytes of a PDU. Raises BadPdu when the length makes no sense: framing is lost then."""
    if len(data) != HEADER_BYTES:
        raise BadPdu
    header = Header(*struct.unpack("!IIII", data))
    if not HEADER_BYTES <= header.length <= MAX_PDU:
        raise BadPdu
    return header


class _Body:
    """Takes fields off a PDU's body in order; raises BadPdu at its end."""

    def __init__(self, data: bytes) -> None:
        self.left = data

    def octet(self) -> int:
        return self.octets(1)[0]

    def short(self) -> int:
        return int.from_bytes(self.octets(2), "big")

    def octets(self, count: int) -> bytes:
        if len(self.left) < count:
            raise BadPdu
        taken, self.left = self.left[:count], self.left[count:]
        return taken

    def string(self) -> str:
        taken, nul, self.left = self.left.partition(b"\0")
        if not nul:
            raise BadPdu
        return taken.decode("latin-1")


def read_c_string(body: bytes) -> str:
    """The one field of an answer's body: an empty string when the body is left out, as for refusals."""
    return body.partition(b"\0")[0].decode("latin-1")


# --- deliver_sm -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Address:
    ton: int
    digits: str = field(repr=False)

    @property
    def number(self) -> str:
        """E.164 with its plus sign where that is what it is; else (short code, name) as it stands.

        Carriers give international numbers with and without the type of number that says so; a national
        number starts with 0, a short code has at most six digits.
        """
        bare = self.digits.lstrip("+")
        international = self.ton == Ton.INTERNATIONAL or self.digits.startswith("+")
        unsaid = self.ton == Ton.UNKNOWN and len(bare) > 6
        if bare.isascii() and bare.isdecimal() and not bare.startswith("0") and (international or unsaid):
            return "+" + bare
        return self.digits


@dataclass(frozen=True)
class Deliver:
    """A `deliver_sm` (`submit_sm` has the same form)."""

    source: Address
    destination: Address
    esm_class: int
    registered_delivery: int
    data_coding: int
    message: bytes = field(repr=False)
    """`message_payload` when there is one, else `short_message`."""
    options: Mapping[int, bytes] = field(repr=False)

    @property
    def has_udh(self) -> bool:
        return bool(self.esm_class & UDH_INDICATOR)

    def number_in(self, tag: Tag) -> int:
        """An optional parameter as a number; 0 when it is not there."""
        return int.from_bytes(self.options.get(tag, b""), "big")

    @property
    def is_receipt(self) -> bool:
        return self.esm_class & MESSAGE_TYPE == RECEIPT_TYPE


def read_deliver(data: bytes) -> Deliver:
    """Read the body of a `deliver_sm`. Raises BadPdu."""
    body = _Body(data)
    body.string()  # service_type
    source, destination = _address(body), _address(body)
    esm_class = body.octet()
    body.octets(2)  # protocol_id, priority_flag
    body.string()  # schedule_delivery_time
    body.string()  # validity_period
    registered = body.octet()
    body.octet()  # replace_if_present_flag
    coding = body.octet()
    body.octet()  # sm_default_msg_id
    message = body.octets(body.octet())
    options = _options(body)
    message = options.get(Tag.MESSAGE_PAYLOAD, message)
    return Deliver(source, destination, esm_class, registered, coding, message, options)


def _address(body: _Body) -> Address:
    ton = body.octet()
    body.octet()  # numbering plan
    return Address(ton, body.string())


def _options(body: _Body) -> dict[int, bytes]:
    options: dict[int, bytes] = {}
    while body.left:
        tag = body.short()
        options[tag] = body.octets(body.short())
    return options


# --- delivery receipts ----------------------------------------------------------------------------


class Outcome(StrEnum):
    """What a receipt says in the end; what is not final is no outcome."""

    DELIVERED = "delivered"
    FAILED = "failed"


_STATES: Final[Mapping[int, Outcome]] = {
    2: Outcome.DELIVERED, 3: Outcome.FAILED, 4: Outcome.FAILED, 5: Outcome.FAILED, 8: Outcome.FAILED,
}  # fmt: skip
"""`message_state` (5.2.28): delivered, expired, deleted, undeliverable, rejected."""

_WORDS: Final[Mapping[str, Outcome]] = {
    "DELIVRD": Outcome.DELIVERED, "EXPIRED": Outcome.FAILED, "DELETED": Outcome.FAILED,
    "UNDELIV": Outcome.FAILED, "REJECTD": Outcome.FAILED,
}  # fmt: skip
"""The same in a receipt's text (appendix B)."""

_ID: Final = re.compile(r"\bid:\s*([^\s:]{1,65})", re.IGNORECASE)
_STAT: Final = re.compile(r"\bstat:\s*([A-Z]{1,10})", re.IGNORECASE)


def read_receipt(deliver: Deliver) -> tuple[str, Outcome | None]:
    """Message id and outcome; the parameters count before the text, whose form every carrier chooses.

    An empty id when there is none. The other fields of the text, whose forms vary most, are not looked at.
    """
    text = deliver.message.decode("latin-1")
    by_text, word = _ID.search(text), _STAT.search(text)
    message_id = read_c_string(deliver.options.get(Tag.RECEIPTED_MESSAGE_ID, b"")) or (by_text[1] if by_text else "")
    state = deliver.options.get(Tag.MESSAGE_STATE, b"")
    if len(state) == 1:
        return message_id, _STATES.get(state[0])
    return message_id, _WORDS.get(word[1].upper()) if word else None


MAX_RECEIPTS: Final = 20_000
"""Parts whose receipts are awaited, and receipts that came before the answer they belong to; oldest forgotten."""


@dataclass
class _Message:
    id: str
    awaited: int
    outcomes: dict[str, Outcome] = field(default_factory=dict)


class Receipts:
    """Turns the receipts of parts into one outcome of the message. In memory only, and bounded."""

    def __init__(self) -> None:
        self._messages: OrderedDict[str, _Message] = OrderedDict()
        self._early: OrderedDict[str, Outcome] = OrderedDict()

    def expect(self, part_ids: list[str]) -> tuple[str, Outcome | None]:
        """A message went out as these parts: its id, and the outcome if all receipts came before this."""
        message = _Message(part_ids[0], len(part_ids))
        outcome = None
        for part_id in part_ids:
            self._messages[part_id] = message
            if part_id in self._early:
                outcome = self._settle(part_id, self._early.pop(part_id)) or outcome
        _trim(self._messages)
        return message.id, outcome

    def receive(self, part_id: str, outcome: Outcome) -> tuple[str, Outcome] | None:
        """Take one part's receipt: message id and outcome when this decides it."""
        message = self._messages.get(part_id)
        if message is None:
            self._early[part_id] = outcome
            _trim(self._early)
            return None
        decided = self._settle(part_id, outcome)
        return (message.id, decided) if decided else None

    def _settle(self, part_id: str, outcome: Outcome) -> Outcome | None:
        message = self._messages.pop(part_id)
        message.outcomes[part_id] = outcome
        if Outcome.FAILED in message.outcomes.values():
            return Outcome.FAILED
        return Outcome.DELIVERED if len(message.outcomes) == message.awaited else None


def _trim(memory: OrderedDict[str, T]) -> None:
    while len(memory) > MAX_RECEIPTS:
        memory.popitem(last=False)
