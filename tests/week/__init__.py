"""A made-up week of several people, their devices and groups, on real processes that are killed: `make week`."""
