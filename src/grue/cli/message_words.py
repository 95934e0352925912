"""Messages and chats in words for people: no meaning is in a colour alone, and no control character is passed on."""

from datetime import datetime
from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from grue.cli.shell import safe
from grue.protocol.conversation.delivery import MessageState
from grue.protocol.conversation.fallback import Route

if TYPE_CHECKING:
    from grue.client.client import ChatInfo, Message
    from grue.client.conversations.messenger import Sent

ROUTES: Final = {Route.ENCRYPTED: ("encrypted", "blue"), Route.SMS: ("SMS", "green"), Route.UNKNOWN: ("?", "yellow")}

STATES: Final = {
    MessageState.QUEUED: "kept here; it goes out when the server can be reached",
    MessageState.SENT: "the server has it on disk",
    MessageState.DELIVERED: "delivered",
    MessageState.REFUSED: "refused by the server; it was not delivered",
    MessageState.SUBMITTING: "on its way to the SMS gateway",
    MessageState.SUBMITTED: "the SMS gateway has it",
    MessageState.FAILED: "could not be delivered",
    MessageState.UNKNOWN: "may have gone: an answer was lost",
}


def sent(one: "Sent", *, note: bool = False) -> Text:
    if note:
        return Text("Kept here.")
    word, colour = ROUTES[one.route]
    return Text.assemble((f"{word}: ", f"bold {colour}"), STATES[one.state])


def receiving(number: str) -> Text:
    return Text(f"Receiving for {number}. Ctrl-C ends it.", style="dim")


def message(one: "Message") -> Text:
    """`14:02  +44...  encrypted  the text`; who it is from, or for our own whom to."""
    if one.sender == one.to:
        return Text.assemble((_when(one.sent), "dim"), ("  note to yourself", "bold"), f"\n    {_indented(one.text)}")
    word, colour = ROUTES[one.route]
    other = f"{safe(one.sender)}" if one.incoming else f"to {safe(one.to)}"
    line = Text.assemble((_when(one.sent), "dim"), "  ", (other, "bold"), "  ", (word, colour))
    if one.claimed:
        line.append(f"  claims to be {safe(one.claimed)}, not verified", style="yellow")
    if one.request:
        line.append("  request: an answer accepts it", style="yellow")
    if not one.incoming:
        line.append(f"  {one.state.value}", style="dim")
    if one.text:
        line.append(f"\n    {_indented(one.text)}")
    if one.file is not None:
        line.append(f"\n    file {safe(one.file.name)} ({one.file.bytes:,} bytes)", style="bold")
        line.append(f"  grue save {one.id} PATH", style="dim")
    return line


def chats(listed: "list[ChatInfo]", own: str = "") -> "Table | Text":
    if not listed:
        return Text("No chats yet.")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for head in ("chat", "route", "messages", "last"):
        table.add_column(head, no_wrap=head != "last", justify="right" if head == "messages" else "left")
    for chat in listed:
        word, colour = ROUTES[Route.ENCRYPTED if chat.encrypted else Route.SMS]
        if chat.chat == own:
            word, colour = "notes", "default"
        name = f"{chat.chat} (claims {chat.claimed})" if chat.claimed else chat.chat
        last = safe(chat.last).replace("\n", " ")
        route = f"{word}, request" if chat.request else word
        table.add_row(Text(safe(name), style="bold"), Text(route, style=colour), str(chat.messages), Text(last[:200]))
    return table


def _indented(text: str) -> str:
    return safe(text).replace("\n", "\n    ")


def _when(seconds: float) -> str:
    try:
        moment = datetime.fromtimestamp(seconds).astimezone()
    except (OverflowError, OSError, ValueError):
        return "at no time"
    today = datetime.now().astimezone().date() == moment.date()
    return f"{moment:%H:%M}" if today else f"{moment:%Y-%m-%d %H:%M}"
