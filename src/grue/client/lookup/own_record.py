"""Each new head of the directory is searched for the own record: a server that hides or replaces it is noticed."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from grue.client import chats
from grue.client.lookup.tables import output_of
from grue.client.store.engine import Db
from grue.client.store.entries import drop_meta, get_meta, put_meta
from grue.errors import BadRecord, GrueError
from grue.protocol.conversation.conversation import Notice
from grue.protocol.directory.directory_sync import Current
from grue.protocol.directory.lookup import Find
from grue.protocol.directory.record import RecordKey, derive, open_record


@dataclass(frozen=True)
class OwnIdentity:
    """What contacts should find."""

    number: str
    identity_public: bytes


class OwnRecord(StrEnum):
    """What the directory has under the own number."""

    LISTED = "listed"
    MISSING = "missing"
    TAKEN = "taken"


_META: Final = "listing"
"""As it is stored since before it had its present name."""

_UNLISTED: Final = "unlisted_number"

NOTICES = {OwnRecord.MISSING: Notice.NUMBER_MISSING, OwnRecord.TAKEN: Notice.NUMBER_TAKEN}


def own_tag(db: Db, current: Current, own: OwnIdentity) -> bytes | None:
    """Where the own record lies; None before the number was evaluated under this OPRF key."""
    key = _key(db, current, own)
    return None if key is None else key.tag


def note(db: Db, current: Current, own: OwnIdentity, find: Find) -> None:
    """Take down what the copy lists under the own number, and tell the user when it has changed for the worse.

    A number that was never listed is none that is missing: its owner may not want to be found.
    """
    key = _key(db, current, own)
    if key is None:
        return
    try:
        now = _listed(find(key.tag), key, own)
    except GrueError:
        # A spoilt answer, or one that has not come: that says nothing of what is listed.
        return
    before = get_meta(db, _META, OwnRecord)
    if now is before or (before is None and now is OwnRecord.MISSING):
        return
    put_meta(db, _META, now)
    if now in NOTICES and not (now is OwnRecord.MISSING and get_meta(db, _UNLISTED, bool)):
        chats.notify(db, chats.bind(db, own.number, own.identity_public).id, [NOTICES[now]])


def expect(db: Db, *, listed: bool) -> None:
    """Whether the number is to be listed: one whose owner does not want to be found is not missed."""
    put_meta(db, _UNLISTED, not listed)


def forget(db: Db) -> None:
    """Another account may have another record."""
    drop_meta(db, _META)
    drop_meta(db, _UNLISTED)


def _listed(record: bytes | None, key: RecordKey, own: OwnIdentity) -> OwnRecord:
    if record is None:
        return OwnRecord.MISSING
    try:
        same = open_record(record, key).identity_public == own.identity_public
    except BadRecord:
        # With what does not open, a server hides a number as well as with nothing.
        return OwnRecord.MISSING
    return OwnRecord.LISTED if same else OwnRecord.TAKEN


def _key(db: Db, current: Current, own: OwnIdentity) -> RecordKey | None:
    output = output_of(db, current.manifest.contents.oprf_epoch, own.number)
    return None if output is None else derive(output)
