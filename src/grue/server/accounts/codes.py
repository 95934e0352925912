"""Registration codes: the server computes them and stores none; *that* one was sent is a row, and so are wrong guesses.

A code is an HMAC over the number, the ten-minute window and the identity key. It is right only while the row of its SMS
is there, so a restart forgets nothing and trusts nothing. Rows have names that say nothing without the server's key.
"""

import hmac
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from grue.errors import CodeExpired, CodesUsedUp, CodeWrong, Refused, TooManyCodes, TooManyGuesses
from grue.protocol.registration import CODE_DIGITS, CODE_WINDOW, LONG_CODE_DIGITS
from grue.server.store.interface import Tx

if TYPE_CHECKING:
    from grue.server.keys.keys import Keys

MAX_GUESSES: Final = 5
"""Wrong codes for a number before it is locked, and for one SMS; the sixth guess is not looked at."""

CODE_WINDOWS: Final = 2
"""Windows in which a code holds, and that its row lives: the one in which it was sent, and the next."""

FIRST_LOCK: Final = 2
"""Windows: until every code that could be guessed at has expired. Each further lock is twice as long."""

MAX_LOCK: Final = 144
"""Windows, together a day. A guesser ends at five guesses a day, a hit in some 270 years. The owner waits for none of
it: a locked number gets a long code."""

FORGET_AFTER: Final = 8
"""Days, of which the last has begun, after the last wrong guess: then a number's locks start short again."""

MAX_CODES: Final = 5
"""SMS with codes to one number within `COUNTED_WINDOWS`: enough for a bad line, too few to bother somebody."""

CODES_AN_HOUR: Final = 200
"""SMS with codes in all within `COUNTED_WINDOWS`, unless `serve --codes-an-hour` says otherwise: each costs the
operator money, and one client could order 3,000 in a quarter of a minute."""

CODES_AN_HOUR_PREFIX: Final = 20
"""The same to numbers with one beginning, unless `serve --codes-an-hour-prefix` says otherwise: ranges that are paid
for being called lie together."""

PREFIX_DIGITS: Final = 5
"""Digits of a number that are its beginning: the country code, and an operator or a town."""

COUNTED_WINDOWS: Final = 7
"""Windows: a whole hour, and the window in which it began."""

EXPIRED_WINDOWS: Final = 144
"""Windows, together a day, in which an old code is told apart from a wrong one."""

NAME_BYTES: Final = 16


class Caps(NamedTuple):
    """How many SMS with codes the operator pays for within `COUNTED_WINDOWS`."""

    in_all: int
    prefix: int


DEFAULT_CAPS: Final = Caps(CODES_AN_HOUR, CODES_AN_HOUR_PREFIX)


# --- what is made of a number ---------------------------------------------------------------------


def make_code(keys: "Keys", number: str, identity_public: bytes, window: int, digits: int = CODE_DIGITS) -> str:
    """Six digits that only this server can make, and that only this identity can use in this window; or twelve."""
    digest = hmac.digest(keys.code_key, code_input(number, identity_public, window), "sha256")
    return f"{int.from_bytes(digest[:16], 'big') % 10**digits:0{digits}}"


def code_input(number: str, identity_public: bytes, window: int) -> bytes:
    """What a code is a MAC of."""
    return b"\0".join([b"grue code v1", number.encode(), window.to_bytes(8, "big") + identity_public])


def counted_input(what: str) -> bytes:
    """What the name is a MAC of under which a number, or its beginning, is counted."""
    return b"grue counted v1\0" + what.encode()


def sent_input(number: str, identity_public: bytes) -> bytes:
    """What the name is a MAC of under which it is noted that an identity had a code sent to a number."""
    return b"\0".join([b"grue sent v1", number.encode(), identity_public])


class Names(NamedTuple):
    """A number and an identity as rows name them: 16 bytes each."""

    sent: bytes
    number: bytes
    prefix: bytes
    everybody: bytes


