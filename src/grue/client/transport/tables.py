"""Queries for tokens and for counts of what each party was given, to be used inside a transaction."""

from typing import cast

from grue.client.store.engine import Db, as_int, as_str
from grue.protocol.tokens import Purpose, StoredToken


def count_tokens(db: Db, purpose: Purpose) -> int:
    row = db.row("SELECT count(*) FROM token WHERE purpose = ?", purpose.value)
    return as_int(row[0]) if row is not None else 0


def put_tokens(db: Db, purpose: Purpose, tokens: list[StoredToken]) -> None:
    """Keep these for later."""
    rows = ((token.nonce, purpose.value, token.epoch, token.output) for token in tokens)
    db.many("INSERT OR IGNORE INTO token VALUES (?, ?, ?, ?)", rows)


def take_tokens(db: Db, purpose: Purpose, count: int) -> list[StoredToken]:
    """The oldest ones, so that they are used before they expire; none when there are too few."""
    sql = "SELECT epoch, nonce, output FROM token WHERE purpose = ? ORDER BY epoch, nonce LIMIT ?"
    rows = cast("list[tuple[int, bytes, bytes]]", db.rows(sql, purpose.value, count))
    if len(rows) < count:
        return []
    for _, nonce, _ in rows:
        db.execute("DELETE FROM token WHERE nonce = ?", nonce)
    return [StoredToken(epoch, nonce, output) for epoch, nonce, output in rows]


def forget_tokens(db: Db, purpose: Purpose, epoch: int) -> None:
    """Those up to this epoch have expired."""
    db.execute("DELETE FROM token WHERE purpose = ? AND epoch <= ?", purpose.value, epoch)


def count_exposure(db: Db, day: int, counts: dict[tuple[str, str], int]) -> None:
    """Add to what each party has been given, by day."""
    for (party, fact), count in counts.items():
        db.execute(
            "INSERT INTO exposure VALUES (?1, ?2, ?3, ?4)"
            " ON CONFLICT (day, party, fact) DO UPDATE SET count = count + ?4",
            *(day, party, fact, count),
        )


def exposure(db: Db, first: int) -> list[tuple[str, str, int]]:
    """What each party was given from a day on, in days since 1970."""
    rows = db.rows(
        "SELECT party, fact, sum(count) FROM exposure WHERE day >= ?1 GROUP BY party, fact ORDER BY party, fact", first
    )
    return [(as_str(party), as_str(fact), as_int(count)) for party, fact, count in rows]


def exposure_days(db: Db, first: int) -> list[tuple[int, int]]:
    """Days since 1970 from one on, each with how many requests went out."""
    rows = db.rows("SELECT day, sum(count) FROM exposure WHERE day >= ?1 GROUP BY day ORDER BY day", first)
    return [(as_int(day), as_int(count)) for day, count in rows]
