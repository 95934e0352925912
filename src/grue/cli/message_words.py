"""Messages and chats in words for people: no meaning is in a colour alone, and no control character is passed on."""

from datetime import datetime
from typing import TYPE_CHECKING, Final

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

from grue.cli.shell import one_line, safe
from grue.protocol.conversation.delivery import MessageState
from grue.protocol.conversation.fallback import Route

if TYPE_CHECKING:
    from grue.client.api.messages import ChatInfo, Message
    from grue.client.api.search import Found
    from grue.client.conversations.messenger import Sent

ROUTES: Final = {Route.ENCRYPTED: ("encrypted", "blue"), Route.SMS: ("SMS", "green"), Route.UNKNOWN: ("?", "yellow")}

STATES: Final = {
    MessageState.QUEUED: "kept here; it goes out when the server takes it",
    MessageState.SENT: "the server has it on disk",
    MessageState.DELIVERED: "delivered",
    MessageState.REFUSED: "refused by the server; it was not delivered",
    MessageState.EXPIRED: "nobody confirmed it while the server kept it; most likely it was never read",
    MessageState.SUBMITTING: "on its way to the SMS gateway",
    MessageState.SUBMITTED: "the SMS gateway has it",
    MessageState.FAILED: "could not be delivered",
    MessageState.UNKNOWN: "may have gone: an answer was lost",
}


MAX_NAME: Final = 40
"""Characters of a sender or a number that are shown: a number has 16, a chat's name not many more."""


def sent(one: "Sent", *, note: bool = False) -> Text:
    if note:
        return Text("Kept here.")
    word, colour = ROUTES[one.route]
    return Text.assemble((f"{word}: ", f"bold {colour}"), STATES[one.state])


def receiving(number: str) -> Text:
    return Text(f"Receiving for {number}. Ctrl-C ends it.", style="dim")


class _Behind:
    """Text behind four blanks in every line, also where a terminal's width breaks one: none looks like a message.

    head  the first line is one, and stands where messages begin
    """

    def __init__(self, text: Text, *, head: bool = False) -> None:
        self._text = text
        self._head = head

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # Without a terminal whatever is long stays one line.
        whole = options.no_wrap
        lines = self._text.split("\n", allow_blank=True) if whole else self._text.wrap(console, options.max_width - 4)
        for n, one in enumerate(lines):
            yield Text("" if self._head and not n else "    ").append_text(one)


def message(one: "Message") -> Group:
    """`14:02  +44...  encrypted`, and behind it the text; who it is from, or for our own whom to."""
    if one.sender == one.to:
        head = Text.assemble((_when(one.sent), "dim"), ("  note to yourself", "bold"))
        return Group(head, _Behind(Text(safe(one.text))))
    word, colour = ROUTES[one.route]
    by_sms = one.incoming and one.route is Route.SMS
    other = (
        _called(one.name, one.claimed if by_sms else one.sender, one.profile)
        if one.incoming
        else f"to {_short(one.group) or _called(one.name, one.to)}"
    )
    head = Text.assemble((_when(one.sent), "dim"), "  ", (other, "bold"), "  ", (word, colour))
    if one.group and one.incoming:
        head.append(f"  in {_short(one.group)}")
    if by_sms:
        head.append("  not verified: an SMS can name any number", style="yellow")
    elif one.claimed and one.verified:
        head.append(f"  verified, but not as who has {_short(one.claimed)} now", style="yellow")
    elif one.claimed:
        head.append(f"  claims to be {_short(one.claimed)}, not verified", style="yellow")
    elif one.verified:
        head.append("  verified", style="bold")
    if one.request:
        head.append("  request: an answer accepts it", style="yellow")
    if not one.incoming:
        head.append(f"  {one.state.value}", style="dim")
    parts = [_Behind(Text(safe(one.text)))] if one.text else []
    if one.file is not None:
        file = Text(f"file {one_line(one.file.name)} ({one.file.bytes:,} bytes)", style="bold")
        parts.append(_Behind(file.append(f"  grue save {one.id} PATH", style="not bold dim")))
    return Group(_Behind(head, head=True), *parts)


def chats(listed: "list[ChatInfo]") -> "Table | Text":
    if not listed:
        return Text("No chats yet.")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for head in ("chat", "route", "messages", "last"):
        table.add_column(head, no_wrap=head != "last", justify="right" if head == "messages" else "left")
    for chat in listed:
        word, colour = ROUTES[Route.ENCRYPTED if chat.encrypted else Route.SMS]
        if chat.notes:
            word, colour = "notes", "default"
        name = f"{chat.chat} (claims {chat.claimed})" if chat.claimed else chat.chat
        called = _short(chat.group or chat.name)
        name = f"{called} ({name})" if called else f"{name} {itself(chat.profile)}".rstrip()
        marks = [("request", chat.request), ("verified", chat.verified), ("pinned", chat.pinned)]
        route = ", ".join([word, *(mark for mark, has in [*marks, ("muted", chat.muted_until)] if has)])
        last = f"draft: {one_line(chat.draft)}" if chat.draft else one_line(chat.last)
        table.add_row(
            Text(one_line(name), style="bold"), Text(route, style=colour), str(chat.messages), Text(last[:200])
        )
    return table


def found(one: "Found") -> "Group | Text":
    """Chats in one line, then of each message when, where and by whom, and what matches in it."""
    if not one.chats and not one.contacts and not one.hits:
        return Text("Nothing found.")
    called = (_called(chat.group or chat.name, chat.chat, chat.profile) for chat in one.chats)
    parts: list[Text | _Behind] = [Text.assemble(("chat  ", "dim"), (name, "bold")) for name in called]
    parts += [Text.assemble(("contact  ", "dim"), (_called(name, number), "bold")) for number, name in one.contacts]
    for hit in one.hits:
        message = hit.message
        who = _called(message.name, message.sender, message.profile) if message.incoming else "you"
        where = f"  in {_short(message.group) or _short(message.chat)}"
        head = Text.assemble((_when(message.sent), "dim"), "  ", (who, "bold"), where)
        snippet = Text("file " if hit.in_file else "")
        for text, match in hit.snippet:
            snippet.append(one_line(text) if text.strip() else text, style="bold reverse" if match else "")
        parts += [_Behind(head, head=True), _Behind(snippet)]
    if one.more:
        parts.append(Text(f"There are older ones: --before {one.hits[-1].message.row if one.hits else 1}", style="dim"))
    return Group(*parts)


def itself(profile: str) -> str:
    """What somebody calls themself: the sign says that nobody vouches for it."""
    return f"~{_short(profile)}" if profile else ""


def _called(name: str, id: str, profile: str = "") -> str:
    """What the user calls somebody, or else what they call themselves, with their number or id."""
    return f"{_short(name)} ({_short(id)})" if name else f"{_short(id)} {itself(profile)}".rstrip()


def _short(name: str) -> str:
    """A name that leaves its line room for the rest; what a terminal's width breaks begins a line."""
    return one_line(name)[:MAX_NAME]


def _when(seconds: float) -> str:
    try:
        moment = datetime.fromtimestamp(seconds).astimezone()
    except (OverflowError, OSError, ValueError):
        return "at no time"
    today = datetime.now().astimezone().date() == moment.date()
    return f"{moment:%H:%M}" if today else f"{moment:%Y-%m-%d %H:%M}"
