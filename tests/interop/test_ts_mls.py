"""Another implementation of MLS is a member beside ours: ts-mls on Node.js, with its suites and derivation matched.

`peer.mjs` says what was matched. It is installed as `package-lock.json` pins it, into a temporary folder.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from grue import _core

pytestmark = [pytest.mark.weekly, pytest.mark.whole]

HERE: Final = Path(__file__).parent
ANSWER_SECONDS: Final = 300


class Device:
    """One of ours: stored entries, and a credential that its account certified."""

    def __init__(self, group: bytes) -> None:
        self.group = group
        self._entries: dict[bytes, bytes] = {}
        session = self._session()
        self.credential = credential(session.new_identity())
        self._store(session)

    def key_package(self) -> bytes:
        session = self._session()
        package = session.key_package(self.credential, last_resort=False)
        self._store(session)
        return package

    def create(self) -> None:
        session = self._session()
        session.create(self.group, self.credential)
        self._store(session)

    def commit(self, add: list[bytes], remove: list[int]) -> _core.MlsCommit:
        session = self._session()
        commit = session.commit(self.group, add, remove, b"")
        session.accepted(self.group)
        self._store(session)
        return commit

    def join(self, welcome: bytes) -> None:
        session = self._session()
        session.accept_welcome(session.stage_welcome(welcome))
        self._store(session)

    def follow(self, message: bytes) -> _core.MlsStagedCommit:
        session = self._session()
        staged = session.process(self.group, message)
        assert isinstance(staged, _core.MlsStagedCommit)
        session.merge(self.group, staged)
        self._store(session)
        return staged

    def encrypt(self, text: bytes, data: bytes) -> bytes:
        session = self._session()
        message = session.encrypt(self.group, text, data)
        self._store(session)
        return message

    def read(self, message: bytes) -> _core.MlsApplication:
        session = self._session()
        read = session.process(self.group, message)
        assert isinstance(read, _core.MlsApplication)
        self._store(session)
        return read

    def exporter(self) -> bytes:
        return self._session().exporter(self.group, "grue interop", b"", 32)

    def leaf(self) -> int:
        return self._session().own_leaf(self.group)

    def epoch_and_members(self) -> tuple[int, int]:
        session = self._session()
        return session.epoch(self.group), len(session.members(self.group))

    def _session(self) -> _core.MlsSession:
        return _core.MlsSession(self._entries)

    def _store(self, session: _core.MlsSession) -> None:
        for key, value in session.changes().items():
            if value is None:
                self._entries.pop(key, None)
            else:
                self._entries[key] = value


class Refused(Exception):
    """What the peer says when it cannot do something."""


class Peer:
    """ts-mls, in a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        command = ["node", "peer.mjs", *arguments]
        self._process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, ask: str, **fields: object) -> dict[str, object]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"ask": ask} | fields) + "\n")
        self._process.stdin.flush()
        answer: dict[str, object] = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise Refused(answer["error"])
        return answer

    def key_package(self) -> bytes:
        key = bytes.fromhex(str(self.ask("signature_key")["key"]))
        return bytes.fromhex(str(self.ask("key_package", credential=credential(key).hex())["package"]))

    def found(self, group: bytes) -> None:
        self.key_package()
        self.ask("found", group=group.hex())

    def join(self, welcome: bytes | None) -> None:
        assert welcome is not None
        self.ask("join", welcome=welcome.hex())

    def follow(self, message: bytes) -> tuple[object, object]:
        told = self.ask("process", message=message.hex())
        return told["epoch"], told["members"]

    def read(self, message: bytes) -> tuple[bytes, bytes]:
        told = self.ask("process", message=message.hex())
        return bytes.fromhex(str(told["text"])), bytes.fromhex(str(told["data"]))

    def encrypt(self, text: bytes, data: bytes) -> bytes:
        return bytes.fromhex(str(self.ask("encrypt", text=text.hex(), data=data.hex())["message"]))

    def commit(self, add: list[bytes]) -> tuple[bytes, bytes]:
        """Its commit and Welcome; with nobody to add a self-update."""
        told = self.ask("commit", add=[package.hex() for package in add])
        return bytes.fromhex(str(told["message"])), bytes.fromhex(str(told["welcome"]))

    def exporter(self) -> bytes:
        return bytes.fromhex(str(self.ask("exporter", label="grue interop", length=32)["secret"]))


