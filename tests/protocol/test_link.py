"""The link of a new device: what it commits to, the digits, and what is sealed to it."""

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from grue.errors import BadLink, FalseLink
from grue.protocol import wire
from grue.protocol.accountkey import public_of
from grue.protocol.conversation.contents import LinkAccount, LinkHello, LinkMessage, LinkOffer, LinkRefused
from grue.protocol.conversation.devices import certify, sign_device_list
from grue.protocol.devices.link import (
    check_hello,
    code_of,
    link_to,
    meeting,
    open_account,
    read,
    seal_account,
    written,
)

SECRET, OTHER = b"s" * 32, b"t" * 32
IDENTITY = Ed25519PrivateKey.from_private_bytes(b"i" * 32)
PUBLIC = IDENTITY.public_key().public_bytes_raw()
HELLO = LinkHello(b"d" * 32, public_of(SECRET), b"r" * 32, b"n" * 32, "laptop")
OFFER = LinkOffer(b"o" * 32, PUBLIC, "+447700900001")
LINK = link_to(HELLO, "https://grue.example", b"l" * 16)


def account(**changed: object) -> LinkAccount:
    listed = wire.DeviceList(2, PUBLIC, b"h" * 1216, b"m" * 32, [b"c" * 32, b"d" * 32], [b"q" * 32, b"r" * 32])
    whole = LinkAccount(
        b"a" * 16, OFFER.number, certify(b"i" * 32, b"d" * 32), sign_device_list(listed, IDENTITY), b"x" * 32
    )
    return msgspec.structs.replace(whole, **changed)


def test_a_link_is_read_as_it_was_written() -> None:
    assert read(f" {written(LINK)}\n") == LINK
    assert len(written(LINK)) < 150, "a small QR code"
    for bad in ("", "grue:link/", written(LINK)[:-1], written(LINK) + "A"):
        with pytest.raises(BadLink):
            read(bad)


def test_devices_04_another_hello_than_the_links_is_refused() -> None:
    assert check_hello(LINK, HELLO) == HELLO
    messages: list[LinkMessage] = [
        msgspec.structs.replace(HELLO, device_public=b"e" * 32),
        msgspec.structs.replace(HELLO, manages=True),
        OFFER,
        LinkRefused(),
    ]
    for other in messages:
        with pytest.raises(FalseLink):
            check_hello(LINK, other)


def test_who_stands_in_between_is_met_by_other_digits() -> None:
    """It has a hello and an offer of its own, and neither side shows what it shows to the other."""
    code = code_of(HELLO, OFFER)
    assert len(code) == 6
    assert code.isdigit()
    theirs = msgspec.structs.replace(HELLO, device_public=b"e" * 32, nonce=b"p" * 32)
    assert code_of(theirs, OFFER) != code
    assert code_of(HELLO, msgspec.structs.replace(OFFER, identity_public=b"z" * 32)) != code
    codes = {code_of(HELLO, msgspec.structs.replace(OFFER, nonce=bytes([n]) * 32)) for n in range(200)}
    assert len(codes) > 190, "each nonce gives others"


def test_devices_05_whoever_makes_the_links_mailbox_first_makes_another_than_the_next_one() -> None:
    place = meeting(LINK)
    assert place.create(b"1" * 32).mailbox == place.create(b"2" * 32).mailbox
    assert place.create(b"1" * 32) != place.create(b"2" * 32), "which the server refuses: MAILBOX-01"


def test_devices_06_an_account_that_the_offered_identity_did_not_vouch_for_is_refused() -> None:
    whole = account()
    assert open_account(SECRET, HELLO, OFFER, seal_account(HELLO, OFFER, whole)) == whole
    stranger = Ed25519PrivateKey.from_private_bytes(b"j" * 32)
    other = stranger.public_key().public_bytes_raw()
    unlisted = wire.DeviceList(2, PUBLIC, b"h" * 1216, b"m" * 32, [b"c" * 32], [b"q" * 32])
    reader = wire.DeviceList(2, PUBLIC, b"h" * 1216, b"m" * 32, [b"d" * 32], [b"q" * 32])
    theirs = wire.DeviceList(2, other, b"h" * 1216, b"m" * 32, [b"d" * 32], [b"r" * 32])
    for bad in (
        account(credential=certify(b"j" * 32, b"d" * 32)),
        account(credential=certify(b"i" * 32, b"e" * 32)),
        account(device_list=sign_device_list(unlisted, IDENTITY)),
        account(device_list=sign_device_list(reader, IDENTITY)),
        account(device_list=sign_device_list(theirs, stranger)),
        account(number="+447700900002"),
    ):
        with pytest.raises(FalseLink):
            open_account(SECRET, HELLO, OFFER, seal_account(HELLO, OFFER, bad))
    sealed = seal_account(HELLO, OFFER, whole)
    replayed = msgspec.structs.replace(OFFER, nonce=b"z" * 32)
    for secret, offer in ((OTHER, OFFER), (SECRET, replayed)):
        with pytest.raises(FalseLink):
            open_account(secret, HELLO, offer, sealed)
    with pytest.raises(FalseLink):
        open_account(SECRET, HELLO, OFFER, OFFER)
