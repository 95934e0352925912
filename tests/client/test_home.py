"""A home's key: there before anything needs it, never replaced, and in the keyring under the home's own name."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

from grue.client.store.home import make_key, unlock
from grue.errors import ForeignDatabase, NoPassphrase


class Keyring(KeyringBackend):
    """A keyring in memory."""

    priority = 1.0

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.entries.pop((service, username), None) is None:
            raise PasswordDeleteError


@pytest.fixture
def ring() -> Iterator[Keyring]:
    before, ring = keyring.get_keyring(), Keyring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


def test_a_key_in_the_keyring_opens_the_home_again_wherever_it_is(ring: Keyring, tmp_path: Path) -> None:
    key = unlock(tmp_path / "home")
    assert unlock(tmp_path / "home") == key
    shutil.move(tmp_path / "home", tmp_path / "moved")
    assert unlock(tmp_path / "moved") == key
    assert len(ring.entries) == 1


@pytest.mark.usefixtures("ring")
def test_a_new_home_at_an_old_place_has_its_own_key(tmp_path: Path) -> None:
    old = unlock(tmp_path / "home")
    shutil.move(tmp_path / "home", tmp_path / "moved")
    assert unlock(tmp_path / "home") != old
    assert unlock(tmp_path / "moved") == old


@pytest.mark.parametrize(("place", "step"), [(Keyring, "set_password"), (os, "link")])
def test_of_two_first_starts_at_once_both_have_the_same_key(
    ring: Keyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: object, step: str
) -> None:
    first: list[bytes] = []
    as_ever: Callable[..., None] = getattr(place, step)

    def meanwhile(*args: object) -> None:
        """Another process makes the whole home between our own look and our own step."""
        monkeypatch.setattr(place, step, as_ever)
        first.append(unlock(tmp_path))
        as_ever(*args)

    monkeypatch.setattr(place, step, meanwhile)
    assert unlock(tmp_path) == first[0] == unlock(tmp_path)
    # And what came second leaves nothing behind.
    assert len(ring.entries) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["key.json"]


def test_a_keyring_that_has_lost_the_key_says_so(ring: Keyring, tmp_path: Path) -> None:
    unlock(tmp_path)
    ring.entries.clear()
    with pytest.raises(NoPassphrase):
        unlock(tmp_path)


@pytest.mark.parametrize("passphrase", ["right", None])
def test_a_database_without_its_key_file_gets_no_new_key(ring: Keyring, tmp_path: Path, passphrase: str | None) -> None:
    (tmp_path / "grue.db").write_bytes(b"encrypted")
    with pytest.raises(ForeignDatabase, match=r"key\.json is missing; restore it beside grue\.db"):
        unlock(tmp_path, passphrase)
    with pytest.raises(ForeignDatabase):
        make_key(tmp_path, "right", passes=1, memory_kib=64)
    assert [path.name for path in tmp_path.iterdir()] == ["grue.db"]
    assert ring.entries == {}


def test_the_key_file_and_its_folder_are_on_disk_before_the_key_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    unlock(tmp_path, "right")
    assert synced[0].startswith(".key-")
    assert synced[1:] == [tmp_path.name]
    # Also by who finds it made a moment ago, and is about to make the database.
    unlock(tmp_path, "right")
    assert synced[2:] == [tmp_path.name]
    (tmp_path / "grue.db").touch()
    unlock(tmp_path, "right")
    assert len(synced) == 3
