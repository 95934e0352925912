"""A crawler that tries everything it can think of for a month, through what the network would call."""

import os
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from grue._core import OprfBlind
from grue.protocol import wire
from grue.protocol.oblivious import check_key, open_response, seal_request
from grue.protocol.tokens import Draw, Purpose, StoredToken, spend
from grue.server.clock import DAY
from grue.server.directory.directory import Directory
from grue.server.keys.keys import open_keys
from grue.server.sms.sms import SmsRole
from grue.server.store.sqlite import open_store
from grue.server.tokens import tokens
from tests.server.kit import Clock, TestServer
from tests.server.test_ohttp_gateway import answered
from tests.server.test_queries import FORCED
from tests.server.test_registration import Person
from tests.server.test_sms import Memory

pytestmark = pytest.mark.whole

CRAWLER, LISTED, UNLISTED = "+447700900001", "+447700900002", "+447700900003"

HOUR = 3600.0

LAST_SUNDAY = (4 * 715 + 3) * 7 + 6
"""A day since 1970, the last of a week and of a token epoch: within the month its tokens go out of use, too."""


class Town:
    """A server on disk, which can be stopped and started, and the telephones that its codes go to."""

    server: TestServer

    def __init__(self, data: Path) -> None:
        self.data = data
        self.clock = Clock()
        self.clock.now = LAST_SUNDAY * DAY + 12 * HOUR
        self.phones = Memory()

    async def start(self) -> None:
        keys = open_keys(self.data)
        directory = Directory(self.data, keys, self.clock, environment=FORCED)
        store = await open_store(self.data / "server.db")
        role = SmsRole(self.phones)
        self.server = TestServer(store, self.clock, keys=keys, directory=directory, sms=role)

    async def stop(self) -> None:
        await self.server.directory.close()
        await self.server.store.close()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def register(self, person: Person) -> bytes:
        assert isinstance(await self.server.account_ask(person.start()), wire.CodeSent)
        code = self.phones.sent[-1].text.split()[0]
        answer = await self.server.account_ask(person.finish(code))
        assert isinstance(answer, wire.Registered), answer
        return answer.account


