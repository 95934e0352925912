"""Comparing figures with another revision: which are meant, that they are taken in pairs, and what the ratio is."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bench import __main__ as runner
from bench import against, revision
from bench.against import Pairs, chosen, compared, table
from bench.revision import NotComparableError, Tree, figures

KNOWN = {"acked_per_s": "acked", "acked_server_cpu_ms": "acked", "deliver_p50_ms": "deliver", "demo_s": "demo"}


class FakeSide:
    """A tree whose benches give what is written down for them, run by run; all of them note that they ran."""

    def __init__(self, name: str, runs: dict[str, list[dict[str, float]]], ran: list[str]) -> None:
        self.name = name
        self._runs: dict[str, Iterator[dict[str, float]]] = {bench: iter(values) for bench, values in runs.items()}
        self._ids = {figure: bench for bench, values in runs.items() for figure in values[0]}
        self._ran = ran

    def bench_of(self, figure: str, _elsewhere: str | None) -> str | None:
        return self._ids.get(figure)

    def run(self, bench: str) -> Mapping[str, dict[str, Any]]:
        self._ran.append(f"{self.name} {bench}")
        values = next(self._runs[bench])
        if not values:
            raise NotComparableError(f"{bench} failed at {self.name}: no room")
        return {figure: {"id": figure, "value": value, "unit": "1/s"} for figure, value in values.items()}


def test_figures_are_chosen_by_id_by_pattern_and_by_bench() -> None:
    assert chosen(["demo_s", "acked_*"], KNOWN) == ["demo_s", "acked_per_s", "acked_server_cpu_ms"]
    assert chosen(["acked", "acked_per_s"], KNOWN) == ["acked_per_s", "acked_server_cpu_ms"]


def test_a_name_that_nothing_has_is_answered_with_those_that_are_spelled_like_it() -> None:
    with pytest.raises(NotComparableError, match=r"called acked_per_sec\. Near it are: acked_per_s\b"):
        chosen(["acked_per_sec"], KNOWN)
    with pytest.raises(NotComparableError, match=r"called zzz\. `bench/results.json` has them all"):
        chosen(["zzz"], KNOWN)
    with pytest.raises(NotComparableError, match="Say which figures"):
        chosen([], KNOWN)


def test_both_sides_run_in_turn_and_each_round_is_a_pair() -> None:
    ran: list[str] = []
    here = FakeSide("here", {"acked": [{"acked_per_s": 90.0}, {"acked_per_s": 240.0}]}, ran)
    there = FakeSide("there", {"acked": [{"acked_per_s": 100.0}, {"acked_per_s": 200.0}]}, ran)
    pairs, failures = compared(["acked_per_s"], here, there, 2)
    assert ran == ["here acked", "there acked", "here acked", "there acked"]
    assert pairs["acked_per_s"].ratios == [0.9, 1.2]
    assert failures == []


def test_a_bench_runs_once_a_round_for_all_figures_that_it_has() -> None:
    ran: list[str] = []
    runs = {"acked": [{"acked_per_s": 1.0, "acked_server_cpu_ms": 2.0}]}
    compared(["acked_per_s", "acked_server_cpu_ms"], FakeSide("here", runs, ran), FakeSide("there", runs, ran), 1)
    assert ran == ["here acked", "there acked"]


def test_a_figure_may_come_from_another_bench_at_the_other_revision() -> None:
    ran: list[str] = []
    here, there = FakeSide("here", {"new": [{"x": 2.0}]}, ran), FakeSide("there", {"old": [{"x": 4.0}]}, ran)
    pairs, _ = compared(["x"], here, there, 1)
    assert ran == ["here new", "there old"]
    assert pairs["x"].ratios == [0.5]


def test_what_the_other_revision_does_not_have_is_not_there() -> None:
    ran: list[str] = []
    here, there = FakeSide("here", {"demo": [{"demo_s": 9.5}]}, ran), FakeSide("there", {"acked": [{}]}, ran)
    pairs, failures = compared(["demo_s"], here, there, 1)
    assert table(pairs, "here", "there").splitlines()[1].split() == ["demo_s", "1/s", "9.5", "not", "there"]
    assert (ran, failures) == (["here demo"], [])


def test_a_round_in_which_one_side_fails_counts_for_neither() -> None:
    ran: list[str] = []
    here = FakeSide("here", {"acked": [{"x": 1.0}, {"x": 2.0}, {"x": 3.0}]}, ran)
    there = FakeSide("there", {"acked": [{"x": 1.0}, {}, {"x": 1.0}]}, ran)
    pairs, failures = compared(["x"], here, there, 3)
    assert (pairs["x"].here, pairs["x"].there) == ([1.0, 3.0], [1.0, 1.0])
    assert failures == ["acked failed at there: no room"]


def test_the_table_has_both_medians_and_the_ratio_with_its_spread() -> None:
    pair = Pairs("1/s", [4000.0, 5000.0, 6000.0], [5000.0, 5000.0, 5000.0])
    assert table({"acked_per_s": pair}, "abc1234 and changes", "5247cb7").splitlines() == [
        "figure       unit  abc1234 and changes  5247cb7  ratio        spread",
        "acked_per_s  1/s                 5,000    5,000  1.000  0.800..1.200",
    ]


def test_the_ratio_is_the_middle_of_the_pairs_and_not_of_what_a_slow_hour_did_to_both() -> None:
    pair = Pairs("ms", [1.0, 9.0, 10.0], [2.0, 18.0, 5.0])
    assert table({"x": pair}, "a", "b").splitlines()[1].split() == ["x", "ms", "9", "5", "0.500", "0.500..2.000"]


def test_a_figure_of_nothing_has_no_ratio() -> None:
    assert table({"x": Pairs("", [1.0], [0.0])}, "a", "b").splitlines()[1].split() == ["x", "1", "0", "none"]


def test_what_a_bench_prints_beside_its_figures_is_left_out() -> None:
    assert figures('starting\n{"id": "x", "value": 1}\n{not json\n') == {"x": {"id": "x", "value": 1}}


def test_a_bench_that_has_no_results_yet_is_looked_for_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "bench" / "peers").mkdir(parents=True)
    (tmp_path / "bench" / "peers" / "__init__.py").touch()
    tree = Tree(tmp_path, "abc1234", [{"id": "x", "command": "python -m bench old"}])
    assert [tree.bench_of("x", "new"), tree.bench_of("y", "peers"), tree.bench_of("y", "new")] == ["old", "peers", None]


def test_a_revision_that_does_not_exist_ends_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["acked_per_s", "--against", "no-such-revision"]) == 2
    assert (
        "There is no revision no-such-revision; `git log --oneline` lists those there are." in capsys.readouterr().err
    )


def test_a_count_of_rounds_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        runner.main(["acked_per_s", "--against", "HEAD", "--rounds", "0"])
    assert "1 or more is" in capsys.readouterr().err


def test_a_failed_comparison_says_why_and_prints_what_there_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []
    runs = {"acked": [{"acked_per_s": 1.0}, {}]}
    there = FakeSide("there", {"acked": [{"acked_per_s": 1.0}, {"acked_per_s": 1.0}]}, ran)
    here = FakeSide("here", runs, ran)
    monkeypatch.setattr(here, "benches", {"acked_per_s": "acked"}, raising=False)
    monkeypatch.setattr(revision, "here", lambda: here)
    monkeypatch.setattr(revision, "revision", lambda _wanted: there)
    assert against.main(["acked_per_s"], "there", 2) == 1
    printed = capsys.readouterr()
    assert "acked_per_s" in printed.out
    assert "1.000..1.000" in printed.out
    assert "acked failed at here: no room" in printed.err


def test_a_figure_is_kept_with_how_it_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bench:
        @staticmethod
        def measure() -> list[dict[str, Any]]:
            return [{"id": "x", "value": 1, "unit": "s"}]

    monkeypatch.setattr(runner, "_module", lambda _name: Bench)
    monkeypatch.setattr("os.getloadavg", lambda: (0.25, 1.04, 2.0))
    (kept,) = runner.run("some", {"machine": "two cores", "commit": "abc1234"})
    assert kept == {
        "id": "x", "value": 1, "unit": "s", "reach": None, "command": "python -m bench some", "machine": "two cores",
        "commit": "abc1234", "load": [0.2, 1.0, 2.0], "peers": {},
    }  # fmt: skip


def test_what_is_kept_says_either_when_it_was_taken_or_nothing_of_it() -> None:
    for one in json.loads(runner.RESULTS.read_text()):
        assert tuple(one) in (runner.KEYS, tuple(key for key in runner.KEYS if key not in ("commit", "load")))
