"""All views of a life side by side: which of them answers which question rightly, in this life and over many."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from grue.exposure.digest import Digest
from grue.exposure.inferences import Inference, by_rule, graded, guessed
from grue.exposure.lives import Answer, Question, Score, View
from grue.pages.life_words import words
from grue.pages.page import Listing, Row

SURE: Final = 0.95
MOSTLY: Final = 0.75
"""Shares from which on an answer is called nearly always right, or mostly."""


def matrix(found: Sequence[Digest], scores: Sequence[Score]) -> Iterator[str]:
    """Views down, questions across: words with a shade."""
    yield '<section><h2 id="all">All of them side by side</h2>'
    yield '<p class="quiet">Who answers what rightly, from all of the records; the stronger the colour, the more.</p>'
    rows = [_line(one) for one in found]
    if found:
        rows.append(Row(["by chance", *_chances(found[0].answers[-1])]))
    yield from Listing("Answers in this life", ["Seen by", *Question], rows, "answers", style="whole wrapped").lines()
    if scores:
        caption = f"Answers in {others(scores)}: the share that is right"
        rows = [*_shares(scores), Row(["by chance", *_by_chance(scores)])]
        yield from Listing(caption, ["Seen by", *Question], rows, "shares", style="whole wrapped").lines()
        yield f'<p class="quiet">{AT_CHANCE}</p>'
    yield "</section>"


AT_CHANCE: Final = (
    "At chance is what is not surely better than a guess: the interval of 95 % holds the share that a guess has. "
    "Lives of another length, with other numbers of people, have other chances: the last line of each table has them."
)


def others(scores: Sequence[Score]) -> str:
    """How many lives the scores are of, and how large: from what is right by chance in them."""
    chance = {one.question: one.chance for one in scores}
    size = ""
    if (days := chance.get(Question.SOURCE)) and (known := chance.get(Question.CLOSEST)):
        # One in the days, and one in those who are known, of whom half are contacts.
        size = f" of {round(1 / days)} days with some {round(1 / known / 2)} contacts"
    return f"{max(one.seeds for one in scores)} other lives{size}"


def _line(found: Digest) -> Row:
    answers = {one.question: one for one in found.answers[-1]}
    every = [answers.get(question) for question in Question]
    cells = [graded(one) if one else "nothing to know" for one in every]
    return Row([words(found.view).title, *cells], shades=[0, *(_shade(one) for one in every)])


def _shade(one: Answer | None) -> int:
    return 0 if one is None or guessed(one) else strength(one.right / one.of, 1 / one.choices)


def strength(share: float, chance: float) -> int:
    """0 to 4: how far above chance, of as far as there is."""
    return 0 if share <= chance else min(1 + int(4 * (share - chance) / (1 - chance)), 4)


def _chances(answers: Sequence[Answer]) -> list[str]:
    choices = {one.question: one.choices for one in answers}
    return [f"1 in {choices[question]:,g}" if question in choices else "" for question in Question]


def _shares(scores: Iterable[Score]) -> Iterator[Row]:
    by_view: dict[View, dict[Question, Score]] = {}
    for one in scores:
        by_view.setdefault(one.view, {})[one.question] = one
    for view, of_view in by_view.items():
        every = [of_view.get(question) for question in Question]
        shades = [strength(one.share, one.chance) if one and not _at_chance(one) else 0 for one in every]
        cells = [f"{one.share:.0%}, {_word(one)}" if one else "" for one in every]
        yield Row([words(view).title, *cells], shades=[0, *shades])


def _by_chance(scores: Sequence[Score]) -> list[str]:
    chance = {one.question: one.chance for one in scores}
    return [f"{chance[question]:.1%}" if question in chance else "" for question in Question]


def _at_chance(one: Score) -> bool:
    return one.low <= one.chance


def _word(one: Score) -> str:
    if _at_chance(one):
        return "at chance"
    return "nearly always" if one.share >= SURE else "mostly" if one.share >= MOSTLY else "better than chance"


# --- in numbers -----------------------------------------------------------------------------------


def numbers(
    every: Sequence[Digest],
    found: Sequence[Digest],
    made: Sequence[Sequence[Inference]],
    steps: Sequence[int],
    scores: Sequence[Score],
) -> Iterator[str]:
    """What the end of a page has of every view, and of those that have a section the inferences `made`."""
    yield '<section><h2 id="snapshots">Snapshots add up</h2>'
    head = ["Seen by", *(f"{days} d" for days in steps)]
    rows = [
        Row([words(one.view).title, *(f"{one.reached(step)} ({one.named[step]:,})" for step in range(len(steps)))])
        for one in every
    ]
    caption = "People named after so many days, and in brackets records that name them"
    yield from Listing(caption, head, rows, "snapshots", style="whole wrapped").lines()
    yield "</section>"
    yield from _rules(found, made)
    yield from _scores(scores)


def _rules(found: Sequence[Digest], made: Sequence[Sequence[Inference]]) -> Iterator[str]:
    yield '<section><h2 id="rules">How often the inferences were right</h2>'
    rows = [
        Row([words(one.view).title, rule, str(right), str(count)])
        for one, of_view in zip(found, made, strict=True)
        for rule, right, count in by_rule(of_view)
    ]
    head = ["Seen by", "Inference", "Right", "Made"]
    yield from Listing("Inferences of the time lines, by kind", head, rows, "inferences", style="whole wrapped").lines()
    yield "<p>A view without a line here allowed none that is more than a guess.</p></section>"


def _scores(scores: Sequence[Score]) -> Iterator[str]:
    if not scores:
        return
    yield f'<section><h2 id="scores">Over many lives</h2><p>{others(scores).capitalize()}. {AT_CHANCE}</p>'
    rows = [
        Row(
            [
                words(one.view).title, one.question, str(one.seeds), f"{one.share:.1%}",
                f"{one.low:.1%} to {one.high:.1%}", f"{one.chance:.1%}", f"{one.bits:.2f}",
                f"{one.bits_low:.2f} to {one.bits_high:.2f}",
            ]
        )
        for one in scores
    ]  # fmt: skip
    head = ["Seen by", "Question", "Lives", "Right", "95 %", "By chance", "Bits learned", "95 %"]
    yield from Listing("The share answered correctly, and bits learned", head, rows, "scores", style="whole").lines()
    yield "</section>"
