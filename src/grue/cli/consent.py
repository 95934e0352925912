"""Before anybody sends an SMS, `grue` says who can read it on its way."""

from typing import TYPE_CHECKING

from grue.cli.shell import one_line

if TYPE_CHECKING:
    from rich.text import Text


def sms_parties(gateway: str) -> list[str]:
    """Everybody between here and the handset. `gateway` is the server's own description of its SMS gateway."""
    return [
        "your server",
        f"its SMS gateway: {one_line(gateway)}",
        "your carrier and theirs, who keep both numbers and the time",
        "whoever reads along at a carrier, by order or otherwise",
        "anyone with a receiver near their handset",
    ]


def before(gateway: str) -> "Text":
    """What a sender has to know before agreeing."""
    return _listed("An SMS would show both numbers, the time and the text to:", gateway)


def after(gateway: str) -> "Text":
    return _listed("Both numbers, the time and the text of this SMS can be read by:", gateway)


def _listed(head: str, gateway: str) -> "Text":
    from rich.text import Text

    parties = "".join(f"\n  - {party}" for party in sms_parties(gateway))
    return Text.assemble((head, "yellow"), parties)
