"""The port of a home's window: chosen once, and listened at before anything that takes time."""

import secrets as random
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

from grue.errors import UsageError

LOOPBACK: Final = "127.0.0.1"
PORTS: Final = range(20_000, 30_000)
"""What a home's own port is chosen from, once: below those that the system gives out."""
PORT_FILE: Final = "window.port"
"""In the home. It says nothing but that there was a window."""


class PortTaken(UsageError):
    """Nothing is opened elsewhere instead: the browser's permissions and the launcher are for this port."""

    code = "port_taken"
    message = "Another program listens at the port of this home's window."
    fix = "If that is not another `grue desktop` of this home, give another: `grue desktop --listen 127.0.0.1:PORT`."


def own_port(home: Path) -> int:
    """The port that this home's windows have, chosen at the first time."""
    path = home / PORT_FILE
    with suppress(FileNotFoundError, ValueError):
        return int(path.read_text())
    port = random.choice(PORTS)
    path.write_text(f"{port}\n")
    return port


def listening(port: int) -> socket.socket:
    """A socket on loopback; who connects waits until it is served. Raises PortTaken."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((LOOPBACK, port))
        sock.listen()
    except OSError:
        sock.close()
        raise PortTaken from None
    return sock


def address(sock: socket.socket) -> str:
    """Where it listens, such as `127.0.0.1:9101`."""
    return f"{LOOPBACK}:{sock.getsockname()[1]}"
