"""Who is in the week, what they do, and what has to be the same everywhere at its end.

Five people write to each other and in three groups, add and remove each other, and are away for days. Whoever is in the
middle of something is killed now and then, and so is the server. Nobody is told what became of what was under way then;
in the end every device is asked what it holds.
"""

import json
import os
import random
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.cli.play import PASSPHRASE, Stage

NUMBERS: Final = {name: f"+4477009001{n:02}" for n, name in enumerate(("anna", "ben", "chloe", "dan", "emma"))}
GROUPS: Final = {
    "Hike": ("anna", "ben", "chloe"),
    "Family": ("ben", "anna", "dan", "emma"),
    "Choir": ("emma", "chloe", "dan"),
}
"""Who is in each at first; the one named first makes it."""
MORE: Final = {"anna": 2, "ben": 1}
"""Devices besides the first: eight in all."""
DAY: Final = 86_400
KILLED: Final = 0.12
"""How often what is asked of a device ends with its death."""
SERVER_KILLED: Final = 0.03
LONGEST_MOMENT: Final = 0.4
"""Seconds after which it dies: about what most things take."""
AWAY: Final = 0.2
"""How often a device is off for the day."""
PATIENCE: Final = 120
"""Seconds for one answer."""
SETTLING: Final = 12
"""Rounds at most in which everybody reads, until nobody has anything new."""


Histories = Mapping[str, list[Mapping[str, Any]]]
"""The messages of each chat."""


