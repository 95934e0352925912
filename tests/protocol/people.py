"""Accounts and a mailbox without a server or a store: what the conversation protocol is tested with."""

import os
from collections.abc import Sequence
from itertools import chain

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from grue._core import MlsSession
from grue.protocol import wire
from grue.protocol.accountkey import SECRET_BYTES, public_of
from grue.protocol.blobs import Sealing
from grue.protocol.conversation.answering import ask_us
from grue.protocol.conversation.asking import keys_of_requests, open_request
from grue.protocol.conversation.changing import carry_out, leave
from grue.protocol.conversation.commits import update
from grue.protocol.conversation.contents import CommitPart, IntroRequest, IntroWelcome, LargeGroup, ResyncRequest, Text
from grue.protocol.conversation.conversation import (
    READING,
    Conversation,
    ConversationEvent,
    Incoming,
    Outgoing,
    Purpose,
    Step,
    Tools,
    become,
    confirm,
    say,
)
from grue.protocol.conversation.devices import credential, device_list_hash, sign_device_list
from grue.protocol.conversation.first_contact import (
    Invited,
    Me,
    Peer,
    accept,
    accept_invited,
    check_claimed,
    invited,
    open_intro,
    slot_exchanged,
    start_conversation,
    start_group,
)
from grue.protocol.conversation.first_contact import group_of as group_of_welcome
from grue.protocol.conversation.follow import Follower
from grue.protocol.conversation.resync import ask_resync
from grue.protocol.conversation.stored import Plan
from grue.protocol.conversation.trees import large_group, place_of

TOOLS = Tools(1_800_000_000_000, os.urandom)


class Device:
    """One device of an account: its MLS entries, its conversation, and what it has posted and read."""

    def __init__(self, identity: Ed25519PrivateKey) -> None:
        self.entries: dict[bytes, bytes] = {}
        session = MlsSession({})
        self.public = session.new_identity()
        self.keep(session)
        self.credential = credential(identity, self.public)
        self.me: Me
        self.secret: bytes
        self.conversation: Conversation
        self.posted: dict[bytes, Purpose] = {}
        self.digests: set[bytes] = set()
        self.hashes: dict[int, bytes] = {}
        self.incoming: list[Incoming] = []
        self.steps: list[Step] = []
        self.readmitted: dict[bytes, list[int]] = {}
        self.parts: dict[int, list[CommitPart]] = {}

    def session(self) -> MlsSession:
        return MlsSession(self.entries)

    def keep(self, session: MlsSession) -> None:
        self.keep_changes(session.changes())

    def keep_changes(self, changes: dict[bytes, bytes | None]) -> None:
        for key, value in changes.items():
            if value is None:
                self.entries.pop(key, None)
            else:
                self.entries[key] = value

    def package(self) -> bytes:
        session = self.session()
        package = session.key_package(self.credential, last_resort=False)
        self.keep(session)
        return package

    def apply(self, step: Step) -> list[Outgoing]:
        self.conversation = step.conversation
        self.posted |= {outgoing.envelope: outgoing.purpose for outgoing in step.outgoing}
        self.digests |= {outgoing.digest for outgoing in step.outgoing if outgoing.digest}
        self.hashes |= step.hashes
        for identity in step.readmitted:
            self.readmitted.setdefault(identity, []).append(TOOLS.now_ms)
        self.incoming += step.incoming
        self.steps.append(step)
        return step.outgoing

    def say(self, text: str, message: bytes | None = None) -> list[Outgoing]:
        session = self.session()
        step = say(session, self.conversation, Text(message or os.urandom(16), text, 0), TOOLS)
        self.keep(session)
        return self.apply(step)

    def update(self) -> list[Outgoing]:
        session = self.session()
        step = update(session, self.conversation, TOOLS)
        self.keep(session)
        return self.apply(step)

    def confirm(self) -> list[Outgoing]:
        session = self.session()
        receipts = confirm(session, self.conversation, [], TOOLS)
        self.keep(session)
        return self.apply(Step(self.conversation, receipts))

    def plan(self, plan: Plan) -> list[Outgoing]:
        session = self.session()
        step = carry_out(session, self.conversation, self.me, plan, TOOLS)
        self.keep(session)
        return self.apply(step)

    def leave(self) -> list[Outgoing]:
        session = self.session()
        step = leave(session, self.conversation, TOOLS)
        self.keep(session)
        return self.apply(step)

    def ask_resync(self) -> list[Outgoing]:
        session = self.session()
        step = ask_resync(session, self.conversation, self.me, TOOLS)
        self.keep(session)
        return self.apply(step)

    def hear(self, outgoing: Sequence[Outgoing]) -> None:
        """Take what is asked of us, of requests that are posted to whomever."""
        for one in outgoing:
            if isinstance(one.request, wire.PostIntro) and one.request.mailbox == self.me.intro_mailbox:
                payload = open_intro(one.request.blob, self.secret)
                if isinstance(payload, IntroRequest):
                    keys, envelope = keys_of_requests(self.conversation), one.request.envelope
                    request = open_request(keys, self.me.intro_mailbox, envelope, payload)
                    if isinstance(request, ResyncRequest):
                        self.conversation = ask_us(self.conversation, request)

    def follow(self, deliveries: Sequence[wire.Delivery]) -> list[Outgoing]:
        digests = self.digests.__contains__
        readmitted = self.readmitted.get
        entries = dict(self.entries)
        follower = Follower(
            MlsSession(entries),
            lambda: entries,
            self.me,
            TOOLS,
            self.posted.get,
            digests,
            self.hashes.get,
            lambda who: readmitted(who, []),
        )
        follower.parts = lambda leaf: self.parts.get(leaf, [])
        step, followed = follower.follow(self.conversation, deliveries)
        self.parts = step.parts if step.new_epoch else self.parts | step.parts
        self.keep_changes(followed.changes() if isinstance(followed, MlsSession) else followed)
        return self.apply(step)

    def invited(
        self,
        blob: bytes,
        known: Sequence[Conversation] = (),
        list_version: int = 0,
        large: LargeGroup | None = None,
    ) -> Invited:
        session = self.session()
        payload = open_intro(blob, self.secret)
        assert isinstance(payload, IntroWelcome)
        by_id = {conversation.id: conversation for conversation in known}
        result = invited(session, self.me, payload, by_id.get, lambda _identity: list_version, TOOLS, large)
        self.keep(session)
        self.apply(result.step)
        return result

    def accept(self) -> None:
        self.apply(accept(self.conversation, TOOLS))
        self.conversation = slot_exchanged(self.conversation, self.conversation.log.cursor)

    @property
    def texts(self) -> list[str]:
        return [incoming.text.text for incoming in self.incoming]


