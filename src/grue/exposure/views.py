"""Read what each observer was given as sightings (who did what, with whom, when), and put pieces together to links.

Each function reads one observer's records with that observer's knowledge and no more. The `from_...` functions know
neither the truth nor which question will be asked, and leave `UNKNOWN` what they cannot tell. Those under "put
together" say who is behind a mailbox and whether lookups can be told apart; some are given the truth to look for.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from grue.errors import BadRequest
from grue.exposure.captures import RELAYED, Event
from grue.exposure.decode import messages, names
from grue.exposure.lives import DAY, UNKNOWN, Kind, Sighting
from grue.exposure.records import Asked, CallDetail, Delivered, Dialled, Heard, Held, Passed
from grue.exposure.scanner.encodings import of_bytes
from grue.exposure.truth import LookedUp, Said, Truth
from grue.protocol import wire

ENVELOPE_BYTES: Final = 1024
"""The smallest envelope: what is smaller carries no message."""

AT_ONCE: Final = 1.0
"""Seconds. What follows an envelope so soon in its mailbox is a receipt, written by nobody."""

ROUND: Final = 5.0
"""Seconds after an account counted its key packages in which the rest of its daily round comes."""

TOGETHER: Final = 5.0
"""Seconds from a key package's claim to the mailbox that it was claimed for."""

NOTHING: Final[Mapping[str, str]] = {}

ANSWERED: Final = 0.25
"""Seconds in which a request is answered that does not wait for anything."""


def from_return(records: Iterable[Asked]) -> list[Sighting]:
    """A classic directory's log about one account: it asked for a number."""
    return [Sighting(asked.at, Kind.LOOKUP, asked.account, asked.number) for asked in records]


KINDS: Final = {"call": Kind.CALL, "sms": Kind.TEXT}
"""What passes on a telephone network."""


def from_carrier(records: Iterable[CallDetail]) -> list[Sighting]:
    """A carrier's records."""
    return [Sighting(one.at, KINDS[one.kind], one.sender, one.to) for one in records]


def from_recorder(dialled: Iterable[Dialled]) -> list[Sighting]:
    """What a dial-number recorder prints: the line that it is on, and the other number."""
    return [
        Sighting(one.at, KINDS[one.kind], *((one.line, one.number) if one.outgoing else (one.number, one.line)))
        for one in dialled
    ]


def from_radio(heard: Sequence[Heard]) -> list[Sighting]:
    """Calls and SMS with both numbers; and of what goes over TLS when the handset sends something as large as an
    envelope. That the handset is there says nothing of who carries it.
    """
    found = [Sighting(one.at, KINDS[one.what], one.sender, one.to) for one in heard if one.what in KINDS]
    found += _doings((one.at, one.up, one.sender) for one in heard if one.what == "tls" and one.size >= ENVELOPE_BYTES)
    return sorted(found, key=lambda one: one.at)


def from_contact(told: Iterable[Delivered], contact: str) -> list[Sighting]:
    """What a contact was told, and by whom. Receipts are the other client's doing, and not the other's."""
    return [Sighting(one.at, Kind.TEXT, one.sender, contact) for one in told if one.what != "receipt"]


# --- a Grue server, live --------------------------------------------------------------------------


@dataclass
class _Box:
    """What a live server knows of one mailbox."""

    members: set[str] = field(default_factory=set)
    """Numbers, or addresses where no number is known."""
    invited: str = UNKNOWN
    """Whose key package was claimed just before."""
    last: float = 0.0
    posts: list[tuple[float, str]] = field(default_factory=list)


