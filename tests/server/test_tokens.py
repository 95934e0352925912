"""The token issuer and the till: what is drawn, what is spent, and how much of either a number gets."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from grue._core import OprfBlind, OprfKey
from grue.errors import (
    BadRequest,
    BadToken,
    LimitReached,
    NoSuchMailbox,
    NotPermitted,
    ServerBusy,
    TokenExpired,
    TokenNeeded,
    TokenSpent,
)
from grue.lab.mint import mint
from grue.protocol import wire
from grue.protocol.tokens import EPOCH_WEEKS, Purpose, StoredToken, epoch_of, spend
from grue.server import clock
from grue.server.clock import DAY
from grue.server.directory.directory import Directory
from grue.server.keys.keys import Keys, open_keys
from grue.server.tokens import tokens
from tests.server.kit import BLOB, Clock, TestServer, key_hash, serving


class CountedKeys(Keys):
    """Keys that count how often a token key is used: each time is work that takes a core for a while."""

    used = 0

    def token_key(self, purpose: str, epoch: int) -> OprfKey:
        self.used += 1
        return super().token_key(purpose, epoch)


@pytest.fixture
async def counted(server: TestServer) -> CountedKeys:
    """The same server with counted keys."""
    keys = server.keys
    counted = server.context.keys = CountedKeys(keys.signing, keys.code_key, keys.oprf)
    return counted


ACCOUNT, TAG = b"a" * 16, b"t" * 16
INTRO = b"i" * 32


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[TestServer]:
    keys = open_keys(tmp_path)
    async with serving(tmp_path / "server.db", keys=keys, directory=Directory(tmp_path, keys)) as server:
        # A Monday of a week since 1970, so that its days can be counted.
        server.clock.now = 7 * DAY * 2860.0
        await add_account(server)
        yield server


async def add_account(server: TestServer, account: bytes = ACCOUNT) -> None:
    async def add(tx: Any) -> None:
        await tx.run(
            "INSERT INTO account VALUES ($1, $2, $3, $3, $3, $4, 1, NULL, 9999)",
            account,
            TAG,
            b"k" * 32,
            os.urandom(32),
        )

    await server.store.transact(add)


async def draw(server: TestServer, purpose: str = "lookup", **changed: Any) -> wire.Drawn:
    blinded = changed.get("blinded") or [OprfBlind.blind(os.urandom(32)).element] * wire.TOKEN_BATCH
    request = wire.DrawTokens(purpose, changed.get("epoch", epoch_of(server.week)), blinded)
    return await tokens.draw(server.context, changed.get("account", ACCOUNT), request)


async def draw_all(server: TestServer, purpose: str = "lookup") -> int:
    """Batches until the allowance is used up."""
    for batches in range(1000):
        try:
            await draw(server, purpose)
        except LimitReached:
            return batches * wire.TOKEN_BATCH
    raise AssertionError("no limit")


def evaluation(count: int = 1) -> wire.Evaluate:
    return wire.Evaluate(1, [OprfBlind.blind(os.urandom(8)).element for _ in range(count)])


def paying(server: TestServer, request: wire.Priced, purpose: Purpose = Purpose.LOOKUP, count: int = 1) -> wire.Spend:
    epoch = epoch_of(server.week)
    return spend(request, [mint(server.keys, purpose, epoch) for _ in range(count)])


async def code(server: TestServer, request: wire.Message) -> str:
    answer = wire.ANONYMOUS_ANSWER.decode(await server.anonymous(wire.encode(request)))
    return answer.code if isinstance(answer, wire.Refusal) else "done"


# --- drawing --------------------------------------------------------------------------------------


async def test_token_03_only_keys_that_are_in_use_are_drawn_under(server: TestServer) -> None:
    with pytest.raises(BadRequest):
        await draw(server, "sms")
    for epoch in (epoch_of(server.week) + 1, epoch_of(server.week) - 2):
        with pytest.raises(TokenExpired):
            await draw(server, epoch=epoch)


async def test_token_04_the_first_week_has_an_address_book_and_each_day_after_it_fifty(server: TestServer) -> None:
    assert await draw_all(server) == tokens.FIRST_LOOKUPS
    server.clock.days(6)
    assert await draw_all(server) == 0
    for _ in range(10):
        server.clock.days(1)
        assert await draw_all(server) == tokens.DAILY_LOOKUPS


async def test_token_04_a_limit_says_how_long_to_wait_and_waiting_so_long_helps(server: TestServer) -> None:
    await draw_all(server)
    for _ in range(3):
        with pytest.raises(LimitReached) as limit:
            await draw(server)
        assert 0 < limit.value.retry_after <= 7 * DAY
        server.clock.now += limit.value.retry_after
        assert len((await draw(server)).elements) == wire.TOKEN_BATCH


async def test_token_04_posts_have_a_week_of_their_own(server: TestServer) -> None:
    assert await draw_all(server, "post") == tokens.WEEKLY_POSTS
    assert await draw_all(server, "lookup") == tokens.FIRST_LOOKUPS
    server.clock.days(7)
    assert await draw_all(server, "post") == tokens.WEEKLY_POSTS


async def test_token_04_the_allowance_is_the_numbers_and_outlives_its_account(server: TestServer) -> None:
    await draw_all(server)

    async def again(tx: Any) -> None:
        await tx.run("DELETE FROM account")

    await server.store.transact(again)
    with pytest.raises(NotPermitted):
        await draw(server)
    await add_account(server, b"b" * 16)
    with pytest.raises(LimitReached):
        await draw(server, account=b"b" * 16)


async def test_token_04_draws_at_once_are_counted_one_after_the_other(server: TestServer) -> None:
    drawn = await asyncio.gather(*(draw(server) for _ in range(30)), return_exceptions=True)
    assert sum(isinstance(one, wire.Drawn) for one in drawn) == tokens.FIRST_LOOKUPS // wire.TOKEN_BATCH


async def test_token_04_a_draw_above_the_limit_is_refused_before_the_work(
    server: TestServer, counted: CountedKeys
) -> None:
    await draw_all(server)
    before = counted.used
    for _ in range(5):
        with pytest.raises(LimitReached):
            await draw(server)
    assert counted.used == before


@pytest.mark.parametrize("element", [bytes(32), b"\xff" * 32, b"\x01" + bytes(31)])
async def test_token_05_what_is_no_element_is_refused_and_uses_nothing_up(server: TestServer, element: bytes) -> None:
    good = OprfBlind.blind(b"x").element
    for _ in range(30):
        with pytest.raises(BadRequest):
            await draw(server, blinded=[good] * (wire.TOKEN_BATCH - 1) + [element])
    assert await draw_all(server) == tokens.FIRST_LOOKUPS


# --- spending -------------------------------------------------------------------------------------


async def test_what_has_a_price_is_not_done_without(server: TestServer) -> None:
    priced: list[wire.Message] = [
        evaluation(), wire.Claim(INTRO), wire.PostIntro(INTRO, b"e" * 16, BLOB),
        wire.CreateMailbox(b"m" * 32, b"w" * 32, b"r" * 32, []),
    ]  # fmt: skip
    for request in priced:
        assert await code(server, request) == TokenNeeded.code
    assert await code(server, wire.Fetch(b"m" * 32, b"r" * 32, 0)) == NoSuchMailbox.code


async def test_token_06_each_number_takes_a_token_of_its_own(server: TestServer) -> None:
    for count in (1, 3):
        assert await code(server, paying(server, evaluation(2), count=count)) == BadToken.code
    one = mint(server.keys, Purpose.LOOKUP, epoch_of(server.week))
    assert await code(server, spend(evaluation(2), [one, one])) == BadToken.code
    assert await code(server, paying(server, evaluation(2), count=2)) == "done"


async def test_token_07_a_token_is_good_in_its_epoch_and_the_next(server: TestServer) -> None:
    spends = [paying(server, evaluation()) for _ in range(3)]
    assert await code(server, spends[0]) == "done"
    server.clock.days(7 * EPOCH_WEEKS)
    assert await code(server, spends[1]) == "done"
    server.clock.days(7 * EPOCH_WEEKS)
    assert await code(server, spends[2]) == TokenExpired.code
    server.clock.days(-12 * 7 * EPOCH_WEEKS)
    assert await code(server, spends[2]) == TokenExpired.code


async def test_token_08_what_is_forged_or_made_for_something_else_buys_nothing(server: TestServer) -> None:
    token = paying(server, evaluation()).tokens[0]
    other = wire.encode(evaluation())
    forged = wire.Token(token.epoch, os.urandom(32), token.mac)
    for tokens_, body in (([token], other), ([forged], other)):
        assert await code(server, wire.Spend(tokens_, body)) == BadToken.code
    assert await code(server, paying(server, evaluation(), Purpose.POST)) == BadToken.code
    assert await code(server, paying(server, wire.Claim(INTRO), Purpose.LOOKUP)) == BadToken.code


async def test_a_token_cut_short_is_no_request(server: TestServer) -> None:
    whole = wire.encode(paying(server, evaluation()))
    for length in range(0, len(whole), 7):
        answer = wire.ANONYMOUS_ANSWER.decode(await server.anonymous(whole[:length]))
        assert isinstance(answer, wire.Refusal)
        assert answer.code in (BadRequest.code, BadToken.code)


def creation(mailbox: bytes = b"m" * 32) -> wire.CreateMailbox:
    return wire.CreateMailbox(mailbox, b"w" * 32, key_hash(b"r" * 32), [])


async def test_token_09_a_token_is_spent_once_and_the_same_request_again_costs_nothing(server: TestServer) -> None:
    token = mint(server.keys, Purpose.POST, epoch_of(server.week))
    first = spend(creation(), [token])
    assert await code(server, first) == "done"
    assert await code(server, first) == "done"
    assert await code(server, spend(creation(b"n" * 32), [token])) == TokenSpent.code


@pytest.mark.parametrize("count", [1, 40])
async def test_evaluate_03_the_same_evaluation_again_is_refused_before_any_work(
    server: TestServer, counted: CountedKeys, count: int
) -> None:
    payment = paying(server, evaluation(count), count=count)
    assert await code(server, payment) == "done"
    before = counted.used
    turned = wire.Spend(payment.tokens[::-1], payment.body)
    for again in (payment, turned):
        assert await code(server, again) == TokenSpent.code
    assert counted.used == before


async def test_token_10_the_same_evaluation_many_times_at_once_is_checked_once(
    server: TestServer, counted: CountedKeys
) -> None:
    payment = paying(server, evaluation(40), count=40)
    before = counted.used
    codes = await asyncio.gather(*(code(server, payment) for _ in range(20)))
    assert sorted(codes) == ["done"] + [TokenSpent.code] * 19
    assert counted.used == before + 40
    assert server.spending == set()


async def test_token_11_good_tokens_are_spent_with_a_bad_one_so_that_no_work_is_for_nothing(
    server: TestServer, counted: CountedKeys
) -> None:
    request = evaluation(40)
    payment = paying(server, request, count=40)
    forged = wire.Token(payment.tokens[-1].epoch, os.urandom(32), os.urandom(32))
    with_a_bad_one = wire.Spend([*payment.tokens[:-1], forged], payment.body)
    assert await code(server, with_a_bad_one) == BadToken.code
    before = counted.used
    for again in (with_a_bad_one, payment):
        assert await code(server, again) == TokenSpent.code
    assert counted.used == before
    assert await rows(server, "token_spent") == 39


async def test_an_evaluation_for_another_lookup_key_spends_nothing(server: TestServer) -> None:
    other = wire.Evaluate(2, evaluation().blinded)
    assert await code(server, paying(server, other)) == ServerBusy.code
    assert await rows(server, "token_spent") == 0


async def test_token_09_of_many_spendings_at_once_one_is_done(server: TestServer) -> None:
    token = mint(server.keys, Purpose.LOOKUP, epoch_of(server.week))
    codes = await asyncio.gather(*(code(server, spend(evaluation(), [token])) for _ in range(20)))
    assert sorted(codes) == ["done"] + [TokenSpent.code] * 19


async def test_a_claim_that_is_repeated_takes_no_second_package(server: TestServer) -> None:
    claim = paying(server, wire.Claim(INTRO), Purpose.POST)
    assert await code(server, claim) == "no_key_packages"
    assert await code(server, claim) == "no_key_packages", "what was refused has cost nothing"


async def test_a_creation_that_is_repeated_makes_no_mailbox_that_was_removed_again(server: TestServer) -> None:
    payment = paying(server, creation(), Purpose.POST)
    assert await code(server, payment) == "done"
    assert await code(server, payment) == "done", "its answer may have been lost"
    assert await code(server, wire.RemoveReader(b"m" * 32, b"r" * 32)) == "done"
    assert await code(server, payment) == TokenSpent.code
    assert await code(server, wire.Fetch(b"m" * 32, b"r" * 32, 0)) == NoSuchMailbox.code
    assert await code(server, paying(server, creation(), Purpose.POST)) == "done"


# --- after a restore ------------------------------------------------------------------------------


@asynccontextmanager
async def restarted(data: Path) -> AsyncIterator[TestServer]:
    """A server on a folder, with its keys read and its directory opened anew."""
    keys = open_keys(data)
    clock = Clock()
    async with serving(data / "server.db", keys=keys, directory=Directory(data, keys, clock), clock=clock) as server:
        yield server
        await server.directory.close()


def drawn(server: TestServer, purpose: Purpose = Purpose.LOOKUP) -> StoredToken:
    """A token of the newest key that the manifest names."""
    return mint(server.keys, purpose, max(key.epoch for key in server.directory.manifest.token_keys))


async def test_after_a_restore_no_token_from_before_is_good(tmp_path: Path) -> None:
    data, backup = tmp_path / "data", tmp_path / "backup"
    async with restarted(data) as server:
        spent, kept = drawn(server), drawn(server)
    shutil.copytree(data, backup)
    async with restarted(data) as server:
        assert await code(server, spend(evaluation(), [spent])) == "done"
    voided = [spent, kept]
    for _ in range(2):
        shutil.rmtree(data)
        shutil.copytree(backup, data)
        async with restarted(data) as server:
            await server.after_restore()
            voided.append(drawn(server))
            assert await code(server, spend(evaluation(), [voided[-1]])) == "done"
            for token in voided[:-1]:
                assert await code(server, spend(evaluation(), [token])) == TokenExpired.code
        async with restarted(data) as server:
            assert await code(server, spend(evaluation(), [kept])) == TokenExpired.code, "nor after the next start"
            assert await code(server, spend(evaluation(), [voided[-1]])) == TokenSpent.code
            await server.sweep()
            assert await code(server, spend(evaluation(), [voided[-1]])) == TokenSpent.code, "nor after a sweep"


async def test_a_second_restore_voids_what_was_drawn_after_the_first(tmp_path: Path) -> None:
    async with restarted(tmp_path) as server:
        voided = []
        for _ in range(3):
            voided.append(drawn(server))
            await server.after_restore()
        for token in voided:
            assert await code(server, spend(evaluation(), [token])) == TokenExpired.code
        assert await code(server, spend(evaluation(), [drawn(server)])) == "done"


# --- forgetting -----------------------------------------------------------------------------------


async def rows(server: TestServer, table: str) -> int:
    async def count(tx: Any) -> int:
        return int((await tx.row(f"SELECT count(*) FROM {table}"))[0])  # noqa: S608 -- our own names

    return await server.store.read(count)


async def test_spent_tokens_and_allowances_go_when_they_are_due(server: TestServer) -> None:
    await draw(server)
    assert await code(server, paying(server, evaluation())) == "done"
    server.clock.days(7 * (tokens.QUOTA_WEEKS - 1))
    await sweep(server)
    assert (await rows(server, "token_spent"), await rows(server, "token_quota")) == (1, 1)
    server.clock.days(7 * (2 * EPOCH_WEEKS))
    await sweep(server)
    assert (await rows(server, "token_spent"), await rows(server, "token_quota")) == (0, 0)


async def sweep(server: TestServer) -> None:
    for first_byte in range(256):
        await server.store.transact(tokens.expire, first_byte, server.week, 0)


async def test_a_token_that_was_spent_stays_so_when_the_clock_steps_back_into_its_time(server: TestServer) -> None:
    token = mint(server.keys, Purpose.LOOKUP, epoch_of(server.week))
    good_until = (epoch_of(server.week) + 2) * EPOCH_WEEKS * 7 * DAY
    server.clock.now = good_until - 30.0
    assert await code(server, spend(evaluation(), [token])) == "done"
    for step in (60, clock.MAX_BEHIND):
        server.clock.now = good_until + step - 60.0
        await sweep(server)
        server.clock.now -= step
        assert await code(server, spend(evaluation(), [token])) == TokenSpent.code
    server.clock.now = good_until + tokens.STEP_WEEKS * 7 * DAY
    await sweep(server)
    assert await rows(server, "token_spent") == 0


@pytest.mark.parametrize("step", [60, 3600, clock.MAX_BEHIND])
async def test_token_04_a_week_that_comes_twice_brings_its_allowance_once(server: TestServer, step: int) -> None:
    monday = server.clock.now + 7 * DAY
    assert await draw_all(server) == tokens.FIRST_LOOKUPS
    for drawn in (tokens.DAILY_LOOKUPS, 0, 0):
        server.clock.now = monday + 1
        assert await draw_all(server) == drawn
        server.clock.now -= step
        await sweep(server)
        assert await draw_all(server) == 0
    with pytest.raises(LimitReached) as limit:
        await draw(server)
    server.clock.now += limit.value.retry_after
    assert server.clock.now == monday + DAY
    assert await draw_all(server) == tokens.DAILY_LOOKUPS


@pytest.mark.parametrize("step", [60, 3600, clock.MAX_BEHIND])
async def test_token_04_a_first_week_that_comes_twice_is_one(server: TestServer, step: int) -> None:
    for purpose, allowance in (("lookup", tokens.FIRST_LOOKUPS), ("post", tokens.WEEKLY_POSTS)):
        server.clock.now += 1
        assert await draw_all(server, purpose) == allowance
        server.clock.now -= step
        await sweep(server)
        assert await draw_all(server, purpose) == 0
        server.clock.now += step


async def test_token_04_an_allowance_of_a_far_future_keeps_nobody_waiting_for_it(server: TestServer) -> None:
    server.clock.days(7 * (tokens.STEP_WEEKS + 1))
    await draw_all(server)
    server.clock.days(-7 * (tokens.STEP_WEEKS + 1))
    assert await draw_all(server) == tokens.DAILY_LOOKUPS, "it is no first week"
    await draw(server, "post")


async def test_a_sweep_forgets_what_was_spent_and_drawn(server: TestServer) -> None:
    await draw(server)
    assert await code(server, paying(server, evaluation())) == "done"
    server.clock.days(7 * (3 * EPOCH_WEEKS))
    await server.sweep()
    assert (await rows(server, "token_spent"), await rows(server, "token_quota")) == (0, 0)


# --- a crawler ------------------------------------------------------------------------------------


async def test_a_crawler_that_waits_to_be_forgotten_gains_nothing(server: TestServer) -> None:
    began, drawn = server.clock.now, 0
    for weeks in (1, 4, 5, 3, 6, 4, 4):
        drawn += await draw_all(server)
        server.clock.days(7 * weeks)
        await sweep(server)
        days = int(server.clock.now // DAY - began // DAY)
        assert drawn <= tokens.FIRST_LOOKUPS + tokens.DAILY_LOOKUPS * days
