"""The tables in which the server keeps everything, and the steps by which a file of an earlier version gets them.

Who changes `TABLES` adds a step: a new file has today's tables at once, and one of an earlier version goes through the
steps that it lacks. A test holds that both end the same.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple


class Column(NamedTuple):
    name: str
    kind: str
    """`BLOB`, `INTEGER` or `TEXT`, with `NOT NULL` where it is."""
    says: str
    """What the column tells whom, for the documents and for `grue subpoena`."""


class Table(NamedTuple):
    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    """Random by construction, so that neither the order of the rows nor a row number links anything."""
    unique: tuple[str, ...] = ()


TABLES: Final = (
    Table(
        "account",
        (
            Column("account", "BLOB NOT NULL", "nothing: 16 random bytes"),
            Column("phone_tag", "BLOB NOT NULL", "the phone number, to whoever also holds the directory's key"),
            Column("identity_pub", "BLOB NOT NULL", "the account to its contacts, who know this key"),
            Column("hpke_pub", "BLOB NOT NULL", "nothing more: what inbound SMS and invitations are sealed to"),
            Column("device_list", "BLOB NOT NULL", "how many devices, and their keys"),
            Column("intro_mailbox", "BLOB NOT NULL", "which mailbox takes this account's first contacts"),
            Column("discoverable", "INTEGER NOT NULL", "whether the number is in the directory"),
            Column("lock", "BLOB", "whether a registration lock is set"),
            Column("expires_week", "INTEGER NOT NULL", "that the account was active in the weeks before"),
        ),
        ("account",),
        unique=("phone_tag", "intro_mailbox"),
    ),
    Table(
        "device",
        (
            Column("account", "BLOB NOT NULL", "whose device this is"),
            Column("device_pub", "BLOB NOT NULL", "the device to its contacts, who know this key"),
            Column("expires_week", "INTEGER NOT NULL", "that the device was active in the weeks before"),
        ),
        ("account", "device_pub"),
        unique=("device_pub",),
    ),
    Table(
        "key_package",
        (
            Column("device_pub", "BLOB NOT NULL", "whose it is"),
            Column("ref", "BLOB NOT NULL", "nothing more: the start of the package's SHA-256"),
            Column("last_resort", "INTEGER NOT NULL", "nothing: every device has one"),
            Column("expires_week", "INTEGER NOT NULL", "the week in which the device began with what it has here"),
            Column("blob", "BLOB NOT NULL", "what the next stranger is given, public keys only"),
        ),
        ("device_pub", "ref"),
    ),
    Table(
        "mailbox",
        (
            Column("mailbox", "BLOB NOT NULL", "nothing: 32 random bytes"),
            Column("write_hash", "BLOB", "nothing more; empty for an intro mailbox"),
            Column("created", "BLOB NOT NULL", "nothing: the hash of how it was created, to know a repetition"),
            Column("incarnation", "BLOB NOT NULL", "nothing: random"),
            Column(
                "seq",
                "INTEGER NOT NULL",
                "how many envelopes it ever took; nothing of an intro mailbox, which begins by chance",
            ),
            Column("held", "INTEGER NOT NULL", "its backlog in KiB"),
            Column("expires_day", "INTEGER NOT NULL", "that it was used in the year before, to 30 days"),
        ),
        ("mailbox",),
    ),
    Table(
        "reader",
        (
            Column("mailbox", "BLOB NOT NULL", "which mailbox: the number of its devices"),
            Column("read_hash", "BLOB NOT NULL", "nothing: the hash of a random key, or of a slot's secret"),
            Column("slot", "INTEGER NOT NULL", "whether a device was invited and has not joined yet"),
            Column("cursor", "INTEGER NOT NULL", "how far this device has read"),
        ),
        ("mailbox", "read_hash"),
    ),
    Table(
        "envelope",
        (
            Column("mailbox", "BLOB NOT NULL", "the backlog of a mailbox"),
            Column("seq", "INTEGER NOT NULL", "their order"),
            Column("id", "BLOB NOT NULL", "nothing: 16 random bytes"),
            Column("expires_day", "INTEGER NOT NULL", "the day on which it came, or the one before"),
            Column(
                "blob",
                "BLOB NOT NULL",
                "its size bucket; in an intro mailbox also: SMS or not, and which key package; the rest is sealed",
            ),
        ),
        ("mailbox", "seq"),
    ),
    Table(
        "blob",
        (
            Column("id", "BLOB NOT NULL", "nothing: the hash of 32 random bytes"),
            Column("bucket", "INTEGER NOT NULL", "its size bucket; the sealed bytes are in a file"),
            Column("expires_day", "INTEGER NOT NULL", "the day on which it came, or the one before"),
        ),
        ("id",),
    ),
    Table(
        "token_spent",
        (
            Column("key", "BLOB NOT NULL", "nothing, to who does not know the token: the hash of its nonce"),
            Column("use", "BLOB NOT NULL", "nothing, likewise: what it was spent on, under a key that only it gives"),
            Column("epoch", "INTEGER NOT NULL", "how many tokens the whole server took in eight weeks"),
        ),
        ("key",),
    ),
    Table(
        "token_quota",
        (
            Column("phone_tag", "BLOB NOT NULL", "the phone number, to whoever also holds the directory's key"),
            Column("week", "INTEGER NOT NULL", "the week in which its account last drew tokens"),
            Column("first", "INTEGER NOT NULL", "whether that was the number's first week in a month"),
            Column("lookups", "INTEGER NOT NULL", "lookup tokens drawn in that week, spent or not, in fifties"),
            Column("posts", "INTEGER NOT NULL", "post tokens drawn in that week, spent or not, in fifties"),
        ),
        ("phone_tag",),
    ),
    Table(
        "code_sent",
        (
            Column(
                "name",
                "BLOB NOT NULL",
                "the phone number and the identity key that asked, to whoever holds the server's key and tries both",
            ),
            Column("expires_window", "INTEGER NOT NULL", "the ten minutes in which the SMS was sent, for two of them"),
            Column("number", "BLOB NOT NULL", "the phone number, to whoever holds the server's key and tries all"),
            Column("digits", "INTEGER NOT NULL", "whether the number was locked then: its code was longer"),
            Column("times", "INTEGER NOT NULL", "how many SMS it was sent in"),
            Column("guesses", "INTEGER NOT NULL", "how many wrong codes were handed in for it"),
            Column("used", "INTEGER NOT NULL", "whether the code served, so that it serves once"),
        ),
        ("name", "expires_window"),
    ),
    Table(
        "code_count",
        (
            Column(
                "name",
                "BLOB NOT NULL",
                "a phone number, or the first digits of some, to whoever holds the server's key and tries all",
            ),
            Column("expires_window", "INTEGER NOT NULL", "the ten minutes in which codes were sent, for an hour"),
            Column("codes", "INTEGER NOT NULL", "how many codes were sent there then"),
        ),
        ("name", "expires_window"),
    ),
    Table(
        "code_lock",
        (
            Column("name", "BLOB NOT NULL", "the phone number, to whoever holds the server's key and tries all"),
            Column("guesses", "INTEGER NOT NULL", "how many wrong codes were handed in for it since its last lock"),
            Column("locks", "INTEGER NOT NULL", "how often it was locked in a row"),
            Column("until_window", "INTEGER NOT NULL", "until when it is locked, to ten minutes"),
            Column("expires_day", "INTEGER NOT NULL", "the day of the last wrong code, for a week"),
        ),
        ("name",),
    ),
    Table(
        "claim",
        (
            Column("phone_tag", "BLOB NOT NULL", "the phone number, to whoever also holds the directory's key"),
            Column("identity_pub", "BLOB NOT NULL", "who wants the number besides the account that has it"),
            Column("device_list", "BLOB NOT NULL", "their devices, and their keys"),
            Column(
                "until_day",
                "INTEGER NOT NULL",
                "the day a week after the claim or the objection to it, or the day on which the account let go",
            ),
            Column("objected", "INTEGER NOT NULL", "whether the account that has the number objected, or let go"),
        ),
        ("phone_tag", "identity_pub"),
    ),
    Table(
        "posted",
        (
            Column("key", "BLOB NOT NULL", "nothing, to who does not know mailbox and envelope id: their hash"),
            Column("seq", "INTEGER NOT NULL", "nothing, likewise: masked with the rest of that hash"),
            Column("contents", "BLOB NOT NULL", "nothing, likewise: the start of a hash of the envelope"),
            Column("expires_day", "INTEGER NOT NULL", "how many envelopes the whole server took, to two days"),
        ),
        ("key",),
    ),
)
"""Every table and column there is; a test holds them against a real file."""

FIRST_VERSION: Final = 4
"""The first version of protocol 2. No step leads here from versions 1 to 3, of a server of protocol 1: its accounts
have to register anew. Raised together with `wire.PROTOCOL`; the steps begin again then."""

STEPS: Final[Mapping[int, Sequence[str]]] = {
    5: (
        "CREATE TABLE code_sent (name BLOB NOT NULL, expires_window INTEGER NOT NULL, number BLOB NOT NULL,"
        " digits INTEGER NOT NULL, times INTEGER NOT NULL, guesses INTEGER NOT NULL, used INTEGER NOT NULL,"
        " PRIMARY KEY (name, expires_window))",
        "CREATE TABLE code_count (name BLOB NOT NULL, expires_window INTEGER NOT NULL, codes INTEGER NOT NULL,"
        " PRIMARY KEY (name, expires_window))",
        "CREATE TABLE code_lock (name BLOB NOT NULL, guesses INTEGER NOT NULL, locks INTEGER NOT NULL,"
        " until_window INTEGER NOT NULL, expires_day INTEGER NOT NULL, PRIMARY KEY (name))",
    ),
    6: (
        "CREATE TABLE claim (phone_tag BLOB NOT NULL, identity_pub BLOB NOT NULL, device_list BLOB NOT NULL,"
        " until_day INTEGER NOT NULL, objected INTEGER NOT NULL, PRIMARY KEY (phone_tag, identity_pub))",
    ),
}
"""By version: the SQL that makes it of the one before. A step never changes once a release has it."""

SCHEMA_VERSION: Final = max(STEPS, default=FIRST_VERSION)
"""An older Grue refuses a newer file."""


def create_statements(table_suffix: str) -> list[str]:
    """The SQL that makes `TABLES` in an empty file; the suffix is the engine's own."""
    statements = []
    for table in TABLES:
        columns = ", ".join(f"{column.name} {column.kind}" for column in table.columns)
        unique = "".join(f", UNIQUE ({name})" for name in table.unique)
        key = ", ".join(table.key)
        statements.append(f"CREATE TABLE {table.name} ({columns}, PRIMARY KEY ({key}){unique}) {table_suffix}".rstrip())
    return statements


def step_statements(version: int, table_suffix: str) -> list[str]:
    """The SQL that takes a file from this version to today's; the suffix goes to each table that is made."""
    steps = [statement for number in range(version + 1, max(STEPS) + 1) for statement in STEPS[number]]
    return [f"{sql} {table_suffix}".rstrip() if sql.startswith("CREATE TABLE") else sql for sql in steps]