class Person:
    """An account with some devices, all on its list."""

    def __init__(self, number: str, devices: int = 1) -> None:
        self.identity = Ed25519PrivateKey.generate()
        self.public = self.identity.public_key().public_bytes_raw()
        self.number = number
        self.intro, self.secret = os.urandom(32), os.urandom(SECRET_BYTES)
        self.devices = [Device(self.identity) for _ in range(devices)]
        self.relist([device.public for device in self.devices])

    def relist(self, keys: list[bytes], version: int = 1) -> None:
        listed = wire.DeviceList(version, self.public, public_of(self.secret), self.intro, keys)
        self.list = sign_device_list(listed, self.identity)
        for device in self.devices:
            device.secret = self.secret
            device.me = Me(self.public, self.number, device.credential, self.list, self.intro, None)

    @property
    def device(self) -> Device:
        return self.devices[0]

    def claimed(self) -> wire.Claimed:
        return wire.Claimed(self.list, [wire.ClaimedPackage(d.public, d.package()) for d in self.devices])

    def checked(self, claimed: wire.Claimed | None = None, known_version: int = 0) -> Peer:
        return check_claimed(claimed or self.claimed(), self.public, device_list_hash(self.list), known_version)


class Mailbox:
    """A total order of envelopes."""

    def __init__(self) -> None:
        self.log: list[wire.Delivery] = []

    def take(self, outgoing: Sequence[Outgoing]) -> None:
        for one in outgoing:
            if isinstance(one.request, wire.Post):
                request = one.request
                delivery = wire.Delivery(request.mailbox, len(self.log) + 1, request.envelope, request.blob)
                self.log.append(delivery)

    def after(self, device: Device) -> list[wire.Delivery]:
        return self.log[device.conversation.log.cursor :]


