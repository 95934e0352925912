"""The server's key files."""

import os
import stat
from pathlib import Path

import pytest

from grue.errors import UsageError
from grue.server.keys import keys
from grue.server.keys.keys import Keys, open_keys


def same(one: Keys, other: Keys) -> bool:
    return (one.server_public, one.code_key, one.oprf.public) == (
        other.server_public,
        other.code_key,
        other.oprf.public,
    )


def test_a_first_start_makes_keys_and_the_next_finds_them(tmp_path: Path) -> None:
    first = open_keys(tmp_path / "data")
    assert same(first, open_keys(tmp_path / "data"))
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["directory.key", "server.key"]


def test_two_servers_have_different_keys(tmp_path: Path) -> None:
    one, other = open_keys(tmp_path / "one"), open_keys(tmp_path / "other")
    assert one.server_public != other.server_public
    assert one.oprf.public != other.oprf.public
    assert one.code_key != other.code_key


def test_only_the_owner_can_read_them(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        open_keys(tmp_path)
    finally:
        os.umask(mask)
    for name in (keys.SERVER_KEY, keys.DIRECTORY_KEY):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_keys_that_others_can_read_are_refused(tmp_path: Path) -> None:
    open_keys(tmp_path)
    for name in (keys.SERVER_KEY, keys.DIRECTORY_KEY):
        (tmp_path / name).chmod(0o640)
        with pytest.raises(UsageError, match="chmod 600"):
            open_keys(tmp_path)
        (tmp_path / name).chmod(0o600)
    open_keys(tmp_path)


def test_the_directorys_key_can_lie_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "vault").mkdir()
    first = open_keys(tmp_path / "data", tmp_path / "vault" / "oprf")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["server.key"]
    assert same(first, open_keys(tmp_path / "data", tmp_path / "vault" / "oprf"))
    # Nothing in DATA gives the key away: that is what keeping it elsewhere is for.
    assert first.oprf.to_bytes() not in (tmp_path / "data" / "server.key").read_bytes()


def test_a_key_that_a_directory_was_made_with_is_never_made_anew(tmp_path: Path) -> None:
    open_keys(tmp_path)
    (tmp_path / keys.DIRECTORY).mkdir()
    for name in (keys.SERVER_KEY, keys.DIRECTORY_KEY):
        kept = (tmp_path / name).rename(tmp_path / "kept")
        with pytest.raises(UsageError, match="missing"):
            open_keys(tmp_path)
        assert not (tmp_path / name).exists()
        kept.rename(tmp_path / name)


@pytest.mark.parametrize("contents", [b"", b"grue server key v1\n", b"something else entirely", b"\0" * 200])
def test_what_is_no_key_file_is_refused_and_left_alone(tmp_path: Path, contents: bytes) -> None:
    open_keys(tmp_path)
    for name in (keys.SERVER_KEY, keys.DIRECTORY_KEY):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(contents)
        with pytest.raises(UsageError, match="not a key file"):
            open_keys(tmp_path)
        assert (tmp_path / name).read_bytes() == contents
        (tmp_path / name).write_bytes(whole)


def test_a_directory_key_that_is_no_scalar_is_refused(tmp_path: Path) -> None:
    open_keys(tmp_path)
    (tmp_path / keys.DIRECTORY_KEY).write_bytes(b"grue directory key v1\n" + b"\xff" * 32)
    with pytest.raises(UsageError, match="not a key file"):
        open_keys(tmp_path)


def test_a_crash_while_writing_leaves_no_half_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(_descriptor: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", crash)
        with pytest.raises(KeyboardInterrupt):
            open_keys(tmp_path)
    assert not (tmp_path / keys.SERVER_KEY).exists()
    open_keys(tmp_path)


def test_keys_do_not_show_in_their_repr() -> None:
    made = Keys.generate()
    shown = repr(made) + str(made) + repr(made.oprf)
    for secret in (made.code_key, made.oprf.to_bytes(), made.signing.private_bytes_raw()):
        assert repr(secret) not in shown
        assert secret.hex() not in shown
