"""Check rust/Cargo.lock for advisories that we know to matter, where RustSec's database cannot be fetched.

Run as `python rust/check_advisories.py`; needs Python 3.11 and no network. Prints what is wrong and exits 1.
It does not replace `cargo deny check advisories`, which knows them all.
"""

import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

LOCK = Path(__file__).parent / "Cargo.lock"


class Advisory(NamedTuple):
    """A crate is affected in every version before the repaired one."""

    id: str
    crate: str
    repaired: tuple[int, int, int]
    why: str


ADVISORIES = [
    Advisory("RUSTSEC-2026-0331", "libcrux-kem", (0, 0, 10), "panics on a short X-Wing key"),
    Advisory("RUSTSEC-2026-0330", "libcrux-kem", (0, 0, 10), "panics on a short seed"),
    Advisory("RUSTSEC-2026-0124", "libcrux-chacha20poly1305", (0, 0, 8), "panics on a long ciphertext"),
    Advisory("RUSTSEC-2026-0207", "libcrux-sha3", (0, 0, 10), "wrong output of incremental SHAKE"),
    Advisory("RUSTSEC-2026-0208", "libcrux-sha3", (0, 0, 10), "panics in SHAKE-256 with AVX2"),
    Advisory("RUSTSEC-2026-0212", "libcrux-secrets", (0, 0, 6), "wrong constant-time swap on aarch64"),
    Advisory("GHSA-gc79-23g3-8g52", "openmls", (0, 9, 2), "see the advisory"),
    Advisory("GHSA-94v4-rg25-x625", "openmls", (0, 9, 2), "see the advisory"),
    Advisory("RUSTSEC-2024-0344", "curve25519-dalek", (4, 1, 3), "timing of scalar subtraction"),
    Advisory("RUSTSEC-2024-0378", "pyo3", (0, 22, 4), "use after free of weak references"),
]


def release(version: str) -> tuple[int, ...]:
    """The numbers of a version; a pre-release counts as its release."""
    return tuple(int(number) for number in version.split("+")[0].split("-")[0].split("."))


def findings(lock: Path) -> list[str]:
    """One line for every locked crate that an advisory is about."""
    packages = tomllib.loads(lock.read_text())["package"]
    return [
        f"{advisory.id}: {advisory.crate} {package['version']} {advisory.why}"
        for package in packages
        for advisory in ADVISORIES
        if package["name"] == advisory.crate and release(package["version"]) < advisory.repaired
    ]


def main() -> int:
    """Print the findings; 1 if there are any."""
    found = findings(LOCK)
    sys.stdout.writelines(f"{line}\n" for line in found or ["none of the known advisories is about rust/Cargo.lock"])
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
