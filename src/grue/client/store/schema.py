"""The tables of a client's database, and the steps from each former version to the next."""

from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from typing import Any, Final, cast

import apsw
import msgspec

from grue.errors import BadRequest, ForeignDatabase
from grue.protocol import wire

APPLICATION_ID: Final = 0x67727565
"""`grue` in ASCII, in the database's header."""

VERSION_1: Final = """
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE mls (
    key BLOB PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE chat (
    id INTEGER PRIMARY KEY,
    number TEXT UNIQUE,                     -- verified by a lookup, or an SMS contact's
    claimed TEXT NOT NULL DEFAULT '',
    identity BLOB UNIQUE,
    list_number INTEGER NOT NULL DEFAULT 0, -- of the newest device list seen
    encrypted INTEGER NOT NULL DEFAULT 0    -- 1 once any message went or came encrypted
);

-- Numbers that were written to or heard from encrypted. Kept for ever: none of them turns green by itself.
CREATE TABLE encrypted_number (
    number TEXT PRIMARY KEY
) WITHOUT ROWID;

CREATE TABLE conversation (
    id BLOB PRIMARY KEY,
    chat INTEGER NOT NULL REFERENCES chat,
    state TEXT NOT NULL,
    mailbox BLOB NOT NULL,
    body BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX conversation_mailbox ON conversation (mailbox);

CREATE TABLE message (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL,
    chat INTEGER NOT NULL REFERENCES chat,
    sender BLOB NOT NULL,                   -- identity key; empty for an SMS that came in
    incoming INTEGER NOT NULL,
    route TEXT NOT NULL,
    text TEXT NOT NULL,
    sent INTEGER NOT NULL,                  -- Unix milliseconds by the sender's clock
    state TEXT NOT NULL,
    conversation BLOB NOT NULL DEFAULT x'',
    seq INTEGER NOT NULL DEFAULT 0,
    shown INTEGER NOT NULL DEFAULT 0,
    UNIQUE (sender, id)
);
CREATE INDEX message_chat ON message (chat, n);
CREATE INDEX message_own ON message (id) WHERE incoming = 0;
CREATE INDEX message_new ON message (n) WHERE incoming = 1 AND shown = 0;
CREATE INDEX message_state ON message (conversation, state) WHERE incoming = 0;

-- Own messages that are to go out encrypted and are not encrypted yet.
CREATE TABLE intent (
    message BLOB PRIMARY KEY,
    chat INTEGER NOT NULL REFERENCES chat
) WITHOUT ROWID;

-- What a person should know that is no message.
CREATE TABLE notice (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    chat INTEGER NOT NULL REFERENCES chat,
    kind TEXT NOT NULL
);

CREATE TABLE outbox (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation BLOB NOT NULL,
    purpose TEXT NOT NULL,
    request BLOB NOT NULL,
    envelope BLOB NOT NULL,
    message BLOB NOT NULL
);

CREATE TABLE posted (
    envelope BLOB PRIMARY KEY,
    purpose TEXT NOT NULL,
    digest BLOB NOT NULL,                   -- SHA-256 of the MLS message inside
    day INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX posted_digest ON posted (digest);

CREATE TABLE seen (
    envelope BLOB PRIMARY KEY,
    day INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE log (
    conversation BLOB NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (conversation, seq)
) WITHOUT ROWID;

CREATE TABLE evaluation (
    number TEXT NOT NULL,
    oprf_epoch INTEGER NOT NULL,
    output BLOB NOT NULL,
    PRIMARY KEY (number, oprf_epoch)
) WITHOUT ROWID;

CREATE TABLE record (
    tag BLOB PRIMARY KEY,
    record BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE overlay (
    seq INTEGER PRIMARY KEY,
    tag BLOB NOT NULL,
    entry BLOB NOT NULL
);
CREATE INDEX overlay_tag ON overlay (tag, seq);

CREATE TABLE exposure (
    day INTEGER NOT NULL,
    party TEXT NOT NULL,
    fact TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (day, party, fact)
) WITHOUT ROWID;
"""
"""What a home of version 1 has. A fresh home begins with it, too, and takes every step."""

