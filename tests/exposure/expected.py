"""Who learns what in the demo, with a relay and without: what the documents promise and admit."""

from typing import Final

from grue.exposure.captures import CARRIER, CONTACT, NETWORK, RELAY, SERVER_AT_REST, SERVER_LIVE
from grue.exposure.facts import Verdict

LEARNED, GUESSED, SIZE, NOT = Verdict.LEARNED, Verdict.GUESSED, Verdict.SIZE_ONLY, Verdict.NOT

OBSERVERS: Final = (SERVER_LIVE, SERVER_AT_REST, RELAY, CARRIER, NETWORK, CONTACT)

EXPECTED: Final = {
    "registered": (LEARNED, NOT, NOT, LEARNED, NOT, LEARNED),
    "looked_up": (NOT, NOT, NOT, NOT, NOT, NOT),
    "whether_found": (NOT, NOT, NOT, NOT, NOT, NOT),
    "whose_request": (NOT, NOT, NOT, NOT, NOT, NOT),
    "who_wrote": (NOT, NOT, GUESSED, NOT, GUESSED, LEARNED),
    "message_text": (SIZE, SIZE, SIZE, NOT, SIZE, LEARNED),
    "when": (LEARNED, NOT, LEARNED, NOT, LEARNED, LEARNED),
    "address": (LEARNED, NOT, LEARNED, NOT, LEARNED, NOT),
    "sms_numbers": (LEARNED, NOT, NOT, LEARNED, NOT, NOT),
    "sms_text": (LEARNED, NOT, NOT, LEARNED, NOT, NOT),
}
"""Of each fact by its id, what each of `OBSERVERS` learns in the demo, whose clients use a relay."""

EXPECTED_DIRECT: Final = {
    fact: ((LEARNED if fact == "who_wrote" else live), rest, *others)
    for fact, (live, rest, _relay, *others) in EXPECTED.items()
}
"""The same without a relay, by `OBSERVERS_DIRECT`: the server sees all addresses, and so who wrote to whom."""

OBSERVERS_DIRECT: Final = tuple(one for one in OBSERVERS if one != RELAY)
