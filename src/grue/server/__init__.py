"""The server: one process and one folder, for everybody who registered with it."""
