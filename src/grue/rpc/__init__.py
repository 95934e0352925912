"""The library for programs in other languages and for the window: JSON-RPC over any stream of frames."""
