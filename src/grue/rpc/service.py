"""What a program on the other side of JSON-RPC can ask of a client, and what it is told without asking."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from grue import __version__
from grue.client.api import messages as library
from grue.client.api.search import Hit
from grue.client.client import Client
from grue.client.lookup import asyoutype
from grue.errors import GrueError, NotRegistered, UsageError
from grue.protocol.numbers import as_typed
from grue.rpc import types

GATHER_SECONDS: Final = 0.05
"""Changes that come within this time of each other are looked at once."""

Event = types.ChatsChanged | types.MessagesChanged | types.Shown | types.Trouble


def failure(error: GrueError) -> types.Failure:
    """An error as it is told: no more than its class says, and no detail that could name anybody."""
    return types.Failure(error.code, error.exit_code, error.message, error.fix, error.retry_after)


class Service:
    """One program that uses a client: its field for a number, and the chat that it has open.

    Several may use one client at a time. Every method raises GrueError, as the library's own does.
    """

    def __init__(self, client: Client, tell: Callable[[Event], None]) -> None:
        """`tell` takes each event; it may be called in the event loop only, and must not block."""
        self._client = client
        self._tell = tell
        self._field: asyoutype.AsYouType | None = None
        self._chats: dict[str, types.Chat] = {}
        """What was told of each line of the list."""
        self._opened = ""
        self._until: int | None = None
        """The row up to which its messages are told; None: to the newest."""
        self._messages: dict[int, types.Message] = {}
        """What was told of the opened chat's messages, by row."""
        self._failure: types.Failure | None = None

    # --- the account ------------------------------------------------------------------------------

    async def state(self, _asked: types.Nothing) -> types.State:
        return types.State(__version__, self._account())

    async def register(self, asked: types.Register) -> types.Registering:
        return types.Registering(await self._client.register(asked.number, asked.server))

    async def verify(self, asked: types.Verify) -> types.State:
        await self._client.verify(asked.code)
        return types.State(__version__, self._account())

    async def gateway(self, _asked: types.Nothing) -> types.Gateway:
        return types.Gateway((await self._client.account.server_hello()).sms)

    def _account(self) -> types.Account | None:
        try:
            return types.Account(self._client.number, _written(self._client.number), self._client.server)
        except NotRegistered:
            return None

    # --- chats ------------------------------------------------------------------------------------

    async def chats(self, _asked: types.Nothing) -> list[types.Chat]:
        listed = [_chat(one) for one in await self._client.chats()]
        self._chats = {one.chat: one for one in listed}
        return listed

    async def open(self, asked: types.PageOf) -> types.Page:
        """The newest page of a chat, or one before or after a row; of what was asked for changes are told from then on.

        What comes is told while the newest page is among it.
        """
        limit = max(1, min(asked.limit, types.PAGE))
        if asked.after is not None:
            return await self._later(asked.chat, asked.after, limit)
        found = await self._client.history(asked.chat, before=asked.before, limit=limit + 1)
        page = [_message(one) for one in found[-limit:]]
        if asked.before is None or asked.chat != self._opened:
            await self._begin(asked.chat, None if asked.before is None else asked.before - 1)
        self._messages |= {one.row: one for one in page}
        return types.Page(page, len(found) > limit, self._until is not None)

    async def thread(self, asked: types.Around) -> types.Page:
        """A page of a chat with a row in its middle."""
        half = max(1, min(asked.limit, types.PAGE) // 2)
        before = await self._client.history(asked.chat, before=asked.row, limit=half + 1)
        after = await self._client.history(asked.chat, since=asked.row, limit=half + 1, oldest=True)
        page = [_message(one) for one in [*before[-half:], *after[:half]]]
        later = len(after) > half
        await self._begin(asked.chat, after[half - 1].row if later else None)
        self._messages |= {one.row: one for one in page}
        return types.Page(page, len(before) > half, later)

    async def _later(self, chat: str, after: int, limit: int) -> types.Page:
        found = await self._client.history(chat, since=after + 1, limit=limit + 1, oldest=True)
        page = [_message(one) for one in found[:limit]]
        later = len(found) > limit
        if chat == self._opened and self._until == after:
            self._until = page[-1].row if later else None
            self._messages |= {one.row: one for one in page}
        return types.Page(page, more=True, later=later)

    async def _begin(self, chat: str, until: int | None) -> None:
        self._opened, self._until, self._messages = chat, until, {}
        with suppress(NotRegistered):
            await self._client.opened(chat)

    async def search(self, asked: types.Search) -> types.Found:
        limit = max(1, min(asked.limit, types.PAGE))
        found = await self._client.search(asked.words, chat=asked.chat, before=asked.before, limit=limit)
        names = {one.chat: one.name for one in self._chats.values()}
        hits = [_hit(one, names.get(one.message.chat, "")) for one in found.hits]
        contacts = [types.FoundContact(number, _written(number), name) for number, name in found.contacts]
        return types.Found([_chat(one) for one in found.chats], contacts, hits, found.more)

    async def seen(self, asked: types.Seen) -> types.Nothing:
        await self._client.seen(asked.chat, asked.row)
        return types.Nothing()

    async def send(self, asked: types.Send) -> types.Sent:
        sent = await self._client.send(asked.to, asked.text, sms=asked.sms, accept_key=asked.accept_key)
        with suppress(UsageError):
            # Here, because the window may be gone by now, and would offer it again. To a number without a chat is none.
            await self._client.chats.drop_draft(asked.to, asked.text)
        return types.Sent(sent.id, sent.route, sent.state)

    async def accept(self, asked: types.OfChat) -> types.Nothing:
        await self._client.requests.accept(asked.chat)
        return types.Nothing()

    async def decline(self, asked: types.OfChat) -> types.Nothing:
        await self._client.requests.decline(asked.chat)
        return types.Nothing()

    async def block(self, asked: types.OfChat) -> types.Nothing:
        await self._client.requests.block(asked.chat)
        return types.Nothing()

    # --- how the list is arranged -----------------------------------------------------------------

    async def pin(self, asked: types.Pin) -> types.Nothing:
        await (self._client.chats.pin if asked.on else self._client.chats.unpin)(asked.chat)
        return types.Nothing()

    async def mute(self, asked: types.Mute) -> types.Nothing:
        if asked.on:
            await self._client.chats.mute(asked.chat, asked.until)
        else:
            await self._client.chats.unmute(asked.chat)
        return types.Nothing()

    async def archive(self, asked: types.Archive) -> types.Nothing:
        await (self._client.chats.archive if asked.on else self._client.chats.unarchive)(asked.chat)
        return types.Nothing()

    async def draft(self, asked: types.Draft) -> types.Nothing:
        await self._client.chats.draft(asked.chat, asked.text)
        return types.Nothing()

    # --- lookups ----------------------------------------------------------------------------------

    async def typed(self, asked: types.Typed) -> types.Shown:
        """What is known of the number at once; what is found is told."""
        if self._field is None:
            self._field = self._client.directory.as_you_type(self._show)
        return _shown(self._field.typed(asked.text, done=asked.done))

    def _show(self, shown: asyoutype.Shown) -> None:
        self._tell(_shown(shown))

    # --- events -----------------------------------------------------------------------------------

    async def follow(self) -> None:
        """Tell what changes, until cancelled."""
        while True:
            try:
                async for _ in self._client.changes():
                    await self._look(None if (unreached := self._client.unreached) is None else failure(unreached))
                    await asyncio.sleep(GATHER_SECONDS)
            except GrueError as error:
                # What keeps going wrong, such as a full disk, comes again as long as it does.
                await self._look(failure(error))
                await asyncio.sleep(1)

    async def close(self) -> None:
        if self._field is not None:
            await self._field.close()

    async def _look(self, trouble: types.Failure | None) -> None:
        if trouble != self._failure:
            self._failure = trouble
            self._tell(types.Trouble(trouble))
        before = self._chats
        listed = {one.chat: one for one in await self.chats(types.Nothing())}
        changed = [one for one in listed.values() if before.get(one.chat) != one]
        if changed or before.keys() - listed.keys():
            self._tell(types.ChatsChanged(changed, sorted(before.keys() - listed.keys())))
        if self._opened in listed:
            await self._look_at_messages(self._opened)

    async def _look_at_messages(self, chat: str) -> None:
        before = None if self._until is None else self._until + 1
        listed = await self._client.history(chat, since=min(self._messages, default=0), before=before)
        now = [_message(one) for one in listed]
        changed = [one for one in now if self._messages.get(one.row) != one]
        if changed and chat == self._opened:
            self._messages |= {one.row: one for one in changed}
            self._tell(types.MessagesChanged(chat, changed))


def _written(number: str) -> str:
    """A number with the spaces that its country's people write; empty for a chat that is named otherwise."""
    return as_typed(number, None) if number.startswith("+") else ""


def _chat(one: library.ChatInfo) -> types.Chat:
    return types.Chat(
        chat=one.chat,
        name=one.group or one.name,
        number=_written(one.chat),
        claimed=_written(one.claimed),
        group=bool(one.group),
        notes=one.notes,
        request=one.request,
        encrypted=one.encrypted,
        verified=one.verified,
        unread=one.unread,
        last=one.last,
        last_sent=one.last_sent,
        pinned=one.pinned,
        muted_until=one.muted_until,
        archived=one.archived,
        draft=one.draft,
    )


def _message(one: library.Message) -> types.Message:
    return types.Message(
        row=one.row,
        id=one.id,
        incoming=one.incoming,
        sender=one.sender,
        sender_name=one.name if one.incoming else "",
        claimed=one.claimed,
        text=one.text,
        route=one.route,
        sent=one.sent,
        state=one.state,
        file=None if one.file is None else types.File(one.file.name, one.file.bytes),
    )


def _hit(one: Hit, name: str) -> types.Hit:
    return types.Hit(
        chat=one.message.chat,
        name=name,
        row=one.message.row,
        incoming=one.message.incoming,
        sender=one.message.sender,
        sender_name=one.message.name if one.message.incoming else "",
        sent=one.message.sent,
        snippet=[types.Piece(text, match) for text, match in one.snippet],
        file=one.in_file,
    )


def _shown(one: asyoutype.Shown) -> types.Shown:
    return types.Shown(one.text, one.number, one.route, None if one.error is None else failure(one.error))
