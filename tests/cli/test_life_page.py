"""The lab's report: its tables are the truth of the seed, and whatever is in it stays data."""

import gzip
import re
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Final

import msgspec
import pytest

from grue.cli.run import run
from grue.exposure.analyst import answers, brief, hops, of_target
from grue.exposure.digest import digests
from grue.exposure.inferences import inferences
from grue.exposure.layout import chosen
from grue.exposure.lives import (
    DAY,
    WHOLE,
    Answers,
    Event,
    Kind,
    Life,
    Question,
    Role,
    Score,
    Shown,
    Sighting,
    View,
    load,
)
from grue.exposure.records import Asked, CallDetail, Return, Snapshot
from grue.exposure.views import from_carrier, from_return
from grue.lab.classic import KEPT_DAYS
from grue.lab.life import YEAR, Shape, generate
from grue.lab.play import STEP_DAYS, ClassicTapes, play_classic, play_telephone
from grue.lab.seen import make
from grue.pages.charts import HIGH, Node, graph, legend, scale
from grue.pages.life_material import Material
from grue.pages.life_page import page
from grue.pages.life_words import words
from grue.pages.page import day, moment
from grue.pages.page_style import EDGES
from tests.cli.pages import Reader, shown

pytestmark = [pytest.mark.whole, pytest.mark.timeout(240)]

SEED: Final = 3
SHAPE: Final = Shape(days=100, contacts=60, events=4000)
DAYS: Final = (1, 25, 30, 60, 90, 100)
"""The slider's."""
CONTACTS: Final = "Contacts: how often each is named together with the target by"
LIMIT: Final = 2_000_000
"""Bytes of a page."""


def material(life: Life, played: ClassicTapes | None = None) -> Material:
    """A life as a directory and a carrier have it, as somebody live who sees all, and as somebody who sees nothing."""
    told, played, records = brief(life), played or play_classic(life), play_telephone(life).records
    every = [Sighting(one.at, one.kind, one.who, one.whom) for one in life.events]
    seen = {
        View.CLASSIC: from_return(played.returned.records()),
        View.CARRIER: from_carrier(records),
        View.REST: [Sighting(one.at - one.at % DAY, Kind.TEXT, "", "", float(DAY)) for one in every[:50]],
        View.DIRECT: every,
        View.OBLIVIOUS: [Sighting(one.at, one.kind, "", one.whom) for one in every],
        View.RELAY: every,
        View.COLLUDING: every,
    }
    chained = from_return(record for one in played.chained for record in one.records())
    others = {View.CLASSIC: chained}
    shown = [
        Shown(view, len(s), of_target(s, told), answers(view, s, told, life), hops(s, told, others.get(view, ())))
        for view, s in seen.items()
    ]
    calls = [one for one in records if life.subject in (one.sender, one.to)]
    return Material(life, Answers(told, shown), played.returned, calls)


@pytest.fixture(scope="module")
def life() -> Life:
    return generate(SEED, SHAPE)


@pytest.fixture(scope="module")
def text(life: Life) -> str:
    return page(material(life))


@pytest.fixture(scope="module")
def read(text: str) -> Reader:
    return Reader(text)


# --- tables and the truth -------------------------------------------------------------------------


def own_lookups(life: Life) -> list[Event]:
    return [one for one in life.events if one.kind is Kind.LOOKUP and one.who == life.subject]


def test_the_record_of_the_classic_directory_is_every_number_typed(life: Life, read: Reader) -> None:
    rows = read.files["return.csv"][1:]
    assert [row[3] for row in rows] == [one.whom for one in own_lookups(life)]
    assert {row[1] for row in rows} == {life.subject}
    assert [row[3] for row in read.table("Return of order 1")] == [row[3] for row in (*rows[:200], *rows[-200:])]


