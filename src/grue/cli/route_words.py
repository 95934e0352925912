"""The words that people read for each route."""

from typing import Final

from grue.protocol.conversation.fallback import Route

ROUTE_WORDS: Final = {
    Route.ENCRYPTED: ("encrypted", "bold blue", "on Grue: only you and they can read it"),
    Route.SMS: ("SMS", "bold green", "not on Grue, or not to be found: only SMS reaches it, which others can read"),
    Route.UNKNOWN: ("unknown", "bold yellow", "no answer that can be trusted, so nothing would be sent"),
}
"""For each route: a word, its colour, and what it means."""