SINCE_2: Final = """
CREATE TABLE token (
    nonce BLOB PRIMARY KEY,
    purpose TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    output BLOB NOT NULL
) WITHOUT ROWID;
"""
"""What a home of version 1 lacks."""

SINCE_3: Final = """
CREATE TABLE attachment (
    message INTEGER PRIMARY KEY REFERENCES message ON DELETE CASCADE,
    key BLOB NOT NULL,
    length INTEGER NOT NULL,
    name TEXT NOT NULL
);
"""
"""What a home of version 2 lacks."""

SINCE_4: Final = """
CREATE TABLE contact (
    number TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    route TEXT NOT NULL DEFAULT 'unknown',  -- as the directory had it when it was checked
    checked INTEGER NOT NULL DEFAULT 0,     -- Unix seconds; 0: not yet
    changed INTEGER NOT NULL DEFAULT 0,     -- Unix seconds of the check that found another route; 0: none did
    news INTEGER NOT NULL DEFAULT 0         -- 1 until the change was told
) WITHOUT ROWID;
"""
"""What a home of version 3 lacks."""


SINCE_5: Final = """
CREATE TABLE private (
    name TEXT PRIMARY KEY,                  -- one of a directory's files for private queries
    data BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE part (
    path TEXT NOT NULL,
    start INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (path, start)
) WITHOUT ROWID;

-- What the base says of a tag: hits, misses and spoilt answers alike.
CREATE TABLE retrieved (
    tag BLOB PRIMARY KEY,
    epoch INTEGER NOT NULL,
    spoilt INTEGER NOT NULL,
    record BLOB
) WITHOUT ROWID;

-- Secrets of queries that were not made yet.
CREATE TABLE material (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    data BLOB NOT NULL
);
"""
"""What a home of version 4 lacks."""

SINCE_6: Final = """
-- Heads of the directory that contacts were shown, and that our copy does not reach yet.
CREATE TABLE gossip (
    head BLOB PRIMARY KEY,                  -- a SignedFile
    chat INTEGER NOT NULL REFERENCES chat
) WITHOUT ROWID;

-- Of directory epochs that have ended, what contacts' heads are compared with.
CREATE TABLE ended (
    epoch INTEGER PRIMARY KEY,
    head BLOB NOT NULL,                     -- the newest that was seen of it, a SignedFile
    links BLOB NOT NULL                     -- the chain hashes after 0, 1, 2, ... entries of its overlay
);
"""
"""What a home of version 5 lacks."""

SINCE_7: Final = """
-- Numbers of the address book that the base was asked for by a private query, each under its present tag.
CREATE TABLE asked (
    number TEXT PRIMARY KEY REFERENCES contact ON DELETE CASCADE,
    time INTEGER NOT NULL                   -- Unix seconds of the last query
) WITHOUT ROWID;
"""
"""What a home of version 6 lacks."""

SINCE_8: Final = """
-- post, readmission (a post that reserves slots), or other: what the outbox has to know of a request.
ALTER TABLE outbox ADD COLUMN kind TEXT NOT NULL DEFAULT 'other';
"""
"""What a home of version 7 lacks; `_name_kinds` fills it in."""


def _name_kinds(connection: apsw.Connection) -> None:
    """Give what waits in the outbox its kind. What cannot be read is refused when it is sent, as before."""
    for n, request in connection.execute("SELECT n, request FROM outbox").fetchall():
        assert isinstance(request, bytes)
        with suppress(BadRequest):
            post = wire.ANONYMOUS_REQUEST.decode(request)
            if isinstance(post, wire.Post):
                kind = "readmission" if post.slots else "post"
                connection.execute("UPDATE outbox SET kind = ? WHERE n = ?", (kind, n))


