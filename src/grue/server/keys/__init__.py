"""The server's secrets, in files that only their owner reads."""
