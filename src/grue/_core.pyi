"""The compiled core. The seam is dumb: it converts; the logic is in `rust/mls`, `rust/ohttp`, `rust/oprf` and
`rust/pir`.

Every function is total: any bytes give a result or one of the exceptions below.
"""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import final

class CoreError(Exception):
    """What the core refuses. Its text never holds input or secrets."""

class OprfError(CoreError):
    """An element, scalar, key or proof that is malformed, or a proof that does not verify."""

class OhttpError(CoreError):
    """A seed, key configuration, request, response or message that is refused."""

class PirError(CoreError):
    """A file, query, answer, column or material that is refused, or records that no table can be built of."""

class MlsError(CoreError):
    """The base of what `MlsSession` refuses; itself raised for what should not happen."""

class MlsMalformed(MlsError):
    """Bytes that are no MLS message, key package or Welcome of our version and suite."""

class MlsMissing(MlsError):
    """A group, key package or pending commit that the entries do not hold."""

class MlsWrongEpoch(MlsError):
    """A message for an epoch that this group is not in, or no longer keeps."""

class MlsSecretGone(MlsError):
    """A message whose key was used already (a replay), or is too far ahead."""

class MlsOwnMessage(MlsError):
    """A message that our own leaf sent."""

class MlsRefused(MlsError):
    """A message that fails a check which every member can make, or our credential policy."""

class MlsLost(MlsError):
    """A commit that is valid to everyone, but whose private part this member cannot open."""

@final
class OprfKey:
    """A VOPRF private key; zeroised when dropped."""

    @staticmethod
    def generate() -> OprfKey: ...
    @staticmethod
    def from_bytes(key: bytes) -> OprfKey: ...
    def to_bytes(self) -> bytes: ...
    @property
    def public(self) -> bytes: ...
    def evaluate(self, blinded: Sequence[bytes]) -> tuple[list[bytes], bytes]:
        """BlindEvaluate with one batched proof: 32-byte elements in and out, a 64-byte proof."""

    def output(self, inputs: Sequence[bytes]) -> list[bytes]:
        """The PRF itself, 64 bytes an input: for who holds the key and knows the input."""

@final
class OprfBlind:
    """A client's secret for one blinded input; zeroised when dropped."""

    @staticmethod
    def blind(input: bytes) -> OprfBlind: ...
    @staticmethod
    def from_scalar(input: bytes, scalar: bytes) -> OprfBlind:
        """Make a blinding again from a revealed scalar, to check a transcript."""

    @property
    def element(self) -> bytes:
        """The 32-byte blinded element that goes to the server."""

    def scalar(self) -> bytes:
        """The 32-byte blind. Whoever holds it and the element can test guesses of the input."""

def oprf_finalize(blinds: Sequence[OprfBlind], evaluated: Sequence[bytes], proof: bytes, public: bytes) -> list[bytes]:
    """Check the batched proof and return 64 bytes an input. Raises OprfError."""

@final
class OhttpGateway:
    """A gateway's private key (RFC 9458): X-Wing, HKDF-SHA256, ChaCha20-Poly1305; zeroised when dropped."""

    @staticmethod
    def from_seed(seed: bytes, key_id: int) -> OhttpGateway:
        """The same key each time for the same 32 bytes; `key_id` is 0 to 255."""

    @property
    def config(self) -> bytes:
        """The encoded key configuration that clients seal to, 1,225 bytes."""

    def open(self, request: bytes) -> tuple[OhttpExchange, str, str, bytes]:
        """The exchange to answer with, and the method, path and body of the inner message.

        A request opens as often as it is presented: whoever must not act twice has to know it again.
        """

@final
class OhttpExchange:
    """The gateway's end of one request; for one response."""

    def seal(self, status: int, body: bytes, size: int) -> bytes:
        """The inner message padded to exactly `size` bytes, at most 2**20, and 48 more for sealing it.

        `status` is 200 to 599. OhttpError if it was used before; and if the message does not fit, which
        leaves it unused.
        """

@final
class OhttpRequest:
    """The client's end of one request; for one response."""

    @staticmethod
    def seal(config: bytes, method: str, path: str, body: bytes, size: int) -> tuple[OhttpRequest, bytes]:
        """The inner message padded to exactly `size` bytes, at most 2**20, and 1,143 more for sealing it.

        `method` is capital letters, `path` a slash and visible ASCII. OhttpError also if it does not fit.
        """

    def open(self, response: bytes) -> tuple[int, bytes]:
        """Status and body. OhttpError if it was used before; a response that does not open uses it too."""

@final
class PirLayout:
    """What is public about a table of the private query; with its files' hashes, part of a signed manifest."""

    @staticmethod
    def from_bytes(layout: bytes) -> PirLayout:
        """Read 128 bytes; PirError for any that contradict themselves."""

    def to_bytes(self) -> bytes: ...
    count: int
    """Records."""
    slots: int
    """Records that a column can hold."""
    rows: int
    """Bytes of a column."""
    columns: int
    used: int
    """Columns that can be asked for: the first ones."""
    root: bytes
    """The Merkle root over the columns."""
    seed: bytes
    query_bytes: int
    answer_bytes: int

