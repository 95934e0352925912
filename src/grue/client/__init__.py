"""The client, as a library: everything that one home does."""