class _Server:
    """Reads what a server was given, message by message. An address is whose account was last seen there."""

    def __init__(self, intros: Mapping[str, str], accounts: Mapping[str, str]) -> None:
        self._at_address: dict[str, str] = {}
        self._of_intro = {bytes.fromhex(mailbox): number for mailbox, number in intros.items()}
        self._of_account = {bytes.fromhex(account): number for account, number in accounts.items()}
        self._boxes: dict[bytes, _Box] = {}
        self._registering: dict[str, str] = {}
        self._rounds: dict[str, float] = {}
        self._claimed: tuple[float, str] = (0.0, UNKNOWN)
        self._sms: set[bytes] = set()
        """Ids: an SMS is sent again, over the server's challenge."""
        self._found: list[Sighting] = []

    def read(self, events: Iterable[Event]) -> list[Sighting]:
        for read in messages(events):
            if read.event.up:
                self._request(read.event, read.message)
        return sorted([*self._found, *self._texts()], key=lambda one: one.at)

    def _request(self, event: Event, message: wire.Message) -> None:
        who = self._who(event)
        match message:
            case wire.RegisterFinish(number=number, device_list=signed):
                self._at_address[event.address] = number
                self._of_intro |= dict.fromkeys(_intro(signed), number)
            case wire.CheckIn(number=number):
                self._at_address[event.address] = number
            case wire.Signed(account=account) if account in self._of_account:
                self._at_address[event.address] = self._of_account[account]
            case wire.DrawTokens() if event.at - self._rounds.get(event.address, 0.0) > ROUND:
                self._rounds[event.address] = event.at
                self._found.append(Sighting(event.at, Kind.ACTIVE, who))
            case wire.Subscribe(mailbox=mailbox) if mailbox in self._of_intro:
                self._at_address[event.address] = self._of_intro[mailbox]
            case wire.CountKeyPackages():
                self._rounds[event.address] = event.at
            case wire.SendSms(id=sms, sender=sender, to=to) if sms not in self._sms:
                self._sms.add(sms)
                self._found.append(Sighting(event.at, Kind.TEXT, sender, to))
            case wire.Evaluate() if event.at - self._rounds.get(event.address, 0.0) > ROUND:
                self._found.append(Sighting(event.at, Kind.ACTIVE, who))
            case wire.Claim(intro_mailbox=intro):
                other = self._of_intro.get(intro, UNKNOWN)
                self._claimed = (event.at, other)
                self._found.append(Sighting(event.at, Kind.LOOKUP, who, other))
            case wire.CreateMailbox(mailbox=mailbox):
                self._create(event, self._box(mailbox, who))
            case wire.Post(mailbox=mailbox):
                self._post(event, who, self._box(mailbox, who))
            case wire.Fetch(mailbox=mailbox) | wire.ExchangeSlot(mailbox=mailbox):
                self._box(mailbox, who)
            case wire.Subscribe(mailbox=mailbox) | wire.Ack(mailbox=mailbox) if mailbox not in self._of_intro:
                self._box(mailbox, who)

    def _who(self, event: Event) -> str:
        if event.address == RELAYED:
            return UNKNOWN
        return self._at_address.get(event.address, event.address)

    def _box(self, mailbox: bytes, who: str) -> _Box:
        box = self._boxes.setdefault(mailbox, _Box())
        if who != UNKNOWN:
            box.members.add(who)
        return box

    def _create(self, event: Event, box: _Box) -> None:
        at, other = self._claimed
        if event.at - at <= TOGETHER:
            box.invited = other

    @staticmethod
    def _post(event: Event, who: str, box: _Box) -> None:
        if event.at - box.last > AT_ONCE:
            box.posts.append((event.at, who))
            box.last = event.at

    def _texts(self) -> Iterator[Sighting]:
        """Each post, once it is known who else reads the mailbox."""
        for box in self._boxes.values():
            for at, who in box.posts:
                others = (box.members or {box.invited}) - {who}
                yield Sighting(at, Kind.TEXT, who, min(others, default=UNKNOWN))


def from_server(
    events: Iterable[Event], *, intros: Mapping[str, str] = NOTHING, accounts: Mapping[str, str] = NOTHING
) -> list[Sighting]:
    """What a live server, or one role of it, makes of what it was given, `direct` or by a relay.

    A role that is not given registrations may know numbers from elsewhere, by hexadecimal ids: whose `intros` are
    which intro mailboxes, as the directory tells whoever looks a number up; whose `accounts`, with its key.
    """
    return _Server(intros, accounts).read(events)


