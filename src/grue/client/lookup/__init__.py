"""Looking numbers up: the copy of the directory, private queries, a field that a number is typed into."""
