"""Messages between accounts: devices, conversations, envelopes, mailboxes as readers see them, SMS or not."""
