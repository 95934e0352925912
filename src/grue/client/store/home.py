"""A home is the folder in which a client keeps everything; its key is made from a passphrase or kept in a keyring.

It holds `grue.db` (encrypted) and `key.json`, which says how the key is made (never the key itself). A passphrase gives
the key through Argon2id.
"""

import hmac
import os
import secrets
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from grue.errors import ForeignDatabase, NoPassphrase, WrongPassphrase

PASSPHRASE_VARIABLE: Final = "GRUE_PASSPHRASE"  # noqa: S105 -- the name, not the secret
HOME_VARIABLE: Final = "GRUE_HOME"
KEYRING_SERVICE: Final = "grue"
KEY_FILE: Final = "key.json"
DATABASE: Final = "grue.db"

ARGON2_TIME: Final = 3
"""Passes. With the two below the second recommended choice of RFC 9106: about 0.1 s on one core."""
ARGON2_MEMORY_KIB: Final = 64 * 1024
ARGON2_LANES: Final = 4


class KeyFile(msgspec.Struct):
    """`key.json`: how to make the database's key again, and a hash to tell a wrong one.

    The salt is random, so it is also the name of the key in the keyring: the same wherever the home is moved to.
    """

    kdf: str
    salt: str
    check: str
    time: int
    memory_kib: int
    lanes: int


def default_home() -> Path:
    """`GRUE_HOME`, or the platform's usual place for an application's data."""
    chosen = os.environ.get(HOME_VARIABLE)
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_DATA_HOME", "~/.local/share")).expanduser() / "grue"


def is_home(home: Path) -> bool:
    """Whether something of a home is there; a database whose `key.json` was lost is one all the same."""
    return any((home / name).exists() for name in (KEY_FILE, DATABASE))


def unlock(home: Path, passphrase: str | None = None) -> bytes:
    """The 32-byte key of this home, made on first use. Costs about 0.1 s with a passphrase.

    Raises WrongPassphrase, NoPassphrase, and ForeignDatabase when `key.json` is not ours or was lost.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    passphrase = passphrase or os.environ.get(PASSPHRASE_VARIABLE)
    if _is_new(home):
        _create(home, passphrase)
    try:
        key_file = msgspec.json.decode((home / KEY_FILE).read_bytes(), type=KeyFile)
        key = _derive(key_file, passphrase)
    except (msgspec.DecodeError, ValueError):
        raise ForeignDatabase("(key.json cannot be read)") from None
    if not hmac.compare_digest(_check(key), key_file.check):
        raise WrongPassphrase
    return key


def make_key(home: Path, passphrase: str, *, passes: int, memory_kib: int) -> None:
    """Make the key of a home that has none, at another cost: little is enough for a passphrase that is random."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    key_file = KeyFile("argon2id", secrets.token_hex(16), "", passes, memory_kib, 1)
    if _is_new(home):
        _keep(home, key_file, passphrase)


def _is_new(home: Path) -> bool:
    """Whether the home has no key yet. Raises ForeignDatabase when it had one: a new one would open nothing."""
    # In this order, because another process that makes the home now makes its key first.
    has_database = (home / DATABASE).exists()
    if (home / KEY_FILE).exists():
        if not has_database:
            # Made by another process, a moment ago, and perhaps not yet on disk.
            _sync(home)
        return False
    if has_database:
        raise ForeignDatabase("(key.json is missing; restore it beside grue.db)")
    return True


def _create(home: Path, passphrase: str | None) -> None:
    kdf = "argon2id" if passphrase else "keyring"
    key_file = KeyFile(kdf, secrets.token_hex(16), "", ARGON2_TIME, ARGON2_MEMORY_KIB, ARGON2_LANES)
    if not passphrase:
        _to_keyring(key_file.salt, secrets.token_hex(32))
    if not _keep(home, key_file, passphrase) and not passphrase:
        _forget(key_file.salt)


def _keep(home: Path, key_file: KeyFile, passphrase: str | None) -> bool:
    """On disk before anything is encrypted under it: a power cut must not leave a database without its key.

    False when another process was first; its key is the one that counts.
    """
    key_file.check = _check(_derive(key_file, passphrase))
    draft = home / f".key-{secrets.token_hex(4)}"
    with draft.open("wb") as file:
        file.write(msgspec.json.encode(key_file))
        file.flush()
        os.fsync(file.fileno())
    try:
        # Unlike a rename this fails when there is one already.
        os.link(draft, home / KEY_FILE)
        first = True
    except FileExistsError:
        first = False
    finally:
        draft.unlink()
    _sync(home)
    return first


def _sync(folder: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _derive(key_file: KeyFile, passphrase: str | None) -> bytes:
    if key_file.kdf == "keyring":
        return bytes.fromhex(_from_keyring(key_file.salt))
    if key_file.kdf != "argon2id":
        raise ForeignDatabase("(its key is of an unknown kind)")
    if not passphrase:
        raise NoPassphrase
    from argon2.low_level import Type, hash_secret_raw

    return hash_secret_raw(
        passphrase.encode(),
        bytes.fromhex(key_file.salt),
        time_cost=key_file.time,
        memory_cost=key_file.memory_kib,
        parallelism=key_file.lanes,
        hash_len=32,
        type=Type.ID,
    )


def _check(key: bytes) -> str:
    return sha256(b"grue key check v1" + key).hexdigest()[:32]


def _from_keyring(name: str) -> str:
    import keyring
    from keyring.errors import KeyringError

    try:
        stored = keyring.get_password(KEYRING_SERVICE, name)
    except KeyringError:
        raise NoPassphrase from None
    if stored is None:
        raise NoPassphrase("(the keyring has lost this home's key)")
    return stored


def _to_keyring(name: str, key: str) -> None:
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.set_password(KEYRING_SERVICE, name, key)
    except KeyringError:
        raise NoPassphrase from None


def _forget(name: str) -> None:
    import keyring
    from keyring.errors import KeyringError

    # A key that opens nothing does no harm when it stays.
    with suppress(KeyringError):
        keyring.delete_password(KEYRING_SERVICE, name)