def test_a_contacts_line_is_what_was_typed_in_so_many_days(life: Life, read: Reader) -> None:
    names = {one.number: (one.name, one.role) for one in life.people}
    rows = read.table(f"{CONTACTS} the classic directory")
    assert {row[0] for row in rows} == {one.whom for one in own_lookups(life)}
    for number, name, role, _, *times, true in rows:
        assert (name, role) == names[number]
        for days, said in zip(DAYS, times, strict=True):
            until = life.begun + days * DAY
            assert int(said) == sum(one.whom == number and one.at < until for one in own_lookups(life))
        assert int(true) == sum({one.who, one.whom} == {number, life.subject} for one in life.events)


def test_the_table_of_hours_is_when_numbers_were_typed(life: Life, read: Reader) -> None:
    rows = read.table("Records by hour (UTC) and day of the week: Classic directory, 30 days")
    said = {(int(row[0]), on): int(row[1 + on]) for row in rows for on in range(7)}
    within = [one.at for one in own_lookups(life) if one.at < life.begun + 30 * DAY]
    truth = Counter((time.gmtime(at).tm_hour, time.gmtime(at).tm_wday) for at in within)
    assert {cell: count for cell, count in said.items() if count} == truth


def test_the_carriers_contacts_are_those_of_calls_and_sms(life: Life, read: Reader) -> None:
    grue = {one.number for one in life.people if one.grue}
    passed = [
        one.whom if one.who == life.subject else one.who
        for one in life.events
        if life.subject in (one.who, one.whom)
        and (one.kind is Kind.CALL or (one.kind is Kind.TEXT and not {one.who, one.whom} <= grue))
    ]
    rows = read.table(f"{CONTACTS} the carrier")
    assert {row[0]: int(row[-2]) for row in rows} == Counter(passed)


def test_the_second_hop_is_whom_contacts_ask_for_in_the_returns_about_them(life: Life, read: Reader) -> None:
    since: dict[str, float] = {}
    for one in own_lookups(life):
        since.setdefault(one.whom, one.at - KEPT_DAYS * DAY)
    asked = Counter(
        frozenset((one.who, one.whom))
        for one in life.events
        if one.kind is Kind.LOOKUP and one.whom != life.subject and one.at >= since.get(one.who, life.ended)
    )
    rows = read.files["second-hop-classic.csv"][1:]
    assert {frozenset((row[0], row[2])): int(row[-1]) for row in rows} == asked


def test_answers_and_their_grades_are_those_of_the_analyst(life: Life, read: Reader) -> None:
    (doctor,) = [
        row
        for row in read.table("What the analyst answers from the records of the classic")
        if row[0] == Question.DOCTOR
    ]
    assert doctor[1].startswith(life.doctor)
    assert doctor[-1] == "right"
    (source,) = [
        row
        for row in read.table("What the analyst answers from the records of the classic")
        if row[0] == Question.SOURCE
    ]
    assert source[4] == "not yet"
    assert source[-1] == "right"


def test_people_add_up_by_days(life: Life, read: Reader) -> None:
    (row,) = [row for row in read.table("People named after so many days") if row[0] == "Classic directory"]
    reached = [len({one.whom for one in own_lookups(life) if one.at < life.begun + days * DAY}) for days in (1, 25, 30)]
    assert [int(cell.split()[0]) for cell in row[1:4]] == reached


