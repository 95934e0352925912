"""`demo` and `lab`: everything at once on this machine, and data to try things with."""

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import App, Parameter

from grue.cli.parameters import FLAG, Injected
from grue.cli.shell import Shell
from grue.cli.signals import stop_on_sigterm

if TYPE_CHECKING:
    from types import ModuleType

    from grue.exposure.scanner.scan import Hit
    from grue.lab.demo import Step

CHECK_FAILED: Final = 5
"""The exit code of a check that failed, as in `grue.errors`."""


def fill(
    *,
    data: Annotated[Path, Parameter(help="The data of a server that is not running.")],
    count: Annotated[int, Parameter(help="How many numbers.")] = 1000,
    seed: Annotated[int, Parameter(help="The same seed gives the same numbers.")] = 0,
    shell: Injected,
) -> None:
    """Register numbers that belong to nobody, straight into a server's data."""
    from grue.lab.fill import fill as run

    with shell.waiting("Filling the directory ..."):
        numbers = run(data, count, seed)
    fields = {"filled": len(numbers), "seed": seed, "example": numbers[0] if numbers else None}
    shell.result(
        fields, lambda: f"{len(numbers)} numbers that belong to nobody are registered, {fields['example']} among them."
    )


def scan(
    places: Annotated[
        list[Path], Parameter(name="DIR", help="A directory, a file, or a file system's image or device.")
    ],
    /,
    *,
    canary: Annotated[
        list[str], Parameter(help="+NUMBER, a network address, @SECONDS or a date with time, or a text.")
    ],
    data: Annotated[Path | None, Parameter(help="The server's data, whose keys may have made tags.")] = None,
    process: Annotated[int | None, Parameter(help="Look into this process's memory too.")] = None,
    shell: Injected,
) -> int:
    """Search what a server keeps for what it must not keep, in every form. Ends with 5 when something is at rest."""
    from grue.cli.shell import one_line
    from grue.errors import UsageError
    from grue.exposure.scanner import scan as scanner
    from grue.lab.scan import scan_all, secrets_of

    canaries = [scanner.canary(written) for written in canary]
    moments = [float(one.value) for one in canaries if one.kind == scanner.INSTANT]
    try:
        secrets = secrets_of(data, moments=moments) if data is not None else None
        with shell.waiting("Searching ..."):
            hits, unopened = scan_all(places, canaries, secrets, process=process)
    except OSError as error:
        raise UsageError(f"{error.strerror}: {error.filename or 'the process'}.") from None
    for hit in hits:
        shell.emit({"canary": hit.canary, "form": hit.form, "surface": hit.surface, "where": hit.where})
        shell.say(lambda hit=hit: _line(hit))  # type: ignore[misc]
    at_rest = sum(hit.at_rest for hit in hits)
    keys = len(secrets.keys) if secrets else 0
    fields = {"at_rest": at_rest, "live": len(hits) - at_rest, "keys": keys, "unopened": unopened}
    shell.result(fields, "Nothing was found at rest." if not at_rest else f"{at_rest} finds at rest.")
    if unopened:
        shell.note(
            f"zstd streams were not opened, for want of the package `zstandard`: {one_line('; '.join(unopened))}."
        )
    return CHECK_FAILED if at_rest else 0


def _line(hit: "Hit") -> str:
    from grue.cli.shell import one_line

    return one_line(f"{hit.surface}: {hit.where}: {hit.canary} ({hit.form})")


def wiretap(
    *,
    data: Annotated[Path, Parameter(help="As of `grue serve`.")],
    record: Annotated[Path, Parameter(help="Where every opened request and its answer go, a JSON object a line.")],
    listen: Annotated[str, Parameter(help="HOST:PORT; port 0 is any free one.")] = "127.0.0.1:0",
    sms: Annotated[str | None, Parameter(help="As of `grue serve`.")] = None,
    shell: Injected,
) -> None:
    """Run a server that writes down what comes to it by a relay, as a dishonest operator would: for demonstrations."""
    from grue.cli.shell import write_object
    from grue.lab.wiretap import run_wiretapped

    def ready(address: str) -> None:
        write_object({"listening": address})
        shell.note(f"A server at http://{address} that keeps what its clients ask. Give it nobody's real number.")

    run_wiretapped(data, listen, record, sms=sms, ready=ready)


def swap(
    *,
    trials: Annotated[int, Parameter(help="Worlds measured for each question.")] = 100,
    seed: Annotated[int, Parameter(help="Of the coin that tosses each world's secret.")] = 0,
    shell: Injected,
) -> None:
    """Play the swap game: can a snapshot of the server's disk, with all keys, tell who was written to or looked up?

    An advantage of 0 is a coin's, 1 is always right. Ends with 0 whatever it finds.
    """
    from grue.errors import UsageError
    from grue.lab.swap import run_all

    if trials < 1:
        raise UsageError("At least one world has to be measured.")
    with shell.waiting("Playing ..."):
        results = list(run_all(trials, seed))
    for question, moment, guessed in results:
        shell.emit(
            {
                "question": question,
                "moment": moment,
                "advantage": round(guessed.value, 3),
                "low": round(guessed.low, 3),
                "high": round(guessed.high, 3),
                "trials": guessed.trials,
                "adversary": guessed.adversary,
            }
        )
        line = f"{question}, {moment}: {guessed.value:+.3f}, 95 % in [{guessed.low:+.3f}, {guessed.high:+.3f}]"
        shell.say(f"{line}, by {guessed.adversary}")


async def demo(
    *,
    keep: Annotated[Path | None, Parameter(help="Keep everything that was captured in this directory.")] = None,
    direct: Annotated[bool, FLAG, Parameter(help="Use no relay: the clients go straight to the server.")] = False,
    shell: Injected,
) -> None:
    """Run a server, a relay, a carrier and two clients here, and show who learned what.

    What each party was given is recorded as the run goes on, and the table at the end is made from that.
    """
    from grue.lab.demo import Demo

    stop_on_sigterm()
    shell.say(lambda: _story().opening(direct=direct))
    began = perf_counter()
    with shell.working("Working ..."):
        await Demo(lambda step: _tell(shell, step), keep, direct=direct).run()
    seconds = perf_counter() - began
    shell.emit({"demo": "ok"})
    shell.say(lambda: _story().ending(seconds, keep))


def _tell(shell: Shell, step: "Step") -> None:
    from grue.exposure.report import as_objects

    fields = {"step": step.name, "title": step.title, "seconds": round(step.seconds, 3), "results": list(step.results)}
    shell.emit({**fields, "rows": as_objects(step.rows)} if step.rows else fields)
    shell.say(lambda: _story().step(step))


def _story() -> "ModuleType":
    from grue.cli import story

    return story


lab_app = App(name="lab", help="For demonstrations and measurements.")
lab_app.command(
    "grue.cli.verbs.classic:classic_app", name="classic", help="A directory that logs what is typed, and orders."
)
lab_app.command(fill)
lab_app.command("grue.cli.verbs.classic:life", name="life", help="A made-up life, and what everybody knows of it.")
lab_app.command(
    "grue.cli.verbs.life_report:report", name="report", help="A made-up life as a page: who knew what of it."
)
lab_app.command(scan)
lab_app.command(swap)
lab_app.command(wiretap)
