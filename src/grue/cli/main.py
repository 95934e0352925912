"""The entry point of `grue`. It answers `--version` before anything is imported that takes time."""

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):
        from grue import __version__

        sys.stdout.write(f"grue {__version__}\n")
        return
    from grue.cli.run import run

    sys.exit(run(arguments))
