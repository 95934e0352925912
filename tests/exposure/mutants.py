"""Servers that leak on purpose, one leak each: a patch of the real one, and where the scanner has to find it."""

import base64
import bz2
import gzip
import hashlib
import hmac
import struct
import zlib
from ipaddress import ip_address
from typing import Final

import zstandard
from cryptography.hazmat.primitives.poly1305 import Poly1305

from grue.exposure.scanner import encodings, surfaces
from grue.exposure.scanner.encodings import _varint
from grue.server.accounts.registration import Registration
from grue.server.directory import directory
from grue.server.directory.directory import record_key
from grue.server.mailboxes import mailboxes
from grue.server.sms import sms
from tests.exposure.leaks import (
    BEGUN,
    CODE,
    LINK,
    PAIR,
    Mutant,
    access_line,
    account_named_after,
    after,
    attachment_opened,
    bcd,
    column,
    core,
    dialled,
    file_of,
    in_row,
    inbound_kept,
    intro_beside_conversation,
    iso,
    kept_code,
    line_of,
    log_never_cut,
    lookups,
    mac_of_code_kept,
    mailbox_named_after,
    milliseconds,
    national,
    output,
    page_freed,
    registering,
    row_deleted,
    row_of,
    sender,
    sending,
    server_key,
    sms_as_the_radio_has_it,
    sms_kept,
    sms_numbers_kept,
    swapped,
    table_named_after,
    tag,
    text_of_exceptions,
    token_key,
    when_posting,
)
from tests.exposure.scanned import (
    ADDRESS_4,
    ADDRESS_6,
    ALICE,
    BOB,
    CAROL,
    GREEN,
    GREEN_ANSWER,
    PHOTOGRAPH,
)

