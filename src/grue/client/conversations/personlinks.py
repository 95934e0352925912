"""The own link, and links of others: by one of them somebody is written to without a number."""

from grue.client import chats
from grue.client.chats import Chat
from grue.client.context import Context
from grue.client.conversations import sync, tables
from grue.client.people.tables import is_contact
from grue.client.store.engine import Db, as_bytes
from grue.errors import UsageError
from grue.protocol.conversation.contents import MAX_URL, Kind, PersonLink
from grue.protocol.conversation.devices import link_ticket, make_person_link, read_person_link, verify_device_list
from grue.protocol.conversation.first_contact import AGREED, Invited


def own(db: Db, context: Context, *, reset: bool) -> str:
    """The own link; with `reset` a new one, by which the old one is turned down."""
    if reset:
        sync.put(db, Kind.RESETS, b"", b"%d" % (_resets(db) + 1), context.now_ms)
    account = context.account
    return make_person_link(
        PersonLink(
            identity=account.identity_public,
            intro_mailbox=account.intro_mailbox,
            list_version=verify_device_list(account.device_list).version,
            ticket=_ticket(db, context),
            server_public=account.server_public,
            server=account.server if len(account.server) <= MAX_URL else "",
        )
    )


def learn(db: Db, context: Context, text: str) -> Chat:
    """Keep what a link says of somebody; returns their chat. Raises BadLink, OtherLink, UsageError."""
    link = read_person_link(text, context.account.server_public)
    if link.identity == context.account.identity_public:
        raise UsageError("This link is your own. Give it to others.")
    chat = chats.for_identity(db, link.identity, "")
    chats.note_list_version(db, chat.id, link.list_version)
    db.execute(
        "INSERT INTO person (identity, intro_mailbox, ticket) VALUES (?1, ?2, ?3)"
        " ON CONFLICT (identity) DO UPDATE SET intro_mailbox = ?2, ticket = ?3",
        *(link.identity, link.intro_mailbox, link.ticket),
    )
    return chat


def intro_of(db: Db, identity: bytes) -> bytes:
    """Where somebody without a number is written to: by a conversation with them, or their link. Empty for nowhere."""
    row = db.row("SELECT intro_mailbox FROM person WHERE identity = ?", identity)
    return tables.intro_of(db, identity) or (b"" if row is None else as_bytes(row[0]))


def ticket_for(db: Db, identity: bytes) -> bytes:
    """What goes along with a first message to somebody whose link we have; empty without one."""
    row = db.row("SELECT ticket FROM person WHERE identity = ?", identity)
    return b"" if row is None else as_bytes(row[0])


def is_unwanted(db: Db, context: Context, chat: Chat, result: Invited) -> bool:
    """PEOPLE-06 whether a first contact is put before nobody: it came by a link that was reset.

    Or its sender has no link, and we are not to be found: then only whom we know otherwise may write.
    """
    if result.ticket:
        return result.ticket != _ticket(db, context)
    if not context.account.hidden or result.step.conversation.group is not None:
        return False
    identity = result.device_list.identity_public
    agreed = any(one.state in AGREED for one in tables.conversations_of(db, chat.id))
    known = agreed or (bool(chat.number) and is_contact(db, chat.number))
    return not known and all(one.identity != identity for one in tables.all_members(db))


def _ticket(db: Db, context: Context) -> bytes:
    return link_ticket(context.account.sms_secret, _resets(db))


def _resets(db: Db) -> int:
    """All devices of the account count the same, so that each knows which link holds."""
    return int(sync.value_of(db, Kind.RESETS) or b"0")
