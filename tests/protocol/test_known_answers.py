"""Known answers for everything that the wire depends on: `tests/vectors/known_answers.json`, for any implementation.

Each entry has its inputs and outputs in hexadecimal; a number is eight bytes, big-endian, and text is UTF-8. What draws
randomness (HPKE, oblivious HTTP) is frozen as it was sealed once, and opened here. `rust/mls/tests/known_answers.rs`
has those that only Rust reaches. After a change of the protocol, `python -m tests.protocol.test_known_answers` writes
the outputs anew.
"""

import hmac
import json
import re
import shutil
import subprocess
import zlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from grue._core import MLS_CERTIFICATE_CONTEXT, MlsSession, OhttpGateway, OprfBlind, OprfKey, oprf_finalize
from grue.errors import BadEnvelope
from grue.protocol import accountkey, blobs, oblivious, tokens, wire
from grue.protocol.conversation import devices, envelope, mailbox, padding, safety
from grue.protocol.conversation.conversation import hashed
from grue.protocol.directory import directory, record
from grue.protocol.sms import smsseal
from grue.protocol.wire import encode
from tests.protocol.second_hpke import X_WING, Hpke, XWing, derived_private_key, open_request

VECTORS: Final = Path(__file__).parents[1] / "vectors" / "known_answers.json"
OHTTP_NONCE: Final = 32

Answers = dict[str, bytes]


class Entry(msgspec.Struct):
    """One known answer."""

    name: str
    what: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    source: str


class KnownAnswers(msgspec.Struct):
    """The file."""

    protocol: int
    mls_suite: str
    entries: list[Entry]


def number(value: bytes) -> int:
    return int.from_bytes(value, "big")


def eight(value: int) -> bytes:
    return value.to_bytes(8, "big")


