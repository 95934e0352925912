"""Dates as people read them."""

from datetime import UTC, datetime


def date(seconds: float) -> str:
    """Unix seconds, in UTC and to the minute."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError, OSError):
        return f"{seconds:.0f} s after 1970"