SINCE_9: Final = """
-- Who is not heard any more: a number, an SMS sender (sms: and its name), or an identity key in hexadecimal.
CREATE TABLE blocked (
    who TEXT PRIMARY KEY,
    name TEXT NOT NULL                      -- under which it was blocked, with what else is the same person's
) WITHOUT ROWID;

-- Resyncs that were answered, to be few of each peer.
CREATE TABLE readmitted (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    peer BLOB NOT NULL,                     -- identity key
    time INTEGER NOT NULL                   -- Unix milliseconds
);
"""
"""What a home of version 8 lacks."""

SINCE_10: Final = """
-- Unix milliseconds by the own clock when the server acknowledged an own text; 0: not yet, or another device sent it.
ALTER TABLE message ADD COLUMN acknowledged INTEGER NOT NULL DEFAULT 0;
UPDATE message SET acknowledged = sent WHERE incoming = 0 AND route = 'encrypted' AND state = 'sent';
CREATE INDEX message_unconfirmed ON message (acknowledged)
    WHERE incoming = 0 AND route = 'encrypted' AND state = 'sent';
"""
"""What a home of version 9 lacks."""

SINCE_11: Final = """
-- The envelope that an own text was said in last, and the seq at which that was met in the log, 0 before; `seq` is what
-- the server says, and counts as met where the log has a hole.
ALTER TABLE message ADD COLUMN envelope BLOB NOT NULL DEFAULT x'';
ALTER TABLE message ADD COLUMN met INTEGER NOT NULL DEFAULT 0;
UPDATE message SET met = seq WHERE incoming = 0;
CREATE INDEX message_envelope ON message (envelope) WHERE incoming = 0 AND envelope != x'';
"""
"""What a home of version 10 lacks."""

SINCE_12: Final = """
-- A group's chat: its id, and what it is called. Empty for one of a person or a number.
ALTER TABLE chat ADD COLUMN group_id BLOB NOT NULL DEFAULT x'';
ALTER TABLE chat ADD COLUMN title TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX chat_group ON chat (group_id) WHERE group_id != x'';

-- Whom an own text in a group was for, and who of them has confirmed it, until all have.
CREATE TABLE reader (
    message BLOB NOT NULL,
    identity BLOB NOT NULL,
    confirmed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (message, identity)
) WITHOUT ROWID;

-- Mailboxes that a conversation has moved from and still reads.
CREATE TABLE drained (
    mailbox BLOB PRIMARY KEY,
    conversation BLOB NOT NULL
) WITHOUT ROWID;
"""
"""What a home of version 11 lacks; `_name_members` goes with it."""

_PEER: Final = 2
_PENDING: Final = 9
_PEER_INTRO: Final = 15
_OWED: Final = 16
"""Where a conversation's body has these; the last one behind `_PEER_INTRO` was taken out."""


def _name_members(connection: apsw.Connection) -> None:
    """A conversation had one peer, and its intro mailbox apart; a pending commit one newcomer with one device."""
    for id, body in connection.execute("SELECT id, body FROM conversation").fetchall():
        assert isinstance(body, bytes)
        fields = cast("list[object]", msgspec.msgpack.decode(body))
        intro = fields.pop(_PEER_INTRO) if len(fields) > _PEER_INTRO else b""
        fields[_PEER] = [[fields[_PEER], intro]]
        if len(fields) > _PENDING:
            fields[_PENDING] = _with_newcomers(cast("list[Any] | None", fields[_PENDING]))
        if len(fields) > _OWED and isinstance(fields[_OWED], bool):
            # For some days it was noted that a receipt is owed, and not of what.
            fields[_OWED] = []
        connection.execute("UPDATE conversation SET body = ? WHERE id = ?", (msgspec.msgpack.encode(fields), id))


def _with_newcomers(pending: list[Any] | None) -> list[object] | None:
    if pending is None or len(pending) < 2 or pending[1] is None:
        return pending and pending[:1]
    intro, welcome, secret, key = pending[1]
    return [pending[0], [[intro, [[key, secret]]]], welcome]


