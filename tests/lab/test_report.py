"""What a report says of a run whose files are not as they were written."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from grue.lab.life import Shape
from grue.lab.report import RETURN, Damage, damages
from grue.lab.seen import KINDS, capture_file, make

pytestmark = [pytest.mark.whole, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "life"
    make(1, folder, Shape(days=2, contacts=8, events=80))
    return folder


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "life"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def pack_less(path: Path) -> None:
    """The last line ends in its middle, and the file is whole."""
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-5]))


def test_a_run_that_is_whole_has_no_damage(run: Path) -> None:
    assert list(damages(run)) == []


@pytest.mark.parametrize("sizes", [True, False], ids=["by its sizes", "without them"])
@pytest.mark.parametrize("cutting", [cut, pack_less])
@pytest.mark.parametrize("name", ["relay", "contact", "rest"])
def test_a_capture_that_was_cut_short_is_named(
    run: Path, name: str, cutting: Callable[[Path], None], sizes: bool
) -> None:
    if not sizes:
        (run / "kept.json").unlink()
    cutting(capture_file(run, name))
    assert list(damages(run)) == [Damage(name, missing=False)]


def test_every_capture_that_is_missing_is_named(run: Path) -> None:
    shutil.rmtree(run / "captures")
    assert list(damages(run)) == [Damage(name, missing=True) for name in KINDS]


@pytest.mark.parametrize("break_it", [Path.unlink, lambda path: path.write_text("{")], ids=["gone", "broken"])
def test_a_return_that_is_gone_or_broken_is_named(run: Path, break_it: Callable[[Path], object]) -> None:
    break_it(run / "return.json")
    (found,) = damages(run)
    assert found.name == RETURN


def test_a_damage_is_told_in_a_sentence_that_says_what_to_do() -> None:
    assert Damage("relay", missing=True).sentence(anew=False) == (
        "The capture relay is not there: what follows was read from it before that. --anew reads what is left."
    )
    assert Damage("relay", missing=True).sentence(anew=True).endswith("what follows is from nothing of it.")
    assert "`grue lab life`" in Damage(RETURN, missing=False).sentence(anew=False)
