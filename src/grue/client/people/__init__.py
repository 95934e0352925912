"""The address book: files that other programs export, who is in it, and looking all of it up."""
