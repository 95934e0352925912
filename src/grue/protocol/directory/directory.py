"""The directory's files and the checks on them: manifest, base, overlay head, overlay.

Each file is fetched anonymously and is the same for everybody. A file's type changes when it was checked:
`UnverifiedManifest` becomes `Manifest`, `UnverifiedHead` becomes `Head` and, against a clock and what was seen
before, `FreshHead`. Only a `FreshHead` proves that a number is absent.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Final, Protocol, overload

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from grue._core import PirError, PirLayout
from grue.errors import BadDirectory, BadManifest, BadRequest, ShrunkDirectory, StaleDirectory
from grue.protocol import wire
from grue.protocol.dates import date
from grue.protocol.directory.record import RECORD_BYTES, TAG_BYTES

LAYOUT: Final = "table"
"""The base is its records, sorted by tag; a later layout has another name."""

MAX_RECORDS: Final = 500_000
"""Records of a table that a client downloads whole: 64 MB. Above it a directory needs the private query."""

PRIVATE_FILES: Final = ("hint", "fences", "top")
"""What a client needs of the table for private queries; each has its hash in the manifest."""

MAX_OVERLAY: Final = 1 << 17
"""Entries of an overlay, 16 MiB. A server makes a new base at half of it, and takes no more changes at the whole."""

VALID_FOR: Final = 6 * 3600
"""Seconds an overlay head is good for: how long a server could hide a new registration, at most."""

MAX_VALID_FOR: Final = 24 * 3600
"""Seconds; a head that claims to be good for longer is refused, whoever signed it."""

CLOCK_SKEW: Final = 300
"""Seconds a client's clock may be behind the server's."""

MANIFEST_CONTEXT: Final = b"grue manifest v1"
HEAD_CONTEXT: Final = b"grue overlay head v1"
_CHAIN_CONTEXT: Final = b"grue overlay chain v1"
_LEAF: Final = b"\x00"
_NODE: Final = b"\x01"

# What stands behind the tag in an overlay entry that takes a record away.
TOMBSTONE: Final = bytes(RECORD_BYTES - TAG_BYTES)

SUBTREE: Final = 1 << 10
"""Leaves, a power of two, whose hashes are in memory at once while a Merkle root is made: some 100 KB."""

HEAD_PATH: Final = "head"
"""The newest overlay head: the one file that changes under its name, and that no cache keeps."""

_PATH: Final = re.compile(r"(0|[1-9][0-9]{0,18})/(manifest|base|hint|fences|top|overlay/(?:0|[1-9][0-9]{0,9}))")


def manifest_path(epoch: int) -> str:
    return f"{epoch}/manifest"


def base_path(epoch: int) -> str:
    return f"{epoch}/base"


def private_path(epoch: int, name: str) -> str:
    """One of `PRIVATE_FILES`."""
    return f"{epoch}/{name}"


def overlay_path(epoch: int, length: int) -> str:
    """The overlay's first `length` entries, as a head names them."""
    return f"{epoch}/overlay/{length}"


def parse_path(path: str) -> tuple[int, str] | None:
    """Epoch and the rest of a path other than `HEAD_PATH`; None when it is no path of ours."""
    match = _PATH.fullmatch(path)
    return (int(match[1]), match[2]) if match else None


# --- checked types --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Manifest:
    """A manifest that the server's key signed and that does not contradict itself."""

    contents: wire.Manifest
    hash: bytes
    """SHA-256 of the signed body: what heads name, and what contacts compare."""
    file: bytes
    """As it was fetched, to be shown to others."""


@dataclass(frozen=True)
class UnverifiedManifest:
    """A manifest as it was fetched."""

    file: bytes

    def verify(self, server_public: bytes) -> Manifest:
        """Raises BadManifest.

        DIRECTORY-01 the server's key signed it, as a manifest.
        DIRECTORY-02 its layout and its count are ones that we can read, and the epoch before ended possibly.
        DIRECTORY-15 its table for private queries, if it has one, is of as many records, and has its files' hashes.
        """
        body = _signed_body(self.file, MANIFEST_CONTEXT, server_public)
        try:
            contents = wire.MANIFEST.decode(body)
        except BadRequest:
            raise BadManifest from None
        if contents.layout != LAYOUT or (contents.count > MAX_RECORDS and not contents.pir):
            raise BadManifest("(a layout that this version cannot read)")
        if contents.ended_length > MAX_OVERLAY or len(contents.ended) not in (0, sha256().digest_size):
            raise BadManifest("(an impossible end of the epoch before)")
        _check_private(contents)
        return Manifest(contents, sha256(body).digest(), self.file)


