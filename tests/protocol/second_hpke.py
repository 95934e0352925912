"""A second implementation of what the compiled core seals: HPKE, oblivious HTTP and X-Wing, over `cryptography`.

Of RFC 9180, RFC 9458 and draft-connolly-cfrg-xwing-kem. The example of RFC 9458 (`test_ohttp.py`) and the vectors of
draft-ietf-hpke-pq (`test_known_answers.py`) check it, and it checks ours.
"""

import hashlib
import hmac
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

X_WING = 0x647A
Aead = type[AESGCM] | type[ChaCha20Poly1305]
AEADS: dict[bytes, tuple[Aead, int]] = {b"\x00\x01": (AESGCM, 16), b"\x00\x03": (ChaCha20Poly1305, 32)}
"""And the bytes of their keys."""


def extract(salt: bytes, secret: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), secret, "sha256")


def expand(key: bytes, info: bytes, length: int) -> bytes:
    """One block is enough for everything here."""
    return hmac.digest(key, info + b"\x01", "sha256")[:length]


class Labeled(NamedTuple):
    """HPKE's HKDF with labels (RFC 9180, section 4)."""

    suite: bytes

    def extract(self, salt: bytes, label: bytes, secret: bytes) -> bytes:
        return extract(salt, b"HPKE-v1" + self.suite + label + secret)

    def expand(self, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
        return expand(key, length.to_bytes(2, "big") + b"HPKE-v1" + self.suite + label + info, length)


class Opened(NamedTuple):
    """What a gateway has of a request: its message, and what the response is sealed with."""

    message: bytes
    secret: bytes
    encapsulated: bytes
    aead: Aead

    def seal(self, message: bytes, nonce: bytes) -> bytes:
        """RFC 9458, section 4.4."""
        sealer, once = self._response(nonce)
        return nonce + sealer.encrypt(once, message, None)

    def open(self, response: bytes, nonce_size: int) -> bytes:
        """What the client reads."""
        opener, once = self._response(response[:nonce_size])
        return opener.decrypt(once, response[nonce_size:], None)

    def _response(self, nonce: bytes) -> tuple[AESGCM | ChaCha20Poly1305, bytes]:
        key = extract(self.encapsulated + nonce, self.secret)
        return self.aead(expand(key, b"key", len(nonce))), expand(key, b"nonce", 12)


class Hpke(NamedTuple):
    """The receiver's context in base mode, for one message (RFC 9180, sections 5.1 and 5.2)."""

    labeled: Labeled
    aead: Aead
    key: bytes
    nonce: bytes
    exporter: bytes

    @classmethod
    def schedule(cls, suite: bytes, shared: bytes, info: bytes) -> "Hpke":
        """`suite` is the numbers of KEM, KDF and AEAD, two bytes each."""
        aead, size = AEADS[suite[4:]]
        labeled = Labeled(b"HPKE" + suite)
        hashes = labeled.extract(b"", b"psk_id_hash", b"") + labeled.extract(b"", b"info_hash", info)
        secret = labeled.extract(shared, b"secret", b"")
        key, nonce, exporter = (
            labeled.expand(secret, label, b"\x00" + hashes, length)
            for label, length in ((b"key", size), (b"base_nonce", 12), (b"exp", 32))
        )
        return cls(labeled, aead, key, nonce, exporter)

    def open(self, sealed: bytes, aad: bytes = b"") -> bytes:
        return self.aead(self.key).decrypt(self.nonce, sealed, aad)

    def export(self, context: bytes, length: int) -> bytes:
        return self.labeled.expand(self.exporter, b"sec", context, length)


def open_request(request: bytes, shared: bytes, encapsulated_size: int) -> Opened:
    """RFC 9458, section 4.3, from the shared secret on."""
    header, encapsulated = request[:7], request[7 : 7 + encapsulated_size]
    hpke = Hpke.schedule(header[1:], shared, b"message/bhttp request\x00" + header)
    message = hpke.open(request[7 + encapsulated_size :])
    return Opened(message, hpke.export(b"message/bhttp response", len(hpke.key)), encapsulated, hpke.aead)


def derived_private_key(ikm: bytes) -> bytes:
    """DeriveKeyPair of draft-ietf-hpke-pq: SHAKE256.LabeledDerive, whatever the suite's KDF is."""
    suite = b"KEM" + X_WING.to_bytes(2, "big")
    label = len(b"DeriveKeyPair").to_bytes(2, "big") + b"DeriveKeyPair"
    return hashlib.shake_256(ikm + b"HPKE-v1" + suite + label + (32).to_bytes(2, "big")).digest(32)


class XWing(NamedTuple):
    """A private key (draft-connolly-cfrg-xwing-kem)."""

    mlkem: MLKEM768PrivateKey
    x25519: X25519PrivateKey

    @classmethod
    def derive(cls, ikm: bytes) -> "XWing":
        """The key pair that HPKE derives."""
        return cls.expand(derived_private_key(ikm))

    @classmethod
    def expand(cls, seed: bytes) -> "XWing":
        """The key whose serialisation is this seed of 32 bytes."""
        expanded = hashlib.shake_256(seed).digest(96)
        return cls(
            MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), X25519PrivateKey.from_private_bytes(expanded[64:])
        )

    def public(self) -> bytes:
        return self.mlkem.public_key().public_bytes_raw() + self.x25519.public_key().public_bytes_raw()

    def decapsulate(self, encapsulated: bytes) -> bytes:
        mlkem = self.mlkem.decapsulate(encapsulated[:1088])
        x25519 = self.x25519.exchange(X25519PublicKey.from_public_bytes(encapsulated[1088:]))
        own = self.x25519.public_key().public_bytes_raw()
        return hashlib.sha3_256(mlkem + x25519 + encapsulated[1088:] + own + b"\\.//^\\").digest()