def signing(secret: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(secret)


# --- key encapsulation and HPKE -------------------------------------------------------------------


def x_wing_key_pair(seed: bytes) -> Answers:
    assert XWing.expand(seed).public() == accountkey.public_of(seed)
    return {"public": accountkey.public_of(seed)}


def x_wing_decapsulate(seed: bytes, ciphertext: bytes) -> Answers:
    return {"shared_secret": XWing.expand(seed).decapsulate(ciphertext)}


def derive_key_pair(ikm: bytes) -> Answers:
    return {"private": derived_private_key(ikm), "public": XWing.derive(ikm).public()}


def hpke_open(private: bytes, aead: bytes, info: bytes, aad: bytes, encapsulated: bytes, sealed: bytes) -> Answers:
    suite = X_WING.to_bytes(2, "big") + b"\x00\x01" + aead
    opened = Hpke.schedule(suite, XWing.expand(private).decapsulate(encapsulated), info)
    return {"plaintext": opened.open(sealed, aad)}


def sms_open(secret: bytes, server_public: bytes, to: bytes, sealed: bytes) -> Answers:
    sms = smsseal.open_sms(secret, server_public, to.decode(), sealed)
    return {"public": accountkey.public_of(secret), "sms": encode(sms)}


# --- lookups and tokens ---------------------------------------------------------------------------


def oprf(key: bytes, input: bytes, blind: bytes, proof: bytes) -> Answers:
    server, client = OprfKey.from_bytes(key), OprfBlind.from_scalar(input, blind)
    (evaluated,), fresh = server.evaluate([client.element])
    (output,) = oprf_finalize([client], [evaluated], proof, server.public)
    assert [output] == oprf_finalize([client], [evaluated], fresh, server.public) == server.output([input])
    return {"public": server.public, "blinded": client.element, "evaluated": evaluated, "output": output}


def record_key(output: bytes) -> Answers:
    key = record.derive(output)
    return {"tag": key.tag, "key": key.key}


def record_seal(
    tag: bytes, key: bytes, nonce: bytes, intro_mailbox: bytes, identity_public: bytes, device_list_hash: bytes
) -> Answers:
    contents, under = record.Record(intro_mailbox, identity_public, device_list_hash), record.RecordKey(tag, key)
    sealed = record.seal(contents, under, nonce)
    assert record.open_record(sealed, under) == contents
    return {"record": sealed}


def token_use(nonce: bytes, output: bytes, request: bytes) -> Answers:
    return {"mac": tokens.use_of(output, request), "spent": tokens.spent_key(nonce)}


# --- the directory --------------------------------------------------------------------------------


def directory_signatures(server_secret: bytes, manifest: bytes, head: bytes, gateway_key: bytes) -> Answers:
    key = signing(server_secret)
    return {
        "manifest_hash": sha256(manifest).digest(),
        "manifest": directory.sign_manifest(wire.MANIFEST.decode(manifest), key),
        "head": directory.sign_head(wire.OVERLAY_HEAD.decode(head), key),
        "gateway_key": oblivious.sign_key(wire.GATEWAY_KEY.decode(gateway_key), key),
    }


def merkle_root(first: bytes, second: bytes, third: bytes) -> Answers:
    return {"root": directory.merkle_root([first, second, third])}


def overlay_chain(manifest_hash: bytes, overlay: bytes) -> Answers:
    start = directory.chain_start(manifest_hash)
    return {"start": start, "chain": directory.chain(start, overlay)}


# --- accounts -------------------------------------------------------------------------------------


def device_list(
    identity_secret: bytes, version: bytes, hpke_public: bytes, intro_mailbox: bytes, device_public: bytes
) -> Answers:
    identity = signing(identity_secret)
    public = identity.public_key().public_bytes_raw()
    listed = wire.DeviceList(number(version), public, hpke_public, intro_mailbox, [device_public])
    signed = devices.sign_device_list(listed, identity)
    assert devices.verify_device_list(signed, public) == listed
    return {
        "signed": signed,
        "hash": devices.device_list_hash(signed),
        "certified": MLS_CERTIFICATE_CONTEXT + device_public,
        "credential": devices.credential(identity, device_public),
    }


def safety_number(one: bytes, other: bytes) -> Answers:
    return {
        "one": safety.fingerprint(one).encode(),
        "other": safety.fingerprint(other).encode(),
        "digits": safety.safety_number(one, other).encode(),
    }


def signed_request(device_secret: bytes, account: bytes, challenge: bytes, body: bytes) -> Answers:
    signed = wire.signed_bytes(account, challenge, body)
    return {"signed": signed, "signature": signing(device_secret).sign(signed)}


# --- conversations --------------------------------------------------------------------------------


def mls_exporter(exporter_secret: bytes, label: bytes, context: bytes, length: bytes) -> Answers:
    """By the core, in whose stored group another epoch's exporter secret is put."""
    group, session = bytes(32), MlsSession({})
    identity = signing(bytes(32))
    session.create(group, devices.credential(identity, session.new_identity()))
    entries = {key: value for key, value in session.changes().items() if value is not None}
    place = b"g" + group + b"e"
    secrets = msgspec.msgpack.decode(entries[place][:-4])
    secrets["exporter_secret"]["secret"]["value"]["vec"] = exporter_secret
    value = msgspec.msgpack.encode(secrets)
    entries[place] = value + zlib.crc32(place + value).to_bytes(4, "big")
    return {"secret": MlsSession(entries).exporter(group, label.decode(), context, number(length))}


def envelope_seal(epoch_key: bytes, mailbox: bytes, envelope_id: bytes, message: bytes) -> Answers:
    sealed = envelope.seal(epoch_key, mailbox, envelope_id, message)
    assert envelope.unseal([epoch_key], mailbox, envelope_id, sealed) == message
    return {"envelope": sealed}


def pad(payload: bytes, overhead: bytes) -> Answers:
    padded = padding.pad(payload, number(overhead))
    assert padding.unpad(padded) == payload
    return {"padded": padded}


def log_hash(mailbox_id: bytes, envelope_id: bytes, blob: bytes) -> Answers:
    start = mailbox.empty_log(mailbox_id, mailbox.ReaderState.READING)
    after = mailbox.delivered(start, wire.Delivery(mailbox_id, 1, envelope_id, blob))
    return {"start": start.hash, "after": after.hash}


def secret_hash(secret: bytes) -> Answers:
    return {"hash": hashed(secret)}


def attachment(key: bytes, contents: bytes) -> Answers:
    sealing = blobs.Sealing(key, len(contents))
    sealed = sealing.seal(0, contents)
    assert (sealing.parts, sealing.unseal(0, sealed)) == (1, contents)
    return {"part_id": sealing.part_id(0), "part": sealed}


def attachment_of_zeros(key: bytes, length: bytes) -> Answers:
    sealing = blobs.Sealing(key, number(length))
    parts = [sealing.seal(n, bytes(sealing.room(n))) for n in range(sealing.parts)]
    return {
        "part_ids": b"".join(sealing.part_id(n) for n in range(sealing.parts)),
        "sizes": b"".join(eight(len(part)) for part in parts),
        "sha256": b"".join(sha256(part).digest() for part in parts),
    }


# --- oblivious HTTP -------------------------------------------------------------------------------


def ohttp(seed: bytes, key_id: bytes, request: bytes, response: bytes) -> Answers:
    """The gateway is ours; the response is opened by the second implementation, which can have the client's secret."""
    gateway = OhttpGateway.from_seed(seed, number(key_id))
    _, method, path, body = gateway.open(request)
    exchange = open_request(request, XWing.derive(seed).decapsulate(request[7:1127]), 1120)
    return {
        "config": gateway.config,
        "method": method.encode(),
        "path": path.encode(),
        "body": body,
        "response_secret": exchange.secret,
        "response_message": exchange.open(response, OHTTP_NONCE),
    }


ANSWERS: Final[dict[str, Callable[..., Answers]]] = {
    "x-wing-key-pair": x_wing_key_pair,
    "x-wing-decapsulate": x_wing_decapsulate,
    "mls-derive-key-pair": derive_key_pair,
    "hpke-pq-derive-key-pair": derive_key_pair,
    "hpke-pq-open": hpke_open,
    "mls-hpke-open": hpke_open,
    "sms-open": sms_open,
    "oprf": oprf,
    "lookup-oprf": oprf,
    "lookup-record-key": record_key,
    "record": record_seal,
    "token": oprf,
    "token-use": token_use,
    "directory-signatures": directory_signatures,
    "merkle-root": merkle_root,
    "overlay-chain": overlay_chain,
    "device-list": device_list,
    "safety-number": safety_number,
    "signed-request": signed_request,
    "mls-exporter": mls_exporter,
    "envelope-epoch-key": mls_exporter,
    "envelope": envelope_seal,
    "padding": pad,
    "log-hash": log_hash,
    "secret-hash": secret_hash,
    "attachment": attachment,
    "attachment-of-zeros": attachment_of_zeros,
    "oblivious-http": ohttp,
}

ONLY_IN_RUST: Final = {"x-wing-encapsulate"}
"""`cryptography` takes no coins."""


def known() -> KnownAnswers:
    return msgspec.json.decode(VECTORS.read_bytes(), type=KnownAnswers, strict=True)


def entry(name: str) -> Entry:
    (found,) = (each for each in known().entries if each.name == name)
    return found


def inputs(name: str) -> Answers:
    return {key: bytes.fromhex(value) for key, value in entry(name).inputs.items()}


def answered(name: str) -> dict[str, str]:
    return {key: value.hex() for key, value in ANSWERS[name](**inputs(name)).items()}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_answer_is_the_known_one(name: str) -> None:
    assert answered(name) == entry(name).outputs


def test_every_entry_is_answered_says_what_it_is_and_where_it_comes_from() -> None:
    names = [each.name for each in known().entries]
    assert sorted(names) == sorted({*ANSWERS, *ONLY_IN_RUST})
    assert all(each.what and each.source and each.outputs for each in known().entries)


def test_the_file_is_of_the_protocol_and_the_suite_that_are_spoken() -> None:
    """A derivation that changes is another protocol: who cannot read the other drops every message."""
    session = MlsSession({})
    package = session.key_package(devices.credential(signing(bytes(32)), session.new_identity()), last_resort=False)
    # MLSMessage: version, wire format; KeyPackage: version, cipher suite; two bytes each.
    assert (known().protocol, known().mls_suite) == (wire.PROTOCOL, package[6:8].hex())


def test_the_labels_are_those_that_the_code_uses() -> None:
    assert inputs("envelope-epoch-key")["label"].decode() == envelope.EPOCH_KEY_LABEL
    assert inputs("lookup-oprf")["input"] == b"+447700900123"


def test_the_exporter_is_that_of_rfc_9420() -> None:
    """Section 8.5, once more, by hand."""
    given = inputs("mls-exporter")
    derived = expand_with_label(given["exporter_secret"], given["label"], b"", 32)
    secret = expand_with_label(derived, b"exported", sha256(given["context"]).digest(), number(given["length"]))
    assert secret.hex() == entry("mls-exporter").outputs["secret"]


def expand_with_label(secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
    info = length.to_bytes(2, "big") + sized(b"MLS 1.0 " + label) + sized(context)
    return hmac.digest(secret, info + b"\x01", "sha256")[:length]


def sized(value: bytes) -> bytes:
    """A vector with its length (RFC 9420, section 2.1.2)."""
    length = len(value)
    return (bytes([length]) if length < 64 else (0x4000 | length).to_bytes(2, "big")) + value


def test_an_sms_of_another_secret_is_not_the_known_one() -> None:
    given = inputs("sms-open") | {"secret": bytes(32)}
    with pytest.raises(BadEnvelope):
        sms_open(**given)


def new_enough_go() -> str | None:
    """Go's own HPKE has X-Wing since 1.26."""
    found = shutil.which("go")
    said = subprocess.run([found, "env", "GOVERSION"], capture_output=True, text=True, check=False) if found else None
    version = re.match(r"go1\.(\d+)", said.stdout) if said else None
    return found if version and int(version[1]) >= 26 else None


@pytest.mark.whole
def test_a_library_of_others_gives_the_same_answers() -> None:
    """Go opens what is sealed to an account's secret, which it imports as it is, and derives the keys of MLS."""
    go = new_enough_go()
    if go is None:
        pytest.skip("needs Go 1.26")
    command = [go, "run", str(VECTORS.parent / "peer" / "main.go"), str(VECTORS)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert said == [
        f"{name} true"
        for name in (
            "x-wing-key-pair", "mls-derive-key-pair", "hpke-pq-derive-key-pair", "hpke-pq-open", "mls-hpke-open",
            "sms-open",
        )
    ]  # fmt: skip


def write() -> None:
    """Answer every entry anew."""
    file = known()
    for each in file.entries:
        if each.name in ANSWERS:
            each.outputs = answered(each.name)
    file.protocol = wire.PROTOCOL
    VECTORS.write_text(json.dumps(msgspec.to_builtins(file), indent=1) + "\n")


if __name__ == "__main__":
    write()
