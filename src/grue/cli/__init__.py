"""The command line: from what was typed to words, JSON lines and an exit code."""
