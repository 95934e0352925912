"""`python -m grue` is `grue`."""

from grue.cli.main import main

if __name__ == "__main__":
    main()
