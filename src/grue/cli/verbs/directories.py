"""`directory`: make a server's directory anew, list its files, and check them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import App, Parameter

from grue.cli.parameters import Injected
from grue.cli.shell import spoken

if TYPE_CHECKING:
    from rich.text import Text

    from grue.server.directory.inspection import Epoch, Finding

PHASES: Final = {
    "checking": "Checking the base",
    "merging": "Merging what changed",
    "packing": "Packing the table",
    "hint": "Computing the hint",
    "hashing": "Hashing the files",
}
"""What `build` is at, as a person reads it."""

Data = Annotated[Path, Parameter(help="The server's directory.")]


def build(
    *,
    data: Data,
    directory_key: Annotated[Path | None, Parameter(help="The directory's key file, when not in DATA.")] = None,
    shell: Injected,
) -> None:
    """Make a new base now, with its table for private queries if it is to have one. The server must not be running."""
    from grue.server.directory import inspection

    with shell.working("Building ...") as status:

        def tell(phase: str, part: float) -> None:
            if status is not None:
                status.update(f"{PHASES[phase]} ... {part:.0%}")  # type: ignore[attr-defined]

        made = inspection.build(data, directory_key, tell)
    shell.result(fields(made), lambda: _words(made))


def inspect(*, data: Data, shell: Injected) -> None:
    """Show the epochs that are kept: records, tier, and each file's size and SHA-256. The server may be running."""
    from grue.server.directory import inspection

    with shell.waiting("Reading the files ..."):
        epochs = inspection.inspect(data)
    for epoch in epochs:
        shell.result(fields(epoch), lambda epoch=epoch: _words(epoch))  # type: ignore[misc]


def verify(*, data: Data, shell: Injected) -> int:
    """Make every root and hash again from the files, and say what is wrong. The server may be running."""
    from grue.server.directory import inspection

    code = 0
    with shell.waiting("Checking ..."):
        findings = list(inspection.verify(data))
    for one in findings:
        shell.result(_finding(one), lambda one=one: _found(one))  # type: ignore[misc]
    wrong = [one.fault for one in findings if one.fault is not None]
    if wrong:
        code = shell.fail(wrong[0])
    return code


def fields(epoch: "Epoch") -> dict[str, Any]:
    """An epoch as `--json` shows it."""
    return {
        "epoch": epoch.epoch,
        "count": epoch.count,
        "tier": epoch.tier,
        "manifest": epoch.manifest_hash.hex(),
        "merkle_root": epoch.merkle_root.hex(),
        "files": {name: {"bytes": size, "sha256": epoch.hashes[name].hex()} for name, size in epoch.sizes.items()},
    }


def _words(epoch: "Epoch") -> str:
    lines = [f"Epoch {epoch.epoch}: {epoch.count} records, tier {epoch.tier}", f"  root {epoch.merkle_root.hex()}"]
    lines += [f"  {name:<9} {size:>12,} bytes  {epoch.hashes[name].hex()}" for name, size in epoch.sizes.items()]
    return "\n".join(lines)


def _finding(one: "Finding") -> dict[str, Any]:
    wrong = {} if one.fault is None else {"error": one.fault.code, "message": spoken(one.fault)}
    return {"epoch": one.epoch, "file": one.file, "ok": one.fault is None, **wrong}


def _found(one: "Finding") -> "Text":
    from rich.text import Text

    word, style = ("fine", "green") if one.fault is None else ("wrong", "bold red")
    why = "" if one.fault is None else f"  {spoken(one.fault)}"
    return Text.assemble(f"{one.epoch:>6} {one.file:<9} ", (word, style), why)


directory_app = App(name="directory", help="A server's directory: make a new base, list its files, check them.")
directory_app.command(build)
directory_app.command(inspect)
directory_app.command(verify)
