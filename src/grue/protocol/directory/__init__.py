"""The directory: its files and their checks, a copy brought up to date, lookups, private queries."""
