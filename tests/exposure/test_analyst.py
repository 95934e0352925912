"""The analyst: the same procedures for everybody, grades that the truth gives, and what is learned in bits."""

import math

import pytest

from grue.exposure.analyst import answers, bits, brief, by_view, hops, of_target, scores
from grue.exposure.lives import DAY, UNKNOWN, Answer, Event, Hop, Kind, Life, Person, Question, Role, Sighting, View

ME, PARTNER, DOCTOR, SOURCE, OTHER, QUACK = "+1", "+2", "+3", "+4", "+5", "+6"
ROLES = {
    ME: Role.SUBJECT,
    PARTNER: Role.FAMILY,
    DOCTOR: Role.DOCTOR,
    SOURCE: Role.SOURCE,
    OTHER: Role.STRANGER,
    QUACK: Role.DOCTOR,
    "+7": Role.STRANGER,
}
BEGUN = 100 * DAY


def at(day: int, hour: float) -> float:
    return BEGUN + day * DAY + hour * 3600


def life() -> Life:
    """Ten days: the partner is written to by day, the doctor twice, the source from the fifth day on."""
    events = [Event(at(day, hour), Kind.TEXT, ME, PARTNER) for day in range(10) for hour in range(8, 23)]
    events += [Event(at(day, 9.5), Kind.TEXT, ME, DOCTOR) for day in (1, 8)]
    events += [Event(at(day, 10.5), Kind.CALL, SOURCE, ME) for day in (5, 7)]
    events += [Event(at(3, 3), Kind.TEXT, OTHER, QUACK)]
    people = [Person(number, number, role, True, f"2001:db8::{number[1:]}") for number, role in ROLES.items()]
    ordered = sorted(events, key=lambda event: event.at)
    return Life(1, BEGUN, 10, ME, people, ordered, [], 3.25, PARTNER, DOCTOR, SOURCE)


def everything(one: Life) -> list[Sighting]:
    return [Sighting(event.at, event.kind, event.who, event.whom) for event in one.events]


def answered(view: View, sightings: list[Sighting]) -> dict[Question, Answer]:
    one = life()
    return {answer.question: answer for answer in answers(view, sightings, brief(one), one)}


def test_who_sees_everything_is_right_about_everything() -> None:
    found = answered(View.CLASSIC, everything(life()))
    assert {question: (one.right, one.of) for question, one in found.items()} == {
        Question.CONTACTS: (6, 6),
        Question.CLOSEST: (1, 1),
        Question.ASLEEP: (1, 1),
        Question.DOCTOR: (1, 1),
        Question.SOURCE: (1, 1),
    }
    assert found[Question.CLOSEST].why == "seen with the target 150 times"


def test_who_sees_nothing_guesses_and_says_so() -> None:
    found = answered(View.REST, [])
    assert {one.why.partition(":")[0] for question, one in found.items() if question is not Question.CONTACTS} == {
        "a guess"
    }
    assert found[Question.CONTACTS].why == "0 were seen with the target, 0 perhaps, 3 are guesses"


def test_the_same_sightings_give_the_same_answers_whoevers_they_are() -> None:
    sightings = everything(life())
    said = [[answer.said for answer in answered(view, sightings).values()] for view in View]
    assert all(one == said[0] for one in said)


def test_guesses_of_different_views_are_independent() -> None:
    # Two of so many may come to the same tenth of an hour.
    assert len({tuple(answered(view, [])[Question.ASLEEP].said) for view in View}) > 0.8 * len(View)


@pytest.mark.parametrize(("times", "doctor"), [(1, DOCTOR), (5, DOCTOR), (7, QUACK)])
def test_of_six_who_are_known_a_sighting_that_names_one_side_is_a_sixth(times: int, doctor: str) -> None:
    unnamed = [Sighting(at(1, 1), Kind.TEXT, UNKNOWN, QUACK)] * times
    named = [Sighting(at(2, 1), Kind.LOOKUP, ME, DOCTOR)]
    assert answered(View.OBLIVIOUS, unnamed + named)[Question.DOCTOR].said == [doctor]


def test_what_other_people_do_says_nothing_of_the_target() -> None:
    found = answered(View.CARRIER, [Sighting(at(3, 3), Kind.TEXT, OTHER, QUACK)] * 20)
    assert found[Question.CONTACTS].why.startswith("0 were seen with the target, 0 perhaps")


def test_what_lies_outside_the_days_is_left_out() -> None:
    found = answered(View.CLASSIC, [Sighting(BEGUN - 1, Kind.LOOKUP, ME, DOCTOR)])
    assert found[Question.DOCTOR].why == "a guess"


def test_a_sighting_without_an_hour_says_nothing_of_nights() -> None:
    whole_days = [Sighting(at(day, 0), Kind.TEXT, ME, PARTNER, DAY) for day in range(10)]
    assert answered(View.REST, whole_days)[Question.ASLEEP].why.startswith("a guess")


