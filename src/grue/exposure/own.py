"""A client's own requests in words: for each kind, who got what by it, and what they did not get.

The client counts its requests by kind. This module says what each kind shows, and to whom; a kind without an entry is
shown as itself, so that nothing is left out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

SERVER: Final = "server"
CARRIERS: Final = "SMS gateway and carriers"
RELAY: Final = "relay"
PROXY: Final = "proxy"
NETWORK: Final = "network"
RELAYED: Final = "server, by relay"
"""The server, which was asked without this machine's address."""


@dataclass(frozen=True)
class Given:
    """What one request gives to one party."""

    party: str
    what: str
    hidden: str = ""
    """What the same request does not show, where somebody might think that it does."""


@dataclass(frozen=True)
class Row:
    """One line of a home's own record."""

    party: str
    kind: str
    what: str
    hidden: str
    times: int


_NUMBER_AND_CODE: Final = Given(CARRIERS, "your number, and that it asked for a code")
_SMS: Final = "both numbers, the text and the time of an SMS"

GIVEN: Final[Mapping[str, tuple[Given, ...]]] = {
    "challenge": (Given(SERVER, "a request of your account, to be signed over a challenge"),),
    "hello": (Given(SERVER, "that somebody asked what it is", "who"),),
    "RegisterStart": (Given(SERVER, "your number, to send a code to"), _NUMBER_AND_CODE),
    "RegisterFinish": (Given(SERVER, "your number, with the keys of your account"),),
    "AnswerClaim": (Given(SERVER, "whether somebody else may have your number"),),
    "CheckIn": (Given(SERVER, "your number, with the keys of your account"),),
    "DeleteAccount": (Given(SERVER, "that your account is to go"),),
    "DrawTokens": (Given(SERVER, "that your account drew fifty tokens", "what they are spent on, and when"),),
    "UploadKeyPackages": (Given(SERVER, "keys for new people, under your account", "who they will be for"),),
    "CountKeyPackages": (Given(SERVER, "that your account is in use"),),
    "SendSms": (Given(SERVER, _SMS), Given(CARRIERS, _SMS)),
    "AskSms": (Given(SERVER, "that you wait to hear of an SMS"),),
    "file": (Given(SERVER, "that somebody fetched the public directory", "who, and what for"),),
    "Evaluate": (Given(SERVER, "blinded numbers, which could be any", "the numbers, and whether they were found"),),
    "Query": (Given(SERVER, "a private query, which could be for any number", "the number, and whether it was found"),),
    "Claim": (Given(SERVER, "that somebody new will write to one account", "who"),),
    "CreateMailbox": (Given(SERVER, "that there is one more mailbox", "whose"),),
    "Post": (Given(SERVER, "an envelope of one of four sizes, for a mailbox", "who sent it, and what it says"),),
    "PostIntro": (
        Given(SERVER, "an envelope of one of four sizes, for an account's intro mailbox", "who sent it, what it says"),
    ),
    "PutBlob": (Given(SERVER, "one sealed part of an attachment, of one of six sizes", "whose, what, and of which"),),
    "GetBlob": (Given(SERVER, "that somebody fetches one part of an attachment", "who, what, and of which"),),
    "ExchangeSlot": (Given(SERVER, "that somebody begins to read a mailbox", "who"),),
    "Fetch": (Given(SERVER, "that somebody reads a mailbox", "who"),),
    "Subscribe": (Given(SERVER, "that one connection reads a mailbox, beside others", "who"),),
    "Ack": (Given(SERVER, "how far somebody has read a mailbox", "who"),),
    "sealed": (Given(RELAY, "this machine's address, with a sealed request of one of seven sizes", "what it asks"),),
    "RemoveReader": (Given(SERVER, "that somebody reads a mailbox no more", "who"),),
}
"""By the name of the request, or `file` for a file of the directory and `hello` for the first question; `sealed` is
what a relay is given."""

CAVEAT: Final = (
    "While it happens the server also sees this machine's address (or the proxy's) and the time, and which requests "
    "come together; what comes by a relay it sees without the address, one at a time. It keeps none of these."
)
"""What every row leaves out, said once."""


def when(first: date | None) -> str:
    """From which day on a record is shown; None is its beginning."""
    return "since this home was made" if first is None else f"since {first.isoformat()}, by UTC"


def own_exposure(counts: Iterable[tuple[str, str, int]]) -> list[Row]:
    """A home's record, from the client's counts of (party, kind, times); the party `relayed` is a server by a relay."""
    rows = [
        Row(RELAYED if party == "relayed" else given.party, kind, given.what, given.hidden, times)
        for party, kind, times in counts
        for given in GIVEN.get(kind, (Given(party, kind),))
    ]
    return sorted(rows, key=lambda row: (row.party != SERVER, row.party, -row.times))


# --- with the present settings --------------------------------------------------------------------


@dataclass(frozen=True)
class Sight:
    """What one observer sees while a client is in use, and what it does not."""

    party: str
    sees: str
    hidden: str


GUESS: Final = "except by guessing from times"
"""Nothing is delayed, mixed or sent as cover on any way, so no time is hidden from who sees requests come and go."""

TALKS: Final = "who writes to whom"

_SAID: Final = f"numbers, names, texts; {TALKS}, {GUESS}"


def sights(*, relay: bool, proxy: bool) -> list[Sight]:
    """Who sees what of a client that reaches its server so. `docs/threat-model.md` says it in full, with its tests."""
    address = "the proxy's address" if proxy else "your address"
    on_account = f"{address} with your account, when it registers, draws tokens, sends SMS or is written to anew"
    if relay:
        hidden = f"your address with any of those, {GUESS}; what is looked up, what encrypted messages say"
        server = Sight(SERVER, f"{on_account}; one anonymous request at a time", hidden)
    else:
        together = f"{address} with which mailboxes are read and written together, and so, with times, {TALKS}"
        server = Sight(SERVER, f"{on_account}; {together}", "what is looked up, what encrypted messages say")
    found = [server]
    if relay:
        seen = f"{address}, when something is asked, its size, about how many conversations you have"
        found.append(Sight(RELAY, seen, f"what is asked; {_SAID}"))
    if proxy:
        ends = "the server and the relay" if relay else "the server"
        found.append(Sight(PROXY, f"your address, unless it is Tor; {ends}, sizes and times", _SAID))
    first = PROXY if proxy else ("server and the relay" if relay else SERVER)
    behind = "; what it leads to, unless that is Tor" if proxy else ""
    found.append(Sight(NETWORK, f"that you use the {first}, sizes and times{behind}", _SAID))
    found.append(
        Sight(CARRIERS, "your registration's SMS; of every SMS both numbers and the text", "encrypted messages")
    )
    return found
