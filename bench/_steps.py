"""What can happen in a schedule, step by step, and how often each is drawn."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from bench._schedule import STRANGERS, Person, Schedule, name
from bench._trial import Killed
from grue._core import MlsSession
from grue.client.client import Client
from grue.client.conversations import tables
from grue.client.conversations.tables import reading_conversations
from grue.client.store.engine import Db
from grue.client.store.entries import group_prefix, mls_entries, save_mls, stamp_key
from grue.errors import ContactGone, ForkedLog, GrueError, KeyChanged, NumberHeld, Refused
from grue.protocol.conversation.asking import post_request
from grue.protocol.conversation.contents import ResyncRequest
from grue.protocol.conversation.conversation import ConversationState
from grue.protocol.conversation.groups import sign_readmission

Step = Callable[[Schedule], Awaitable[None]]

LONGEST: Final = 45
"""Days that pass at once, at most."""


async def send(schedule: Schedule) -> None:
    """One writes to another, and accepts a new key more often than not."""
    one, other = schedule.two()
    text = schedule.next_text()
    failure = await _sent(schedule, one, other, text, accept_key=False)
    if isinstance(failure, (KeyChanged, ForkedLog, ContactGone)) and schedule.chosen.random() < 0.8:
        await _sent(schedule, one, other, text, accept_key=True)


async def _sent(
    schedule: Schedule, one: Person, other: Person, text: str, *, accept_key: bool
) -> GrueError | Killed | None:
    words = f"{name(one)} sends {text} to {name(other)}{', and accepts the key' * accept_key}"
    failure = await schedule.acted(one, words, one.client.send(other.number, text, accept_key=accept_key))
    if failure is None:
        await schedule.accepted(one, other.number)
    return failure


async def receive(schedule: Schedule) -> None:
    await schedule.received(schedule.somebody())


async def interrupted(schedule: Schedule) -> None:
    """Somebody's network goes while they receive or send."""
    schedule.trial.faults.answers = schedule.chosen.randint(0, 8)
    schedule.say(f"-- {schedule.trial.faults.answers} answers arrive, and the next is lost")
    await schedule.chosen.choice((receive, receive, send))(schedule)


async def killed(schedule: Schedule) -> None:
    """Somebody's process is killed while they receive or send."""
    schedule.trial.faults.commits = schedule.chosen.randint(0, 8)
    schedule.say(f"-- killed after {schedule.trial.faults.commits} commits")
    await schedule.chosen.choice((receive, receive, send))(schedule)


async def days(schedule: Schedule) -> None:
    passed = schedule.chosen.choice((1, 3, 7, 10, 20, 29, 30, 31, 32, LONGEST)) + schedule.chosen.random()
    await schedule.trial.pass_days(passed)
    schedule.say(f"-- {passed:.2f} days pass")


async def full_client(schedule: Schedule) -> None:
    """Somebody receives or sends while the disk under the home is full."""
    schedule.trial.faults.client_full = True
    schedule.say("-- the disk of whoever comes next is full")
    await schedule.chosen.choice((receive, send))(schedule)
    schedule.trial.faults.client_full = False


async def full_server(schedule: Schedule) -> None:
    """The server's disk is full, or has room again."""
    schedule.trial.faults.server_full = not schedule.trial.faults.server_full
    schedule.say(f"-- the server's disk is {'full' if schedule.trial.faults.server_full else 'mended'}")


async def restart(schedule: Schedule) -> None:
    if schedule.trial.faults.server_full:
        return
    await schedule.trial.crash()
    schedule.say("-- the server is killed, and started again")


async def flood(schedule: Schedule) -> None:
    """Strangers write to somebody, more of them than requests may wait."""
    victim = schedule.somebody()
    for number in STRANGERS:
        if number not in schedule.strangers:
            schedule.strangers[number] = await schedule.trial.open(number)
        with suppress(GrueError):
            await schedule.strangers[number].send(victim.number, "flood", accept_key=True)
    schedule.say(f"-- {len(STRANGERS)} strangers write to {name(victim)}")


async def decided(schedule: Schedule) -> None:
    """Somebody accepts, declines, blocks or unblocks one of the others."""
    one = schedule.somebody()
    await schedule.show(one)
    waiting = await one.client.context.store.read(_requests)
    what = schedule.chosen.choice(("accept", "decline", "block", "unblock"))
    others = waiting if what in ("accept", "decline") else [p.number for p in schedule.people if p is not one]
    if not others:
        return
    whom = schedule.chosen.choice(others)
    await schedule.acted(one, f"{name(one)}: {what} {whom}", getattr(one.client.requests, what)(whom))
    if what == "accept":
        await schedule.accepted(one, whom)
    elif what == "block":
        schedule.turned_down(one, whom)