@dataclass(frozen=True)
class Head:
    """An overlay head that the server's key signed."""

    contents: wire.OverlayHead
    file: bytes

    def fresh(self, now: int, known: "Head | None" = None) -> "FreshHead":
        """Check it against a clock (Unix seconds) and against the newest head seen before.

        DIRECTORY-05 it is not from the future, and still valid. Raises StaleDirectory.
        DIRECTORY-06 it is not behind `known`, nor at the same length another. Raises ShrunkDirectory.
        """
        head = self.contents
        if not head.issued - CLOCK_SKEW <= now <= head.valid_until:
            raise StaleDirectory(f"(It was signed on {date(head.issued)}; the clock says {date(now)}.)")
        if known is not None:
            _check_monotone(head, known.contents)
        return FreshHead(head, self.file)


@dataclass(frozen=True)
class FreshHead(Head):
    """A head that is valid now and not behind any seen before."""


@dataclass(frozen=True)
class UnverifiedHead:
    """An overlay head as it was fetched."""

    file: bytes

    def verify(self, server_public: bytes) -> Head:
        """Raises BadManifest.

        DIRECTORY-03 the server's key signed it, as a head.
        DIRECTORY-04 its times and its length are possible ones.
        """
        body = _signed_body(self.file, HEAD_CONTEXT, server_public)
        try:
            head = wire.OVERLAY_HEAD.decode(body)
        except BadRequest:
            raise BadManifest from None
        if not 0 < head.valid_until - head.issued <= MAX_VALID_FOR or head.length > MAX_OVERLAY:
            raise BadManifest("(an impossible overlay head)")
        return Head(head, self.file)


def check_manifest(manifest: Manifest, head: Head, known: Manifest | None = None) -> Manifest:
    """Check that the manifest is the head's, and not behind the one known.

    DIRECTORY-07 the head names this manifest. Raises BadManifest.
    DIRECTORY-08 epochs do not go back, one epoch has one manifest, and a lookup or token key its one epoch. Raises
    ShrunkDirectory.
    """
    if (manifest.contents.epoch, manifest.hash) != (head.contents.epoch, head.contents.manifest_hash):
        raise BadManifest("(not the manifest that the overlay head names)")
    if known is not None:
        now, before = manifest.contents, known.contents
        if now.epoch < before.epoch or now.oprf_epoch < before.oprf_epoch:
            raise ShrunkDirectory
        if now.epoch == before.epoch and manifest.hash != known.hash:
            raise ShrunkDirectory("(two manifests for one epoch)")
        if now.oprf_epoch == before.oprf_epoch and now.oprf_public != before.oprf_public:
            raise ShrunkDirectory("(two lookup keys for one epoch)")
        seen = {(key.purpose, key.epoch): key.public for key in before.token_keys}
        if any(seen.get((key.purpose, key.epoch), key.public) != key.public for key in now.token_keys):
            raise ShrunkDirectory("(two token keys for one epoch)")
    return manifest


class Records(Protocol):
    """Bytes, or a file that is mapped into memory: slices of it are copied when they are looked at."""

    def __len__(self) -> int: ...

    @overload
    def __getitem__(self, at: int, /) -> int: ...
    @overload
    def __getitem__(self, at: slice, /) -> bytes: ...


def check_base(base: bytes, manifest: Manifest) -> bytes:
    """Check the base against its manifest; some 0.2 s for 100,000 records. Raises BadDirectory.

    DIRECTORY-09 it holds `count` records. DIRECTORY-10 their tags ascend strictly, so that one that is not between
    its neighbours is not there. DIRECTORY-11 its Merkle root is the manifest's.
    """
    check_records([base], len(base), manifest)
    return base


def check_records(pieces: Iterable[bytes], size: int, manifest: Manifest) -> None:
    """The same for a base of `size` bytes that comes in pieces of whole records, each of which is forgotten again."""
    if size != manifest.contents.count * RECORD_BYTES:
        raise BadDirectory("(base: another length)")
    if merkle_root(_ascending(pieces)) != manifest.contents.merkle_root:
        raise BadDirectory("(base: another root)")


