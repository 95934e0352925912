"""State machines as tables: `state -> event -> state`, each in one place, drawn in the documents from here.

A protocol names its states and events as `StrEnum`s and its table as a constant `TABLE`. What the table does
not allow raises, so a step can be neither skipped nor done twice by mistake.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Generic, TypeAlias, TypeVar

from grue.errors import ProtocolViolation

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E", bound=StrEnum)

Table: TypeAlias = Mapping[S, Mapping[E, S]]
"""Every state is a key; one without events is an end."""


def advance(table: Table[S, E], state: S, event: E) -> S:
    """The state after `event`. Raises ProtocolViolation when the table has no such step."""
    try:
        return table[state][event]
    except KeyError:
        raise ProtocolViolation(f"({type(state).__name__} {state!s}: {event!s})") from None


class Machine(Generic[S, E]):
    """One run of a table: holds the present state, and nothing else."""

    def __init__(self, table: Table[S, E], state: S) -> None:
        self._table = table
        self._state = state

    @property
    def state(self) -> S:
        return self._state

    def allows(self, event: E) -> bool:
        """Say whether `event` is a step from here, for who has a choice."""
        return event in self._table[self._state]

    def fire(self, event: E) -> S:
        """Take the step and return the new state. Raises ProtocolViolation, and stays, when there is none."""
        self._state = advance(self._table, self._state, event)
        return self._state

    def __repr__(self) -> str:
        return f"Machine({self._state!s})"