def _requests(db: Db) -> list[str]:
    from grue.client.conversations.requests import waiting

    return [request.chat for request in waiting(db)]


async def resync(schedule: Schedule) -> None:
    """Somebody loses track of conversations, or says so without need."""
    one = schedule.somebody()
    await schedule.chosen.choice((_forget_keys, _ask_for_nothing))(schedule, one)


async def _forget_keys(schedule: Schedule, one: Person) -> None:
    store = one.client.context.store
    for conversation, _ in await store.read(reading_conversations):
        await store.transact(_delete_range, b"g" + conversation.id + b"h")
        # Else the group that is kept in memory is taken for what is there.
        await store.transact(_delete_range, stamp_key(conversation.id))
    schedule.say(f"-- {name(one)} cannot follow the next commit")


def _delete_range(db: Db, prefix: bytes) -> None:
    db.execute("DELETE FROM mls WHERE key >= ? AND key < ?", prefix, prefix + b"\xff" * 64)


async def _ask_for_nothing(schedule: Schedule, one: Person) -> None:
    await one.client.context.store.transact(_queue_resync, one.client)
    schedule.say(f"-- {name(one)} asks to be readmitted, without need")


def _queue_resync(db: Db, client: Client) -> None:
    context = client.context
    for conversation, _ in tables.conversations_in(db, {ConversationState.ACTIVE}):
        session = MlsSession(mls_entries(db, b"s", group_prefix(conversation.id)))
        package = session.key_package(context.account.credential, last_resort=False)
        proof = sign_readmission(session, conversation.id, session.epoch(conversation.id))
        request = ResyncRequest(context.random(16), package, context.account.intro_mailbox, proof)
        for other in conversation.members:
            asked = post_request(conversation.request_keys[0], other.intro_mailbox, request, context.tools)
            tables.enqueue(db, conversation.id, asked, context.now_ms)
        save_mls(db, session.changes())


async def anew(schedule: Schedule) -> None:
    """Somebody loses the home, and registers anew on another device: at once, or when the number is not held."""
    one = schedule.somebody()
    await schedule.show(one)
    old = one.client
    home = f"{one.number}-{len(schedule.homes)}"
    client = await schedule.trial.open(home)
    schedule.say(f"-- {name(one)} has lost the home, and registers anew")
    try:
        await client.register(one.number, schedule.trial.url)
        try:
            await client.verify(schedule.trial.code(one.number))
        except NumberHeld:
            if schedule.chosen.random() < 0.5:
                (claim,) = await old.account.claims()
                await old.account.release(claim.name)
            else:
                await schedule.trial.pass_days(8)
                schedule.say("-- 8.00 days pass")
                await client.register(one.number, schedule.trial.url)
            await client.verify(schedule.trial.code(one.number))
    except (GrueError, LookupError) as error:
        schedule.say(f"   which fails: {type(error).__name__}")
        await client.close()
        return
    await old.close()
    schedule.gone[one.home] = schedule.trial.clock.now
    one.client, one.home = client, home
    schedule.homes[home] = one.number


async def leave(schedule: Schedule) -> None:
    """Somebody deletes the account; three at least stay."""
    staying = [person for person in schedule.people if person.registered]
    if len(staying) <= 3 or schedule.trial.faults.server_full:
        return
    one = schedule.chosen.choice(staying)
    await schedule.show(one)
    with suppress(Refused):
        await one.client.account.delete()
        one.registered = False
        schedule.gone[one.home] = schedule.trial.clock.now
        schedule.say(f"-- {name(one)} deletes the account")


WEIGHTS: Final[dict[Step, int]] = {
    send: 30,
    receive: 30,
    interrupted: 5,
    killed: 5,
    days: 10,
    full_client: 2,
    full_server: 2,
    restart: 1,
    flood: 2,
    decided: 4,
    resync: 3,
    anew: 2,
    leave: 1,
}
"""How often each step is drawn, in parts of all."""


async def play(schedule: Schedule, steps: int) -> None:
    """Draw so many steps, and then let everybody receive."""
    for _ in range(steps):
        (step,) = schedule.chosen.choices(list(WEIGHTS), list(WEIGHTS.values()))
        await step(schedule)
        schedule.trial.clock.pass_seconds(1)
    await schedule.end()
