"""Made-up lives: the same for the same seed, with what the questions ask for in them."""

import pytest

from grue.errors import UsageError
from grue.exposure.analyst import answers, brief
from grue.exposure.lives import Kind, Role, View
from grue.lab.fill import fictional_numbers
from grue.lab.life import WEEK, Shape, generate
from grue.lab.play import play_classic, play_telephone


def test_the_same_seed_gives_the_same_life_and_another_another() -> None:
    assert generate(1, WEEK) == generate(1, WEEK) != generate(2, WEEK)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_asked_for_is_in_it(seed: int) -> None:
    life = generate(seed, WEEK)
    roles = {one.number: one.role for one in life.people}
    assert len(life.contacts()) == WEEK.contacts
    assert roles[life.doctor] is Role.DOCTOR
    assert roles[life.source] is Role.SOURCE
    assert {life.closest, life.doctor, life.source} <= set(life.contacts())
    assert life.source_first() is not None


def test_strangers_are_never_in_touch_with_the_subject() -> None:
    life = generate(1, WEEK)
    strangers = {one.number for one in life.people if one.role is Role.STRANGER}
    assert strangers
    assert not strangers & set(life.contacts())
    assert strangers & {event.who for event in life.events}


def test_events_are_in_order_and_within_the_days() -> None:
    life = generate(3, WEEK)
    times = [event.at for event in life.events]
    assert times == sorted(times)
    assert life.begun <= times[0] <= times[-1] <= life.ended
    assert {event.kind for event in life.events} == {Kind.LOOKUP, Kind.TEXT, Kind.CALL}


def test_the_subject_does_nothing_in_the_middle_of_its_nights() -> None:
    life = generate(4, Shape(days=28, contacts=20, events=2000))
    hours = [(event.at - life.begun) % 86_400 / 3600 for event in life.events if event.who == life.subject]
    assert min(min((hour - life.asleep) % 24, (life.asleep - hour) % 24) for hour in hours) > 3


def test_stays_leave_no_gap() -> None:
    life = generate(5, Shape(days=60, contacts=12, events=10))
    assert life.stays[0].begun == life.begun
    assert life.stays[-1].ended == life.ended
    assert all(one.ended == following.begun for one, following in zip(life.stays, life.stays[1:], strict=False))


def test_nobody_has_these_numbers() -> None:
    assert {one.number for one in generate(6, WEEK).people} <= set(fictional_numbers())


def test_a_year_has_about_as_many_events_as_it_says() -> None:
    assert len(generate(1).events) == pytest.approx(30_000, rel=0.05)


def test_a_life_without_events_has_people_and_no_answers() -> None:
    life = generate(1, Shape(days=7, contacts=12, events=0))
    assert life.events == []
    assert life.contacts() == []
    assert life.source_first() is None
    assert play_classic(life).returned.records() == []
    assert play_telephone(life).records == []
    assert answers(View.CLASSIC, [], brief(life), life) == []


@pytest.mark.weekly
def test_ten_thousand_contacts_are_all_found_by_the_classic_directory() -> None:
    life = generate(1, Shape(days=7, contacts=10_000, events=1000))
    assert len(life.contacts()) == 10_000
    assert {asked.number for asked in play_classic(life).returned.records()} == set(life.contacts())


@pytest.mark.parametrize("shape", [Shape(days=0), Shape(events=-1), Shape(contacts=3), Shape(contacts=100_000)])
def test_a_life_that_cannot_be_is_refused(shape: Shape) -> None:
    with pytest.raises(UsageError):
        generate(1, shape)
