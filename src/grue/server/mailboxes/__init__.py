"""Mailboxes, the streams that bring what is appended to them, and parts of attachments."""