def names_of(keys: "Keys", number: str, identity_public: bytes) -> Names:
    """Under which names a number and the identity that asks for it are counted."""
    prefix = number.lstrip("+")[:PREFIX_DIGITS]
    inputs = [sent_input(number, identity_public), *map(counted_input, (number, prefix, ""))]
    return Names(*(hmac.digest(keys.code_key, one, "sha256")[:NAME_BYTES] for one in inputs))


def number_name(keys: "Keys", number: str) -> bytes:
    """Under which name a number is counted, whoever asks for it."""
    return hmac.digest(keys.code_key, counted_input(number), "sha256")[:NAME_BYTES]


# --- sending --------------------------------------------------------------------------------------


async def take(tx: Tx, names: Names, caps: Caps, now: int) -> int:
    """Note that an SMS is about to go; returns how many digits its code has, more while the number is locked.

    REGISTRATION-04 there were few enough for the number (TooManyCodes), and for its beginning and in all (CodesUsedUp);
    each with the seconds until there are fewer.
    """
    window = now // CODE_WINDOW
    await _check_cap(tx, names.number, MAX_CODES, now, TooManyCodes)
    await _check_cap(tx, names.prefix, caps.prefix, now, CodesUsedUp)
    await _check_cap(tx, names.everybody, caps.in_all, now, CodesUsedUp)
    for name in names[1:]:
        await tx.run(
            "INSERT INTO code_count (name, expires_window, codes) VALUES ($1, $2, 1)"
            " ON CONFLICT (name, expires_window) DO UPDATE SET codes = code_count.codes + 1",
            name,
            window + COUNTED_WINDOWS,
        )
    digits = LONG_CODE_DIGITS if await _is_locked(tx, names.number, window) else CODE_DIGITS
    await tx.run(
        "INSERT INTO code_sent (name, expires_window, number, digits, times, guesses, used)"
        " VALUES ($1, $2, $3, $4, 1, 0, 0) ON CONFLICT (name, expires_window)"
        " DO UPDATE SET digits = $4, times = code_sent.times + 1, guesses = 0",
        names.sent,
        window + CODE_WINDOWS,
        names.number,
        digits,
    )
    return digits


async def give_back(tx: Tx, names: Names, window: int) -> None:
    """It was definitely not sent, so it was nobody's turn, and its code is wrong."""
    row = (names.sent, window + CODE_WINDOWS)
    await tx.run("UPDATE code_sent SET times = times - 1 WHERE name = $1 AND expires_window = $2", *row)
    await tx.run("DELETE FROM code_sent WHERE name = $1 AND expires_window = $2 AND times <= 0", *row)
    for name in names[1:]:
        counted = (name, window + COUNTED_WINDOWS)
        await tx.run("UPDATE code_count SET codes = codes - 1 WHERE name = $1 AND expires_window = $2", *counted)
        await tx.run("DELETE FROM code_count WHERE name = $1 AND expires_window = $2 AND codes <= 0", *counted)


