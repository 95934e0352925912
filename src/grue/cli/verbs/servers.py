"""`serve`, `replica`, `relay` and `carrier`: they run until they are told to stop, and write JSON lines to stdout."""

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from grue.cli.parameters import HYPHENS, Injected
from grue.cli.shell import one_line, write_object
from grue.cli.signals import stop_on_sigterm
from grue.errors import UsageError
from grue.protocol.numbers import parse

BLOB_GIB = 32
"""60 people who use up their tokens for two weeks; `grue.server.mailboxes.blobs` has the same."""

SMS_VARIABLE = "GRUE_SMS"
"""Where the SMS gateway's URL may be instead: everybody on a machine sees what a process was started with."""

SMS_A_DAY = 100
"""As `grue.server.sms.sms` has it."""

CODES_AN_HOUR, CODES_AN_HOUR_PREFIX = 200, 20
"""As `grue.server.accounts.codes` has them."""

SERVER_ADDRESS = "127.0.0.1:8443"
RELAY_ADDRESS = "127.0.0.1:8444"
REPLICA_ADDRESS = "127.0.0.1:8445"
CARRIER_ADDRESS = "127.0.0.1:2775"
"""SMPP's usual port."""


def serve(
    *,
    data: Annotated[Path, Parameter(help="Where everything is kept; made when it is not there.")],
    listen: Annotated[str, Parameter(help="HOST:PORT; port 0 is any free one.")] = SERVER_ADDRESS,
    sms: Annotated[
        str | None,
        Parameter(
            env_var=SMS_VARIABLE,
            help="The SMS gateway: smpp://NAME:PASSWORD@HOST:PORT?name=WHO. Better in the variable GRUE_SMS: an option "
            "stands in the list of processes, with its password.",
        ),
    ] = None,
    sms_a_day: Annotated[
        int, Parameter(help="SMS that one number sends a day, 0 for none; codes are none.")
    ] = SMS_A_DAY,
    codes_an_hour: Annotated[int, Parameter(help="SMS with registration codes an hour, in all.")] = CODES_AN_HOUR,
    codes_an_hour_prefix: Annotated[
        int, Parameter(help="The same to numbers that begin with the same five digits.")
    ] = CODES_AN_HOUR_PREFIX,
    directory_key: Annotated[Path | None, Parameter(help="The directory's key file, when not in DATA.")] = None,
    tls_cert: Annotated[Path | None, Parameter(help="Certificate chain (PEM), to serve https://.")] = None,
    tls_key: Annotated[Path | None, Parameter(help="Its private key (PEM).")] = None,
    restored: Annotated[bool, Parameter(negative="", help="The data was restored from a backup: say so once.")] = False,
    clock_is_right: Annotated[
        bool, Parameter(negative="", help="Start although the clock contradicts what was signed last.")
    ] = False,
    blob_limit: Annotated[int, Parameter(help="GiB that attachments may take in DATA, all together.")] = BLOB_GIB,
    replicas: Annotated[
        list[str] | None,
        Parameter(
            negative="",
            help="URL of a `grue replica`, or of a load balancer before some: private queries are passed on to it. "
            "May be given several times. They need a copy of DATA/replica.key, which is made.",
        ),
    ] = None,
    shell: Injected,
) -> None:
    """Run a server until SIGTERM or Ctrl-C. Prints {"listening": "HOST:PORT"} when it is ready.

    What is wrong goes to stderr once: {"wrong": CODE, "message", "fix"}, and {"mended": CODE} when it no longer is. The
    codes are `sms_gateway`, `disk_full` and `certificate`; GET /health has those of now.
    """
    from grue.server.accounts.codes import Caps
    from grue.server.run import run

    if blob_limit < 0:
        raise UsageError("--blob-limit takes GiB, 0 for no attachments.")
    if sms_a_day < 0:
        raise UsageError("--sms-a-day takes a number of SMS, 0 for none.")
    if codes_an_hour < 0 or codes_an_hour_prefix < 0:
        raise UsageError("--codes-an-hour and --codes-an-hour-prefix take a number of SMS, 0 for none.")
    tls = _tls(tls_cert, tls_key)
    scheme = "http" if tls is None else "https"

    def ready(address: str) -> None:
        write_object({"listening": address})
        shell.note(f"Serving at {scheme}://{address}. Ctrl-C stops it and loses nothing.")

    def told(line: dict[str, Any]) -> None:
        words = f"Wrong: {line['message']} {line['fix']}" if "wrong" in line else f"Mended: {line['mended']}."
        shell.warn(line, one_line(words))

    run(
        data,
        listen,
        sms=sms or None,
        directory_key=directory_key,
        tls=tls,
        ready=ready,
        restored=restored,
        clock_is_right=clock_is_right,
        blob_limit=blob_limit << 30,
        replicas=replicas or (),
        sms_a_day=sms_a_day,
        certificate=tls_cert,
        told=told,
        caps=Caps(codes_an_hour, codes_an_hour_prefix),
    )