def _ascending(pieces: Iterable[bytes]) -> Iterator[bytes]:
    before = b""
    for piece in pieces:
        for record in entries(piece):
            tag = record[:TAG_BYTES]
            if tag <= before:
                raise BadDirectory("(base: not sorted)")
            before = tag
            yield record


def check_overlay(overlay: bytes, head: Head) -> bytes:
    """Check an overlay against its head. Raises BadDirectory.

    DIRECTORY-12 it has the head's length. DIRECTORY-13 its chain ends in the head's hash.
    """
    if len(overlay) != head.contents.length * RECORD_BYTES:
        raise BadDirectory("(overlay: another length)")
    if chain(chain_start(head.contents.manifest_hash), overlay) != head.contents.chain:
        raise BadDirectory("(overlay: another chain)")
    return overlay


def check_overlay_continues(overlay: bytes, known: Head) -> None:
    """DIRECTORY-14 an overlay of the known head's epoch still begins with what was seen. Raises ShrunkDirectory."""
    seen = overlay[: known.contents.length * RECORD_BYTES]
    if chain(chain_start(known.contents.manifest_hash), seen) != known.contents.chain:
        raise ShrunkDirectory("(two overlays for one epoch)")


def check_ended(overlay: bytes, manifest: Manifest, known: Head) -> bytes:
    """Check how the epoch before ended, against the newest head that was seen of it.

    DIRECTORY-18 the next epoch's manifest names the end of an overlay that begins with what was seen, so that nothing
    shown in one epoch is gone in the next. Raises ShrunkDirectory; BadDirectory for an overlay of another length.
    """
    end = manifest.contents
    if len(overlay) != end.ended_length * RECORD_BYTES:
        raise BadDirectory("(overlay: another length)")
    if chain(chain_start(known.contents.manifest_hash), overlay) != end.ended:
        raise ShrunkDirectory("(the epoch before did not end with what was seen of it)")
    check_overlay_continues(overlay, known)
    return overlay


# --- building blocks ------------------------------------------------------------------------------


def entries(table: bytes) -> Iterator[bytes]:
    """The 128-byte entries of a base or an overlay."""
    return (table[at : at + RECORD_BYTES] for at in range(0, len(table), RECORD_BYTES))


def merkle_root(leaves: Iterable[bytes]) -> bytes:
    """The root over leaves in order, as RFC 9162, section 2.1.1, defines it; two SHA-256 a leaf.

    Leaves are taken as they come, and of what came only the roots of whole subtrees are kept, one of each height.
    """
    rest, roots, taken = iter(leaves), list[bytes](), 0
    while some := list(islice(rest, SUBTREE)):
        roots.append(_root([sha256(_LEAF + leaf).digest() for leaf in some]))
        taken += 1
        # Two of one height are one of the next: as often as the number of subtrees is even.
        for _ in range((taken & -taken).bit_length() - 1 if len(some) == SUBTREE else 0):
            right = roots.pop()
            roots.append(_node(roots.pop(), right))
    # From the right, since each subtree is larger than all that come after it: the RFC's split at a power of two.
    while len(roots) > 1:
        right = roots.pop()
        roots.append(_node(roots.pop(), right))
    return roots[0] if roots else sha256().digest()