async def _check_cap(tx: Tx, name: bytes, cap: int, now: int, refusal: type[Refused]) -> None:
    sql = "SELECT expires_window, codes FROM code_count WHERE name = $1 AND expires_window > $2 ORDER BY expires_window"
    rows = cast("list[tuple[int, int]]", await tx.rows(sql, name, now // CODE_WINDOW))
    over = sum(codes for _, codes in rows) + 1 - cap
    if over <= 0:
        return
    for expires, codes in rows:
        over -= codes
        if over <= 0:
            raise refusal(retry_after=expires * CODE_WINDOW - now)
    raise refusal


async def _is_locked(tx: Tx, number: bytes, window: int) -> bool:
    sql = "SELECT 1 FROM code_lock WHERE name = $1 AND until_window > $2"
    return await tx.row(sql, number, window) is not None


# --- guessing -------------------------------------------------------------------------------------


class Typed(NamedTuple):
    """A code that was handed in, as far as it does not depend on what was sent."""

    names: Names
    digits: int
    window: int | None
    """In which window it would have been made, if it was sent."""


def read(keys: "Keys", number: str, identity_public: bytes, code: str, now: int) -> Typed:
    """Compare a code with those of a day, in constant time. Raises CodeExpired, which counts as no guess."""
    newest = now // CODE_WINDOW
    digits = len(code) if len(code) in (CODE_DIGITS, LONG_CODE_DIGITS) else CODE_DIGITS
    windows = range(newest, newest - EXPIRED_WINDOWS, -1)
    codes = ((window, make_code(keys, number, identity_public, window, digits)) for window in windows)
    matching = [window for window, made in codes if hmac.compare_digest(made.encode(), code.encode())]
    if matching and matching[0] <= newest - CODE_WINDOWS:
        raise CodeExpired
    return Typed(names_of(keys, number, identity_public), digits, matching[0] if matching else None)


class _Sent(NamedTuple):
    expires_window: int
    digits: int
    guesses: int


async def check(tx: Tx, typed: Typed, newest: int, today: int) -> bool:
    """REGISTRATION-06 whether a code of this window or the last is the one that was sent; counts it if it is not.

    To be committed either way. While the number is locked only a long code counts: an SMS brought it after the guesses,
    and nobody guesses twelve digits. What nobody was sent cannot be guessed, and is not counted: nobody locks a number
    without an SMS that its owner sees. Raises TooManyGuesses.
    """
    sql = "SELECT expires_window, digits, guesses FROM code_sent WHERE name = $1 AND expires_window > $2"
    rows = [_Sent(*cast("tuple[int, int, int]", row)) for row in await tx.rows(sql, typed.names.sent, newest)]
    if not rows:
        return False
    if typed.digits == CODE_DIGITS and await _is_locked(tx, typed.names.number, newest):
        raise TooManyGuesses
    left = [row for row in rows if row.guesses < MAX_GUESSES]
    if not left:
        raise TooManyGuesses
    if any((row.expires_window - CODE_WINDOWS, row.digits) == (typed.window, typed.digits) for row in left):
        return True
    await tx.run(
        "UPDATE code_sent SET guesses = guesses + 1 WHERE name = $1 AND expires_window > $2", typed.names.sent, newest
    )
    if any(row.digits == CODE_DIGITS for row in left):
        await _count_guess(tx, typed.names.number, newest, today)
    return False


async def _count_guess(tx: Tx, number: bytes, newest: int, today: int) -> None:
    sql = "SELECT guesses, locks, until_window FROM code_lock WHERE name = $1 AND expires_day > $2"
    row = await tx.row(sql, number, today)
    guesses, locks, until = cast("tuple[int, int, int]", row) if row is not None else (0, 0, 0)
    guesses += 1
    if guesses >= MAX_GUESSES:
        until = newest + min(FIRST_LOCK << min(locks, 16), MAX_LOCK)
        guesses, locks = 0, locks + 1
    await tx.run(
        "INSERT INTO code_lock (name, guesses, locks, until_window, expires_day) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (name) DO UPDATE SET guesses = $2, locks = $3, until_window = $4, expires_day = $5",
        number,
        guesses,
        locks,
        until,
        today + FORGET_AFTER,
    )


async def use(tx: Tx, typed: Typed) -> bool:
    """A code serves: its number's guesses are forgotten, and its lock is lifted. Returns whether it had served before.

    Raises CodeWrong when no such code is noted.
    """
    if typed.window is None:
        raise CodeWrong
    row = (typed.names.sent, typed.window + CODE_WINDOWS)
    found = await tx.row("SELECT used FROM code_sent WHERE name = $1 AND expires_window = $2", *row)
    if found is None:
        raise CodeWrong
    await tx.run("UPDATE code_sent SET used = 1 WHERE name = $1 AND expires_window = $2", *row)
    await tx.run("DELETE FROM code_lock WHERE name = $1", typed.names.number)
    return found[0] == 1


async def expire(tx: Tx, newest: int, today: int) -> None:
    """Remove what no longer counts; to be asked once a window. A few thousand rows at most, by the caps."""
    await tx.run("DELETE FROM code_sent WHERE expires_window <= $1", newest)
    await tx.run("DELETE FROM code_count WHERE expires_window <= $1", newest)
    await tx.run("DELETE FROM code_lock WHERE expires_day <= $1", today)