def test_as_many_strangers_as_contacts_are_known() -> None:
    told = brief(life())
    contacts = set(life().contacts())
    assert len(told.known) == 2 * len(contacts)
    assert contacts < set(told.known)
    assert ME not in told.known


def test_what_is_of_others_is_not_shown_as_the_targets() -> None:
    told = brief(life())
    shown = of_target([*everything(life()), Sighting(at(1, 1), Kind.TEXT, UNKNOWN, OTHER)], told)
    assert {ME, UNKNOWN} >= {ME if ME in (one.who, one.whom) else one.who for one in shown}
    assert len(shown) == len(everything(life()))


@pytest.mark.parametrize("when", [BEGUN - 1, BEGUN + 10 * DAY])
def test_what_lies_outside_the_days_is_neither_shown_nor_a_second_hop(when: float) -> None:
    told = brief(life())
    outside = [Sighting(when, Kind.TEXT, ME, PARTNER), Sighting(when, Kind.TEXT, UNKNOWN, QUACK)]
    assert of_target(outside, told) == []
    service = [Sighting(when, Kind.TEXT, "Grue", number) for number in (ME, PARTNER, QUACK)]
    assert hops([*everything(life()), *service], told) == []


def test_what_leaves_a_side_open_is_shown_whoever_it_names() -> None:
    told = brief(life())
    open_sides = [Sighting(at(1, 1), Kind.ACTIVE, OTHER), Sighting(at(1, 2), Kind.TEXT, UNKNOWN, QUACK)]
    assert of_target([*open_sides, Sighting(at(1, 3), Kind.TEXT, OTHER, QUACK)], told) == open_sides


def test_the_second_hop_is_whom_contacts_know_and_not_whom_strangers_know() -> None:
    told = brief(life())
    seen = [
        *everything(life()),
        Sighting(at(2, 2), Kind.CALL, PARTNER, QUACK),
        Sighting(at(2, 3), Kind.TEXT, "+7", OTHER),
    ]
    assert hops(seen, told) == [Hop(PARTNER, QUACK, [2])]
    # A return about the doctor begins before the doctor was seen; it is had from then on.
    known = min(one.at for one in seen if {one.who, one.whom} == {ME, DOCTOR})
    on = int((known - told.begun) // DAY)
    elsewhere = [Sighting(known + days * DAY, Kind.LOOKUP, DOCTOR, OTHER) for days in (-1, 2)]
    assert hops(seen, told, elsewhere) == [Hop(DOCTOR, OTHER, [on, on + 2]), Hop(PARTNER, QUACK, [2])]
    assert hops([Sighting(at(2, 2), Kind.TEXT, UNKNOWN, QUACK)], told) == []


@pytest.mark.parametrize("choices", [2, 8, 12, 365])
def test_bits_are_all_when_always_right_and_none_at_chance(choices: int) -> None:
    assert bits(1.0, choices) == pytest.approx(math.log2(choices))
    assert bits(1 / choices, choices) == pytest.approx(0, abs=1e-9)
    assert bits(0.0, choices) == 0
    assert 0 < bits((1 + 1 / choices) / 2, choices) < math.log2(choices)


def test_bits_of_a_coin_that_is_right_three_times_in_four() -> None:
    """One less the entropy of 1/4: a binary symmetric channel."""
    assert bits(0.75, 2) == pytest.approx(1 - 0.8112781, abs=1e-6)


def test_scores_count_lives_and_have_intervals() -> None:
    right = Answer(View.CLASSIC, Question.DOCTOR, ["x"], "", 1, 1, 12)
    wrong = Answer(View.REST, Question.DOCTOR, ["x"], "", 0, 1, 12)
    table = by_view(scores([[right, wrong]] * 100))[Question.DOCTOR]
    assert (table[View.CLASSIC].share, table[View.REST].share) == (1.0, 0.0)
    assert table[View.CLASSIC].low == pytest.approx(0.963, abs=1e-3)
    assert table[View.CLASSIC].seeds == 100
    assert table[View.CLASSIC].bits == pytest.approx(math.log2(12))
    assert table[View.REST].bits == table[View.REST].bits_low == 0
    assert table[View.REST].chance == pytest.approx(1 / 12)


def test_many_contacts_of_one_life_are_one_life() -> None:
    """A share of a thousand people is not known better than the lives that it was found in."""
    half = Answer(View.REST, Question.CONTACTS, [], "", 500, 1000, 2)
    more = Answer(View.REST, Question.CONTACTS, [], "", 600, 1000, 2)
    (found,) = scores([[half], [more]])
    assert found.share == pytest.approx(0.55)
    assert found.high - found.low > 0.15
