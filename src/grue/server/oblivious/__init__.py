"""Oblivious HTTP: the gateway, which is a role of the server, and the relay, which another operator runs."""
