"""The protocol, sans-I/O: client and server share it, and nothing in it waits, looks anywhere or draws at random."""