class Office:
    """All mailboxes of a server, as far as a group needs them: none refuses anything."""

    def __init__(self) -> None:
        self.logs: dict[bytes, list[wire.Delivery]] = {}
        self.intros: dict[bytes, list[bytes]] = {}
        self.blobs: dict[bytes, bytes] = {}
        self.requests: list[Outgoing] = []

    def large(self, device: Device, blob: bytes) -> LargeGroup | None:
        """What a Welcome leaves out, from where it says; None when it leaves nothing out."""
        payload = open_intro(blob, device.secret)
        assert isinstance(payload, IntroWelcome)
        place = place_of(device.session(), payload, group_of_welcome(payload))
        if place is None:
            return None
        sealing = Sealing(place.key, place.length)
        parts = [sealing.unseal(n, self.blobs[sealing.part_id(n)]) for n in range(sealing.parts)]
        return large_group(b"".join(parts))

    def take(self, device: Device, outgoing: Sequence[Outgoing]) -> None:
        for one in outgoing:
            match one.request:
                case wire.CreateMailbox(mailbox):
                    self.logs.setdefault(mailbox, [])
                case wire.Post(mailbox, _, envelope, blob):
                    log = self.logs[mailbox]
                    log.append(wire.Delivery(mailbox, len(log) + 1, envelope, blob))
                case wire.PostIntro() if one.purpose is Purpose.RESYNC:
                    self.requests.append(one)
                case wire.PostIntro(mailbox, _, blob):
                    self.intros.setdefault(mailbox, []).append(blob)
                case wire.PutBlob(part, blob):
                    self.blobs[part] = blob
                case wire.ExchangeSlot(mailbox):
                    assert mailbox in self.logs
                    device.conversation = slot_exchanged(device.conversation, device.conversation.log.cursor)
                case _:
                    pass

    def waiting(self, device: Device) -> list[wire.Delivery]:
        conversation = device.conversation
        drained = [self.logs[drain.log.mailbox][drain.log.cursor :] for drain in conversation.drains]
        return [*chain(*drained), *self.logs[conversation.log.mailbox][conversation.log.cursor :]]

    def read(self, *devices: Device) -> None:
        """Let everybody read to the head, and post what follows from it, until nothing more does."""
        busy = True
        while busy:
            before = sum(map(len, self.logs.values()))
            for device in devices:
                device.hear(self.requests)
                if device.conversation.state in READING:
                    self.take(device, device.follow(self.waiting(device)))
            self.requests.clear()
            busy = sum(map(len, self.logs.values())) > before

    def join(self, *people: "Person") -> None:
        """Accept the newest invitation of each."""
        for person in people:
            device = person.device
            known = [device.conversation] if hasattr(device, "conversation") else []
            blob = self.intros[person.intro].pop()
            result = device.invited(blob, known, large=self.large(device, blob))
            self.take(device, device.apply(accept_invited(result, TOOLS)))


def group_of(*names: str) -> tuple["Office", list["Person"]]:
    """A group of as many accounts, the first its admin; everybody has joined."""
    people = [Person(f"+4477009001{n:02}") for n in range(len(names))]
    office, founder = Office(), people[0].device
    session = founder.session()
    step = start_group(session, founder.me, [person.checked() for person in people[1:]], "Hike", "", TOOLS)
    founder.keep(session)
    office.take(founder, founder.apply(step))
    founder.conversation = become(founder.conversation, ConversationEvent.POSTED)
    office.join(*people[1:])
    return office, people


def first_contact(alice: Device, bob: Person, text: str = "hello") -> tuple[list[Outgoing], bytes]:
    """Alice founds; returns what goes out, and the envelope for Bob's intro mailbox."""
    session = alice.session()
    step = start_conversation(session, alice.me, bob.checked(), Text(os.urandom(16), text, 0), TOOLS)
    alice.keep(session)
    outgoing = alice.apply(step)
    (blob,) = [o.request.blob for o in outgoing if isinstance(o.request, wire.PostIntro)]
    return outgoing, blob


def acquainted(devices: int = 1) -> tuple[Person, Person, Mailbox]:
    """Alice and Bob in an active conversation, nothing in its log."""
    alice, bob = Person("+447700900001"), Person("+447700900002", devices)
    _, blob = first_contact(alice.device, bob)
    alice.device.conversation = become(alice.device.conversation, ConversationEvent.POSTED)
    for device in bob.devices:
        device.invited(blob)
        device.accept()
        device.incoming.clear()
    return alice, bob, Mailbox()


def exchange(mailbox: Mailbox, *devices: Device) -> None:
    """Let everybody read to the head, and post what follows from it, until nothing more does."""
    busy = True
    while busy:
        before = len(mailbox.log)
        for device in devices:
            mailbox.take(device.follow(mailbox.after(device)))
        busy = len(mailbox.log) > before
