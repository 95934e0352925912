"""This device signs each request of its account over a challenge of the server."""

from typing import TypeVar

from grue._core import MlsMissing, MlsSession
from grue.client.context import Account, Context
from grue.client.store.engine import Db
from grue.client.store.entries import mls_entries
from grue.client.transport.transport import Challenge
from grue.errors import NotAGrueServer, NotRegistered, ServerBusy
from grue.protocol import wire

T = TypeVar("T", bound=wire.Message)


async def signed(context: Context, request: wire.SignedRequest, expect: type[T]) -> T:
    """Send an account request, signed by this device over the server's challenge. Raises what the server refuses."""
    for _ in range(2):
        signed_request = await context.store.read(_sign, context.account, context.challenge, wire.encode(request))
        try:
            answer = await context.transport.account(signed_request)
        except Challenge as wanted:
            context.challenge = wanted.challenge
            continue
        if not isinstance(answer, expect):
            raise NotAGrueServer
        return answer
    raise ServerBusy


def _sign(db: Db, account: Account, challenge: bytes, body: bytes) -> wire.Signed:
    session = MlsSession(mls_entries(db, b"s"))
    try:
        signature = session.sign(wire.signed_bytes(account.id, challenge, body))
    except MlsMissing:
        # Another process of this home has left the server meanwhile.
        raise NotRegistered from None
    return wire.Signed(account.id, account.device_public, challenge, body, signature)
