"""Another revision of this project, ready to be measured, in a git worktree and an environment of its own in `.bench/`.

It is built once by its own `make setup`. The compiled core is the work of minutes; it is copied from a tree whose Rust
and whose locks are the same, by `git diff`, and compiled where there is none.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
CACHE: Final = ROOT / ".bench"

COMPILED_FROM: Final = ("rust", "uv.lock")
"""What a built core depends on, with `rust/Cargo.lock`. Where it differs the core is compiled again."""

Figure = dict[str, Any]

MEASURE: Final = """
import importlib, json, sys
for figure in importlib.import_module("bench." + sys.argv[1]).measure():
    print(json.dumps(figure), flush=True)
"""
"""What every revision with a runner understands. It goes past the runner, which would write down its figures."""


class NotComparableError(Exception):
    """What stands in the way of a comparison, in a sentence for who typed the command."""


class Tree:
    """A checked out and built revision, by its folder."""

    def __init__(self, folder: Path, name: str, results: list[Figure]) -> None:
        self.folder = folder
        self.name = name
        self.benches = benches(results)

    def bench_of(self, figure: str, elsewhere: str | None) -> str | None:
        """The bench that has a figure, by the last results; else the one that has it elsewhere, if there is one."""
        if figure in self.benches or elsewhere is None:
            return self.benches.get(figure)
        places = (self.folder / "bench" / f"{elsewhere}.py", self.folder / "bench" / elsewhere / "__init__.py")
        return elsewhere if any(place.exists() for place in places) else None

    def run(self, bench: str) -> dict[str, Figure]:
        """The figures of one run, by id. Raises NotComparableError when it fails."""
        command = [str(self.folder / ".venv" / "bin" / "python"), "-c", MEASURE, bench]
        done = subprocess.run(command, cwd=self.folder, env=environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise NotComparableError(f"{bench} failed at {self.name}: {last}")
        return figures(done.stdout)


def benches(results: list[Figure]) -> dict[str, str]:
    """For each figure of some results, the bench that measured it."""
    return {figure["id"]: figure["command"].split()[-1] for figure in results}


def figures(printed: str) -> dict[str, Figure]:
    """The figures among what a bench printed, by id; what its programs said besides is left out."""
    lines = [line for line in printed.splitlines() if line.startswith('{"')]
    return {figure["id"]: figure for figure in map(json.loads, lines)}


def environment() -> dict[str, str]:
    """This process's, without what would lead another tree's programs into this one."""
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}


def git(*arguments: str) -> str:
    """What git prints. Raises NotComparableError with git's own word for what went wrong."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotComparableError(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def commit() -> str:
    """The commit that is checked out here, and whether anything but figures was changed since; or `unknown`."""
    try:
        changed = git("status", "--porcelain", "--", ".", ":!bench/*.json", ":!docs/images", ":!*.md")
        return git("rev-parse", "--short", "HEAD") + (" and changes" if changed else "")
    except (NotComparableError, OSError):
        return "unknown"


def here() -> Tree:
    """This tree as it is, with what is not committed."""
    return Tree(ROOT, commit(), json.loads((ROOT / "bench" / "results.json").read_text()))


def revision(wanted: str) -> Tree:
    """Check out and build a revision, unless that was done before. Raises NotComparableError."""
    try:
        full = git("rev-parse", "--verify", "--quiet", f"{wanted}^{{commit}}")
    except NotComparableError:
        raise NotComparableError(f"There is no revision {wanted}; `git log --oneline` lists those there are.") from None
    if not git("ls-tree", "--name-only", full, "bench/__main__.py"):
        raise NotComparableError(f"Nothing can be measured at {wanted}: it has no runner in bench/.")
    folder = CACHE / full
    _check_out(folder, full)
    _build(folder, full)
    results = folder / "bench" / "results.json"
    return Tree(folder, full[:7], json.loads(results.read_text()) if results.exists() else [])


def _check_out(folder: Path, full: str) -> None:
    if not (folder / ".git").exists():
        # Known to git and gone when somebody removed the folder; hence the force.
        git("worktree", "add", "--quiet", "--force", "--detach", str(folder), full)
    # A bench may have written figures where they are kept.
    git("-C", str(folder), "checkout", "--quiet", "--force", full)


def _build(folder: Path, full: str) -> None:
    """Its own `make setup`, with the Python that runs here."""
    # Whatever core there is belongs to what was checked out: a worktree of the cache stays at its commit.
    if not (folder / ".venv" / ".core").exists():
        sys.stderr.write(f"Building {full[:7]} in {folder.relative_to(ROOT)}; the next time it is there.\n")
        if (donor := _same_core(full)) is not None:
            _make(folder, ".venv/.packages")
            _copy_core(donor, folder)
    _make(folder, "setup")


def _make(folder: Path, target: str) -> None:
    # One target folder for all: what a revision has in common with one that was built is not compiled again.
    environ = environment() | {"CARGO_TARGET_DIR": str(CACHE / "target")}
    python = getattr(sys, "_base_executable", sys.executable)
    command = ["make", "--silent", target, f"PYTHON={python}"]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotComparableError(f"`make {target}` failed in {folder}:\n{(done.stdout + done.stderr).strip()[-2000:]}")


def _same_core(full: str) -> Path | None:
    """A built tree whose core is what this revision would compile; this one, or one of the cache."""
    if _unchanged(full) and not git("ls-files", "--others", "--exclude-standard", "rust") and _is_built(ROOT):
        return ROOT
    cached = [folder for folder in sorted(CACHE.iterdir()) if (folder / ".venv" / ".core").exists()]
    return next((folder for folder in cached if _unchanged(full, folder.name)), None)


def _unchanged(full: str, other: str | None = None) -> bool:
    """Whether what a core depends on is the same in another revision, or in what is checked out here."""
    revisions = [full] if other is None else [full, other]
    command = ["git", "diff", "--quiet", *revisions, "--", *COMPILED_FROM]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def _is_built(folder: Path) -> bool:
    return subprocess.run(["make", "--question", "--silent", "setup"], cwd=folder, check=False).returncode == 0


def _copy_core(donor: Path, folder: Path) -> None:
    """What `maturin develop` leaves behind: the module, the package's name, where it lies, and the command."""
    for core in (donor / "src" / "grue").glob("_core*.so"):
        shutil.copy2(core, folder / "src" / "grue")
    (packages,), (own,) = ((tree / ".venv").glob("lib/python*/site-packages") for tree in (donor, folder))
    for named in packages.glob("grue-*.dist-info"):
        shutil.copytree(named, own / named.name, dirs_exist_ok=True)
    (own / "grue.pth").write_text(str(folder / "src"))
    command = (donor / ".venv" / "bin" / "grue").read_text().replace(str(donor), str(folder))
    (folder / ".venv" / "bin" / "grue").write_text(command)
    (folder / ".venv" / "bin" / "grue").chmod(0o755)
    (folder / ".venv" / ".core").touch()
