"""`heads`: tell which state of the directory this home has, and prove it when contacts were shown another."""

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from grue.cli.opening import opened
from grue.cli.parameters import Injected
from grue.cli.shell import one_line
from grue.errors import SplitDirectory
from grue.protocol.dates import date

if TYPE_CHECKING:
    from grue.client.lookup.gossip import Heads, Split
    from grue.protocol.wire import OverlayHead

START_OVER = "Forget what was seen of the directory, and begin with what the server shows now."

PROOF = """The server signed both of these, and only one can be true:
  {ours}, here
  {theirs}, at {contact}
Somebody was shown a directory of their own: the operator, or whoever holds the server's key, lies to one of you; or the
server was set back to a backup and did not say so. Numbers are not looked up, and nothing goes out as SMS. Messages in
conversations that you have go on. Ask {contact} and the operator, not through this server. `--json` prints both heads:
anybody who has the server's public key and its public files can check them. When you know what it was:
grue heads --start-over"""


async def heads(
    *, start_over: Annotated[bool, Parameter(negative="", help=START_OVER)] = False, shell: Injected
) -> int:
    """Say which state of the directory this home holds, and whether contacts were shown the same.

    Contacts' messages carry the head that they were shown. When one contradicts what is held here, this prints both.
    """
    async with opened(shell) as client:
        if start_over:
            await client.directory.start_over()
        found = await client.directory.heads()
    shell.result(_fields(found), lambda: _words(found))
    return SplitDirectory.exit_code if found.split is not None else 0


def _fields(found: "Heads") -> dict[str, Any]:
    own = None if found.own is None else _head(found.own.contents)
    proof = None if found.split is None else _proof(found.split, found.contact)
    return {"head": own, "waiting": found.waiting, "split": proof}


def _head(head: "OverlayHead") -> dict[str, Any]:
    return {
        "epoch": head.epoch,
        "manifest": head.manifest_hash.hex(),
        "length": head.length,
        "chain": head.chain.hex(),
        "issued": head.issued,
        "valid_until": head.valid_until,
    }


def _proof(split: "Split", contact: str) -> dict[str, Any]:
    return {"contact": contact, "found": split.found, "ours": split.ours.hex(), "theirs": split.theirs.hex()}


def _words(found: "Heads") -> str:
    if found.own is None:
        return "No directory was fetched yet."
    lines = [f"Directory: {_line(found.own.contents)}"]
    if found.split is not None:
        ours, theirs = (_signed(file) for file in (found.split.ours, found.split.theirs))
        return "\n".join([*lines, PROOF.format(ours=ours, theirs=theirs, contact=one_line(found.contact))])
    lines.append("No contact was shown another one.")
    if found.waiting:
        lines.append(f"{found.waiting} of your contacts' heads are later, and are compared at the next lookup.")
    return "\n".join(lines)


def _signed(file: bytes) -> str:
    from grue.protocol import wire

    return _line(wire.OVERLAY_HEAD.decode(wire.SIGNED_FILE.decode(file).body))


def _line(head: "OverlayHead") -> str:
    return f"epoch {head.epoch}, {head.length} changes, signed {date(head.issued)}, {head.chain.hex()[:16]}"
