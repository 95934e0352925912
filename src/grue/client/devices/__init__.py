"""The devices of one account: one is linked, listed, called something, removed, and given its history."""