class Device:
    """A process of its own, which is started when something is asked of it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None
        self.ahead = 0.0

    def ask(self, do: str, **arguments: object) -> None:
        """Have it begin with something."""
        if self._process is None:
            command = [sys.executable, "-m", "tests.week.device", str(self._home), str(self.ahead)]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """What it says to what was asked last: `done`, or `refused` with the code of an error."""
        assert self._process is not None
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        assert ready, "a device did not answer"
        line = self._process.stdout.readline()
        assert line, f"a device ended by itself, with {self._process.wait()}"
        return dict(json.loads(line))

    def done(self, do: str, **arguments: object) -> Any:
        """Ask, wait, and give what came of it. Raises AssertionError when it was refused."""
        self.ask(do, **arguments)
        answer = self.answer()
        assert "done" in answer, (do, answer)
        return answer["done"]

    def kill(self) -> None:
        self._end(kill=True)

    def stop(self) -> None:
        self._end(kill=False)

    def _end(self, *, kill: bool) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if kill:
            process.kill()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.wait(PATIENCE)
        process.stdout.close()


@dataclass
class Person:
    """Somebody with a number, on all of their devices."""

    name: str
    number: str
    devices: list[Device]
    id: str = ""
    awake: list[Device] = field(default_factory=list)
    """Those that are on today."""


class Week:
    """One seeded week. `with` starts and ends everything in it."""

    def __init__(self, path: Path, seed: int) -> None:
        self._chosen = random.Random(seed)
        self._stage = Stage(path)
        self._path = path
        self._ahead = 0
        self.people = {
            name: Person(name, number, [Device(path / f"{name}{n or ''}") for n in range(1 + MORE.get(name, 0))])
            for name, number in NUMBERS.items()
        }
        self.groups: dict[str, str] = {}
        """The id of each group, by its first name."""
        self.constant: dict[str, set[str]] = {}
        """Who has been in it all the time."""
        self.said = 0
        self.kills = 0
        self.refused: Counter[str] = Counter()
        self.kept_from: list[tuple[str, str, set[str]]] = []
        """Group, text, and the members at the time: nobody else may read it."""

    def __enter__(self) -> "Week":
        os.environ["GRUE_PASSPHRASE"] = PASSPHRASE
        self._stage.open()
        return self

    def __exit__(self, *_error: object) -> None:
        for device in self._devices():
            device.kill()
        self._stage.close()

    # --- what happens -----------------------------------------------------------------------------

    def begin(self) -> None:
        """Everybody registers, and the groups are made."""
        for person in self.people.values():
            first, *further = person.devices
            first.done("register", number=person.number, server=self._stage.url)
            first.done("verify", code=self._stage.code(person.number))
            person.id = first.done("person")
            for n, device in enumerate(further):
                self._link(first, device, f"device {n + 2}")
        for name, (founder, *others) in GROUPS.items():
            numbers = [self.people[other].number for other in others]
            self.groups[name] = self.people[founder].devices[0].done("create", name=name, numbers=numbers)
            self.constant[name] = set(GROUPS[name])
        self.settle()

    def _link(self, old: Device, new: Device, name: str) -> None:
        link = new.done("offer", server=self._stage.url, name=name)
        new.ask("meet")
        old.ask("see", link=link)
        assert new.answer() == old.answer()
        new.ask("finish")
        old.done("take_in")
        assert "done" in new.answer()

    def day(self, rounds: int) -> None:
        """Some devices stay off; the others do something in every round, several at once."""
        for person in self.people.values():
            on = [device for device in person.devices if self._chosen.random() >= AWAY]
            person.awake = on or person.devices[:1]
        for _ in range(rounds):
            self._round()
        for device in self._devices():
            device.stop()
        self._ahead += DAY
        for device in self._devices():
            device.ahead = self._ahead
        self._stage.restart_server(str(self._ahead))

    def _round(self) -> None:
        people = self._chosen.sample(list(self.people.values()), self._chosen.randint(1, 3))
        asked = [(person, self._chosen.choice(person.awake), self._something(person)) for person in people]
        for _, device, what in asked:
            device.ask(**what)
        dying = [device for _, device, _ in asked if self._chosen.random() < KILLED]
        server_dies = self._chosen.random() < SERVER_KILLED
        if dying or server_dies:
            time.sleep(self._chosen.uniform(0, LONGEST_MOMENT))
        for device in dying:
            device.kill()
        self.kills += len(dying) + server_dies
        if server_dies:
            self._stage.kill_server()
            self._stage.start_server(str(self._ahead))
        for _, device, what in asked:
            if device not in dying:
                self._note(what, device.answer())

    def _something(self, person: Person) -> dict[str, Any]:
        chance = self._chosen.random()
        if chance < 0.35:
            return {"do": "read"}
        if chance < 0.5:
            other = self._chosen.choice([one for one in self.people.values() if one is not person])
            return {"do": "send", "to": other.number, "text": self._text(person)}
        name, group = self._chosen.choice(list(self.groups.items()))
        if chance < 0.85:
            return {"do": "send", "to": group, "text": self._text(person)}
        return {"group": group, **self._change(person, name)}

    def _change(self, person: Person, name: str) -> dict[str, Any]:
        """What a member may want to change; who founded a group stays in it, so that it always has an admin."""
        founder, *others = GROUPS[name]
        what = self._chosen.choice(["add", "remove", "rename", "promote", "leave"])
        if what == "rename":
            return {"do": what, "name": f"{name} {self._chosen.randint(1, 9)}"}
        if what == "leave" and person.name in others:
            self.constant[name].discard(person.name)
            return {"do": what}
        if what == "add":
            return {"do": what, "number": self._chosen.choice(list(NUMBERS.values()))}
        other = self._chosen.choice([one for one in others if one != person.name])
        if what == "promote" and founder != person.name:
            what = "remove"
        if what in ("remove", "leave"):
            what = "remove"
            self.constant[name].discard(other)
        return {"do": what, "number": NUMBERS[other]}

    def _text(self, person: Person) -> str:
        self.said += 1
        return f"{self.said} from {person.name}"

    def _note(self, what: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        if "refused" in answer:
            self.refused[answer["refused"]] += 1
        elif what["do"] == "send" and what["to"] in self.groups.values():
            done = answer["done"]
            self.kept_from.append((what["to"], done["id"], {*done["before"], *done["after"]}))

    def settle(self) -> None:
        """Everybody is on, and reads until nobody has anything new."""
        before: object = None
        for _ in range(SETTLING):
            for device in self._devices():
                device.ask("read")
            for device in self._devices():
                device.answer()
            held = [(device.done("histories"), device.done("groups")) for device in self._devices()]
            if held == before:
                return
            before = held
        raise AssertionError("it does not come to rest")

    def _devices(self) -> list[Device]:
        return [device for person in self.people.values() for device in person.devices]

    # --- what has to hold at the end --------------------------------------------------------------

    def faults(self) -> list[str]:
        """What is wrong once everybody has settled; nothing, if all is well."""
        self.settle()
        held = {
            (name, n): (device.done("histories"), {group["id"]: group for group in device.done("groups")})
            for name, person in self.people.items()
            for n, device in enumerate(person.devices)
        }
        found: list[str] = []
        for name, more in MORE.items():
            for n in range(1, 1 + more):
                found += _differences(name, n, held[name, 0][0], held[name, n][0])
        for name, group in self.groups.items():
            found += self._group_faults(name, group, held)
        found += _texts_between_two(held)
        for who, (histories, _) in held.items():
            for chat, messages in histories.items():
                found += [f"{who} has {one['id']} twice in {chat}" for one in _twice(messages)]
                found += [f"{who} still waits to send in {chat}" for one in messages if one["state"] == "queued"]
        return found

    def _group_faults(self, name: str, group: str, held: Mapping[tuple[str, int], Any]) -> list[str]:
        states = {who: groups[group] for who, (_, groups) in held.items() if group in groups}
        seen = {json.dumps([one["name"], one["members"], one["state"]], sort_keys=True) for one in states.values()}
        found = [f"{name}: members see {sorted(seen)}"] if len(seen) > 1 else []
        wrote = {
            one["id"]: who
            for who, (histories, _) in held.items()
            for one in histories.get(group, [])
            if not one["incoming"]
        }
        sent = {
            one["id"]
            for histories, _ in held.values()
            for one in histories.get(group, [])
            if not one["incoming"] and one["state"] in ("sent", "delivered")
        }
        for who, (histories, _) in held.items():
            has = {one["id"] for one in histories.get(group, [])}
            found += [f"{name}: {who} has {one}, which nobody wrote" for one in has - wrote.keys()]
            if who[0] in self.constant[name]:
                found += [f"{name}: {who} lacks {one} of {wrote[one]}" for one in sent - has]
            for kept, text, members in self.kept_from:
                if kept == group and self.people[who[0]].id not in members and text in has:
                    found.append(f"{name}: {who} has {text}, which was not for them")
        return found


def _differences(name: str, n: int, first: Histories, other: Histories) -> list[str]:
    """What one device of an account has and the first has not, or the other way round."""
    held = [
        {(chat, one["id"], one["text"]) for chat, messages in histories.items() for one in messages}
        for histories in (first, other)
    ]
    return [f"{name}: {one} is not on both of 0 and {n}" for one in sorted(held[0] ^ held[1])]


def _twice(messages: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    seen: Counter[str] = Counter()
    twice = []
    for one in messages:
        seen[one["id"]] += 1
        if seen[one["id"]] == 2:
            twice.append(one)
    return twice


def _texts_between_two(held: Mapping[tuple[str, int], Any]) -> list[str]:
    """Texts that count as sent, and that the other side does not have."""
    found = []
    for (name, n), (histories, _) in held.items():
        for other, number in NUMBERS.items():
            sent = [one for one in histories.get(number, []) if not one["incoming"] and one["state"] != "queued"]
            for m in range(1 + MORE.get(other, 0)):
                theirs = {one["id"] for one in held[other, m][0].get(NUMBERS[name], [])}
                found += [f"{(other, m)} lacks {one['id']} of {(name, n)}" for one in sent if one["id"] not in theirs]
    return found