def credential(signature_key: bytes) -> bytes:
    """Of a device whose account is made up here."""
    identity = Ed25519PrivateKey.generate()
    certificate = identity.sign(_core.MLS_CERTIFICATE_CONTEXT + signature_key)
    return _core.mls_credential(identity.public_key().public_bytes_raw(), certificate)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The peer and what it runs on."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node.js 20 and npm are not installed here")
    folder = tmp_path_factory.mktemp("peer")
    for name in ("package.json", "package-lock.json", "peer.mjs"):
        shutil.copy(HERE / name, folder)
    install = ["npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(install, cwd=folder, check=True, timeout=ANSWER_SECONDS)
    return folder


@pytest.fixture
def peer(installed: Path) -> Iterator[Peer]:
    one = Peer(installed)
    yield one
    one.close()


def founded(peer: Peer) -> tuple[Device, Device]:
    """Two of ours in a group with the peer, which joined by our Welcome."""
    group = os.urandom(32)
    alice, carol = Device(group), Device(group)
    alice.create()
    welcome = alice.commit([peer.key_package(), carol.key_package()], []).welcome
    assert welcome is not None
    peer.join(welcome)
    carol.join(welcome)
    return alice, carol


def test_a_peer_that_joined_by_our_welcome_reads_what_we_write_and_we_what_it_writes(peer: Peer) -> None:
    alice, carol = founded(peer)
    assert peer.read(alice.encrypt(b"Nine at the station", b"data")) == (b"Nine at the station", b"data")
    for ours in (alice, carol):
        assert peer.exporter() == ours.exporter()
    message = peer.encrypt(b"I am late", b"too")
    for ours in (alice, carol):
        read = ours.read(message)
        assert (read.plaintext, read.authenticated_data) == (b"I am late", b"too")


def test_a_peer_follows_our_commits_and_we_follow_its(peer: Peer) -> None:
    alice, carol = founded(peer)
    commit = carol.commit([], []).message
    alice.follow(commit)
    assert peer.follow(commit) == alice.epoch_and_members() == (2, 3)
    its, _ = peer.commit([])
    for ours in (alice, carol):
        assert ours.follow(its).removed == []
    assert alice.exporter() == carol.exporter() == peer.exporter()
    removal = alice.commit([], [carol.leaf()]).message
    assert carol.follow(removal).removes_self
    assert peer.follow(removal) == alice.epoch_and_members() == (4, 2)
    assert peer.read(alice.encrypt(b"only you", b"")) == (b"only you", b"")


def test_one_of_ours_joins_a_group_that_a_peer_founded_and_changes_it(peer: Peer) -> None:
    group = os.urandom(32)
    alice, carol = Device(group), Device(group)
    peer.found(group)
    _, welcome = peer.commit([alice.key_package()])
    alice.join(welcome)
    added = alice.commit([carol.key_package()], [])
    assert peer.follow(added.message) == (2, 3)
    assert added.welcome is not None
    carol.join(added.welcome)
    assert alice.exporter() == carol.exporter() == peer.exporter()
    assert carol.read(peer.encrypt(b"welcome", b"")).plaintext == b"welcome"
    assert peer.read(carol.encrypt(b"hello", b"")) == (b"hello", b"")


def test_a_commit_of_a_peer_that_only_adds_has_no_path_and_is_not_followed(peer: Peer) -> None:
    """RFC 9420 allows that, ts-mls makes them so, and MLS-08 does not take them."""
    alice, _ = founded(peer)
    commit, _ = peer.commit([Device(alice.group).key_package()])
    with pytest.raises(_core.MlsRefused, match="MLS-08"):
        alice.follow(commit)


def test_a_peer_that_derives_key_pairs_without_labels_joins_and_then_neither_follows_nor_is_followed(
    installed: Path,
) -> None:
    peer = Peer(installed, "unlabelled")
    try:
        alice, carol = founded(peer)
        assert peer.read(alice.encrypt(b"Nine at the station", b"")) == (b"Nine at the station", b"")
        with pytest.raises(Refused):
            peer.follow(carol.commit([], []).message)
        its, _ = peer.commit([])
        with pytest.raises((_core.MlsRefused, _core.MlsLost)):
            alice.follow(its)
    finally:
        peer.close()