def _root(level: list[bytes]) -> bytes:
    while len(level) > 1:
        # A last node without a partner rises as it is: the same tree as the RFC's split at a power of two.
        above = [_node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = above + level[len(above) * 2 :]
    return level[0]


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(_NODE + left + right).digest()


def chain_start(manifest_hash: bytes) -> bytes:
    """The chain hash before the first entry: it belongs to one base."""
    return sha256(_CHAIN_CONTEXT + manifest_hash).digest()


def chain(start: bytes, overlay: bytes) -> bytes:
    """The chain hash after more entries: each is SHA-256 of the one before and the entry."""
    link = start
    for entry in entries(overlay):
        link = sha256(link + entry).digest()
    return link


def tombstone(tag: bytes) -> bytes:
    """The overlay entry that takes a record away."""
    return tag + TOMBSTONE


def is_tombstone(entry: bytes) -> bool:
    return entry[TAG_BYTES:] == TOMBSTONE


def find_in_base(base: Records, tag: bytes) -> bytes | None:
    """The record under a tag in a sorted base, by binary search."""
    at = _place(base, tag)
    found = base[at : at + RECORD_BYTES]
    return found if found[:TAG_BYTES] == tag else None


def _place(base: Records, tag: bytes) -> int:
    """The byte at which a tag's record is in a sorted base, or would be."""
    low, high = 0, len(base) // RECORD_BYTES
    while low < high:
        middle = (low + high) // 2
        at = middle * RECORD_BYTES
        if base[at : at + TAG_BYTES] < tag:
            low = middle + 1
        else:
            high = middle
    return low * RECORD_BYTES


def newest(overlay: bytes) -> dict[bytes, bytes]:
    """The last entry for each tag in an overlay."""
    return {entry[:TAG_BYTES]: entry for entry in entries(overlay)}


def merge(base: bytes, overlay: bytes) -> bytes:
    """The base of the next epoch: the overlay's changes applied, sorted by tag."""
    return b"".join(merged([base], overlay))


def merged(pieces: Iterable[bytes], overlay: bytes) -> Iterator[bytes]:
    """The same for a base that comes in pieces of whole records: the next one's pieces, as they come."""
    changes = sorted(newest(overlay).values())
    done = 0
    for piece in pieces:
        last = piece[-RECORD_BYTES:][:TAG_BYTES]
        upto = bisect_right(changes, last, lo=done, key=lambda entry: entry[:TAG_BYTES])
        yield _merged(piece, changes[done:upto])
        done = upto
    yield b"".join(entry for entry in changes[done:] if not is_tombstone(entry))


def _merged(piece: bytes, changes: list[bytes]) -> bytes:
    """Apply changes, sorted and at most one for each tag, to a piece of a base."""
    parts, done, whole = list[bytes | memoryview](), 0, memoryview(piece)
    for entry in changes:
        tag = entry[:TAG_BYTES]
        at = _place(piece, tag)
        parts.append(whole[done:at])
        if not is_tombstone(entry):
            parts.append(entry)
        done = at + RECORD_BYTES if piece[at : at + TAG_BYTES] == tag else at
    return b"".join([*parts, whole[done:]])


# --- signing --------------------------------------------------------------------------------------


def sign_manifest(manifest: wire.Manifest, key: Ed25519PrivateKey) -> bytes:
    """The file that `UnverifiedManifest` reads."""
    return _sign(wire.encode(manifest), MANIFEST_CONTEXT, key)


def sign_head(head: wire.OverlayHead, key: Ed25519PrivateKey) -> bytes:
    """The file that `UnverifiedHead` reads."""
    return _sign(wire.encode(head), HEAD_CONTEXT, key)


def manifest_hash(manifest: wire.Manifest) -> bytes:
    return sha256(wire.encode(manifest)).digest()


def _sign(body: bytes, context: bytes, key: Ed25519PrivateKey) -> bytes:
    return wire.encode(wire.SignedFile(body, key.sign(context + body)))


def _signed_body(file: bytes, context: bytes, server_public: bytes) -> bytes:
    try:
        signed = wire.SIGNED_FILE.decode(file)
        Ed25519PublicKey.from_public_bytes(server_public).verify(signed.signature, context + signed.body)
    except (BadRequest, InvalidSignature, ValueError):
        raise BadManifest from None
    return signed.body


def _check_private(manifest: wire.Manifest) -> None:
    hashes = (manifest.hint_hash, manifest.fences_hash, manifest.top_hash)
    if not manifest.pir and not any(hashes):
        return
    try:
        layout = PirLayout.from_bytes(manifest.pir)
    except PirError:
        raise BadManifest("(a table that this version cannot read)") from None
    if layout.count != manifest.count or any(len(one) != 32 for one in hashes):
        raise BadManifest("(a table of another count, or without its hashes)")


def _check_monotone(head: wire.OverlayHead, known: wire.OverlayHead) -> None:
    if (head.epoch, head.length, head.issued) < (known.epoch, known.length, known.issued):
        raise ShrunkDirectory
    if head.epoch != known.epoch:
        return
    if head.length < known.length or head.issued < known.issued or head.manifest_hash != known.manifest_hash:
        raise ShrunkDirectory
    if head.length == known.length and head.chain != known.chain:
        raise ShrunkDirectory("(two overlays for one epoch)")