@pytest.mark.parametrize("step", range(len(DAYS)))
def test_the_cover_is_of_the_days_that_are_chosen(life: Life, text: str, step: int) -> None:
    cut = life.begun + DAYS[step] * DAY
    cover = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text.split(f'<dl class="x{step}">')[1].split("</dl>")[0])
    typed = sum(one.at < cut for one in own_lookups(life))
    snapshots = -(-DAYS[step] // STEP_DAYS)
    assert dict(cover)["Responsive records"].startswith(f"{typed:,}, in {snapshots} snapshot")
    assert dict(cover)["Until"] == f"{moment(life.begun + snapshots * STEP_DAYS * DAY)} UTC"
    assert dict(cover)["Produced"] == f"{moment(cut)} UTC"


@pytest.mark.parametrize("step", range(len(DAYS)))
def test_snapshots_hold_what_was_typed_in_their_days_as_far_as_those_are_chosen(
    life: Life, read: Reader, step: int
) -> None:
    rows = read.table("Its snapshots", step)
    truth: list[list[str]] = []
    for first in range(0, DAYS[step], STEP_DAYS):
        begun, ended = (life.begun + days * DAY for days in (first, min(first + STEP_DAYS, DAYS[step])))
        count = sum(begun <= one.at < ended for one in own_lookups(life))
        truth.append([str(len(truth) + 1), day(begun), day(ended), str(count)])
    assert rows == truth
    assert len({row[3] for row in read.table("Its snapshots")}) > 1


def in_spans(times: list[float], life: Life, days: int) -> list[list[str]]:
    """Begin, days and count of each span of two days, of so many days of a life."""
    found = []
    for first in range(0, days, 2):
        begun, ended = (life.begun + n * DAY for n in (first, min(first + 2, days)))
        count = sum(begun <= at < ended for at in times)
        found.append([day(begun), str(min(2, days - first)), f"{count:,}"])
    return found


@pytest.mark.parametrize("step", range(len(DAYS)))
def test_the_time_line_counts_what_happened_as_far_as_the_days_are_chosen(life: Life, read: Reader, step: int) -> None:
    typed = [one.at for one in own_lookups(life)]
    everything = [one.at for one in life.events if life.subject in (one.who, one.whom)]
    for view, times in ((View.CLASSIC, typed), (View.RELAY, everything)):
        rows = read.table(f"Records of {words(view).phrase} that name the target", step)
        assert rows == in_spans(times, life, DAYS[step])
    assert len(read.files["time-classic.csv"]) == 1 + 50


@pytest.mark.parametrize("step", range(len(DAYS)))
def test_a_bar_is_as_tall_as_its_count_on_the_scale(text: str, read: Reader, step: int) -> None:
    drawing = Reader(text.split('aria-labelledby="time-0-t time-0-d"')[1].split("</svg>")[0])
    tall: dict[str, float] = {}
    for tag, values in drawing.shapes:
        if tag == "rect" and shown(values["class"].removeprefix("b "), step):
            tall[values["x"]] = max(tall.get(values["x"], 0.0), float(values["height"]))
    counts = [int(row[2]) for row in read.table("Records of the classic directory that name", step)]
    assert [round(height, 1) for height in tall.values()] == [
        round(HIGH * count / scale(max(counts_of_all(read))), 1) for count in counts if count
    ]
    assert str(scale(max(counts_of_all(read)))) in drawing.text


def counts_of_all(read: Reader) -> list[int]:
    return [int(row[2]) for row in read.table("Records of the classic directory that name")]


def test_a_scale_has_a_round_end_and_one_record_is_small_on_it() -> None:
    assert [scale(most) for most in (0, 1, 10, 11, 21, 60, 101, 900, 4_001)] == [
        10, 10, 10, 20, 50, 100, 200, 1000, 5000,
    ]  # fmt: skip


@pytest.mark.parametrize("step", range(len(DAYS)))
def test_lines_of_the_graph_are_thicker_the_more_often_somebody_was_typed_by_then(
    life: Life, text: str, step: int
) -> None:
    drawing = text.split('aria-labelledby="graph-0-t graph-0-d"')[1].split("</svg>")[0]
    names = re.findall(r"<title>([^<]*): [0-9]+ in the whole life", drawing)
    lines = re.findall(r'<path class="(e [^"]*)"', drawing)
    numbers = {one.name: one.number for one in life.people}
    typed = Counter(one.whom for one in own_lookups(life) if one.at < life.begun + DAYS[step] * DAY)
    drawn = []
    for name, style in zip(names, lines, strict=True):
        widths = [int(one[2:]) for one in style.split() if one.startswith(f"w{step}")]
        if shown(style.removeprefix("e "), step):
            drawn.append((typed[numbers[name]], widths[0] if widths else 0))
    assert sorted(count for count, _ in drawn) == sorted(typed.values())
    by_count = sorted(drawn)
    assert [width for _, width in by_count] == sorted(width for _, width in by_count)
    assert {width for count, width in drawn if count == 1} == {0}
    if by_count[-1][0] > 5:
        assert by_count[-1][1] == len(EDGES) - 1
    assert list(EDGES) == sorted(EDGES)


@pytest.mark.parametrize("step", range(len(DAYS)))
def test_the_second_hop_counts_what_is_known_by_then(life: Life, read: Reader, step: int) -> None:
    """An order about somebody is made when the target is seen to ask for them, and reaches back as far as logs do."""
    first: dict[str, float] = {}
    for one in own_lookups(life):
        first.setdefault(one.whom, one.at)
    cut = life.begun + DAYS[step] * DAY
    asked = Counter(
        frozenset((one.who, one.whom))
        for one in life.events
        if one.kind is Kind.LOOKUP
        and life.subject not in (one.who, one.whom)
        and first.get(one.who, life.ended) - KEPT_DAYS * DAY <= one.at
        and max(one.at, first.get(one.who, life.ended)) < cut
    )
    columns = read.files["second-hop-classic.csv"]
    at = columns[0].index(f"{DAYS[step]} d")
    assert {frozenset((row[0], row[2])): int(row[at]) for row in columns[1:] if int(row[at])} == asked


def test_of_a_guess_the_grade_says_that_it_is_one(read: Reader) -> None:
    rows = read.table("What the analyst answers from the records of Grue's server at rest")
    (asleep,) = [row for row in rows if row[0] == Question.ASLEEP]
    assert all(grade in ("right (guess)", "wrong (guess)") for grade in asleep[4:])
    assert not any(
        "guess" in grade
        for row in read.table("What the analyst answers from the records of the classic")
        for grade in row[-1:]
    )
    (rest,) = [row for row in read.table("Answers in this life") if row[0] == "Grue at rest"]
    assert "(guess)" in rest[3]


def test_of_a_long_list_both_ends_are_shown_and_what_lies_between_is_counted(
    life: Life, text: str, read: Reader
) -> None:
    calls = [one for one in play_telephone(life).records if life.subject in (one.sender, one.to)]
    assert len(calls) > 400
    rows = read.table("The carrier's list")
    assert [row[0] for row in rows] == [moment(one.at) for one in (*calls[:200], *calls[-200:])]
    assert [row[5] for row in rows[-200:]] == [one.text for one in calls[-200:]]
    assert any(row[5] for row in rows)
    kept = sum(bool(one.text) for one in calls)
    assert f"{kept} of {len(calls)} lines have one" in text
    list_of = text.split("The carrier&#x27;s list")[2]
    gap = list_of[list_of.index('class="gap') :].split("</tr>")[0]
    for step, days in enumerate(DAYS):
        left = sum(one.at < life.begun + days * DAY for one in calls[200:-200])
        said = [int(count) for style, count in re.findall(r'<span class="(..)">([0-9,]+)', gap) if shown(style, step)]
        assert (said[-1:] or [0]) == [left]


def test_a_table_that_the_slider_empties_says_so(text: str, read: Reader) -> None:
    caption = "What an analyst infers from the records of the classic directory"
    made = read.table(caption)
    assert read.table(caption, 0) == [["Nothing in so few days."]]
    assert ["Nothing in so few days."] not in made
    section = text.split('id="of-0"')[1]
    assert "Nothing is inferred from 1 day." in section
    right = sum(row[4] == "right" for row in made)
    assert f"{len(made)} inferences, {right} of them right, from 100 days." in section


def test_answers_side_by_side_have_words_shades_and_chances(life: Life, text: str, read: Reader) -> None:
    rows = {row[0]: row[1:] for row in read.table("Answers in this life")}
    assert rows["Classic directory"][1:] == ["right"] * 4
    known = len(brief(life).known)
    assert rows["by chance"] == ["1 in 2", f"1 in {known}", "1 in 8", "1 in 12", "1 in 100"]
    table = text.split('id="all"')[1].split("</table>")[0]
    (classic,) = re.findall(r'scope="row">Classic directory(.*)', table)
    (rest,) = re.findall(r'scope="row">Grue at rest(.*)', table)
    assert classic.count("class=q4") == 5
    assert all("wrong" not in cell for cell in re.findall(r"<td class=q\d>([^<]*)", table))
    assert "(guess)" not in "".join(re.findall(r"<td class=q\d>([^<]*)", rest))
    assert read.files["answers.csv"][1:][0] == ["Classic directory", *rows["Classic directory"]]
    # It stands behind the record, and before everything that is made of it.
    assert text.index('id="view-0"') < text.index('id="all"') < text.index('id="of-0"')


def test_no_caption_calls_a_view_by_its_bare_name(read: Reader) -> None:
    assert not [one for one in read.tables if re.search(r"\bgrue\b|from relay|What relay|often classic", one)]


def test_a_legend_has_what_is_drawn() -> None:
    there = [True, True]
    nodes = [Node("A friend", Role.FRIEND, (100, 100), there, (1, 2), True)]
    nodes.append(Node("A lawyer", Role.LAWYER, (300, 100), [False, True], (0, 1), True))
    said = "".join(legend(nodes, []))
    assert "somebody else" in said
    assert '<li class="f1">' in said
    assert "lawyer" in said
    assert "doctor" not in said
    assert "only contacts" not in said


def test_a_name_lies_on_no_dot() -> None:
    there = [True]
    beside = [Node("", Role.FRIEND, (130 + 20 * n, 104), there, (1,), False) for n in range(3)]
    drawing = Reader(
        "".join(graph("g", "", "", [Node("Somebody", Role.FRIEND, (110, 104), there, (1,), True), *beside], [], {}))
    )
    names = [values for tag, values in drawing.shapes if tag == "text" and values.get("class") == "f0"]
    assert names
    for values in names:
        assert values["text-anchor"] != "start"


def test_who_is_listed_is_drawn_and_the_others_are_those_of_the_step() -> None:
    counts = {"once early": (1, 1), "often late": (0, 9), "a lawyer": (0, 1), "sometimes": (0, 5), "never": (0, 0)}
    assert chosen(counts, 1, {"a lawyer", "never"}) == {
        "once early": [True, False],
        "often late": [False, True],
        "a lawyer": [False, True],
    }


def test_every_view_has_its_section_and_at_rest_has_no_inference(life: Life, read: Reader) -> None:
    made = material(life)
    found = {one.view: one for one in digests(made.found, life)}
    assert inferences(found[View.REST], life) == []
    said = {row[0] for row in read.table("Inferences of the time lines")}
    assert words(View.REST).title not in said
    assert {words(View.CLASSIC).title, words(View.DIRECT).title} <= said
    for view in WHOLE:
        assert read.table(f"{CONTACTS} {words(view).phrase}") is not None


def test_an_inference_that_is_wrong_is_counted_as_wrong(life: Life) -> None:
    """A view in which one number stands for another."""
    made = material(life)
    doctors = [one.number for one in life.people if one.role is Role.DOCTOR]
    other = next(number for number in doctors if number != life.doctor)
    false = [Sighting(life.begun + n, Kind.TEXT, life.subject, other) for n in range(3)]
    shown = Shown(View.RELAY, 3, false, answers(View.RELAY, false, made.found.brief, life))
    (found,) = digests(Answers(made.found.brief, [shown]), life)
    client = [one for one in inferences(found, life) if one.says == f"is a patient of {other}"]
    assert [one.right for one in client] == [False]
    assert client[0].at == life.begun + 2


# --- what a page must be --------------------------------------------------------------------------


def test_a_page_asks_for_nothing(text: str, read: Reader) -> None:
    assert not re.search(r"https?://|url\(|@import", text)
    assert all(one.startswith("data:text/csv") for one in read.addresses)
    assert {"script", "style"} <= set(read.tags)
    assert not {"link", "img", "iframe", "object", "embed"} & set(read.tags)
    assert "default-src 'none'" in text
    assert "unsafe" not in text


def test_every_table_has_a_caption_and_heads(text: str, read: Reader) -> None:
    assert read.tags.count("table") == read.tags.count("caption") == read.tags.count("thead") > 50
    assert text.count('scope="col"') > 200
    assert read.tags.count("h1") == 1
    charts = read.tags.count("svg") - text.count('aria-hidden="true"')
    assert charts == text.count('role="img" aria-labelledby=') > 10
    assert len(re.findall(r' id="([^"]+)"', text)) == len(set(re.findall(r' id="([^"]+)"', text)))


def test_names_and_texts_are_data(life: Life) -> None:
    evil = "<script>alert(1)</script>\"'&"
    people = [msgspec.structs.replace(one, name=evil) for one in life.people]
    made = material(msgspec.structs.replace(life, people=people))
    calls = [CallDetail(life.begun, "sms", evil, life.subject, 0, f"={evil}")]
    text = page(Material(made.life, made.found, made.returned, calls, notes=(evil,)))
    assert "<script>alert" not in text
    read = Reader(text)
    assert read.tags.count("script") == 1
    (row,) = read.table("The carrier's list")
    assert (row[2], row[5]) == (evil, f"={evil}")
    # A spreadsheet would calculate it.
    assert read.files["carrier-list.csv"][1][5] == f"'={evil}"


def test_scores_over_many_lives_have_their_table(life: Life) -> None:
    made = material(life)
    score = Score(View.REST, Question.CLOSEST, 100, 0.01, 0.0, 0.054, 0.0017, 0.0, 0.0, 2.1)
    found = Answers(made.found.brief, made.found.views, [score])
    read = Reader(page(Material(life, found, made.returned, made.calls)))
    (row,) = read.table("The share answered correctly")
    assert read.table("Answers in 100 other lives: the share")[0][2] == "1%, at chance"
    assert row[:5] == [words(View.REST).title, Question.CLOSEST, "100", "1.0%", "0.0% to 5.4%"]


# --- edges ----------------------------------------------------------------------------------------


def test_a_page_of_a_year_is_small_enough_whoever_looks_on() -> None:
    """With the return and the carrier's list of a year, and twice as many observers as there are, each of whom has it
    all: more than any life gives. What is left out for it is said.
    """
    year = generate(5, YEAR)
    made = material(year)
    views = [*made.found.views, *made.found.views[2:], *made.found.views[4:]]
    text = page(Material(year, Answers(made.found.brief, views), made.returned, made.calls))
    assert len(text.encode()) < LIMIT
    assert text.count('class="view" id="view-') == len(views) == 15
    assert re.search(r"CSV of the first [0-9,]+ and the last [0-9,]+</a>", text)
    assert len(Reader(text).files["return.csv"]) > 500


def test_a_life_in_which_nothing_happens() -> None:
    empty = generate(SEED, Shape(days=7, contacts=12, events=0))
    told = brief(empty)
    found = Answers(told, [Shown(view, 0, [], []) for view in View])
    text = page(Material(empty, found, play_classic(empty).returned))
    assert "Nothing happens in this life" in text
    assert Reader(text).table(f"{CONTACTS} the classic directory") == [["Nothing."]]
    assert Reader(text).table("Answers in this life")[0][1] == "nothing to know"


@pytest.mark.weekly
def test_ten_thousand_contacts_are_drawn_as_far_as_they_can_be_told_apart() -> None:
    crowd = generate(SEED, Shape(days=365, contacts=10_000, events=60_000))
    # An order about each of them would take the directory a minute.
    log = [Asked(one.at, one.who, "2001:db8::1", one.whom, 1) for one in own_lookups(crowd)]
    snapshot = Snapshot(crowd.begun, crowd.ended, log)
    returned = Return(1, crowd.subject, crowd.begun, crowd.ended, crowd.ended, True, [snapshot])
    made = material(crowd, ClassicTapes(returned, []))
    text = page(made)
    assert len(text.encode()) < LIMIT
    assert re.search(r"9,8\d\d more contacts are not drawn", text)
    assert "(the first 300 of 10,000)" in text
    assert "CSV of the first 450" in text
    listed = {one.name for one in crowd.people if one.role in (Role.DOCTOR, Role.LAWYER, Role.SOURCE)}
    for at in range(len(View)):
        drawn = re.findall(
            r'<g class="[kn] ([^"]*)"><title>([^:]*):', text.split(f'id="graph-{at}-t"')[-1].split("</svg>")[0]
        )
        for step in range(6):
            there = [name for style, name in drawn if shown(style, step)]
            assert len(set(there) - listed) <= 150


def test_no_view_at_all_is_a_page_too(life: Life) -> None:
    text = page(Material(life, Answers(brief(life), []), None))
    assert "All of them side by side" in text


# --- the verb -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("life") / "out"
    make(SEED, where, Shape(days=4, contacts=10, events=200))
    return where


def test_the_verb_writes_a_page_for_its_owners_eyes(folder: Path, tmp_path: Path) -> None:
    html = tmp_path / "life.html"
    assert run(["lab", "report", str(folder), "--html", str(html), "--scores", "bench/life.json"]) == 0
    assert html.stat().st_mode & 0o777 == 0o600
    read = Reader(html.read_text())
    scored = {one.view for one in load_scores(Path("bench/life.json"))}
    assert len(read.table("The share answered correctly")) == len(scored) * len(Question)
    # Those lives are smaller than this one, or larger: what is chance in them is another thing.
    shares = read.table("Answers in 100 other lives of 28 days with some 40 contacts")
    assert shares[0] == ["Classic directory", *["100%, nearly always"] * 5]
    assert [row[0] for row in shares][-1] == "by chance"


def test_every_view_has_a_phrase_for_a_sentence() -> None:
    assert all(words(view).phrase and not words(view).phrase.endswith(".") for view in View)
    assert all(words(view).holds for view in WHOLE)


def load_scores(path: Path) -> list[Score]:
    return msgspec.json.decode(path.read_bytes(), type=list[Score])


def test_the_live_servers_second_hop_is_true(folder: Path, tmp_path: Path) -> None:
    html = tmp_path / "life.html"
    assert run(["lab", "report", str(folder), "--html", str(html)]) == 0
    life = load(folder / "life.json", Life)
    true = {frozenset((one.who, one.whom)) for one in life.events}
    said = Reader(html.read_text()).table(
        "Second hop: with whom those contacts are in touch, by the records of Grue's live server, reached directly"
    )
    named = [row for row in said if len(row) > 1 and row[0].startswith("+") and row[2].startswith("+")]
    assert named
    assert all(frozenset((row[0], row[2])) in true for row in named)


def test_captures_cut_short_are_said_to_be(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut = tmp_path / "cut"
    shutil.copytree(folder, cut)
    for name in ("carrier", "live-direct"):
        file = cut / "captures" / f"{name}.jsonl.gz"
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    whole = gzip.decompress((cut / "captures" / "relay.jsonl.gz").read_bytes())
    (cut / "captures" / "relay.jsonl.gz").write_bytes(gzip.compress(whole[:-5]))
    html = tmp_path / "life.html"
    assert run(["--json", "lab", "report", str(cut), "--html", str(html), "--anew"]) == 0
    assert '"cut": ["carrier", "live-direct", "relay"]' in capsys.readouterr().out
    assert (
        "The capture live-direct was cut short or changed: what follows is from what is left of it." in html.read_text()
    )


def test_a_folder_without_a_life_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["lab", "report", str(tmp_path), "--html", str(tmp_path / "life.html")]) == 2
    assert "lab life" in capsys.readouterr().err
    assert not (tmp_path / "life.html").exists()