MUTANTS: Final = [
    # Logs.
    Mutant("access log", line_of(access_line), ADDRESS_4, surfaces.LOG, "logs/server.log", "text"),
    Mutant("access log, IPv6", line_of(lambda *_: f"[{ADDRESS_6}]:4711"), ADDRESS_6, surfaces.LOG, "logs/server.log"),
    Mutant("number in a log", line_of(lambda _, n: f"code for {n}"), ALICE, surfaces.LOG, "logs/server.log", "text"),
    Mutant("number in an exception's text", text_of_exceptions, ALICE, surfaces.LOG, "logs/server.log", "text"),
    Mutant(
        "packed log",
        file_of("logs/server.log.1.gz", lambda _, n: gzip.compress(n.encode())),
        ALICE,
        surfaces.LOG,
        "server.log.1.gz, gzip stream",
    ),
    Mutant(
        "log packed twice",
        file_of("logs/old.bz2", lambda _, n: bz2.compress(gzip.compress(n.encode()))),
        ALICE,
        surfaces.LOG,
        "old.bz2, bzip2 stream, gzip stream",
    ),
    Mutant(
        "log packed by zstd",
        file_of("logs/server.log.2.zst", lambda _, n: zstandard.compress(f"code for {n}\n".encode() * 9)),
        ALICE,
        surfaces.LOG,
        "server.log.2.zst, zstd stream",
    ),
    Mutant("date in a log", line_of(iso), BEGUN, surfaces.LOG, "logs/server.log", "a date"),
    Mutant("tag in a log", line_of(lambda w, n: tag(w, n).hex()), ALICE, surfaces.LOG, "logs/server.log", "tag"),
    Mutant("both numbers in a log", line_of(lambda _, n: f"{n} {CAROL}"), f"{ALICE} and {CAROL}", surfaces.LOG, "log"),
    Mutant(
        "keyed hash in a log",
        line_of(lambda w, n: hmac.new(server_key(w), n.encode(), "sha1").hexdigest()),
        ALICE,
        surfaces.LOG,
        "logs/server.log",
        "HMAC-sha1 under server.key",
    ),
    # Forms of a number in a table.
    in_row("number as text", lambda _, n: n, "text"),
    in_row("number in UTF-16", lambda _, n: n.encode("utf-16-le"), "UTF-16"),
    in_row("number in base64", lambda _, n: base64.b64encode(b"to" + n.encode()), "base64"),
    in_row("number in hexadecimal", lambda _, n: n.encode().hex(), "hexadecimal"),
    in_row("number as an integer", lambda _, n: int(n[1:]), "integer"),
    in_row("number without its country", lambda _, n: int(n[3:]), "integer"),
    in_row("number as an integer LE", lambda _, n: int(n[1:]).to_bytes(8, "little"), "LE"),
    in_row("number as a varint", lambda _, n: _varint(int(n[1:])), "varint"),
    in_row("number with swapped nibbles", lambda _, n: swapped(n), "swapped"),
    Mutant(
        "number in zlib", row_of(lambda _, n: zlib.compress(n.encode())), ALICE, surfaces.ROW, "leak.a, zlib stream"
    ),
    in_row("SHA-256 of a number", lambda _, n: hashlib.sha256(n.encode()).digest(), "sha256"),
    in_row(
        "MD5 of a number, cut", lambda _, n: hashlib.md5(n[1:].encode(), usedforsecurity=False).hexdigest()[:16], "md5"
    ),
    in_row("number in UTF-32", lambda _, n: n.encode("utf-32-be"), "UTF-32"),
    in_row("number in base32", lambda _, n: base64.b32encode(b"of" + n.encode()).decode().lower(), "base32"),
    in_row("number in base32hex", lambda _, n: base64.b32hexencode(n.encode()).decode(), "base32hex"),
    in_row("packed number in base64", lambda _, n: base64.b64encode(b"7" + swapped(n)).decode(), "swapped, base64"),
    in_row("integer in base64", lambda _, n: base64.b64encode(struct.pack("<q", int(n[1:]))), "LE, base64"),
    Mutant(
        "number as people write it",
        line_of(lambda *_: "for +44 7700 900811"),
        ALICE,
        surfaces.LOG,
        "logs/server.log",
        "with spaces",
    ),
    in_row("SHA-3 of the national form", lambda _, n: hashlib.sha3_256(national(n).encode()).hexdigest(), "sha3_256"),
    in_row("BLAKE2s of the digits as dialled", lambda _, n: hashlib.blake2s(dialled(n).encode()).digest(), "blake2s"),
    # Tags under keys.
    in_row(
        "the name that a number is counted under",
        lambda w, n: hmac.digest(server_key(w), b"grue counted v1\0" + n.encode(), "sha256")[:16],
        surfaces.COUNTED,
    ),
    Mutant(
        "MAC of a code",
        after(Registration, "finish", mac_of_code_kept),
        ALICE,
        surfaces.ROW,
        "leak.a",
        "HMAC-sha256 under server.key, key 2",
    ),
    in_row(
        "AES-CMAC of a number", lambda w, n: encodings._cmac(server_key(w), n.encode()), "AES-CMAC under server.key"
    ),
    in_row(
        "Poly1305 of a number",
        lambda w, n: Poly1305.generate_tag(server_key(w), n.encode()),
        "Poly1305 under server.key",
    ),
    in_row(
        "HMAC-MD5 of the national form",
        lambda w, n: hmac.digest(server_key(w), dialled(n).encode(), "md5"),
        "HMAC-md5 under server.key",
    ),
    in_row(
        "HMAC-SHA-384", lambda w, n: hmac.digest(server_key(w), n.encode(), "sha384")[:16], "HMAC-sha384 under server"
    ),
    in_row("HMAC-SHA3", lambda w, n: hmac.digest(server_key(w), n.encode(), "sha3_256"), "HMAC-sha3_256 under server"),
    in_row(
        "HMAC under a token's key",
        lambda w, n: hmac.digest(token_key(w), n.encode(), "sha256"),
        "HMAC-sha256 under post",
    ),
    in_row(
        "HMAC of a number",
        lambda w, n: hmac.digest(server_key(w), n.encode(), "sha256"),
        "HMAC-sha256 under server.key, key 2",
    ),
    in_row(
        "HMAC under the directory's key",
        lambda w, n: hmac.digest(w.server.keys.oprf.to_bytes(), n.encode(), "sha512"),
        "HMAC-sha512 under directory.key",
    ),
    in_row(
        "BLAKE2b with a key",
        lambda w, n: hashlib.blake2b(n.encode(), key=server_key(w), digest_size=16).digest(),
        "BLAKE2b under server.key",
    ),
    in_row("salted hash", lambda w, n: hashlib.sha256(server_key(w) + n.encode()).digest(), "sha256 with server.key"),
    in_row("the tag in another table", tag, "tag"),
    in_row("hash of the tag", lambda w, n: hashlib.sha256(tag(w, n)).digest(), "sha256"),
    in_row("the lookup key's output", output, "output"),
    Mutant(
        "the record's key",
        file_of("cache.dat", lambda w, n: record_key(w.server.keys, n).key),
        ALICE,
        surfaces.FILE,
        "cache.dat",
        "record",
    ),
    when_posting(
        "HMAC of an address", lambda w: hmac.digest(server_key(w), ADDRESS_4.encode(), "sha256"), ADDRESS_4, "HMAC"
    ),
    # Who writes to whom, who looks up whom.
    Mutant("sender of an envelope", column("BLOB", sender), LINK, surfaces.ROW, "envelope", "together"),
    Mutant("table of lookups", after(directory, "evaluate", lookups), ALICE, surfaces.ROW, "leak.a", "text"),
    Mutant(
        "intro mailbox beside a conversation",
        after(mailboxes, "create", intro_beside_conversation),
        LINK,
        surfaces.ROW,
        "leak.",
        "together",
    ),
    Mutant(
        "both numbers in a row",
        sending(sms_numbers_kept),
        f"{ALICE} and {CAROL}",
        surfaces.ROW,
        "leak.",
        "together",
    ),
    when_posting("hash of both numbers", lambda _: hashlib.sha256(f"{BOB}:{ALICE}".encode()).digest(), PAIR, "sha256"),
    when_posting(
        "HMAC of both numbers", lambda w: hmac.digest(server_key(w), f"{ALICE}|{BOB}".encode(), "sha256"), PAIR, "HMAC"
    ),
    Mutant(
        "number in a mailbox's id", registering(mailbox_named_after), ALICE, surfaces.ROW, "mailbox.mailbox", "text"
    ),
    Mutant("number in an account's id", account_named_after, ALICE, surfaces.ROW, "account.account", "text"),
    # Addresses and times.
    when_posting("address packed", lambda _: ip_address(ADDRESS_4).packed, ADDRESS_4, "packed"),
    when_posting("address as an integer", lambda _: int(ip_address(ADDRESS_4)), ADDRESS_4, "packed"),
    when_posting("IPv6 packed", lambda _: ip_address(ADDRESS_6).packed, ADDRESS_6, "packed"),
    Mutant("time of an envelope", column("INTEGER", milliseconds), BEGUN, surfaces.ROW, "envelope.leak", "ms"),
    when_posting("time in seconds", lambda w: int(w.clock()), BEGUN, "a time in s"),
    when_posting("time in microseconds LE", lambda w: struct.pack("<q", int(w.clock() * 1e6)), BEGUN, "a time in us"),
    Mutant(
        "time in nanoseconds",
        file_of("stamps.dat", lambda w, _: struct.pack(">q", int(w.clock() * 1e9))),
        BEGUN,
        surfaces.FILE,
        "stamps.dat",
        "ns",
    ),
    when_posting("time as a float", lambda w: w.clock(), BEGUN, "a time"),
    # SMS and codes.
    Mutant("text of an SMS", sending(sms_kept), GREEN, surfaces.ROW, "leak.c", "text"),
    Mutant(
        "text of an SMS that came", after(sms, "_stored", inbound_kept), GREEN_ANSWER, surfaces.ROW, "leak.a", "text"
    ),
    Mutant(
        "SMS as the radio has it",
        sending(sms_as_the_radio_has_it),
        GREEN,
        surfaces.FILE,
        "pdu.dat",
        "seven bits",
    ),
    Mutant("code", kept_code(str), CODE, surfaces.ROW, "leak.a", "text"),
    Mutant(
        "code as an integer",
        kept_code(lambda code: int("1" + code) - 1_000_000),
        CODE,
        surfaces.ROW,
        "leak.a",
        "integer",
    ),
    Mutant(
        "hash of a code",
        kept_code(lambda code: hashlib.sha256(code.encode()).hexdigest()),
        CODE,
        surfaces.ROW,
        "leak.a",
        "sha256",
    ),
    # Files.
    Mutant(
        "call records",
        file_of("cdr.dat", lambda _, n: b"\x91" + bcd(n) + b"\xff"),
        ALICE,
        surfaces.FILE,
        "cdr.dat",
        "packed digits",
    ),
    Mutant(
        "temporary file", file_of("server/.pending-7", lambda _, n: n.encode()), ALICE, surfaces.TEMPORARY, ".pending-7"
    ),
    Mutant("core image", file_of("server/core", core), ALICE, surfaces.CORE, "server/core", "UTF-16"),
    Mutant(
        "name of a file",
        file_of("spool/{}.sms", lambda *_: b""),
        ALICE,
        surfaces.NAME,
        "spool/447700900811.sms",
        "text",
    ),
    Mutant(
        "number in a key file", file_of("server/old.key", lambda _, n: n.encode()), ALICE, surfaces.KEY_FILE, "old.key"
    ),
    Mutant(
        "tags in another file of the directory",
        file_of("server/directory/1/index", tag),
        ALICE,
        surfaces.DIRECTORY_FILE,
        "directory/1/index",
        "tag",
    ),
    Mutant(
        "number in a file of the directory",
        file_of("server/directory/1/names", lambda _, n: n.encode()),
        ALICE,
        surfaces.DIRECTORY_FILE,
        "1/names",
    ),
    Mutant(
        "number beside the parts of attachments",
        file_of("server/blobs/owners", lambda _, n: n.encode()),
        ALICE,
        surfaces.BLOB,
        "server/blobs/owners",
    ),
    Mutant("attachment in the clear", attachment_opened, PHOTOGRAPH, surfaces.BLOB, "server/blobs/", "text"),
    # What was deleted.
    Mutant("row deleted without wiping", row_deleted, BOB, surfaces.DATABASE, "of leak", "text"),
    Mutant("page freed without wiping", page_freed, ALICE, surfaces.FREE_PAGE, "free page", "text"),
    Mutant("log never cut", log_never_cut, ALICE, surfaces.WAL, "of leak", "text"),
    Mutant("name of a table", registering(table_named_after), ALICE, surfaces.DATABASE, "of sqlite_schema", "text"),
]
