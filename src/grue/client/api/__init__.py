"""The small objects that a `Client` gives out: its account, its contacts, its directory, and what it has given away."""