class Crawler:
    """One number's owner. It counts as learned whatever an answer could tell of a number, wanted or not."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.random = random.Random(1)
        self.person = Person(CRAWLER)
        self.device = Ed25519PrivateKey.generate()
        self.person.devices = [self.device.public_key().public_bytes_raw()]
        self.account = b""
        self.lookups: list[StoredToken] = []
        self.posts: list[StoredToken] = []
        self.spent: list[StoredToken] = []
        self.sent: list[tuple[wire.Message, Sequence[object]]] = []
        """What was paid for, and what it was about."""
        self.learned: set[object] = set()
        self.first = self.last = town.server.today
        """Days on which it was there, by the server's clock."""
        self._next = 0

    async def register(self) -> None:
        self.person.intro = os.urandom(32)
        self.account = await self.town.register(self.person)

    async def signed(self, request: wire.Message) -> Any:
        answer, challenge, body = None, b"", wire.encode(request)
        for _ in range(2):
            signature = self.device.sign(wire.signed_bytes(self.account, challenge, body))
            signed = wire.Signed(self.account, self.person.devices[0], challenge, body, signature)
            answer = await self.town.server.account_ask(signed)
            challenge = getattr(answer, "detail", b"") or b""
        return answer

    async def ask(self, request: wire.Message) -> Any:
        """The answer to an anonymous request, sent straight or through the gateway, there sometimes twice."""
        server = self.town.server
        if self.random.random() < 0.5:
            return wire.ANONYMOUS_ANSWER.decode(await server.anonymous(wire.encode(request)))
        config = check_key(server.ohttp_keys.key_file(), server.keys.server_public, int(server.clock())).config
        sealed = seal_request(config, wire.encode(request))
        reply = await answered(server, sealed.data)
        assert reply.status == 200
        if self.random.random() < 0.2:
            assert (await answered(server, sealed.data)).status == 400
        return wire.ANONYMOUS_ANSWER.decode(open_response(sealed.request, reply.body)[1])

    async def look(self, request: wire.Message, about: Sequence[object]) -> str:
        """Make a request that is about some numbers; the code of what it is refused with."""
        answer = await self.ask(request)
        if isinstance(answer, wire.Refusal):
            return answer.code
        got = answer.elements if isinstance(answer, wire.Evaluated) else answer.answers
        assert len(got) == len(about)
        self.learned.update(about)
        return "done"

    # --- what it does -----------------------------------------------------------------------------

    async def draw_all(self) -> None:
        """With every key that the manifest names, until it may draw no more."""
        for key in self.town.server.directory.manifest.token_keys:
            kept = self.lookups if key.purpose == Purpose.LOOKUP else self.posts
            if kept is self.posts and kept:
                continue
            answer: Any = None
            while not isinstance(answer, wire.Refusal):
                draw = Draw(Purpose(key.purpose), [key], os.urandom)
                answer = await self.signed(draw.request())
                if isinstance(answer, wire.Drawn):
                    kept.extend(draw.drawn(answer))
                if key.purpose == Purpose.POST:
                    break

    def evaluation(self, count: int, *numbers: str) -> tuple[wire.Evaluate, list[object]]:
        about = [*numbers]
        while len(about) < count:
            self._next += 1
            about.append(f"+44770{self._next:07}")
        return wire.Evaluate(1, [OprfBlind.blind(number.encode()).element for number in about]), [*about]

    def query(self, count: int) -> tuple[wire.Query, list[object]]:
        """Queries that are for no column: each answer counts as one more number."""
        self._next += count
        base = self.town.server.directory.private_base(self.town.server.directory.manifest.epoch)
        assert base is not None
        queries = [os.urandom(base.layout.query_bytes) for _ in range(count)]
        about = [("column", self._next + n) for n in range(count)]
        return wire.Query(self.town.server.directory.manifest.epoch, queries), [*about]

    async def do_all(self) -> None:
        await self.draw_all()
        await self.spend_all()
        await self.spend_again()

    async def spend_all(self) -> None:
        """Everything it has, on lookups: also of itself, and on private queries."""
        self.last = max(self.last, self.town.server.today)
        while self.lookups:
            count = min(len(self.lookups), self.random.choice([1, 2, 3, 50, 200]))
            paying, self.lookups = self.lookups[:count], self.lookups[count:]
            request: wire.Priced
            if count == 1 and self.random.random() < 0.5:
                request, about = self.query(1)
            else:
                request, about = self.evaluation(count, *[CRAWLER] * (count == 2))
            paid = spend(request, paying)
            code = await self.look(paid, about)
            assert code in ("done", "token_expired"), code
            self.sent.append((paid, about))
            self.spent += paying

    async def spend_again(self) -> None:
        """The same requests, the same tokens on others, tokens of the wrong kind, too few, twice, and none."""
        # Together those of one key, which are forgotten together.
        for epoch in {token.epoch for token in self.spent}:
            of_one = [token for token in self.spent if token.epoch == epoch][:200]
            await self.look(*_paid(self.evaluation(len(of_one)), of_one))
        for paid, about in self.random.sample(self.sent, min(3, len(self.sent))):
            assert isinstance(paid, wire.Spend)
            await self.look(paid, about)
            other, others = self.evaluation(len(paid.tokens))
            await self.look(wire.Spend(paid.tokens, wire.encode(other)), others)
        old = self.random.sample(self.spent, min(30, len(self.spent)))
        for count in (1, 3, len(old)):
            if 0 < count <= len(old):
                await self.look(*_paid(self.evaluation(count), old[:count]))
                await self.look(*_paid(self.query(1), old[:1]))
                await self.look(*_paid(self.evaluation(count + 1), old[:count]))
                await self.look(*_paid(self.evaluation(2), old[:1] * 2))
        if self.posts:
            await self.look(*_paid(self.evaluation(1), [self.posts.pop()]))
        await self.look(*self.evaluation(5))
        await self.look(*self.query(1))

    async def ask_for_nothing(self) -> None:
        """Requests that cost nothing, about one who is listed and one who is not: no answer may tell which is which."""
        listed, unlisted = [await self._oracles(number) for number in (LISTED, UNLISTED)]
        if listed != unlisted:
            self.learned.update((LISTED, UNLISTED))

    async def _oracles(self, number: str) -> list[wire.Message]:
        """What can be asked about a number without a token."""
        server, stranger = self.town.server, Person(number)
        element = OprfBlind.blind(number.encode()).element
        return [
            await server.account_ask(stranger.finish("000000")),
            await self.signed(wire.CheckIn(number, self.person.device_list)),
            await self.signed(wire.SendSms(os.urandom(16), number, CRAWLER, "hello")),
            await self.ask(wire.Evaluate(1, [element])),
            await self.ask(wire.Evaluate(2, [element])),
            await self.ask(wire.Spend([wire.Token(0, element, element)], wire.encode(wire.Evaluate(1, [element])))),
        ]

    def bound(self) -> int:
        return tokens.FIRST_LOOKUPS + tokens.DAILY_LOOKUPS * (self.last - self.first)

    async def leave_and_come_back(self) -> None:
        assert await self.signed(wire.DeleteAccount()) == wire.Done()
        await self.register()


def _paid(asked: tuple[Any, list[object]], tokens_: list[StoredToken]) -> tuple[wire.Spend, list[object]]:
    request, about = asked
    return spend(request, tokens_), about


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    town = Town(tmp_path)
    await town.start()
    await town.register(Person(LISTED))
    town.server.directory.renew()
    yield town
    await town.stop()


@pytest.mark.timeout(240)
async def test_a_crawler_gets_no_more_than_a_thousand_lookups_and_fifty_a_day(town: Town) -> None:
    """A month in which it draws and spends all it can, at noon and around each midnight; repeats and mixes what it has;
    leaves and comes back; while the server is swept, restarted, and has its clock set back by an hour.
    """
    crawler = Crawler(town)
    await crawler.register()
    for day in range(31):
        await crawler.do_all()
        await _over_midnight(town, crawler, swept=day % 7 == 0)
        assert len(crawler.learned) <= crawler.bound()
        if day % 4 == 3:
            await town.restart()
        if day % 5 == 1:
            await crawler.leave_and_come_back()
            await crawler.ask_for_nothing()
    assert LISTED not in crawler.learned
    assert len(crawler.learned) > crawler.bound() * 0.95, "it tried"


async def _over_midnight(town: Town, crawler: Crawler, *, swept: bool) -> None:
    """To noon of the next day. Half an hour after midnight the clock goes back by one; on Sundays into another week."""
    midnight = town.clock.now + 12 * HOUR
    for now in (HOUR / 2, -HOUR / 2, HOUR / 2):
        town.clock.now = midnight + now
        await town.server.directory.tend()
        await town.server.directory.settled()
        if swept:
            await town.server.sweep()
        await crawler.do_all()
    town.clock.now = midnight + 12 * HOUR