SINCE_13: Final = """
-- Identities whose safety number was compared with their owners.
CREATE TABLE verified (
    identity BLOB PRIMARY KEY,
    time INTEGER NOT NULL                   -- Unix seconds
) WITHOUT ROWID;

-- Under which numbers they were known: one that leads to another identity is told.
CREATE TABLE verified_number (
    number TEXT PRIMARY KEY,
    identity BLOB NOT NULL REFERENCES verified ON DELETE CASCADE,
    told BLOB NOT NULL DEFAULT x''          -- the other identity that was told of last
) WITHOUT ROWID;
"""
"""What a home of version 12 lacks."""

SINCE_14: Final = """
-- People by their accounts: what the user calls who shows no number, and what each says of themselves.
CREATE TABLE person (
    identity BLOB PRIMARY KEY,
    name TEXT NOT NULL DEFAULT '',          -- what the user calls them, where the address book cannot
    profile_name TEXT NOT NULL DEFAULT '',  -- what they call themselves
    picture BLOB NOT NULL DEFAULT x'',      -- JPEG, PNG or WebP, theirs
    profile_version INTEGER NOT NULL DEFAULT 0,  -- of the newest profile that they sent
    intro_mailbox BLOB NOT NULL DEFAULT x'',     -- from a link of theirs; empty without one
    ticket BLOB NOT NULL DEFAULT x''             -- likewise
) WITHOUT ROWID;
CREATE INDEX person_name ON person (name) WHERE name != '';
CREATE INDEX contact_name ON contact (name) WHERE name != '';

-- Which version of the own profile went out in a conversation last.
CREATE TABLE profile_sent (
    conversation BLOB PRIMARY KEY,
    version INTEGER NOT NULL
) WITHOUT ROWID;
"""
"""What a home of version 13 lacks."""


SINCE_15: Final = """
-- Who is in a group, and what its members agree on: MessagePack of both. Few messages change it.
CREATE TABLE membership (
    conversation BLOB PRIMARY KEY REFERENCES conversation ON DELETE CASCADE,
    body BLOB NOT NULL
) WITHOUT ROWID;

CREATE VIEW conversation_whole AS
    SELECT conversation.*, membership.body AS membership
    FROM conversation LEFT JOIN membership ON membership.conversation = conversation.id;

-- What waits in a conversation, without reading requests of 256 KiB.
CREATE INDEX outbox_lane ON outbox (conversation, purpose);

-- Commits that no envelope takes, as far as they have come in this epoch.
CREATE TABLE commit_part (
    conversation BLOB NOT NULL REFERENCES conversation ON DELETE CASCADE,
    leaf INTEGER NOT NULL,                  -- whose it is
    number INTEGER NOT NULL,
    part BLOB NOT NULL,
    PRIMARY KEY (conversation, leaf, number)
) WITHOUT ROWID;
"""
"""What a home of version 14 lacks."""


