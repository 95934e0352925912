"""The query role: it takes payment for private queries, and has a replica or its own queue answer them."""

from contextlib import AbstractContextManager, ExitStack
from typing import Protocol

from grue._core import PirLayout
from grue.errors import BadRequest, EpochEnded, TokenSpent
from grue.protocol import wire
from grue.server.context import Context
from grue.server.directory.directory import Directory
from grue.server.directory.queryqueue import Queries
from grue.server.tokens import tokens


class Helpers(Protocol):
    """Those who answer private queries in a server's place, as `replica.replicas` does."""

    def room(self, request: wire.Query) -> AbstractContextManager[bool]:
        """Take a place among those under way; False when nobody is to be asked."""
        ...

    async def answer(self, request: wire.Query, layout: PirLayout) -> list[bytes] | None:
        """The answers, or None; for who has `room`."""
        ...


class QueryRole:
    """Private queries of one server: its queue, and those who help."""

    def __init__(self, context: Context, directory: Directory) -> None:
        self._context = context
        self._directory = directory
        self.queue = Queries()
        self.helpers: Helpers | None = None

    async def answer(self, request: wire.Query, paid: list[tokens.Spent]) -> wire.Answers:
        """Answer private queries; it is never known which columns are wanted. 9 ms of a core each at a million records.

        QUERY-01 their epoch is one whose table is still here (EpochEnded: look at the head again).
        QUERY-02 each has the length that the table's layout says (BadRequest).
        QUERY-03 they were not answered before for the same tokens: each answer takes long, and is paid for
        (TokenSpent).
        """
        base = self._directory.private_base(request.epoch)
        if base is None:
            raise EpochEnded
        if any(len(query) != base.layout.query_bytes for query in request.queries):
            raise BadRequest
        with ExitStack() as held:
            helpers = self.helpers
            if helpers is None or not held.enter_context(helpers.room(request)):
                helpers = None
                held.enter_context(self.queue.room(request.queries))
            if await self._context.store.transact(tokens.take, paid):
                raise TokenSpent
            if helpers is not None:
                answers = await helpers.answer(request, base.layout)
                if answers is not None:
                    return wire.Answers(answers)
                held.enter_context(self.queue.room(request.queries, paid=True))
            return wire.Answers(await self.queue.answer(base, request.queries))
