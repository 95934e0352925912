"""The texts of `grue subpoena`: what an order can make a running server note, and what no order gets out of it.

The first follows `docs/threat-model.md`, "Mailboxes and accounts, live"; the second what it and "... at rest" rule out.
"""

from typing import Final, NamedTuple


class Unanswerable(NamedTuple):
    """A question that may be asked, and why there is no answer to it."""

    question: str
    why: str


LIVE: Final = (
    "The number itself, each time its account registers or checks in, with the time and the network address.",
    "Address and time of every connection of the account: registration, check-in, the drawing of tokens, uploads of "
    "key packages, and the reading of its intro mailbox.",
    "That somebody takes one of its key packages or posts to its intro mailbox: the time, the size in four steps, and "
    "the address that it came from, unless it came by a relay. Not who that is, beyond the address.",
    "Which accounts are perhaps asked into one group: by invitations that come to their intro mailboxes at one time, "
    "by a relay or not. Only who is readmitted after it lost track has the group's random id beside it in the clear.",
    "Of clients that use the direct transport: address and time of anonymous requests and of streams, and which "
    "mailboxes one stream reads. By equal addresses and times these can be guessed to be this account's.",
    "From then on, by the same guess, who probably writes with whom: two clients that read one mailbox. Not what.",
    "Of clients that use a relay: one anonymous request at a time, with the relay's address and the time. Whose it is "
    "can be guessed from times, and is known only with what the relay's operator notes at the same moments.",
    "Registration SMS: that a code was sent to the number, when, and to which address the answer went; and each wrong "
    "code that is handed in.",
    "Who proves to receive the number's SMS while this account uses it: their keys and address, when, and whether the "
    "account lets go of its number to them, or objects.",
    "SMS through this server's gateway, out and in: both numbers, the time and the text. Its gateway and the carriers "
    "have the same, and keep it on their own terms.",
    "That lookups are made, how many at a time and, unless they come by a relay, from which address. Not of which "
    "numbers, and not with what result.",
    "That parts of attachments come and are fetched: time and size, and, unless they come by a relay, the address. "
    "By these it can be guessed which belong together, who sent them and who fetched them. They are sealed: the "
    "server has no key to them.",
    "Envelopes that come from then on could be kept after they were read. They stay sealed: the server has no key to "
    "them.",
)
"""What a live order could add, each in a sentence."""

CANNOT: Final = (
    Unanswerable(
        "Whom has the number written to, and who has written to it?",
        "No row joins two accounts, and an envelope names no sender. What is in the intro mailbox is sealed.",
    ),
    Unanswerable(
        "In which conversations does it take part?",
        "A conversation's mailbox has a random id and knows its readers by hashes of random keys. No row leads from an "
        "account to one, so none is listed above, though the server holds them.",
    ),
    Unanswerable(
        "Which groups is it a member of?",
        "A group is a conversation, and its members are known to its members alone. An invitation in its intro mailbox "
        "is sealed to the account. With one exception: where a device lost track and is readmitted, the answer has the "
        "random id of its group in it until it was fetched.",
    ),
    Unanswerable(
        "What do its messages say?",
        "They are encrypted from device to device. The server has none of the keys, and deletes an envelope once all "
        "its readers have it.",
    ),
    Unanswerable(
        "Which attachments has it sent or received, and what is in them?",
        "A part of one lies under the hash of a random id, paid for by a token that is anybody's. No row leads from an "
        "account to one, and the key is with those who were sent it. After two weeks it is gone.",
    ),
    Unanswerable(
        "Which numbers has it looked up, and who has looked it up?",
        "A lookup arrives blinded, as a random group element, without an account, and is not stored.",
    ),
    Unanswerable(
        "Was a number that was looked up found?",
        "That is decided on the asking device, after the last request; found and not found make the same requests.",
    ),
    Unanswerable(
        "Who is in its contact list?",
        "The list never leaves the device.",
    ),
    Unanswerable(
        "From which network addresses was it used?",
        "No address is stored, in the database or in a log.",
    ),
    Unanswerable(
        "When exactly was it used, or was something sent?",
        "The database has no time finer than a day, and for the account none finer than a week, but the day of a claim "
        "of its number and of its answer. Of registration codes it has in which ten minutes they were sent, for an "
        "hour, the day of the last wrong one, for a week, and until when the number is locked.",
    ),
    Unanswerable(
        "Which tokens were its own, and what were they spent on?",
        "Tokens are blinded when they are drawn: nothing links one that was spent to the account that drew it.",
    ),
    Unanswerable(
        "What did it send and receive by SMS in the past?",
        "The server keeps no copy of an SMS. One that came in waits in the intro mailbox, sealed to the account. The "
        "carriers may hold more.",
    ),
    Unanswerable(
        "Which codes were sent to it?",
        "A code is computed from the number, the time and a key, and is never stored; that one was sent is, for an "
        "hour.",
    ),
    Unanswerable(
        "What is the name of its owner?",
        "None is asked for. The carrier of the number may know.",
    ),
)
"""What cannot be answered from what is held, and why."""