SINCE_16: Final = """
-- What all devices of the account agree on: the latest value of each thing.
CREATE TABLE synced (
    kind TEXT NOT NULL,
    key BLOB NOT NULL,
    value BLOB NOT NULL,
    time INTEGER NOT NULL,                  -- Unix milliseconds by the clock of the device that set it
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;

-- What changed here, and the own other devices were not told of yet.
CREATE TABLE unsynced (
    kind TEXT NOT NULL,
    key BLOB NOT NULL,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;

-- By which device list the own devices in a conversation are right.
CREATE TABLE own_checked (
    conversation BLOB PRIMARY KEY,
    version INTEGER NOT NULL
) WITHOUT ROWID;

-- While there are other devices, what is to be told is noted where it changes, so that no query has to think of it.
CREATE TRIGGER unsynced_contact_new AFTER INSERT ON contact
WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'own_group')
BEGIN INSERT OR IGNORE INTO unsynced VALUES ('contact', CAST(NEW.number AS BLOB)); END;

CREATE TRIGGER unsynced_contact_named AFTER UPDATE OF name ON contact
WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'own_group') AND NEW.name != OLD.name
BEGIN INSERT OR IGNORE INTO unsynced VALUES ('contact', CAST(NEW.number AS BLOB)); END;

CREATE TRIGGER unsynced_contact_gone AFTER DELETE ON contact
WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'own_group')
BEGIN INSERT OR IGNORE INTO unsynced VALUES ('contact', CAST(OLD.number AS BLOB)); END;

CREATE TRIGGER unsynced_blocked AFTER INSERT ON blocked
WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'own_group')
BEGIN INSERT OR IGNORE INTO unsynced VALUES ('blocked', CAST(NEW.who AS BLOB)); END;

CREATE TRIGGER unsynced_unblocked AFTER DELETE ON blocked
WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'own_group')
BEGIN INSERT OR IGNORE INTO unsynced VALUES ('blocked', CAST(OLD.who AS BLOB)); END;

CREATE TRIGGER unsynced_verified AFTER INSERT ON verified
WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'own_group')
BEGIN INSERT OR IGNORE INTO unsynced VALUES ('verified', CAST(NEW.identity AS BLOB)); END;

CREATE TRIGGER unsynced_unverified AFTER DELETE ON verified
WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'own_group')
BEGIN INSERT OR IGNORE INTO unsynced VALUES ('verified', CAST(OLD.identity AS BLOB)); END;

CREATE TRIGGER unsynced_person_new AFTER INSERT ON chat
WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'own_group') AND NEW.identity IS NOT NULL AND NEW.number IS NOT NULL
BEGIN INSERT OR IGNORE INTO unsynced VALUES ('person', CAST(NEW.identity AS BLOB)); END;

CREATE TRIGGER unsynced_person AFTER UPDATE OF number, identity ON chat
WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'own_group') AND NEW.identity IS NOT NULL AND NEW.number IS NOT NULL
    AND (NEW.number IS NOT OLD.number OR NEW.identity IS NOT OLD.identity)
BEGIN INSERT OR IGNORE INTO unsynced VALUES ('person', CAST(NEW.identity AS BLOB)); END;

CREATE TRIGGER unsynced_shown AFTER UPDATE OF shown ON message
WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'own_group') AND NEW.incoming = 1 AND NEW.shown = 1 AND OLD.shown = 0
BEGIN INSERT OR IGNORE INTO unsynced VALUES ('shown', CAST(NEW.sender || NEW.id AS BLOB)); END;

CREATE TRIGGER unsynced_decided AFTER UPDATE OF state ON conversation
WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'own_group') AND OLD.state IN ('requested', 'declined')
    AND NEW.state != OLD.state AND NEW.state IN ('active', 'declined')
BEGIN INSERT OR IGNORE INTO unsynced VALUES ('decided', CAST(NEW.id AS BLOB)); END;
"""
"""What a home of version 15 lacks."""


