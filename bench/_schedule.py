"""One schedule: what five people do, drawn at random from a seed, and what is true of every text in the end.

Each step has one client act, or time pass, or something fail. What a person is shown is noted, and what the sender of
each text was told last; `Schedule.faults` compares them when everybody has received for more than `ENVELOPE_DAYS` + 1.
"""

import random
from collections import defaultdict
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Final

from bench._trial import Killed, Trial
from grue.client.client import Client
from grue.client.conversations import tables
from grue.client.store.engine import Db
from grue.errors import GrueError
from grue.protocol import wire
from grue.protocol.conversation.conversation import ConversationState

NUMBERS: Final = tuple(f"+44770090000{n}" for n in range(1, 6))
STRANGERS: Final = tuple(f"+44770090010{n}" for n in range(1, 5))
FLOOD: Final = 2
"""Requests that wait at once, in place of a thousand: then a flood takes few strangers."""
STEPS: Final = 22
"""Steps of one schedule."""
LAST_DAYS: Final = (0.0, 0.01, 10.5, 10.5, 10.5, 0.01)
"""How the time goes on in the end, before each round in which everybody receives: some more than an envelope lives."""
DECIDED_MS: Final = (wire.ENVELOPE_DAYS + 1) * 86_400_000
"""After so long whoever sent a text knows what became of it."""
MORE_ROUNDS: Final = 12
"""Rounds of eight days more, for what was sent again meanwhile."""


@dataclass
class Person:
    number: str
    client: Client
    home: str
    registered: bool = True
    gone_for_good: bool = False


@dataclass
class Shown:
    """A text that was shown in one home."""

    sender: str
    """The chat that it was shown in."""
    request: bool
    """Nothing is confirmed of it: nobody has accepted who sent it."""
    times: int = 1
    confirmed: float | None = None
    """Unix seconds at which its home had received to the end, and so has said that it is read."""


@dataclass
class Told:
    """What the sender of a text was told last."""

    to: str
    state: str
    since: float
    """Unix seconds at which that was seen."""
    acknowledged: int
    """Unix milliseconds."""
    text: str
    before: list[str] = field(default_factory=list)


