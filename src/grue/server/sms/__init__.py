"""SMS out and in, and the SMPP connection to a carrier."""
