"""URLs that people type: which are taken, and which would show the network what is inside."""

import pytest

from grue.errors import UsageError
from grue.protocol.urls import check_url


@pytest.mark.parametrize(
    "url",
    [
        "http://127.evil.example", "http://127.0.0.1.evil.example", "http://localhost.evil.example", "http://192.0.2.1",
        "http://[2001:db8::1]", "http://127.1", "http://0.0.0.0", "ftp://localhost", "https://", "nonsense",
    ],
)  # fmt: skip
def test_plain_http_goes_to_this_machine_and_no_other(url: str) -> None:
    with pytest.raises(UsageError):
        check_url(url)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8443", "http://127.83.17.11", "http://[::1]:8443", "http://localhost", "https://evil.example"],
)
def test_a_url_of_this_machine_or_with_tls_is_taken(url: str) -> None:
    assert check_url(url + "/") == url
