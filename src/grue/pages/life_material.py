"""The material of the lab's report, and the layout that its sections share: people stand in the same places in each."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from grue.exposure.digest import Digest
from grue.exposure.layout import Point
from grue.exposure.lives import Answers, Life, Person, Shown
from grue.exposure.records import CallDetail, Return


@dataclass(frozen=True, repr=False)
class Material:
    """All that a report is made from."""

    life: Life
    found: Answers
    returned: Return | None
    """The classic directory's; None when it is not there."""
    calls: list[CallDetail] = field(default_factory=list)
    """Of the carrier's records those about the target."""
    notes: tuple[str, ...] = ()
    """Sentences on what of the run is damaged, and what that means for the page."""


@dataclass(frozen=True, repr=False)
class Drawn:
    """What the sections are made with. Lists have one item for each view that has a section."""

    material: Material
    people: dict[str, Person]
    shown: Sequence[Shown]
    found: Sequence[Digest]
    near: Sequence[dict[str, list[bool]]]
    """Contacts who are drawn, and in which steps."""
    beyond: Sequence[dict[str, list[bool]]]
    """The same of people whom only contacts know."""
    places: dict[str, Point]
    """Of everybody who is a drawn contact in some view."""
    far: dict[str, Point]
    """Of everybody else who is drawn."""
    share: int
    """Per cent."""
    called: float | None
    """When the source first did, in truth."""

    def place(self, number: str) -> Point:
        return self.places.get(number) or self.far[number]

    def part(self, most: int) -> int:
        """How many of `most` lines a table of one view has."""
        return most * self.share // 100