class Schedule:
    """The people of one schedule, what they do, and what they were shown and told."""

    def __init__(self, trial: Trial, chosen: random.Random) -> None:
        self.trial = trial
        self.chosen = chosen
        self.people: list[Person] = []
        self.friends: list[Person] = []
        self.strangers: dict[str, Client] = {}
        self.transcript: list[str] = []
        self.shown: dict[tuple[str, str], Shown] = {}
        """By home and message."""
        self.told: dict[tuple[str, str], Told] = {}
        """By home and message."""
        self.homes: dict[str, str] = {}
        """Numbers by home, lost ones too."""
        self.gone: dict[str, float] = {}
        """Unix seconds at which each home was lost, or its account deleted: nobody confirms anything there again."""
        self.killed: set[str] = set()
        """Homes a process of which was killed: what it was showing comes twice."""
        self.whole: defaultdict[str, list[tuple[float, set[str]]]] = defaultdict(list)
        """Unix seconds at which each home received to the end, and whom it had blocked then: it tells them nothing."""
        self._texts = 0
        self._blocked: set[tuple[str, str]] = set()
        """Homes, and the numbers that they do not hear: what these confirm is not heard either."""
        self._old: set[str] = set()
        """Texts of before the schedule."""

    # --- playing ----------------------------------------------------------------------------------

    async def begin(self) -> None:
        for number in NUMBERS:
            self.people.append(Person(number, await self.trial.open(number), number))
            self.homes[number] = number
            self._old |= {id_ for id_, *_ in await self.people[-1].client.context.store.read(_own_texts)}
        self.friends = self.chosen.sample(self.people, 2)

    async def end(self) -> None:
        """Everything works again, and whoever is left receives, for more than an envelope lives."""
        self.say("-- everything works, everybody receives")
        faults = self.trial.faults
        faults.client_full = faults.server_full = False
        self.mended()
        for n, days in enumerate(LAST_DAYS):
            await self._round(days)
            if n and self._settled():
                return
        for _ in range(MORE_ROUNDS):
            if not self._undecided():
                break
            await self._round(8.0)

    async def _round(self, days: float) -> None:
        if days:
            await self.trial.pass_days(days)
        for person in self.people:
            if person.registered:
                await self.received(person)
                self.trial.clock.pass_seconds(1)

    def _undecided(self) -> bool:
        return any(told.state in ("sent", "queued") and not self._is_shown(id) for (_, id), told in self.told.items())

    def _settled(self) -> bool:
        """Whether no more time can change what is told of any text: nothing waits for a reader, or to be shown."""
        homes = {person.home for person in self.people if person.registered}
        mine = [(id, told) for (home, id), told in self.told.items() if home in homes]
        return all(told.state != "delivered" or self._is_shown(id) for id, told in mine) and not any(
            told.state in ("sent", "queued") for _, told in mine
        )

    def say(self, words: str) -> None:
        day = (self.trial.clock.now - 1_800_000_000) / 86_400
        self.transcript.append(f"day {day:6.2f}  {words}")

    def mended(self) -> None:
        self.trial.faults.mend()
        self.trial.network.down = False

    # --- what people do ---------------------------------------------------------------------------

    def somebody(self) -> Person:
        """Of those who have an account."""
        return self.chosen.choice([person for person in self.people if person.registered])

    def two(self) -> tuple[Person, Person]:
        """Who writes, and to whom: more often than not of two who write to each other most."""
        if self.chosen.random() < 0.6:
            one, other = self.chosen.sample(self.friends, 2)
            if one.registered:
                return one, other
        one = self.somebody()
        return one, self.chosen.choice([person for person in self.people if person is not one])

    def next_text(self) -> str:
        self._texts += 1
        return f"t{self._texts}"

    async def acted(self, person: Person, words: str, work: Awaitable[object]) -> GrueError | Killed | None:
        """None if it worked, else why not; whoever is killed in it starts anew."""
        try:
            result = await work
            self.say(f"{words}: {getattr(result, 'state', 'done')}")
        except GrueError as error:
            self.say(f"{words}: {error.code}")
            return error
        except Killed as end:
            self.say(f"{words}: killed")
            self.killed.add(person.home)
            await self.restarted(person)
            return end
        finally:
            self.mended()
            await self.look(person)
        return None

    async def restarted(self, person: Person) -> None:
        full, self.trial.faults.client_full = self.trial.faults.client_full, False
        self.mended()
        await person.client.close()
        person.client = await self.trial.open(person.home)
        self.trial.faults.client_full = full

    async def received(self, person: Person) -> None:
        """Receive once, and show what came. A server whose disk is full takes no word of it."""
        failure = await self.acted(person, f"{name(person)} receives", person.client.poll())
        await self.show(person)
        if failure is None and not self.trial.faults.server_full:
            self._confirmed(person, await person.client.context.store.read(_blocked))

    async def show(self, person: Person) -> None:
        """Show what is here. A full disk has it shown again the next time."""
        try:
            while (message := await person.client.take()) is not None:
                seen = self.shown.get((person.home, message.id))
                if seen is None:
                    self.shown[person.home, message.id] = Shown(message.claimed or message.sender, message.request)
                else:
                    seen.times += 1
                self.say(f"{name(person)} is shown {message.text} of {message.sender}{' (request)' * message.request}")
                await person.client.shown(message)
        except GrueError as error:
            self.say(f"{name(person)} cannot note what was shown: {error.code}")
            self.killed.add(person.home)
            await self.restarted(person)

    def _confirmed(self, person: Person, blocked: set[str]) -> None:
        self.whole[person.home].append((self.trial.clock.now, blocked))
        for (home, _), shown in self.shown.items():
            if home == person.home and not shown.request and shown.confirmed is None:
                shown.confirmed = self.trial.clock.now

    async def accepted(self, person: Person, number: str) -> None:
        """What was a request of theirs is confirmed from now on, unless it was declined and forgotten."""
        forgotten = await person.client.context.store.read(_forgotten)
        for (home, id_), shown in self.shown.items():
            if home == person.home and shown.sender == number and id_ not in forgotten:
                shown.request = False

    def turned_down(self, person: Person, number: str) -> None:
        """What was not confirmed yet is not from now on."""
        for (home, _), shown in self.shown.items():
            if home == person.home and shown.sender == number and shown.confirmed is None:
                shown.request = True
        self._blocked.add((person.home, number))

    async def look(self, person: Person) -> None:
        """Note what this home says of own texts now."""
        if not person.client._opened.is_open:
            return
        for id_, chat, state, acknowledged, text in await person.client._opened.store.read(_own_texts):
            if id_ in self._old:
                continue
            told = self.told.get((person.home, id_))
            if told is None:
                told = self.told[person.home, id_] = Told(chat, state, self.trial.clock.now, acknowledged, text)
            elif told.state != state:
                told.before.append(told.state)
                told.state, told.since = state, self.trial.clock.now
            told.acknowledged = acknowledged

    # --- what has to be true ----------------------------------------------------------------------

    def faults(self) -> list[str]:
        """What is not as it has to be, of texts whose senders still have their homes."""
        homes = {person.home for person in self.people if person.registered}
        found = [self._fault(home, id_, told) for (home, id_), told in self.told.items() if home in homes]
        twice = [
            f"{id_[:6]} was shown {shown.times} times at {home}"
            for (home, id_), shown in self.shown.items()
            if shown.times > 1 and home not in self.killed
        ]
        return [fault for fault in found if fault] + twice

    def _fault(self, home: str, id_: str, told: Told) -> str:
        shown = [(at, shown) for (at, one), shown in self.shown.items() if one == id_ and at != home]
        words = f"{told.text} of {home} to {told.to} is {told.state}"
        if (home, told.to) in self._blocked:
            return ""
        if told.state in ("expired", "refused"):
            return f"{words}, and was shown" if any(self._was_said(at, one, home, told) for at, one in shown) else ""
        if shown:
            return ""
        return f"{words}, and was never shown"

    def _was_said(self, home: str, shown: Shown, sender: str, told: Told) -> bool:
        """Whether a home that has shown this text received to the end while the server had it, and so has said so.

        Of one that is gone by then, or has blocked the sender since, the sender may have missed that, and cannot ask
        again: it goes out once more, and who is blocked is to see nothing but what an unread text looks like.
        """
        if shown.confirmed is None or self.gone.get(home, told.since + 1) <= told.since:
            return False
        acknowledged = told.acknowledged / 1000
        until = min(told.since, acknowledged + (wire.ENVELOPE_DAYS - 1) * 86_400)
        told_at = [time for time, blocked in self.whole[home] if self.homes[sender] not in blocked]
        return any(max(shown.confirmed, acknowledged) <= time < until for time in told_at)

    def _is_shown(self, id_: str) -> bool:
        return any(one == id_ for _, one in self.shown)


def name(person: Person) -> str:
    return "ABCDE"[NUMBERS.index(person.number)]


def _own_texts(db: Db) -> list[tuple[str, str, str, int, str]]:
    rows = db.rows(
        "SELECT hex(message.id), number, state, acknowledged, text FROM message JOIN chat ON chat = chat.id"
        " WHERE incoming = 0 AND route = 'encrypted' AND state <> 'submitting'"
    )
    return [
        (str(id_).lower(), str(number), str(state), int(str(acknowledged)), str(text))
        for id_, number, state, acknowledged, text in rows
    ]


def _forgotten(db: Db) -> set[str]:
    gone = tables.conversations_in(db, {ConversationState.GONE})
    return {message.hex() for conversation, _ in gone for message in tables.incoming_in(db, conversation.id)}


def _blocked(db: Db) -> set[str]:
    return {str(who) for (who,) in db.rows("SELECT who FROM blocked")}