@final
class PirBuilt:
    """What `pir_build` wrote."""

    layout: PirLayout
    packed: bytes
    """SHA-256 of the file of this name; the next three too."""
    hint: bytes
    fences: bytes
    top: bytes
    log2_failure: float
    """Of the chance that an answer does not give its column: at most -64."""

@final
class PirProgress:
    """How far a build is; for any thread."""

    def __init__(self) -> None: ...
    @property
    def steps(self) -> tuple[str, int, int]:
        """What it is at, `packing` or `hint` (four fifths of the time); steps of that which are done, and all of them.

        The steps are not known at the very first: 0 of 0.
        """

    def stop(self) -> None:
        """Let the build end with PirError, in about a second."""

def pir_build(
    records: str | PathLike[str],
    folder: str | PathLike[str],
    seed: bytes,
    threads: int,
    progress: PirProgress | None = None,
    slots: int | None = None,
) -> PirBuilt:
    """Build a table of a file of 128-byte records, sorted by tag.

    Writes `packed`, `hint`, `fences` and `top` into the folder, each synced. `seed` is 16 fresh random bytes.
    OSError (ENOSPC) when there is no room; PirError for anything else.
    The number of slots follows from that of the records unless it is given.
    """

@final
class PirBase:
    """A packed base, mapped into memory: its file must not change while this lives."""

    @staticmethod
    def open(path: str | PathLike[str]) -> PirBase: ...
    @property
    def layout(self) -> PirLayout: ...
    @property
    def kernel(self) -> str:
        """Which instructions it uses here: `portable`, `avx2` or `avx512-vnni`."""

    def answer(self, queries: Sequence[bytes], threads: int) -> list[bytes]:
        """Answer one to eight queries in one pass over the base."""

    def touch(self, threads: int) -> int:
        """Read the whole base once, so that it is in memory; returns the sum of its 64-bit words."""

@final
class PirMaterial:
    """The secrets of one query, made ahead of time; zeroised when dropped.

    Used twice it would tell the server how two columns differ: what is stored of it has to be deleted before
    the query is sent.
    """

    def to_bytes(self) -> bytes: ...

@final
class PirPending:
    """What reads the answer to one query; for one answer."""

    column: int
    def recover(self, answer: bytes) -> bytes:
        """The column, which proves nothing before `PirColumns.open`; spends this."""

@final
class PirClient:
    """A hint, and what is done with it."""

    def __init__(self, layout: PirLayout, hint: bytes) -> None:
        """`hint` is the file whose hash is in the manifest: with a wrong one, queries tell what they are for."""

    def material(self, threads: int) -> PirMaterial:
        """Fresh material, with the operating system's randomness."""

    def material_from_bytes(self, material: bytes) -> PirMaterial:
        """PirError for what was made for another hint."""

    def query(self, material: PirMaterial, column: int) -> tuple[bytes, PirPending]:
        """The query for a column, and what reads its answer; spends the material."""

@final
class PirColumns:
    """Where the columns begin, and the hashes that they verify against."""

    def __init__(self, layout: PirLayout, fences: bytes, top: bytes) -> None: ...
    def column(self, tag: bytes) -> int:
        """The one column that can hold a 16-byte tag."""

    def open(self, tag: bytes, column: bytes) -> bytes | None:
        """The record under a tag, or None if the column of that tag proves that there is none.

        PirError for bytes that are not that column.
        """

@final
class MlsMember:
    leaf: int
    credential: bytes
    signature_key: bytes

@final
class MlsCommit:
    """An own commit, pending until `accepted` or `rejected`."""

    message: bytes
    """The commit as an MLS PublicMessage."""
    welcome: bytes | None
    """For all whom it adds: `mls_welcome_for` gives each their own."""
    tree_secret: bytes | None
    """32 bytes to seal the tree's place with, where the Welcome does not hold it: of more than 12 members."""

@final
class MlsApplication:
    leaf: int
    credential: bytes
    """The sender's, in the epoch the message was sent in: the leaf may be another's by now."""
    plaintext: bytes
    authenticated_data: bytes

@final
class MlsStagedCommit:
    """Another member's commit that passed every check; nothing has changed until `merge`."""

    leaf: int
    authenticated_data: bytes
    added: list[MlsMember]
    """Members the commit adds; their leaf is not assigned yet and reads 2**32 - 1."""
    removed: list[MlsMember]
    removes_self: bool

@final
class MlsStagedWelcome:
    """A group that a Welcome invites to; nothing has changed until `accept_welcome`."""

    group_id: bytes
    epoch: int
    members: list[MlsMember]
    own_leaf: int
    sender_leaf: int

