"""The lab's report: its tables are the truth of the seed, whatever is in it stays data, and it opens in a browser."""

import gzip
import json
import re
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Final

import msgspec
import pytest

from grue.cli.life_page import Material, page
from grue.cli.run import run
from grue.exposure.analyst import answers, brief, hops, of_target
from grue.exposure.digest import digests
from grue.exposure.inferences import inferences
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
from grue.lab.life import Shape, generate
from grue.lab.play import ClassicTapes, play_classic, play_telephone
from grue.lab.seen import make
from tests.cli.browser import needs_browser, tab
from tests.cli.pages import Reader

pytestmark = [pytest.mark.whole, pytest.mark.timeout(240)]

SEED: Final = 3
SHAPE: Final = Shape(days=100, contacts=60, events=4000)
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
    assert [row[3] for row in read.table("Return of order 1")] == [row[3] for row in rows][:400]


def test_a_contacts_line_is_what_was_typed_in_so_many_days(life: Life, read: Reader) -> None:
    names = {one.number: (one.name, one.role) for one in life.people}
    rows = read.table("Contacts: how often classic")
    assert {row[0] for row in rows} == {one.whom for one in own_lookups(life)}
    for number, name, role, _, *times, true in rows:
        assert (name, role) == names[number]
        for days, said in zip((1, 25, 30, 60, 90, 100), times, strict=True):
            until = life.begun + days * DAY
            assert int(said) == sum(one.whom == number and one.at < until for one in own_lookups(life))
        assert int(true) == sum({one.who, one.whom} == {number, life.subject} for one in life.events)


def test_the_table_of_hours_is_when_numbers_were_typed(life: Life, read: Reader) -> None:
    rows = read.table("Records by hour (UTC) and day of the week: classic, 30 days")
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
    rows = read.table("Contacts: how often carrier")
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
    assert {frozenset((row[0], row[2])): int(row[5]) for row in rows} == asked


def test_answers_and_their_grades_are_those_of_the_analyst(life: Life, read: Reader) -> None:
    (doctor,) = [row for row in read.table("What the analyst answers from classic;") if row[0] == Question.DOCTOR]
    assert doctor[1].startswith(life.doctor)
    assert doctor[-1] == "right"
    (source,) = [row for row in read.table("What the analyst answers from classic;") if row[0] == Question.SOURCE]
    assert source[4] == "not yet"
    assert source[-1] == "right"


def test_people_add_up_by_days(life: Life, read: Reader) -> None:
    (row,) = [row for row in read.table("Snapshots add up") if row[0] == View.CLASSIC]
    reached = [len({one.whom for one in own_lookups(life) if one.at < life.begun + days * DAY}) for days in (1, 25, 30)]
    assert [int(cell.split()[0]) for cell in row[1:4]] == reached


def test_every_view_has_its_section_and_at_rest_has_no_inference(life: Life, read: Reader) -> None:
    made = material(life)
    found = {one.view: one for one in digests(made.found, life)}
    assert inferences(found[View.REST], life) == []
    said = {row[0] for row in read.table("Inferences of the time lines")}
    assert View.REST not in said
    assert {View.CLASSIC, View.DIRECT} <= said
    for view in WHOLE:
        assert read.table(f"Contacts: how often {view} names") is not None


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
    assert row[:5] == [View.REST, Question.CLOSEST, "100", "1.0%", "0.0% to 5.4%"]


# --- edges ----------------------------------------------------------------------------------------


def test_a_life_in_which_nothing_happens() -> None:
    empty = generate(SEED, Shape(days=7, contacts=12, events=0))
    told = brief(empty)
    found = Answers(told, [Shown(view, 0, [], []) for view in View])
    text = page(Material(empty, found, play_classic(empty).returned))
    assert "Nothing happens in this life" in text
    assert Reader(text).table("Contacts: how often classic") == [["Nothing."]]
    assert Reader(text).table("Answers from all of the life")[0][1] == "nothing to know"


