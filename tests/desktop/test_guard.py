"""What the process refuses before anything is routed, by real sockets."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from grue.client.client import Client
from grue.client.store.home import make_key
from grue.desktop import app, port, run
from grue.desktop.guard import HEADERS, owner
from grue.desktop.port import LOOPBACK, PortTaken, address, listening, own_port
from grue.desktop.run import running
from grue.desktop.secrets import Secrets

KEY = "a passphrase for tests"


pytestmark = pytest.mark.usefixtures("page")


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is as good as the built one, to who asks for it."""
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "index.html").write_text("<!doctype html><title>Grue</title>")
    (folder / "notes.txt").write_text("not a part of the page")
    monkeypatch.setattr(run, "page", lambda: folder)


@dataclass
class Running:
    host: str
    secrets: Secrets

    @property
    def url(self) -> str:
        return f"http://{self.host}/"


@asynccontextmanager
async def window(home: Path) -> AsyncIterator[Running]:
    make_key(home, KEY, passes=1, memory_kib=64)
    sock, secrets = listening(0), Secrets()
    async with Client(home, passphrase=KEY, create=True) as client, running(client, sock, secrets):
        yield Running(address(sock), secrets)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Running]:
    async with window(tmp_path / "home") as served:
        yield served


async def status(served: Running, path: str = "/", method: str = "GET", **headers: str) -> int:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://{served.host}{path}", headers=given) as answer,
    ):
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
        return answer.status


@asynccontextmanager
async def socket_of(served: Running) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        aiohttp.ClientSession(headers={"Origin": f"http://{served.host}"}) as session,
        session.ws_connect(f"ws://{served.host}/api") as connection,
    ):
        yield connection


@pytest.mark.parametrize("path", ["/", "/enter", "/api", "/no_such"])
@pytest.mark.parametrize("host", ["rebind.test", "localhost", "127.0.0.1", "127.0.0.1:1", "", "x127.0.0.1:PORT"])
async def test_desktop_01_a_rebound_name_gets_nothing(served: Running, path: str, host: str) -> None:
    port = served.host.rpartition(":")[2]
    assert await status(served, path, Host=host.replace("PORT", port)) == 421


async def test_desktop_01_two_hosts_are_none(served: Running) -> None:
    reader, writer = await asyncio.open_connection(*served.host.split(":"))
    writer.write(f"GET / HTTP/1.1\r\nHost: {served.host}\r\nHost: rebind.test\r\n\r\n".encode())
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert line.split()[1] in (b"400", b"421")


@pytest.mark.parametrize(
    "origin", [None, "null", "http://127.0.0.1:1", "http://localhost", "https://HOST", "http://HOST.test"]
)
async def test_desktop_02_another_page_brings_nothing_about(served: Running, origin: str | None) -> None:
    given = {} if origin is None else {"Origin": origin.replace("HOST", served.host)}
    assert await status(served, "/enter", "POST", **given) == 403
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "A" * 24,
    }
    assert await status(served, "/api", **upgrade, **given) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_desktop_02_another_page_reads_no_file_of_ours(served: Running, site: str) -> None:
    assert await status(served, "/", Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors") == 403
    # By a link that a person follows: there is nothing in the page itself.
    assert await status(served, "/", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate") == 200


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the table of sockets is Linux's")
async def test_desktop_03_another_user_is_refused(served: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await status(served) == 200
    monkeypatch.setattr(os, "getuid", lambda: 4_294_967_294)
    assert await status(served) == 403


def test_desktop_03_the_owner_of_a_socket_is_found_in_the_systems_table() -> None:
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    line = "   0: 0100007F:A1B2 0100007F:238D 01 00000000:00000000 00:00000000 00000000 65534        0 4242 1 0\n"
    local, remote = (LOOPBACK, 0xA1B2), (LOOPBACK, 0x238D)
    assert owner(head + line, local, remote) == 65534
    assert owner(head + line, remote, local) is None
    assert owner(head, local, remote) is None


async def test_desktop_04_fetching_the_page_uses_no_key_up(served: Running) -> None:
    once = served.secrets.once()
    assert await status(served) == 200
    async with aiohttp.ClientSession(headers={"Origin": f"http://{served.host}"}) as session:
        async with session.post(f"{served.url}enter", json={"once": once}) as answer:
            assert set(await answer.json()) == {"bearer"}
        for body in ({"once": once}, {"once": 1}, {}, {"once": "x", "more": 1}):
            async with session.post(f"{served.url}enter", json=body) as answer:
                assert answer.status == 401
        async with session.post(f"{served.url}enter", data=b"x" * 300) as answer:
            assert answer.status == 413


@pytest.mark.parametrize("first", ["", "a guess", b"a guess", None])
async def test_desktop_05_a_socket_that_does_not_say_who_it_is_ends(
    served: Running, first: str | bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "BEARER_SECONDS", 0.2)
    async with socket_of(served) as connection:
        match first:
            case str():
                await connection.send_str(first)
            case bytes():
                await connection.send_bytes(first)
            case None:
                pass
        await connection.receive(timeout=5)
        assert connection.close_code == app.NOT_LET_IN


async def test_desktop_05_with_the_bearer_it_answers(served: Running) -> None:
    bearer = served.secrets.enter(served.secrets.once())
    async with socket_of(served) as connection:
        await connection.send_str(bearer)
        await connection.send_str('{"jsonrpc": "2.0", "id": 1, "method": "state"}')
        answer = await connection.receive_json(timeout=5)
        assert answer["result"]["account"] is None


async def test_only_the_page_is_served(served: Running) -> None:
    assert await status(served, "/index.html") == 200
    for path in ("/notes.txt", "/../home/key.json", "/%2e%2e/home/key.json", "/assets/"):
        assert await status(served, path) == 404


def test_a_port_that_is_taken_is_said_and_no_other_is_used() -> None:
    with socket.socket() as other:
        other.bind((LOOPBACK, 0))
        other.listen()
        with pytest.raises(PortTaken):
            listening(other.getsockname()[1])


def test_a_home_keeps_its_port(tmp_path: Path) -> None:
    chosen = own_port(tmp_path)
    assert own_port(tmp_path) == chosen
    (tmp_path / port.PORT_FILE).write_text("no number")
    assert own_port(tmp_path) in port.PORTS
