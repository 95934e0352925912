"""What the server keeps, and how: the tables, one writer with group commit, files that outlive a crash."""