def test_ten_thousand_contacts_are_drawn_as_far_as_they_can_be_told_apart() -> None:
    crowd = generate(SEED, Shape(days=365, contacts=10_000, events=60_000))
    # An order about each of them would take the directory a minute.
    log = [Asked(one.at, one.who, "2001:db8::1", one.whom, 1) for one in own_lookups(crowd)]
    snapshot = Snapshot(crowd.begun, crowd.ended, log)
    returned = Return(1, crowd.subject, crowd.begun, crowd.ended, crowd.ended, True, [snapshot])
    made = material(crowd, ClassicTapes(returned, []))
    text = page(made)
    assert len(text.encode()) < LIMIT
    assert "9,850 more contacts are not drawn" in text
    assert "(the first 300 of 10,000)" in text
    assert "CSV of the first 450" in text
    assert text.count('<path class="e ') == sum(min(150, one) for one in reached(made))


def reached(made: Material) -> list[int]:
    return [len(one.contacts) for one in digests(made.found, made.life)]


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
    measured = json.loads(Path("bench/life.json").read_text())
    assert len(Reader(html.read_text()).table("The share answered correctly")) == len(measured)


def test_the_live_servers_second_hop_is_true(folder: Path, tmp_path: Path) -> None:
    html = tmp_path / "life.html"
    assert run(["lab", "report", str(folder), "--html", str(html)]) == 0
    life = load(folder / "life.json", Life)
    true = {frozenset((one.who, one.whom)) for one in life.events}
    said = Reader(html.read_text()).table("Second hop: with whom those contacts are in touch, as grue, live, direct")
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


# --- in a browser ---------------------------------------------------------------------------------

SHOWN: Final = "[...document.querySelectorAll('.view')].filter(one => one.checkVisibility()).map(one => one.id).join()"
ROWS: Final = "[...document.querySelectorAll('#view-0 .contacts tbody tr')].filter(one => one.checkVisibility()).length"


@needs_browser
async def test_in_a_browser_the_slider_adds_and_the_switch_changes_and_nothing_is_asked_for(
    life: Life, text: str, tmp_path: Path
) -> None:
    html = tmp_path / "life.html"
    html.write_text(text)
    async with tab(tmp_path / "profile") as opened:
        await opened.open(html)
        assert await opened.value(SHOWN) == "view-0"
        for step, days in enumerate((1, 25, 30, 60, 90, 100)):
            await slide(opened.value, step)
            typed = {one.whom for one in own_lookups(life) if one.at < life.begun + days * DAY}
            assert await opened.value(ROWS) == len(typed)
            told = await opened.value("document.getElementById('told').textContent")
            assert told.startswith(f"{days} day")
            heat = "[...document.querySelectorAll('#view-0 .heat')].filter(one => one.checkVisibility()).length"
            assert await opened.value(heat) == 1
        await opened.value("document.querySelectorAll('input[name=view]')[3].click()")
        assert await opened.value(SHOWN) == "view-3"
        assert opened.asked == [html.as_uri()]
        assert opened.complaints == []


async def slide(value: "object", step: int) -> None:
    assert callable(value)
    await value(f"(s => {{ s.value = {step}; s.dispatchEvent(new Event('input')) }})(document.getElementById('step'))")


@needs_browser
async def test_in_a_browser_without_scripts_everything_is_shown(text: str, tmp_path: Path) -> None:
    html = tmp_path / "life.html"
    html.write_text(text)
    async with tab(tmp_path / "profile") as opened:
        await opened.call("Emulation.setScriptExecutionDisabled", value=True)
        await opened.open(html)
        assert await opened.value(SHOWN) == ",".join(f"view-{at}" for at in range(7))
        hidden = "[...document.querySelectorAll('table')].filter(one => !one.checkVisibility()).length"
        assert await opened.value(hidden) == 0


@needs_browser
@pytest.mark.parametrize("width", [1280, 400])
async def test_in_a_browser_nothing_but_tables_is_wider_than_the_screen(text: str, tmp_path: Path, width: int) -> None:
    html = tmp_path / "life.html"
    html.write_text(text)
    async with tab(tmp_path / "profile") as opened:
        await opened.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500
        )
        await opened.open(html)
        assert await opened.value("document.documentElement.scrollWidth") <= width