def _intro(signed: bytes) -> list[bytes]:
    try:
        return [wire.DEVICE_LIST.decode(wire.SIGNED_DEVICE_LIST.decode(signed).body).intro_mailbox]
    except BadRequest:
        return []


# --- at rest --------------------------------------------------------------------------------------


def from_rest(rows: Iterable[Held], numbers: Mapping[str, str]) -> list[Sighting]:
    """Snapshots, read with the directory's key: `numbers` by tag, as hexadecimal.

    An envelope in an account's intro mailbox, and a key package that an account lacks beside the others, say that
    somebody new wrote to it on the day before.
    """
    by_time: dict[float, list[Held]] = {}
    for row in rows:
        by_time.setdefault(row.at, []).append(row)
    return [sighting for at, held in sorted(by_time.items()) for sighting in _snapshot(at, held, numbers)]


def _snapshot(at: float, rows: Sequence[Held], numbers: Mapping[str, str]) -> Iterator[Sighting]:
    accounts = {str(one.row["account"]): one.row for one in rows if one.table == "account"}
    of_intro = {row["intro_mailbox"]: numbers.get(str(row["phone_tag"]), UNKNOWN) for row in accounts.values()}
    of_device: dict[object, Mapping[str, object]] = {
        one.row["device_pub"]: accounts[str(one.row["account"])]
        for one in rows
        if one.table == "device" and str(one.row["account"]) in accounts
    }
    left: dict[object, int] = dict.fromkeys(of_device, 0)
    for one in rows:
        if one.table == "envelope" and one.row["mailbox"] in of_intro:
            yield Sighting(at - DAY, Kind.TEXT, UNKNOWN, of_intro[one.row["mailbox"]], DAY)
        elif one.table == "key_package" and one.row["device_pub"] in left and not one.row["last_resort"]:
            left[one.row["device_pub"]] += 1
    full = max(left.values(), default=0)
    for device, count in left.items():
        if count < full:
            number = numbers.get(str(of_device[device]["phone_tag"]), UNKNOWN)
            yield Sighting(at - DAY, Kind.TEXT, UNKNOWN, number, DAY)


# --- a relay, and a relay with the server ---------------------------------------------------------


def from_relay(passed: Sequence[Passed], subscribers: Mapping[str, str]) -> list[Sighting]:
    """Addresses and times alone. Something is asked from one address, and a request of another's that had waited is
    answered: a message, by the look of it. `subscribers` are numbers by address, as access providers know them.
    """
    asked, waited = _requests(passed)
    moments = [at for at, _ in waited]
    found: list[Sighting] = []
    last: dict[frozenset[str], float] = {}
    for at, address in asked:
        who = subscribers.get(address, address)
        for _, other in waited[bisect_left(moments, at) : bisect_left(moments, at + ANSWERED)]:
            pair = frozenset((address, other))
            if other == address or at - last.get(pair, 0.0) <= 2 * AT_ONCE:
                continue
            last[pair] = at
            found.append(Sighting(at, Kind.TEXT, who, subscribers.get(other, other)))
    return found


def _requests(passed: Sequence[Passed]) -> tuple[list[tuple[float, str]], list[tuple[float, str]]]:
    """What was answered at once, by when it was asked, and what had waited, by when it was answered."""
    begun: dict[str, float] = {}
    asked: list[tuple[float, str]] = []
    waited: list[tuple[float, str]] = []
    for one in passed:
        if one.up:
            begun[one.connection] = one.at
        elif (at := begun.pop(one.connection, None)) is not None:
            if one.at - at <= ANSWERED:
                asked.append((at, one.address))
            else:
                waited.append((one.at, one.address))
    return sorted(asked), sorted(waited)


# --- a network ------------------------------------------------------------------------------------


