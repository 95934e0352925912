"""The report's names for each observer: as a title, within a sentence, and with an explanation."""

from dataclasses import dataclass
from typing import Final

from grue.exposure.lives import View


@dataclass(frozen=True)
class Words:
    """Of one view."""

    title: str
    phrase: str
    """For use within a sentence, without a verb after it whose form depends on it."""
    holds: str = ""
    """A sentence or two on what this observer is, for those that have a section."""


_KNOWN: Final = {
    View.CLASSIC: Words(
        "Classic directory",
        "the classic directory",
        "A directory that is asked, number by number, how a message goes, and logs the questions. On an order it hands "
        "its log over; the order was extended every 30 days, and the snapshots add up.",
    ),
    View.CARRIER: Words(
        "Carrier",
        "the carrier",
        "The telephone company: calls, and SMS, with their text for the few days that it is kept. What goes encrypted "
        "does not pass here.",
    ),
    View.REST: Words(
        "Grue at rest",
        "Grue's server at rest",
        "The disk of a Grue server with all its keys, looked at every 30 days.",
    ),
    View.DIRECT: Words(
        "Grue live, direct",
        "Grue's live server, reached directly",
        "A Grue server that records all that it is given as it happens, of clients that reach it directly. It knows an "
        "address by the account last seen there, and so names who writes to whom. This is what Grue gives away to "
        "whoever runs the server and lies about it.",
    ),
    View.OBLIVIOUS: Words(
        "Grue live, oblivious",
        "Grue's live server, reached by a relay",
        "The same server, of clients that reach it by a relay: requests without an address.",
    ),
    View.RELAY: Words(
        "Relay",
        "the relay",
        "The relay: addresses, times and sizes; and, from access providers, whose address is whose. Somebody asks, and "
        "at that moment somebody else's waiting request is answered.",
    ),
    View.COLLUDING: Words(
        "Two servers colluding",
        "Grue's server and its relay together",
        "The server and its relay, run by people who tell each other everything.",
    ),
    View.NETWORK_DIRECT: Words("Network, direct", "the network near the target, who reaches the server directly"),
    View.NETWORK_OBLIVIOUS: Words("Network, by a relay", "the network near the target, who goes by a relay"),
    View.CONTACT: Words("A contact", "the contact whom the target writes to most"),
    View.RECORDER: Words("Dial-number recorder", "a dial-number recorder on the target's line"),
    View.RADIO: Words("Radio interceptor", "a radio interceptor near the target's home"),
    View.DIRECTORY: Words("Grue's directory alone", "Grue's directory by itself"),
    View.GATEWAY: Words("Grue's gateway alone", "Grue's gateway by itself"),
    View.TOKENS: Words("Grue's token issuer alone", "Grue's token issuer by itself"),
    View.REST_DAILY: Words("Grue at rest, daily", "whoever looks at the disk of a Grue server every day"),
}


def words(view: View) -> Words:
    return _KNOWN[view]
