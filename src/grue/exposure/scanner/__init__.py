"""Search everything that a server keeps for what it must not keep, in every form."""
