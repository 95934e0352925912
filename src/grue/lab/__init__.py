"""The laboratory: a carrier, a classic directory, made-up lives, the demo. Only the command line imports it."""
