"""Tokens are minted with the server's keys, for benchmarks and tests that are about something else."""

import os
import time
from typing import cast

from grue.protocol import wire
from grue.protocol.tokens import Purpose, StoredToken, epoch_of, price, spend
from grue.server.keys.keys import Keys

WEEK = 7 * 86_400
"""Seconds."""


def mint(keys: Keys, purpose: Purpose, epoch: int) -> StoredToken:
    """One token that nobody drew."""
    nonce = os.urandom(32)
    return StoredToken(epoch, nonce, keys.token_key(purpose, epoch).output([nonce])[0])


def paid(keys: Keys, request: wire.Message, now: float | None = None) -> wire.Message:
    """The request with fresh tokens, if it has a price. `now` is Unix seconds."""
    cost = price(request)
    if cost is None:
        return request
    epoch = epoch_of(int(time.time() if now is None else now) // WEEK, keys.token_generation)
    return spend(cast("wire.Priced", request), [mint(keys, cost[0], epoch) for _ in range(cost[1])])
