"""The helper under every state machine."""

from enum import StrEnum

import pytest

from grue.errors import ProtocolViolation
from grue.protocol.states import Machine, Table, advance


class Door(StrEnum):
    OPEN = "open"
    SHUT = "shut"
    GONE = "gone"


class Act(StrEnum):
    PUSH = "push"
    BREAK = "break"


TABLE: Table[Door, Act] = {
    Door.OPEN: {Act.PUSH: Door.SHUT},
    Door.SHUT: {Act.PUSH: Door.OPEN, Act.BREAK: Door.GONE},
    Door.GONE: {},
}


def test_a_step_in_the_table_is_taken() -> None:
    assert advance(TABLE, Door.OPEN, Act.PUSH) is Door.SHUT


def test_a_machine_follows_its_table() -> None:
    machine = Machine(TABLE, Door.OPEN)
    assert [machine.fire(Act.PUSH), machine.fire(Act.BREAK)] == [Door.SHUT, Door.GONE]
    assert machine.state is Door.GONE


def test_an_illegal_event_raises_and_changes_nothing() -> None:
    machine = Machine(TABLE, Door.OPEN)
    with pytest.raises(ProtocolViolation, match="open: break"):
        machine.fire(Act.BREAK)
    assert machine.state is Door.OPEN
    assert not machine.allows(Act.BREAK)
    assert machine.allows(Act.PUSH)


def test_an_end_allows_nothing() -> None:
    for act in Act:
        with pytest.raises(ProtocolViolation):
            advance(TABLE, Door.GONE, act)
