"""The check on URLs that people type: TLS to every other machine, plain HTTP to this one alone."""

from ipaddress import ip_address

from yarl import URL

from grue.errors import UsageError


def check_url(url: str) -> str:
    """A server's URL without its trailing slash. Raises UsageError, also for plain HTTP to another machine."""
    try:
        parsed = URL(url.rstrip("/"))
    except ValueError:
        raise UsageError("That is no URL.") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise UsageError("A server's URL begins with https:// (or http:// on this machine).")
    if parsed.scheme == "http" and not _is_this_machine(parsed.host):
        raise UsageError("Plain http:// would show everything to the network; use https://.")
    return str(parsed)


def _is_this_machine(host: str) -> bool:
    """Whether a host is a loopback address, or the one name that always means one."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        # A name that merely looks like an address, such as 127.example.org, is whoever owns it.
        return host == "localhost"
