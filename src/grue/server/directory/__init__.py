"""The directory that is looked up in: its files, when a base is cut, evaluations, private queries."""
