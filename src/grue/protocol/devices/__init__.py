"""Devices of one account: how one is linked, and what they tell each other."""