@final
class MlsSession:
    """One transaction over stored entries: it gathers changes and writes none of them itself.

    Give it the entries under the prefixes that the call names: b"s" (the device's signature key), b"k"
    (key packages and their private parts), b"g" + group id (one group). After an exception the
    session's changes must be discarded with it, with one exception: `process` that raises anything but
    MlsError itself has changed nothing, so that a batch can go on past it. Group ids are 32 bytes.
    Used from one thread at a time; the GIL is released. A panic in it ends the session.
    """

    def __init__(self, entries: Mapping[bytes, bytes]) -> None: ...
    def changes(self) -> dict[bytes, bytes | None]:
        """Entries that differ from those given, None for a deleted one."""

    def saved(self) -> None:
        """The changes were stored, and the session goes on from them: what it has decoded is not decoded again."""

    def new_identity(self) -> bytes:
        """Make the device's Ed25519 signature key; returns its public half, 32 bytes."""

    def sign(self, message: bytes) -> bytes:
        """Sign something of the device's own that is no MLS message; it begins with b"grue ". Needs b"s"."""

    def key_package(self, credential: bytes, last_resort: bool) -> bytes:
        """A fresh key package of about 2.8 KB. Needs b"s"."""

    def create(self, group_id: bytes, credential: bytes) -> None:
        """A group with this device as its only member, in epoch 0. Needs b"s"."""

    def commit(
        self, group_id: bytes, add: Sequence[bytes], remove: Sequence[int], authenticated_data: bytes
    ) -> MlsCommit:
        """Remove and add in one commit with a path; with neither, a self-update. Needs b"s", b"g".

        A device may be removed and added again in one commit. MlsRefused for a key package that breaks a
        rule, a leaf that is not there, or our own; MlsError while another commit is pending.
        """

    def accepted(self, group_id: bytes) -> None:
        """Merge the own pending commit: it won."""

    def rejected(self, group_id: bytes) -> None:
        """Forget the own pending commit: it lost. Never call this for a commit that may yet win."""

    def pending(self, group_id: bytes) -> bool: ...
    def stage_welcome(self, welcome: bytes, tree: bytes | None = None) -> MlsStagedWelcome:
        """Open a Welcome, with the group's tree where it does not hold it. Needs b"s", b"k".

        MlsMissing without a tree, MlsRefused for that of another epoch.
        """

    def tree_secret(self, welcome: bytes) -> bytes | None:
        """32 bytes by which the tree is found that a Welcome does not hold; None when it does. Needs b"s", b"k".

        The session holds the key package for used then: discard its changes.
        """

    def tree(self, group_id: bytes) -> bytes:
        """The tree of the current epoch, for whoever is welcomed without it. Needs b"g"."""

    def accept_welcome(self, staged: MlsStagedWelcome) -> None:
        """Join; spends `staged`. Older entries of the same group (a resync) are replaced if the session was
        given them; otherwise delete everything under b"g" + group id before storing the changes."""

    def process(self, group_id: bytes, message: bytes) -> MlsApplication | MlsStagedCommit:
        """Open a PrivateMessage, or check another member's commit. Needs b"g".

        MlsOwnMessage also for an own commit, pending or not (then our entries went back).
        A message from a past epoch that is no longer kept is MlsWrongEpoch.
        """

    def merge(self, group_id: bytes, staged: MlsStagedCommit) -> None:
        """Apply it, and forget an own pending commit; spends `staged`. Afterwards, if it removed us, only
        `members`, `epoch`, `own_leaf` and `delete` work, and the rest raises MlsMissing."""

    def discard(self, staged: MlsStagedCommit) -> None:
        """Give up a staged commit: it is spent, and the group stays as it was."""

    def encrypt(self, group_id: bytes, plaintext: bytes, authenticated_data: bytes) -> bytes:
        """An MLS PrivateMessage. Needs b"s", b"g"."""

    def exporter(self, group_id: bytes, label: str, context: bytes, length: int) -> bytes: ...
    def epoch(self, group_id: bytes) -> int: ...
    def own_leaf(self, group_id: bytes) -> int: ...
    def members(self, group_id: bytes) -> list[MlsMember]: ...
    def delete(self, group_id: bytes) -> None: ...

def mls_key_package_member(key_package: bytes) -> MlsMember:
    """Check a key package's own signature, suite, lifetime rules and credential, and say whose it is."""

def mls_welcome_for(welcome: bytes, packages: Sequence[bytes]) -> bytes:
    """A Welcome without the secrets of those of whom these are not the key packages."""

def mls_credential(identity_public: bytes, certificate: bytes) -> bytes:
    """The credential of a device: version 1, the account's identity key, its signature over the device key."""

MLS_CERTIFICATE_CONTEXT: bytes
"""What the identity key signs in a certificate: this, then the device's 32-byte signature key."""
