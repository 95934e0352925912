"""What `grue directory` does: a new base, what is there, and what is wrong with it."""

import json
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from grue.cli.run import run
from grue.cli.verbs import directories
from grue.protocol.directory.directory import PRIVATE_FILES, UnverifiedManifest, sign_manifest
from grue.protocol.directory.record import RECORD_BYTES
from grue.server.directory import inspection, pir_table
from grue.server.directory.directory import Directory
from grue.server.keys.keys import open_keys
from grue.server.store.files import locked

OF_THE_TABLE = ("pir", "hint_hash", "fences_hash", "top_hash")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of two epochs, with tables for private queries, and no server running on it."""
    monkeypatch.setenv("GRUE_DIRECTORY_TIER", "2")
    data = tmp_path / "data"
    Directory(data, open_keys(data)).put_many(os.urandom(RECORD_BYTES) for _ in range(50))
    return data


def said(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_inspect_lists_epochs_and_files(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--json", "directory", "inspect", "--data", str(data)]) == 0
    first, second = said(capsys)
    assert (first["epoch"], first["count"], second["epoch"], second["count"], second["tier"]) == (1, 0, 2, 50, 2)
    files = second["files"]
    assert isinstance(files, dict)
    assert list(files) == list(inspection.FILES)
    assert files["base"]["bytes"] == 50 * RECORD_BYTES


def test_build_makes_a_new_epoch(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--json", "directory", "build", "--data", str(data)]) == 0
    (made,) = said(capsys)
    assert (made["epoch"], made["count"], made["tier"]) == (3, 50, 2)
    assert [one.fault for one in inspection.verify(data)] == [None] * 13


def test_build_makes_one_base_where_opening_makes_one_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    Directory(data, open_keys(data)).put_many(os.urandom(RECORD_BYTES) for _ in range(50))
    monkeypatch.setenv("GRUE_DIRECTORY_TIER", "2")
    assert inspection.build(data, None, lambda _phase, _part: None).epoch == 3


def test_build_tells_what_it_is_at_and_how_far(data: Path) -> None:
    told: list[tuple[str, float]] = []
    inspection.build(data, None, lambda phase, part: told.append((phase, part)))
    phases = list(dict.fromkeys(phase for phase, _ in told))
    assert phases == list(directories.PHASES)
    for phase in phases:
        parts = [part for name, part in told if name == phase]
        assert parts == sorted(parts)
        # Packing ends where the hint begins, and nobody may have looked just then.
        assert parts[-1] == 1.0 or phase == "packing"


def test_build_leaves_a_running_server_alone(data: Path) -> None:
    with locked(data):
        assert run(["directory", "build", "--data", str(data)]) == 2
    assert [epoch.epoch for epoch in inspection.inspect(data)] == [1, 2]


@pytest.mark.parametrize("verb", ["build", "inspect", "verify"])
def test_a_place_without_a_directory_is_said_so_and_left_alone(tmp_path: Path, verb: str) -> None:
    assert run(["directory", verb, "--data", str(tmp_path / "nowhere")]) == 2
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("name", ["manifest", "base", pir_table.PACKED, *PRIVATE_FILES])
def test_verify_says_which_file_is_wrong(data: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    path = data / "directory" / "2" / name
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 1
    path.write_bytes(contents)
    assert run(["--json", "directory", "verify", "--data", str(data)]) == 5
    wrong = [one for one in said(capsys) if not one["ok"]]
    assert (wrong[0]["epoch"], wrong[0]["file"]) == (2, name)


def test_verify_finds_a_table_of_other_records_under_a_signed_manifest(data: Path) -> None:
    # What a client cannot see: the base and the table are each right by their own hashes.
    keys, other = open_keys(data), data.parent / "other"
    Directory(other, keys).put_many(os.urandom(RECORD_BYTES) for _ in range(50))
    ours, theirs = data / "directory" / "2", other / "directory" / "2"
    manifests = [
        UnverifiedManifest((folder / "manifest").read_bytes()).verify(keys.server_public).contents
        for folder in (ours, theirs)
    ]
    lie = replace(manifests[0], **{name: getattr(manifests[1], name) for name in OF_THE_TABLE})
    (ours / "manifest").write_bytes(sign_manifest(lie, keys.signing))
    for name in (pir_table.PACKED, *PRIVATE_FILES):
        (ours / name).write_bytes((theirs / name).read_bytes())
    faults = [one for one in inspection.verify(data) if one.fault is not None]
    assert faults
    assert faults[0].file == "manifest"