def replica(
    *,
    of: Annotated[str, Parameter(help="The server's URL: https://, or http:// on this machine.")],
    key: Annotated[Path, Parameter(help="A copy of the server's DATA/replica.key.")],
    data: Annotated[Path, Parameter(help="Where the copy of the directory is kept; made when it is not there.")],
    listen: Annotated[str, Parameter(help="HOST:PORT; port 0 is any free one.")] = REPLICA_ADDRESS,
    tls_cert: Annotated[Path | None, Parameter(help="Certificate chain (PEM), to serve https://.")] = None,
    tls_key: Annotated[Path | None, Parameter(help="Its private key (PEM).")] = None,
    shell: Injected,
) -> None:
    """Run a replica: it holds a server's public directory, and answers private queries in its place.

    `grue serve --replicas` passes them on, and nobody else is answered; the directory's files are for anybody. It has
    nothing of any account, and can be lost without loss. Ends at SIGTERM or Ctrl-C. Prints {"listening": "HOST:PORT"}
    when it is ready, {"epoch": N, "records": N} whenever it has another base, and {"behind": CODE} when none comes.
    """
    from grue.server.replica.replica import run

    tls = _tls(tls_cert, tls_key)
    scheme = "http" if tls is None else "https"

    def ready(address: str) -> None:
        write_object({"listening": address})
        shell.note(f"A replica at {scheme}://{address}. Ctrl-C stops it.")

    run(data, listen, of, key, tls=tls, ready=ready, told=write_object)


def relay(
    *,
    listen: Annotated[str, Parameter(help="HOST:PORT; port 0 is any free one.")] = RELAY_ADDRESS,
    to: Annotated[str, Parameter(help="The server's URL: https://, or http:// on this machine, to try it.")],
    tls_cert: Annotated[Path | None, Parameter(help="Certificate chain (PEM), to serve https://.")] = None,
    tls_key: Annotated[Path | None, Parameter(help="Its private key (PEM).")] = None,
    shell: Injected,
) -> None:
    """Run an oblivious relay to somebody else's server; to your own it would hide nothing.

    It sees who asks, the server sees what is asked, and neither sees both, as long as they do not work together.
    Ends at SIGTERM or Ctrl-C. Prints {"listening": "HOST:PORT"} when it is ready.
    """
    from grue.server.oblivious.relay import run

    tls = _tls(tls_cert, tls_key)
    scheme = "http" if tls is None else "https"

    def ready(address: str) -> None:
        write_object({"listening": address})
        shell.note(f"Relaying at {scheme}://{address}. It hides nothing from somebody who also runs the server.")

    run(listen, to, tls=tls, ready=ready)


def _tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None:
        if key is not None:
            raise UsageError("--tls-key needs --tls-cert beside it.")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError):
        raise UsageError("The certificate and its key cannot be read, or do not belong together.") from None
    return context


# --- the carrier ----------------------------------------------------------------------------------


async def carrier(
    *,
    listen: Annotated[str, Parameter(help="HOST:PORT; port 0 is any free one.")] = CARRIER_ADDRESS,
    record: Annotated[Path | None, Parameter(help="Keep what a telephone company keeps, a JSON object a line.")] = None,
    mode: Annotated[
        list[str] | None,
        Parameter(
            negative="",
            help="How it treats all numbers, MODE, or some, MODE:PREFIX. May be given several times. Modes: deliver, "
            "throttle, full, reject, slow, silent, close, fail.",
        ),
    ] = None,
    login: Annotated[str | None, Parameter(help="NAME:PASSWORD that services must bind with; else any.")] = None,
    shell: Injected,
) -> None:
    """Run a telephone company for development, until SIGTERM or Ctrl-C. Prints every SMS that it sees."""
    from grue.lab.carrier import carrier as run
    from grue.lab.smsc import Behaviour

    def ready(address: str) -> None:
        write_object({"listening": address})
        shell.note(f"A carrier at smpp://{address}. Ctrl-C stops it.")

    credentials = _credentials(login)
    stop_on_sigterm(and_sigint=True)
    with suppress(asyncio.CancelledError):
        await run(listen, record, behaviour=Behaviour.parse(mode or []), ready=ready, credentials=credentials)


def _credentials(login: str | None) -> tuple[str, str] | None:
    if login is None:
        return None
    name, colon, password = login.partition(":")
    if not colon:
        raise UsageError("--login takes NAME:PASSWORD.")
    return name, password


async def carrier_sms(
    text: Annotated[str, HYPHENS, Parameter(help="What the SMS says. `-`: from stdin.")],
    /,
    *,
    from_: Annotated[str, Parameter(name="--from", help="The telephone it is written on.")],
    to: Annotated[str, Parameter(help="The number it is for.")],
    carrier: Annotated[str, Parameter(help="HOST:PORT of the carrier.")] = CARRIER_ADDRESS,
    shell: Injected,
) -> None:
    """Write an SMS on a telephone of the carrier's."""
    from grue.cli.opening import typed
    from grue.lab.carrier import inject

    sender, receiver, text = parse(from_), parse(to), typed(text)
    await inject(carrier, sender, receiver, text)
    shell.result({"from": sender, "to": receiver, "text": text}, lambda: f"The carrier has the SMS to {receiver}.")


carrier_app = App(name="carrier")
carrier_app.default(carrier)
carrier_app.command(carrier_sms, name="sms")
