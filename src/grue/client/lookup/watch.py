"""Each new head of the directory is searched for verified contacts: another identity under their number is told."""

from contextlib import suppress

from grue.client import chats, verified
from grue.client.lookup.tables import output_of
from grue.client.store.engine import Db
from grue.errors import GrueError
from grue.protocol.conversation.conversation import Notice
from grue.protocol.directory.directory_sync import Current
from grue.protocol.directory.lookup import Find
from grue.protocol.directory.record import derive, open_record


def note(db: Db, current: Current, find: Find) -> None:
    """Tell of each verified number that the copy lists under an identity nobody has verified.

    A number that is listed no more, or cannot be told now, is left to the next message: it says what stands in its way.
    """
    for number in verified.numbers(db):
        output = output_of(db, current.manifest.contents.oprf_epoch, number)
        if output is None:
            continue
        key = derive(output)
        with suppress(GrueError):
            sealed = find(key.tag)
            if sealed is not None:
                tell(db, number, open_record(sealed, key).identity_public)


def tell(db: Db, number: str, identity: bytes) -> None:
    """A number was found to lead to this identity: a notice, once for each, if another was verified under it."""
    if verified.is_news(db, number, identity):
        verified.note_told(db, number, identity)
        chats.notify(db, chats.for_number(db, number).id, [Notice.VERIFIED_CHANGED])
