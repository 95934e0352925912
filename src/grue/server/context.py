"""The context that all roles of one server share: its store, its keys, the time, and chance. It knows no role."""

import os
import time
from collections.abc import Callable

from grue.protocol.tokens import epoch_of
from grue.server.chance import Coins
from grue.server.clock import DAY
from grue.server.keys.keys import Keys
from grue.server.store.interface import Store


class Context:
    """Every role is given the one of its server. Call within the event loop that serves it."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.store = store
        self.keys = keys
        self.clock = clock
        """Unix seconds."""
        self.random = random
        """So many bytes by chance."""
        self.coins = Coins(random)

    @property
    def today(self) -> int:
        """Days since 1970."""
        return int(self.clock()) // DAY

    @property
    def week(self) -> int:
        return self.today // 7

    @property
    def token_epoch(self) -> int:
        """The epoch of the tokens that are drawn now; they are good in the next one too."""
        return epoch_of(self.week, self.keys.token_generation)

    def blurred_day(self) -> int:
        """Today or tomorrow, by chance: what expires by it does not tell on which of two days it was stored."""
        return self.today + self.coins.toss()
