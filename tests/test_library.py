"""`import grue`: every name is there, is loaded when it is used, and every error that a user can meet is among them."""

import inspect
import subprocess
import sys
from typing import Final

import pytest

import grue
from grue import errors

NOT_MET: Final = {
    "ProtocolViolation": "a fault of our own, which nobody can handle",
    "ClockImplausible": "of a server that does not start; no client is told",
    "OldData": "likewise",
}
"""Errors that are not exported, and why."""


def test_every_public_name_is_there_and_says_what_it_is() -> None:
    """An error says so itself, by its message and its fix."""
    public = {name: getattr(grue, name) for name in grue.__all__}
    silent = {name for name, it in public.items() if not it.__doc__}
    assert silent <= {name for name, it in public.items() if inspect.isclass(it) and issubclass(it, grue.GrueError)}


def test_every_error_that_a_user_can_meet_is_exported() -> None:
    defined = {
        name
        for name, found in inspect.getmembers(errors, inspect.isclass)
        if found.__module__.startswith("grue.errors.")
    }
    assert defined - NOT_MET.keys() == {name for name in grue.__all__ if name in defined}
    assert NOT_MET.keys() <= defined
    assert grue.NotRegistered is errors.NotRegistered


def test_names_are_sorted_and_listed() -> None:
    assert grue.__all__ == sorted(grue.__all__, key=lambda name: (name[0].islower(), name))
    assert set(grue.__all__) <= set(dir(grue))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = grue.nothing


def test_an_error_is_there_without_loading_the_client() -> None:
    code = "import sys, grue; grue.NotRegistered; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {name for name in loaded if name.startswith("grue") and not name.startswith("grue.errors")} == {"grue"}