def from_network(passed: Iterable[Passed], lines: Mapping[str, str]) -> list[Sighting]:
    """What a network sees on the `lines` that it looks at, numbers by address: when something as large as an envelope
    goes that does not follow on something that came. With whom, it does not see.
    """
    begun: dict[str, tuple[int, Passed]] = {}
    moments: list[tuple[int, _Moment]] = []
    for n, one in enumerate(passed):
        if one.address not in lines:
            continue
        if one.up:
            begun[one.connection] = (n, one)
            continue
        who = lines[one.address]
        first, asked = begun.pop(one.connection, (n, None))
        if asked is not None and one.at - asked.at <= ANSWERED:
            if asked.size >= ENVELOPE_BYTES:
                moments.append((first, (asked.at, True, who)))
        elif one.size >= ENVELOPE_BYTES:
            moments.append((n, (one.at, False, who)))
    # What passed in one instant stays in the order in which it passed.
    return list(_doings(moment for _, moment in sorted(moments)))


_Moment: TypeAlias = tuple[float, bool, str]
"""When something large passed on a line, whether it was sent, and whose line it is."""


def _doings(moments: Iterable[_Moment]) -> Iterator[Sighting]:
    """What somebody sent of their own accord: not what follows at once on something that came, or was sent."""
    last: dict[str, float] = {}
    for at, sent, who in moments:
        if sent and at - last.get(who, 0.0) > AT_ONCE:
            yield Sighting(at, Kind.ACTIVE, who)
        last[who] = at


SAME: Final = 0.02
"""Seconds between a request at the relay and the same at the server, at most."""


def from_both(events: Sequence[Event], passed: Sequence[Passed]) -> list[Sighting]:
    """A server and its relay that tell each other: each relayed request gets its address back, by its time."""
    return from_server(_addressed(events, passed))


def _addressed(events: Sequence[Event], passed: Sequence[Passed]) -> Iterator[Event]:
    # What came in one instant stays in its order, which is the same on both sides.
    by_time = sorted(((one.at, one.address) for one in passed if one.up), key=lambda one: one[0])
    at = 0
    for event in events:
        if event.address != RELAYED or not event.up:
            yield event
            continue
        while at < len(by_time) and by_time[at][0] < event.at - SAME:
            at += 1
        if at < len(by_time) and by_time[at][0] <= event.at + SAME:
            yield Event(event.at, by_time[at][1], event.connection, event.up, event.where, event.data)
            at += 1
        else:
            yield event


# --- put together ----------------------------------------------------------------------------------

Pair: TypeAlias = tuple[str, str]
"""Who wrote, and to whom: two numbers."""

Trace: TypeAlias = tuple[tuple[bool, str, int], ...]
"""Towards the server or not, what it was, and its bytes, in order."""

ANONYMOUS: Final = wire.Evaluate | wire.Query | wire.Claim | wire.CreateMailbox | wire.Post | wire.PostIntro
"""Requests that say nothing of who makes them."""

MIN_LINK: Final = 8
"""Bytes: values that are shorter are counts and days, which many rows share by chance."""


def trace(events: Iterable[Event], lookup: LookedUp) -> Trace:
    """What one lookup made pass, as far as an observer of these events can see.

    What came by a relay meanwhile is taken for the lookup's: in a run nobody else does anything then.
    """
    return tuple(
        (event.up, names(event), len(event.data))
        for event in events
        if event.address in (lookup.by, RELAYED) and lookup.holds(event.at)
    )


def tells_hits_from_misses(events: Sequence[Event], lookups: Iterable[LookedUp]) -> bool:
    """Whether no hit looked like any miss. (Hits need not all look alike: one of them may have brought news.)"""
    traces: defaultdict[bool, set[Trace]] = defaultdict(set)
    for lookup in lookups:
        traces[lookup.found].add(trace(events, lookup))
    return bool(traces[True]) and bool(traces[False]) and not traces[True] & traces[False]


def by_mailbox(events: Sequence[Event]) -> set[Pair]:
    """A posts to a mailbox, B is given it: by their addresses, whose numbers were seen when they registered."""
    number_at: dict[str, str] = {}
    posted: dict[bytes, str] = {}
    pairs: set[Pair] = set()
    for read in messages(events):
        match read.message:
            case wire.RegisterStart(number=number):
                number_at[read.event.address] = number
            case wire.Post(envelope=envelope) | wire.PostIntro(envelope=envelope):
                posted[envelope] = read.event.address
            case wire.Delivery(envelope=envelope):
                pairs |= _pair(number_at, posted.get(envelope), read.event.address)
            case wire.Fetched(envelopes=envelopes):
                for delivery in envelopes:
                    pairs |= _pair(number_at, posted.get(delivery.envelope), read.event.address)
    return pairs


