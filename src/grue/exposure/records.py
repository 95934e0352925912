"""Records that observers outside of Grue write down, one a line: a classic directory, a carrier, an eavesdropper."""

import msgspec


class Asked(msgspec.Struct, frozen=True):
    """One line of the classic directory's log: somebody typed a complete number."""

    at: float
    """Unix seconds."""
    account: str
    """The number of the account that asked."""
    address: str
    """The client's network address."""
    number: str
    """The number asked for."""
    devices: int
    """How many devices the directory answered with; 0 means SMS."""


class Ordered(msgspec.Struct, frozen=True):
    """An order, as whoever handles orders has it on a list."""

    order: int
    target: str
    begun: float
    """Unix seconds: from when it asks."""
    until: float


class Snapshot(msgspec.Struct, frozen=True):
    """What one step of an order produced."""

    begun: float
    ended: float
    """Unix seconds: the span that it covers."""
    records: list[Asked]


class Return(msgspec.Struct, frozen=True):
    """What is handed over on an order: a cover, and a snapshot for each step."""

    order: int
    target: str
    begun: float
    """Unix seconds: from when the order asks."""
    until: float
    produced: float
    responsive: bool
    """Whether anything is held; a number that was never seen has an empty return."""
    snapshots: list[Snapshot]
    notice: str = "These logs do not indicate that any communication took place."
    kept_from: float = 0.0
    """Unix seconds: what was asked before is deleted from the log, unless an order had it by then."""

    def records(self) -> list[Asked]:
        """All snapshots together, each record once."""
        return list(dict.fromkeys(record for snapshot in self.snapshots for record in snapshot.records))


class CallDetail(msgspec.Struct, frozen=True):
    """A carrier's record of a call or an SMS."""

    at: float
    """Unix seconds."""
    kind: str
    """`call` or `sms`."""
    sender: str
    to: str
    seconds: int = 0
    text: str = ""


class Dialled(msgspec.Struct, frozen=True):
    """What a dial-number recorder on one line prints: numbers and times, no text and no voice."""

    at: float
    line: str
    number: str
    outgoing: bool
    kind: str
    seconds: int = 0


class Heard(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a radio interceptor near one handset has of it."""

    at: float
    what: str
    """`presence`, `call`, `sms`, or `tls`: a connection whose inside is not heard."""
    sender: str = ""
    to: str = ""
    text: str = ""
    size: int = 0
    """Bytes of something over TLS, without what TLS adds."""
    up: bool = False
    """Of TLS: the handset sent it."""


class Delivered(msgspec.Struct, frozen=True):
    """What a contact's client opened of what it was delivered."""

    at: float
    """Unix seconds at which it was delivered."""
    what: str
    """`request`, the first message of somebody new; `text`; or `receipt`."""
    sender: str
    """Whose conversation it came in: a number."""
    text: str = ""


class Passed(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something sealed that passed whoever sees addresses, times and sizes: a relay, or the network."""

    at: float
    address: str
    """The client's."""
    connection: str
    up: bool
    size: int
    """Bytes, without what TLS adds."""
    to: str = "server"
    """The other end: `server` or `relay`."""


class Held(msgspec.Struct, frozen=True):
    """A row of a server's database, as it lay there at a snapshot."""

    at: float
    """Unix seconds of the snapshot."""
    table: str
    row: dict[str, str | int | None]
    """By column; bytes as hexadecimal, sealed ones as their length."""


class Names(msgspec.Struct, frozen=True):
    """Whose are ids that lie on a server or pass it: numbers, by ids as hexadecimal."""

    numbers: dict[str, str]
    """By `account.phone_tag`, for who has the directory's key."""
    intros: dict[str, str] = {}
    """By intro mailbox, for whoever looks a number up."""
    accounts: dict[str, str] = {}
    """By account, for who has the directory's key."""

    def with_those_of(self, other: "Names") -> "Names":
        """Of two servers together: their ids are random, and never the same."""
        return Names(self.numbers | other.numbers, self.intros | other.intros, self.accounts | other.accounts)
