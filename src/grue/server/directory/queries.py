"""The role that answers private queries: paid for here, and answered by a replica, or in the own queue."""

from contextlib import ExitStack
from typing import TYPE_CHECKING

from grue.errors import BadRequest, EpochEnded, TokenSpent
from grue.protocol import wire
from grue.server.tokens import tokens

if TYPE_CHECKING:
    from grue.server.app import Server


async def answer(server: "Server", request: wire.Query, paid: list[tokens.Spent]) -> wire.Answers:
    """Answer private queries; it is never known which columns are wanted. 9 ms of a core each at a million records.

    QUERY-01 their epoch is one whose table is still here (EpochEnded: look at the head again).
    QUERY-02 each has the length that the table's layout says (BadRequest).
    QUERY-03 they were not answered before for the same tokens: each answer takes long, and is paid for (TokenSpent).
    """
    base = server.directory.private_base(request.epoch)
    if base is None:
        raise EpochEnded
    if any(len(query) != base.layout.query_bytes for query in request.queries):
        raise BadRequest
    with ExitStack() as held:
        replicas = server.replicas
        if replicas is None or not held.enter_context(replicas.room(request)):
            replicas = None
            held.enter_context(server.queries.room(request.queries))
        if await server.store.transact(tokens.take, paid):
            raise TokenSpent
        if replicas is not None:
            answers = await replicas.answer(request, base.layout)
            if answers is not None:
                return wire.Answers(answers)
            held.enter_context(server.queries.room(request.queries, paid=True))
        return wire.Answers(await server.queries.answer(base, request.queries))
