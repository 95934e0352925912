"""Sending and receiving: the messenger, the outbox, the inbox, the receiver, attachments."""
