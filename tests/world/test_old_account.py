"""A home whose account is of an earlier protocol: it says so, keeps what it holds, and registers anew."""

import pytest
from msgspec.structs import replace

from grue.client.context import Account, save_account
from grue.client.store.engine import Db
from grue.client.store.entries import get_meta
from grue.errors import ForeignDatabase, NotRegistered, NumberHeld, OldAccount
from grue.protocol.wire import PROTOCOL
from grue.testing import World
from tests.world.memory import ALICE, BOB, take
from tests.world.test_messages import acquainted


def made_by(db: Db, protocol: int) -> None:
    account = get_meta(db, "account", Account)
    assert account is not None
    save_account(db, replace(account, protocol=protocol))


async def test_an_old_home_opens_and_says_that_it_has_to_register_anew(world: World) -> None:
    alice, _bob = await acquainted(world)
    await alice.context.store.transact(made_by, PROTOCOL - 1)
    old = await world.open(ALICE)
    assert [chat.chat for chat in await old.chats()] == [BOB]
    for attempt in (old.lookup(BOB), old.verify("000000"), old.account.daily_round(), old.send(BOB, "lost")):
        with pytest.raises(OldAccount) as caught:
            await attempt
    assert (caught.value.exit_code, caught.value.code) == (2, "old_account")
    assert "grue register" in caught.value.fix


async def test_an_old_home_that_registers_anew_writes_again_and_has_its_messages(world: World) -> None:
    alice, bob = await acquainted(world)
    held = [message.text for message in await alice.history(BOB)]
    await alice.context.store.transact(made_by, PROTOCOL - 1)
    anew = await world.open(ALICE)
    await anew.register(ALICE, alice.server)
    with pytest.raises(NotRegistered) as caught:
        await anew.lookup(BOB)
    assert type(caught.value) is NotRegistered
    # To the server the account of before is in use, so that the number is held for it.
    with pytest.raises(NumberHeld):
        await anew.verify(world.code(ALICE))
    await world.pass_days(8)
    await anew.register(ALICE, alice.server)
    await anew.verify(world.code(ALICE))
    assert [message.text for message in await anew.history(BOB)] == held
    await anew.send(BOB, "of protocol 2")
    assert "of protocol 2" in await take(bob)


async def test_a_home_of_a_later_protocol_is_not_touched(world: World) -> None:
    alice, _bob = await acquainted(world)
    await alice.context.store.transact(made_by, PROTOCOL + 1)
    with pytest.raises(ForeignDatabase, match=f"protocol {PROTOCOL + 1}; this Grue speaks {PROTOCOL}"):
        await world.open(ALICE)


def test_an_account_that_says_no_protocol_is_of_the_first() -> None:
    """As homes of protocol 1 have it stored."""
    defaults = dict(zip(Account.__struct_fields__[::-1], Account.__struct_defaults__[::-1], strict=False))
    assert defaults["protocol"] == 1
