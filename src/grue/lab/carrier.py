"""`grue carrier` is a telephone company on loopback, for development and the demo.

`carrier` is the company, `inject` is somebody who writes an SMS on a telephone. A telephone binds over SMPP like
a service does, as `smsc.HANDSET`, so that the company's address is all that anybody has to know.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

import msgspec
import smpp34

from grue.errors import SmsGatewayDown, SmsRejected, UsageError
from grue.lab.smsc import HANDSET, Behaviour, Centre, Out
from grue.protocol.sms import smstext
from grue.protocol.sms.smstext import Part


def write_line(event: Mapping[str, object]) -> None:
    """One JSON object a line on stdout, at once."""
    sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
    sys.stdout.buffer.flush()


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError("The carrier's address is HOST:PORT.")
    return host.strip("[]"), int(port)


def _recording(record: Path | None) -> AbstractContextManager[IO[str] | None]:
    if record is None:
        return contextlib.nullcontext()
    try:
        return record.open("a", encoding="utf-8")
    except OSError:
        raise UsageError(f"The carrier cannot write its record to {record}.") from None


async def carrier(
    listen: str,
    record: Path | None = None,
    out: Out = write_line,
    behaviour: Behaviour | None = None,
    ready: Callable[[str], None] | None = None,
    credentials: tuple[str, str] | None = None,
) -> None:
    """Run a carrier at HOST:PORT (port 0: any) until cancelled.

    `out` gets {"from", "to", "text"} of every SMS, whole, and first {"listening"} unless `ready` takes the address.
    `record` keeps one JSON object per SMS: what a telephone company keeps. `credentials`: name and password that
    services must bind with; any are good when None. Raises UsageError.
    """
    host, port = _host_and_port(listen)
    with _recording(record) as kept:
        centre = Centre(behaviour or Behaviour(), out, kept, credentials)
        try:
            server = await asyncio.start_server(centre.serve, host, port)
        except OSError:
            raise UsageError(f"The carrier cannot listen at {listen}; is another one running?") from None
        bound = f"{listen.rpartition(':')[0]}:{server.sockets[0].getsockname()[1]}"
        if ready:
            ready(bound)
        else:
            out({"listening": bound})
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            server.close()
            await centre.close()


def run(listen: str, record: Path | None = None, behaviour: Behaviour | None = None) -> None:
    """`carrier` as a process: until SIGTERM or SIGINT, which end it cleanly."""

    async def until_told() -> None:
        task = asyncio.create_task(carrier(listen, record, behaviour=behaviour))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(until_told())


async def inject(address: str, sender: str, to: str, text: str) -> None:
    """Write an SMS on the telephone `sender`, to `to`; returns when the carrier has it.

    Raises SmsGatewayDown when no carrier is there, SmsRejected when it refuses.
    """
    host, port = _host_and_port(address)
    # Any reference will do: the same one soon after makes a new message all the same.
    parts = smstext.split(text, os.urandom(1)[0])
    client = smpp34.Client(host, port, HANDSET, "", bind_type="TX", connect_timeout_ms=5000)
    try:
        centre = await client.connect()
        try:
            for part in parts:
                await _submit(centre, sender, to, part)
        finally:
            await centre.unbind()
    except (smpp34.SmppError, OSError):
        raise SmsGatewayDown(f"(no carrier at {address})") from None
    finally:
        await client.stop()


async def _submit(centre: smpp34.Smsc, sender: str, to: str, part: Part) -> None:
    answer = await centre.submit_sm(
        to.lstrip("+"),
        part.data,
        source_addr=sender.lstrip("+"),
        source_addr_ton=1 if sender.startswith("+") else 0,
        source_addr_npi=1,
        dest_addr_ton=1 if to.startswith("+") else 0,
        dest_addr_npi=1,
        esm_class=0x40 if part.has_udh else 0,
        data_coding=part.data_coding,
    )
    if not answer.is_success:
        raise SmsRejected
