"""Open the home that a verb is for: find it, get its passphrase, and never make one by mistake."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING

from grue.cli.shell import Shell
from grue.errors import NoPassphrase, NotRegistered, UsageError

if TYPE_CHECKING:
    from grue.client.client import Client


@asynccontextmanager
async def opened(shell: Shell, *, new: bool = False) -> "AsyncIterator[Client]":
    """The client of this shell's home. Only with `new` is a home made that is not there.

    Without a keyring and GRUE_PASSPHRASE a person at a terminal is asked. Raises NotRegistered, NoPassphrase,
    WrongPassphrase, ForeignDatabase, CorruptDatabase.
    """
    from grue.client.store.home import is_home

    home = home_of(shell)
    if home.exists() and not home.is_dir():
        raise UsageError("What GRUE_HOME or --home names is not a folder.")
    exists = is_home(home)
    if not exists and not new:
        raise NotRegistered
    client = await entered(home, exists=exists)
    try:
        yield client
    finally:
        await client.close()


async def entered(home: Path, *, exists: bool) -> "Client":
    """Open a home; a person at a terminal is asked for the passphrase where it is nowhere else."""
    from grue.client.client import Client

    try:
        return await Client(home, create=not exists).__aenter__()
    except NoPassphrase:
        if not sys.stdin.isatty():
            raise
        return await Client(home, passphrase=_asked(new=not exists), create=not exists).__aenter__()


def going_on(what: str, client: "Client") -> str:
    """What to show while this goes on: that the directory is being downloaded, as it is the first time."""
    fetched = client.directory.fetched
    return what if fetched is None else f"Downloading the directory, once: {fetched:.0%} ..."


def home_of(shell: Shell) -> Path:
    """`--home`, or GRUE_HOME, or the usual place."""
    from grue.client.store.home import default_home

    return shell.home or default_home()


def _asked(*, new: bool) -> str:
    """Ask for the passphrase; twice when it is a new one. Raises UsageError."""
    passphrase = getpass("A passphrase for this new home: " if new else "Passphrase: ")
    if not passphrase:
        raise UsageError("A passphrase cannot be empty.")
    if new and getpass("The same again: ") != passphrase:
        raise UsageError("The two passphrases differ.")
    return passphrase


def typed(argument: str) -> str:
    """The argument, or for `-` all of stdin without its last line end. Raises UsageError for what is no UTF-8."""
    try:
        if argument == "-":
            return sys.stdin.buffer.read().decode().removesuffix("\n")
        # Bytes that are no UTF-8 arrive as lone surrogates.
        argument.encode()
    except UnicodeError:
        raise UsageError("That is not UTF-8 text.") from None
    return argument
