"""The address book in words: nothing in a name is obeyed, and a limit is explained."""

import json
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from grue.cli.shell import Shell
from grue.cli.verbs import contacts
from grue.client.people.addressfile import Skip
from grue.client.people.contactsync import Synced
from grue.client.people.tables import Contact
from grue.errors import UsageError
from grue.protocol.conversation.fallback import Route
from tests.cli.test_output import NASTY

NUMBER = "+12025550101"
LIMITED = Synced(300, 100, 40, 60, 200, 200, 0, 125_706, [])


def plain(renderable: Any) -> str:
    out = StringIO()
    Console(file=out, width=200).print(renderable)
    return out.getvalue()


def contact(name: str = "Ann", route: Route = Route.ENCRYPTED, changed: int | None = None) -> Contact:
    return Contact(NUMBER, name, route, 1_800_000_000, changed)


def test_a_name_is_shown_without_what_a_terminal_obeys() -> None:
    said = plain(contacts._table([contact(NASTY)])) + contacts._name(contact(NASTY))
    assert "owned" in said
    assert not [char for char in said if char != "\n" and (ord(char) < 32 or char in "\x7f\x9b\u202e\u2066")]


def test_the_list_says_since_when_a_number_has_been_on_grue() -> None:
    assert "encrypted, since 2027-01-15" in plain(contacts._table([contact(changed=1_800_000_000)]))
    assert "since" not in plain(contacts._table([contact()]))


def test_a_limit_says_how_many_are_left_and_when_it_goes_on() -> None:
    assert contacts._outcome(LIMITED) == "Of 300 numbers 40 on Grue, 60 not, 200 unknown."
    assert contacts._left(LIMITED).startswith("200 could not be looked up yet: your allowance is used up.")
    assert "goes on in 35 hours by itself" in contacts._left(LIMITED)
    assert contacts._synced_fields(LIMITED)["retry_after"] == 125_706
    earlier = replace(LIMITED, left=0, earlier=150)
    assert contacts._left(earlier).startswith("150 could not be looked up again, and are listed as they were then: ")
    assert contacts._synced_fields(earlier)["earlier"] == 150
    assert "retry_after" in contacts._synced_fields(earlier)
    assert "retry_after" not in contacts._synced_fields(Synced(1, 1, 1, 0, 0, 0, 0, 0, []))


def test_every_reason_for_leaving_something_out_has_words() -> None:
    assert set(contacts.SKIPPED) == {skip.value for skip in Skip}


def test_progress_is_a_line_for_each_batch(capsys: pytest.CaptureFixture[str]) -> None:
    with contacts._progress(Shell(as_json=True)) as progress:
        progress(0, 80)
        progress(50, 80)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [{"progress": 0, "of": 80}, {"progress": 50, "of": 80}]


async def test_forgetting_everything_has_to_be_said_and_nothing_else() -> None:
    for number, all_of_it in (("", False), (NUMBER, True)):
        with pytest.raises(UsageError):
            await contacts.forget(number, all_of_it=all_of_it, shell=Shell())
