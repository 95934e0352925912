"""`send`, `receive`, `chats`, `show` and `save`: send messages, receive them, read them again, and save their files."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from grue.cli import consent
from grue.cli.opening import going_on, opened, typed
from grue.cli.parameters import FLAG, HYPHENS, Injected
from grue.cli.shell import Shell, one_line
from grue.cli.signals import stop_on_sigterm
from grue.errors import ConsentNeeded, NetworkError, NotRegistered, Refused, SmsUnavailable, UsageError
from grue.protocol.conversation.fallback import Route

if TYPE_CHECKING:
    from types import ModuleType

    from grue.client.api.messages import Message
    from grue.client.client import Client

TO: Final = "A number, `me`, an id, or a name that only one contact or group has. `-`: from stdin."

NOTICES_SECONDS: Final = 10
"""How often `receive --follow` looks for notices: they are rare, and not urgent."""


def message_words() -> "ModuleType":
    """The words for people: imported when there are people, since `rich` takes its time."""
    from grue.cli import message_words

    return message_words


# --- out ------------------------------------------------------------------------------------------


async def send(
    to: Annotated[str, HYPHENS, Parameter(help=TO)],
    text: Annotated[str, HYPHENS, Parameter(help="What to say. `-`: from stdin.")],
    /,
    *,
    file: Annotated[Path | None, Parameter(help="A file to go with it, up to 100 MiB; TEXT may be empty then.")] = None,
    sms: Annotated[bool, FLAG, Parameter(help="Agree to SMS, should the number not be found on Grue.")] = False,
    accept_key: Annotated[bool, FLAG, Parameter(help="Agree to the contact's new identity key.")] = False,
    shell: Injected,
) -> int:
    """Send one message: encrypted to whoever is on Grue, as SMS to nobody without `--sms`."""
    _check_arguments(to, text, shell)
    to, text = typed(to), typed(text)
    async with opened(shell) as client:
        try:
            with shell.waiting(lambda: going_on("Sending ...", client)):
                sent = await client.send(to, text, file=file, sms=sms, accept_key=accept_key)
        except ConsentNeeded as error:
            return await _ask_consent(shell, client, error)
        fields = {"id": sent.id, "route": sent.route.value, "state": sent.state.value}
        shell.result(fields, lambda: message_words().sent(sent, note=to == "me"))
        if sent.route is Route.SMS:
            gateway = await _gateway(client)
            shell.note(lambda: consent.after(gateway))
    return 0


def _check_arguments(to: str, text: str, shell: Shell) -> None:
    if to == text == "-":
        raise UsageError("Only one of the two can come from stdin.")
    if text.startswith("--") and "--" not in shell.arguments:
        # A mistyped option must not be sent to anybody.
        raise UsageError("To send a text that begins with --, write -- before it.")


async def _ask_consent(shell: Shell, client: "Client", error: ConsentNeeded) -> int:
    """Say who would see the SMS, and end; it goes when the sender says `--sms`."""
    gateway = await _gateway(client)
    if not gateway:
        raise SmsUnavailable("This number is not on Grue, or not to be found, so nothing was sent.")
    return shell.fail(error, lambda: consent.before(gateway), seen_by=consent.sms_parties(gateway))


async def _gateway(client: "Client") -> str:
    """Who carries SMS for the server, in its own words."""
    with suppress(NetworkError):
        return (await client.account.server_hello()).sms
    return "the server's SMS gateway"


# --- in -------------------------------------------------------------------------------------------


async def receive(
    *,
    follow: Annotated[bool, FLAG, Parameter(help="Go on until SIGTERM or Ctrl-C.")] = False,
    timeout: Annotated[float | None, Parameter(help="Wait; end after so many seconds without a message.")] = None,
    shell: Injected,
) -> None:
    """Show what has arrived, each message once. Fetches once, unless told to wait."""
    if follow and timeout is not None:
        raise UsageError("--follow goes on until it is stopped; --timeout does not go with it.")
    async with opened(shell) as client:
        if follow:
            await _follow(shell, client)
        elif timeout is not None:
            await _wait(shell, client, timeout)
        else:
            await _poll(shell, client)


async def _poll(shell: Shell, client: "Client") -> None:
    try:
        with shell.waiting("Fetching ..."):
            await client.poll()
    finally:
        # What is here already is shown, whatever the network does.
        shown = 0
        while (message := await client.take()) is not None:
            await _show(shell, client, message)
            shown += 1
        noticed = await _notices(shell, client)
    if not shown and not noticed:
        shell.note("Nothing new.")


async def _wait(shell: Shell, client: "Client", seconds: float) -> None:
    """Everything that comes until `seconds` have passed without a message."""
    async for message in client.receive(idle=seconds):
        await _show(shell, client, message)
    await _notices(shell, client)


async def _follow(shell: Shell, client: "Client") -> None:
    stop_on_sigterm(and_sigint=True)
    shell.result({"receiving": client.number}, lambda: message_words().receiving(client.number))
    noticing = asyncio.create_task(_keep_noticing(shell, client))
    try:
        async for message in client.receive():
            await _show(shell, client, message)
    except asyncio.CancelledError:
        pass
    finally:
        noticing.cancel()
        with suppress(asyncio.CancelledError):
            await noticing


async def _keep_noticing(shell: Shell, client: "Client") -> None:
    while True:
        await _notices(shell, client)
        await asyncio.sleep(NOTICES_SECONDS)


async def _notices(shell: Shell, client: "Client") -> int:
    """Say what a person should know that is no message; returns how many there were."""
    from grue.cli.notices import words

    found = await client.notices()
    for chat, notice in found:
        said = words(notice, chat)
        shell.warn({"notice": notice.value, "chat": chat, "message": said}, f"{one_line(chat)}: {said}")
    return len(found)


async def _show(shell: Shell, client: "Client", message: "Message") -> None:
    """Show a message that was taken, and note it once its line is out; put it back when that fails."""
    try:
        shell.result(message_fields(message), lambda: message_words().message(message))
    except BaseException:
        await client.put_back(message)
        raise
    await client.shown(message)


# --- as they were ---------------------------------------------------------------------------------


async def chats(
    *,
    archived: Annotated[bool, FLAG, Parameter(help="List those in the archive instead.")] = False,
    shell: Injected,
) -> None:
    """List the chats in this home, the latest first. It needs no account, nor does `show`: they stay."""
    async with opened(shell) as client:
        listed = [one for one in await client.chats() if one.archived == archived]
    for chat in listed:
        fields = {
            "chat": chat.chat,
            "group": chat.group or None,
            "name": chat.name or None,
            "profile": chat.profile or None,
            "claimed": chat.claimed or None,
            "encrypted": chat.encrypted,
            "request": chat.request,
            "verified": chat.verified,
            "messages": chat.messages,
            "last": chat.last,
            "pinned": chat.pinned,
            "muted_until": chat.muted_until or None,
            "archived": chat.archived,
            "draft": chat.draft or None,
        }
        if shell.as_json:
            shell.emit(fields)
    shell.say(lambda: message_words().chats(listed))


async def show(
    chat: Annotated[
        str,
        HYPHENS,
        Parameter(help=TO),
    ],
    /,
    *,
    shell: Injected,
) -> None:
    """Show all messages of a chat, oldest first."""
    async with opened(shell) as client:
        messages = await client.history(named := typed(chat))
        if any(message.request for message in messages):
            # What they have said since waits at the server: nobody is told that it is looked at.
            # And of an account that is no more there is nothing to fetch.
            with suppress(NetworkError, Refused, NotRegistered), shell.waiting("Looking ..."):
                await client.requests.look()
            messages = await client.history(named)
    for message in messages:
        shell.result(message_fields(message), lambda message=message: message_words().message(message))  # type: ignore[misc]


async def save(
    message: Annotated[str, Parameter(help="Its id, as `receive --json` and `show --json` have it, and `show` says.")],
    path: Annotated[Path, Parameter(help="Where to: a file that is not there yet.")],
    /,
    *,
    shell: Injected,
) -> None:
    """Download the file that came with a message, and check that it is what was sent."""
    async with opened(shell) as client:
        with shell.waiting("Fetching ..."):
            file = await client.save(message, path)
    shell.result(
        {"id": message, "path": str(path), "name": file.name, "bytes": file.bytes},
        lambda: f"{path} has all {file.bytes:,} bytes as they were sent.",
    )


def message_fields(message: "Message") -> dict[str, Any]:
    """A message as `--json` shows it; `file` stands where there is one."""
    file = {"file": {"name": message.file.name, "bytes": message.file.bytes}} if message.file else {}
    return {
        "id": message.id,
        "chat": message.chat,
        "from": message.sender,
        "to": message.to,
        "text": message.text,
        "route": message.route.value,
        "sent": message.sent,
        "state": message.state.value,
        "incoming": message.incoming,
        "claimed": message.claimed or None,
        "request": message.request,
        "verified": message.verified,
        "name": message.name or None,
        "profile": message.profile or None,
        "group": message.group or None,
    } | file
