"""What a client has given away so far, in words: for each kind of request, who got what by it, and what they did not.

The client counts its requests by kind. Here stands what each kind shows, to whom; a kind without an entry shows as
itself, so that nothing is left out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

SERVER: Final = "server"
CARRIERS: Final = "SMS gateway and carriers"


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
    "CheckIn": (Given(SERVER, "your number, with the keys of your account"),),
    "DeleteAccount": (Given(SERVER, "that your account is to go"),),
    "DrawTokens": (Given(SERVER, "that your account drew fifty tokens", "what they are spent on, and when"),),
    "UploadKeyPackages": (Given(SERVER, "keys for new people, under your account", "who they will be for"),),
    "CountKeyPackages": (Given(SERVER, "that your account is in use"),),
    "SendSms": (Given(SERVER, _SMS), Given(CARRIERS, _SMS)),
    "AskSms": (Given(SERVER, "that you wait to hear of an SMS"),),
    "file": (Given(SERVER, "that somebody fetched the public directory", "who, and what for"),),
    "Evaluate": (Given(SERVER, "blinded numbers, which could be any", "the numbers, and whether they were found"),),
    "Claim": (Given(SERVER, "that somebody new will write to one account", "who"),),
    "CreateMailbox": (Given(SERVER, "that there is one more mailbox", "whose"),),
    "Post": (Given(SERVER, "an envelope of one of four sizes, for a mailbox", "who sent it, and what it says"),),
    "PostIntro": (
        Given(SERVER, "an envelope of one of four sizes, for an account's intro mailbox", "who sent it, what it says"),
    ),
    "ExchangeSlot": (Given(SERVER, "that somebody begins to read a mailbox", "who"),),
    "Fetch": (Given(SERVER, "that somebody reads a mailbox", "who"),),
    "Subscribe": (Given(SERVER, "that one connection reads a mailbox, beside others", "who"),),
    "Ack": (Given(SERVER, "how far somebody has read a mailbox", "who"),),
    "RemoveReader": (Given(SERVER, "that somebody reads a mailbox no more", "who"),),
}
"""By the name of the request, or `file` for a file of the directory and `hello` for the first question."""

CAVEAT: Final = (
    "While it happens the server also sees this machine's address and the time, and which requests come together; "
    "it keeps none of these."
)
"""What every row leaves out, said once: `direct` is the only transport so far."""


def own_exposure(counts: Iterable[tuple[str, str, int]]) -> list[Row]:
    """A home's record, from the client's counts of (party, kind, times)."""
    rows = [
        Row(given.party, kind, given.what, given.hidden, times)
        for party, kind, times in counts
        for given in GIVEN.get(kind, (Given(party, kind),))
    ]
    return sorted(rows, key=lambda row: (row.party != SERVER, row.party, -row.times))
