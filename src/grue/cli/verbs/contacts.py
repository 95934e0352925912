"""`contacts`: import the address book from a file, list it, look its numbers up, name people, and forget it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final

from cyclopts import App, Parameter

from grue.cli.opening import opened, typed
from grue.cli.parameters import ANY_NUMBER, FLAG, HYPHENS, Injected
from grue.cli.shell import SPINNER_AFTER, Shell
from grue.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from grue.client.people.contacts import Imported
    from grue.client.people.contactsync import Progress, Synced
    from grue.client.people.tables import Contact

DAY: Final = 86_400

SKIPPED: Final = {
    "no_number": "without a phone number",
    "short": "short codes or emergency numbers, which are no person's telephone",
    "letters": "with letters: write their digits, which the keys of a telephone show",
    "extension": "extensions behind a switchboard, which have no number of their own",
    "rounded": "rounded by a spreadsheet (4.4E+11): format that column as text, and export again",
    "not_a_number": "not phone numbers; one without a country code has to be of your own country",
    "fax": "fax machines or pagers",
    "cut_off": "cards without an end, as where a file is cut off: export it again",
    "unreadable": "lines too long to be of an address book, or with quotes that never end",
    "too_many": "more than an address book holds",
}
"""Why something was left out, in words, by its code."""


async def list_contacts(*, shell: Injected) -> None:
    """List the address book: each number with its route as it was when it was checked."""
    async with opened(shell) as client:
        listed = await client.contacts.all()
    if shell.as_json:
        for contact in listed:
            shell.emit(fields(contact))
    shell.say(lambda: _table(listed))


async def import_contacts(
    file: Annotated[str, HYPHENS, Parameter(help="A vCard file (.vcf) or CSV, as exported. `-`: from stdin.")],
    /,
    *,
    shell: Injected,
) -> None:
    """Bring names and numbers in from a file. Asks no server; `contacts sync` does."""
    async with opened(shell) as client:
        with shell.waiting("Reading ..."), _reading(file) as source:
            imported = await client.contacts.import_file(source)
    skipped = {skip.value: count for skip, count in imported.skipped.most_common()}
    counts = {"imported": imported.imported, "known": imported.known, "duplicates": imported.duplicates}
    shell.result({**counts, "skipped": skipped}, lambda: _counted(imported))


async def sync(*, shell: Injected) -> None:
    """Look the address book up, without any server learning which numbers are in it or which are on Grue."""
    async with opened(shell) as client:
        with _progress(shell) as progress:
            synced = await client.contacts.sync(progress)
    for contact in synced.news:
        word = "is on Grue now" if contact.route.value == "encrypted" else "is not to be found on Grue any more"
        shell.result(
            {"news": contact.route.value, "number": contact.number, "name": contact.name},
            f"{_name(contact)} {word}.",
        )
    shell.result(_synced_fields(synced), lambda: _outcome(synced))
    if synced.left or synced.earlier:
        shell.note(_left(synced))


async def forget(
    number: Annotated[str, HYPHENS, Parameter(help=ANY_NUMBER)] = "",
    /,
    *,
    all_of_it: Annotated[bool, FLAG, Parameter(name="--all", help="The whole address book.")] = False,
    shell: Injected,
) -> None:
    """Drop a number from the address book, or all of it, with what lookups left here. Messages stay."""
    if bool(number) is all_of_it:
        raise UsageError("Name a number, or say --all.")
    async with opened(shell) as client:
        if all_of_it:
            count = await client.contacts.forget_all()
        else:
            await client.contacts.forget(typed(number))
            count = 1
    shell.result({"forgotten": count}, f"Forgotten: {count:,}.")


async def name(
    who: Annotated[str, HYPHENS, Parameter(help="A number, or who shows none, by the id that `chats` lists.")],
    name: Annotated[str, HYPHENS, Parameter(help="What to call them; empty for nothing. `-`: from stdin.")],
    /,
    *,
    shell: Injected,
) -> None:
    """Call somebody by a name, here alone. Every verb takes it where only one contact or group has it."""
    async with opened(shell) as client:
        who = await client.contacts.name(who, called := typed(name))
    shell.result({"named": who, "name": called}, lambda: _named(who, called))


def fields(contact: "Contact") -> dict[str, Any]:
    """A contact as `--json` shows it."""
    return {
        "number": contact.number,
        "name": contact.name,
        "route": contact.route.value,
        "checked": contact.checked,
        "changed": contact.changed,
    }


# --- in words -------------------------------------------------------------------------------------


def _table(listed: "list[Contact]") -> "Table | Text":
    from rich.table import Table
    from rich.text import Text

    from grue.cli.message_words import ROUTES
    from grue.cli.shell import one_line

    if not listed:
        return Text("The address book is empty; `grue contacts import FILE` fills it.")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for head in ("name", "number", "route", "checked"):
        table.add_column(head, no_wrap=head != "name")
    for contact in listed:
        word, colour = ROUTES[contact.route]
        since = f", since {_day(contact.changed)}" if contact.changed else ""
        when = _day(contact.checked) if contact.checked else "not yet"
        table.add_row(Text(one_line(contact.name)), contact.number, Text(f"{word}{since}", style=colour), when)
    return table


def _day(seconds: int) -> str:
    from grue.protocol.dates import date

    return date(seconds).partition(" ")[0]


def _name(contact: "Contact") -> str:
    from grue.cli.shell import one_line

    return f"{one_line(contact.name)} ({contact.number})" if contact.name else contact.number


def _named(who: str, name: str) -> str:
    from grue.cli.shell import one_line

    return f"{who} is {one_line(name)} here." if name else f"{who} has no name here."


def _counted(imported: "Imported") -> str:
    said = [f"Imported {imported.imported:,}."]
    if imported.known:
        said.append(f"{imported.known:,} were there before.")
    if imported.duplicates:
        said.append(f"{imported.duplicates:,} were in the file more than once.")
    head = " ".join(said)
    if not imported.skipped:
        return head
    why = [f"{count:>7,}  {SKIPPED[skip.value]}" for skip, count in imported.skipped.most_common()]
    return "\n".join([f"{head} Left out:", *why])


def _synced_fields(synced: "Synced") -> dict[str, Any]:
    counts = {
        "contacts": synced.contacts,
        "evaluated": synced.evaluated,
        "encrypted": synced.encrypted,
        "sms": synced.sms,
        "unknown": synced.unknown,
        "left": synced.left,
        "earlier": synced.earlier,
    }
    return counts | ({"retry_after": synced.retry_after} if synced.left or synced.earlier else {})


def _outcome(synced: "Synced") -> str:
    parts = [f"{synced.encrypted:,} on Grue", f"{synced.sms:,} not"]
    if synced.unknown:
        parts.append(f"{synced.unknown:,} unknown")
    return f"Of {synced.contacts:,} numbers {', '.join(parts)}."


def _left(synced: "Synced") -> str:
    hours = -(-synced.retry_after // 3600)
    when = f"{hours} hours" if hours < 48 else f"{-(-hours // 24)} days"
    behind = []
    if synced.left:
        behind.append(f"{synced.left:,} could not be looked up yet")
    if synced.earlier:
        behind.append(f"{synced.earlier:,} could not be looked up again, and are listed as they were then")
    return (
        f"{'; '.join(behind)}: your allowance is used up. It goes on in {when} by itself, whenever `receive` runs: "
        "some 50 numbers a day, and in a large directory, where a new one counts twice, some 25."
    )


# --- files and progress ---------------------------------------------------------------------------


@contextmanager
def _reading(file: str) -> Iterator[BinaryIO]:
    """The file, or stdin. Raises UsageError when there is none."""
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        source = open(file, "rb")  # noqa: SIM115 -- closed below
    except FileNotFoundError:
        raise UsageError("There is no such file.") from None
    with source:
        yield source


@contextmanager
def _progress(shell: Shell) -> "Iterator[Progress]":
    """A bar for people at a terminal, once it takes half a second; a line for each batch for machines."""
    if shell.as_json or not sys.stderr.isatty():
        yield lambda done, of: shell.emit({"progress": done, "of": of})
        return
    from time import monotonic

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = TextColumn("Looking up"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    bar, begun = Progress(*columns, console=Console(stderr=True), transient=True), monotonic()
    task = bar.add_task("")

    def progressed(done: int, of: int) -> None:
        bar.update(task, completed=done, total=of)
        if monotonic() - begun > SPINNER_AFTER:
            bar.start()

    try:
        yield progressed
    finally:
        bar.stop()


contacts_app = App(name="contacts")
contacts_app.default(list_contacts)
contacts_app.command(import_contacts, name="import")
contacts_app.command(sync)
contacts_app.command(name)
contacts_app.command(forget)
