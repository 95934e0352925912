"""`transport`: show or choose the way on which this home reaches its server, and what the way shows to whom."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from grue.cli.opening import opened
from grue.cli.parameters import Injected
from grue.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from grue.client.transport.transport import TransportSettings

RELAY_HELP = "Send anonymous requests sealed through this relay, which another operator should run."
PROXY_HELP = "Make every connection through a SOCKS5 proxy; Tor's is socks5://127.0.0.1:9050."


async def transport(
    *,
    relay: Annotated[str | None, Parameter(help=RELAY_HELP)] = None,
    proxy: Annotated[str | None, Parameter(help=PROXY_HELP)] = None,
    direct: Annotated[bool, Parameter(negative="", help="Straight to the server, without either.")] = False,
    shell: Injected,
) -> None:
    """Say how this home reaches its server, and who sees what by it; or change it.

    With an option it is changed to exactly what the options say.
    """
    if direct and (relay or proxy):
        raise UsageError("--direct is without a relay and a proxy: give one or the other.")
    async with opened(shell) as client:
        if direct or relay or proxy:
            settings = await client.account.set_transport(relay=relay or "", proxy=proxy or "")
        else:
            settings = await client.account.transport_settings()
    shell.result(
        {"transport": settings.name, "relay": settings.relay or None, "proxy": settings.proxy or None},
        lambda: _said(settings),
    )


def _said(settings: "TransportSettings") -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    from grue.cli.shell import one_line
    from grue.cli.verbs.doctor import table_of
    from grue.exposure.own import sights

    way = one_line(f"through the relay {settings.relay}") if settings.relay else one_line("straight to the server")
    by = one_line(f", by the proxy {settings.proxy}") if settings.proxy else one_line("")
    table = table_of(sights(relay=bool(settings.relay), proxy=bool(settings.proxy)))
    return Group(Text.assemble((settings.name, "bold"), ": anonymous requests go ", way, by, ".\n"), table)