SINCE_17: Final = """
-- How the user has arranged their chats. All of it is the same on all devices.
ALTER TABLE chat ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;      -- 1 for one that stands above the others
ALTER TABLE chat ADD COLUMN muted INTEGER NOT NULL DEFAULT 0;       -- Unix seconds until which it is quiet; 0: not
ALTER TABLE chat ADD COLUMN archived INTEGER NOT NULL DEFAULT 0;    -- 1: yes; 2: yes, and something came while muted
ALTER TABLE chat ADD COLUMN draft TEXT NOT NULL DEFAULT '';         -- what was written and not sent
ALTER TABLE chat ADD COLUMN drafted INTEGER NOT NULL DEFAULT 0;     -- Unix milliseconds; 0: no change is to be told
CREATE INDEX chat_drafted ON chat (drafted) WHERE drafted != 0;

-- How the own devices name a chat to each other: NULL for one that no other device could know.
CREATE VIEW chat_keyed AS
    SELECT *, CASE
        WHEN group_id != x'' THEN CAST('g' || group_id AS BLOB)
        WHEN identity IS NOT NULL THEN CAST('i' || identity AS BLOB)
        WHEN number IS NOT NULL THEN CAST('n' || number AS BLOB)
    END AS key FROM chat;

-- What comes brings a chat out of the archive, unless it is quiet: then once it is not.
CREATE TRIGGER archived_comes_back AFTER INSERT ON message
WHEN NEW.incoming = 1 AND (SELECT archived FROM chat WHERE id = NEW.chat) = 1
BEGIN UPDATE chat SET archived = CASE muted WHEN 0 THEN 0 ELSE 2 END WHERE id = NEW.chat; END;

CREATE TRIGGER unsynced_pinned AFTER UPDATE OF pinned ON chat
WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'own_group') AND NEW.pinned != OLD.pinned
BEGIN
    INSERT OR IGNORE INTO unsynced
    SELECT 'pinned', keyed.key FROM chat_keyed AS keyed WHERE keyed.id = NEW.id AND keyed.key IS NOT NULL;
END;

CREATE TRIGGER unsynced_muted AFTER UPDATE OF muted ON chat
WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'own_group') AND NEW.muted != OLD.muted
BEGIN
    INSERT OR IGNORE INTO unsynced
    SELECT 'muted', keyed.key FROM chat_keyed AS keyed WHERE keyed.id = NEW.id AND keyed.key IS NOT NULL;
END;

CREATE TRIGGER unsynced_archived AFTER UPDATE OF archived ON chat
WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'own_group') AND (NEW.archived = 0) != (OLD.archived = 0)
BEGIN
    INSERT OR IGNORE INTO unsynced
    SELECT 'archived', keyed.key FROM chat_keyed AS keyed WHERE keyed.id = NEW.id AND keyed.key IS NOT NULL;
END;
"""
"""What a home of version 16 lacks."""


SINCE_18: Final = """
-- Messages as they are searched: folded text and file name, made when somebody searches.
CREATE TABLE searchable (
    n INTEGER PRIMARY KEY REFERENCES message ON DELETE CASCADE,
    text TEXT NOT NULL
);

-- Another text is folded anew, with all that came after it.
CREATE TRIGGER searchable_changed AFTER UPDATE OF text ON message
BEGIN DELETE FROM searchable WHERE n >= OLD.n; END;
"""
"""What a home of version 17 lacks."""


STEPS: Final[tuple[tuple[str | Callable[[apsw.Connection], None], ...], ...]] = (
    (SINCE_2,),
    (SINCE_3,),
    (SINCE_4,),
    (SINCE_5,),
    (SINCE_6,),
    (SINCE_7,),
    (SINCE_8, _name_kinds),
    (SINCE_9,),
    (SINCE_10,),
    (SINCE_11,),
    (SINCE_12, _name_members),
    (SINCE_13,),
    (SINCE_14,),
    (SINCE_15,),
    (SINCE_16,),
    (SINCE_17,),
    (SINCE_18,),
)
"""Each leads from one version to the next, beginning with 1. A step that a release had is never changed."""

SCHEMA_VERSION: Final = 1 + len(STEPS)


def bring_up_to_date(connection: apsw.Connection) -> None:
    """Make the tables, or take the steps that are missing, inside the caller's transaction. Raises ForeignDatabase."""
    application, version = connection.pragma("application_id"), connection.pragma("user_version")
    if (application, version) == (APPLICATION_ID, SCHEMA_VERSION):
        return
    if application != APPLICATION_ID or not 1 <= version < SCHEMA_VERSION:
        if application or version or connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
            raise ForeignDatabase
        connection.execute(VERSION_1)
        connection.pragma("application_id", APPLICATION_ID)
        version = 1
    for part in chain.from_iterable(STEPS[version - 1 :]):
        if isinstance(part, str):
            connection.execute(part)
        else:
            part(connection)
    connection.pragma("user_version", SCHEMA_VERSION)