def _pair(number_at: Mapping[str, str], sender: str | None, reader: str) -> set[Pair]:
    if sender is None or sender == reader or not {sender, reader} <= number_at.keys():
        return set()
    return {(number_at[sender], number_at[reader])}


def by_timing(events: Sequence[Event], truth: Truth) -> set[Pair]:
    """Something as large as an envelope comes from A, and then something as large goes to B: no more than a guess."""
    address_of = {person.number: person.address for person in truth.people}
    large = [event for event in events if len(event.data) >= ENVELOPE_BYTES]
    return {
        (said.sender, said.to)
        for said in truth.messages
        if any(
            first.up and not then.up and first.at <= then.at
            for first in _between(large, said, address_of.get(said.sender))
            for then in _between(large, said, address_of.get(said.to))
        )
    }


def _between(events: Iterable[Event], said: Said, address: str | None) -> list[Event]:
    return [event for event in events if event.address == address and said.begun <= event.at <= said.ended]


def identifiers(events: Iterable[Event]) -> dict[str, list[bytes]]:
    """By number, everything that names its account on the wire, from what a server was given at registration."""
    found: dict[str, list[bytes]] = {}
    asked: dict[str, str] = {}
    for read in messages(events):
        match read.message:
            case wire.RegisterFinish(number=number, device_list=signed, intro_read_hash=read_hash):
                asked[read.event.connection] = number
                found[number] = [read_hash, *_of_list(signed)]
            case wire.Registered(account=account) if read.event.connection in asked:
                found[asked[read.event.connection]].append(account)
    return found


def named_beside_what_is_anonymous(events: Sequence[Event], truth: Truth) -> list[str]:
    """Where a name of the account stands on a connection that also posts or looks up: it would be under all of that."""
    read = [read.event for read in messages(events) if isinstance(read.message, ANONYMOUS)]
    anonymous = {event.connection for event in read if event.up}
    forms = {
        person.address: [form for name in truth.identifiers.get(person.number, ()) for form in of_bytes(name)]
        for person in truth.people
    }
    return [
        names(event)
        for event in events
        if event.up
        and event.connection in anonymous
        and any(form in event.data for form in forms.get(event.address, ()))
    ]


def _of_list(signed: bytes) -> list[bytes]:
    try:
        devices = wire.DEVICE_LIST.decode(wire.SIGNED_DEVICE_LIST.decode(signed).body)
    except BadRequest:
        return []
    return [devices.identity_public, devices.hpke_public, devices.intro_mailbox, *devices.devices]


def by_rows(rows: Sequence[tuple[object, ...]], truth: Truth) -> set[Pair]:
    """A and B are linked when a way leads from a name of one to a name of the other, over rows that share values."""
    rows_of: defaultdict[bytes, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        for value in _values(row):
            rows_of[value].append(at)
    pairs = {(said.sender, said.to) for said in truth.messages}
    return {(a, b) for a, b in pairs if _reachable(truth, a, rows, rows_of) & set(truth.identifiers.get(b, ()))}


def _reachable(
    truth: Truth, number: str, rows: Sequence[tuple[object, ...]], rows_of: Mapping[bytes, list[int]]
) -> set[bytes]:
    seen = set(truth.identifiers.get(number, ()))
    rest = list(seen)
    while rest:
        for at in rows_of.get(rest.pop(), ()):
            new = _values(rows[at]) - seen
            seen |= new
            rest += new
    return seen


def _values(row: tuple[object, ...]) -> set[bytes]:
    texts = {value.encode() if isinstance(value, str) else value for value in row if isinstance(value, str | bytes)}
    return {text for text in texts if len(text) >= MIN_LINK}
