"""The window: a page that the local process serves on loopback to one browser, and nobody else."""
