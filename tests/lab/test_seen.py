"""A week of a life, played and read: what each observer answers, and that its captures hold no more than it can see."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from grue.errors import UsageError
from grue.exposure.analyst import by_view
from grue.exposure.captures import RELAYED, Event
from grue.exposure.decode import messages
from grue.exposure.lives import UNKNOWN, Answer, Answers, Kind, Life, Question, Score, View, load, load_lines
from grue.exposure.records import CallDetail, Delivered, Dialled, Heard, Names, Passed, Return
from grue.exposure.scanner import encodings
from grue.exposure.views import from_server
from grue.lab.life import WEEK, Shape
from grue.lab.seen import CAPTURES, KINDS, make, over_seeds, read
from grue.protocol import wire

pytestmark = [pytest.mark.whole, pytest.mark.timeout(180)]

SEED = 11

Record = TypeVar("Record", bound=msgspec.Struct)

SEEN = [view for view in View if view is not View.REST_DAILY]
"""Of one life; the other is of many."""


class Run:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers = make(SEED, folder, WEEK)
        self.life = load(folder / "life.json", Life)

    def answer(self, view: View, question: Question) -> Answer:
        (shown,) = [one for one in self.answers.views if one.view is view]
        (found,) = [one for one in shown.answers if one.question is question]
        return found

    def events(self, name: str) -> list[Event]:
        return list(load_lines(self.folder / CAPTURES / f"{name}.jsonl.gz", Event))

    def bytes(self, name: str) -> bytes:
        return gzip.decompress((self.folder / CAPTURES / f"{name}.jsonl.gz").read_bytes())

    def lines(self, name: str, kind: type[Record]) -> list[Record]:
        return list(load_lines(self.folder / CAPTURES / f"{name}.jsonl.gz", kind))

    def grue(self) -> set[str]:
        return {one.number for one in self.life.people if one.grue}

    def by_telephone(self) -> list[tuple[str, str, str, int, str]]:
        """Kind, both numbers, length and text of all that goes by telephone in truth, sorted."""
        grue = self.grue()
        return sorted(
            ("call" if one.kind is Kind.CALL else "sms", one.who, one.whom, one.seconds, one.text)
            for one in self.life.events
            if one.kind is Kind.CALL or (one.kind is Kind.TEXT and not {one.who, one.whom} <= grue)
        )

    def looked_up(self) -> list[str]:
        return [event.whom for event in self.life.events if event.kind is Kind.LOOKUP]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("life") / "out")


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("question", Question)
def test_the_classic_directory_knows_everything(run: Run, question: Question) -> None:
    found = run.answer(View.CLASSIC, question)
    assert found.right == found.of


def test_its_return_is_the_record_that_it_answers_from(run: Run) -> None:
    returned = load(run.folder / "return.json", Return)
    asked = [event for event in run.life.events if event.kind is Kind.LOOKUP and event.who == run.life.subject]
    assert [(one.at, one.number) for one in returned.records()] == [(event.at, event.whom) for event in asked]
    assert {one.address for one in returned.records()} <= {stay.address for stay in run.life.stays}


def test_orders_about_contacts_show_whom_they_ask_for(run: Run) -> None:
    (shown,) = [one for one in run.answers.views if one.view is View.CLASSIC]
    lookups = [event for event in run.life.events if event.kind is Kind.LOOKUP]
    pairs = {(min(one.who, one.whom), max(one.who, one.whom)) for one in lookups if one.who in run.life.contacts()}
    assert shown.hops
    assert {(hop.who, hop.whom) for hop in shown.hops} <= pairs


@pytest.mark.parametrize("view", [View.DIRECT, View.COLLUDING])
@pytest.mark.parametrize("question", [Question.CLOSEST, Question.DOCTOR, Question.SOURCE])
def test_a_live_server_that_sees_addresses_knows_who_writes_to_whom(run: Run, view: View, question: Question) -> None:
    assert run.answer(view, question).right == 1


def test_a_server_and_its_relay_together_see_what_a_server_sees_directly(run: Run) -> None:
    direct, both = ({one.view: one for one in run.answers.views}[view] for view in (View.DIRECT, View.COLLUDING))
    assert both.sightings
    assert [(one.kind, one.who, one.whom) for one in both.sightings] == [
        (one.kind, one.who, one.whom) for one in direct.sightings
    ]


def test_at_rest_no_pair_of_people_is_sighted(run: Run) -> None:
    (rest,) = [one for one in run.answers.views if one.view is View.REST]
    assert rest.records > 100
    assert {one.who for one in rest.sightings} <= {UNKNOWN}
    assert run.answer(View.REST, Question.ASLEEP).why.startswith("a guess")


def test_by_a_relay_the_live_server_sees_no_pair_but_those_of_sms(run: Run) -> None:
    (shown,) = [one for one in run.answers.views if one.view is View.OBLIVIOUS]
    grue = {one.number for one in run.life.people if one.grue}
    pairs = {frozenset((one.who, one.whom)) for one in shown.sightings if UNKNOWN not in (one.who, one.whom)}
    assert all(not pair <= grue for pair in pairs)
    assert any(one.kind is Kind.TEXT and one.who == UNKNOWN for one in shown.sightings)


def test_the_directory_sees_that_lookups_are_made_and_not_for_whom(run: Run) -> None:
    (shown,) = [one for one in run.answers.views if one.view is View.DIRECTORY]
    assert run.life.subject in {one.who for one in shown.sightings}
    assert {(one.kind, one.whom) for one in shown.sightings} == {(Kind.ACTIVE, UNKNOWN)}


@pytest.mark.parametrize("view", [View.NETWORK_DIRECT, View.NETWORK_OBLIVIOUS])
def test_who_sees_a_line_names_nobody_beside_the_target(run: Run, view: View) -> None:
    (shown,) = [one for one in run.answers.views if one.view is view]
    assert shown.sightings
    assert {(one.who, one.whom) for one in shown.sightings} == {(run.life.subject, UNKNOWN)}
    assert run.answer(view, Question.CLOSEST).why == "a guess"


def test_the_token_issuer_names_the_account_that_draws_and_nobody_else(run: Run) -> None:
    known = load(run.folder / "names-direct.json", Names)
    sightings = from_server(run.events("tokens"), accounts=known.accounts)
    assert {(one.kind, one.who, one.whom) for one in sightings} == {(Kind.ACTIVE, run.life.subject, UNKNOWN)}


def test_a_contact_names_itself_alone(run: Run) -> None:
    (shown,) = [one for one in run.answers.views if one.view is View.CONTACT]
    assert {(one.who, one.whom) for one in shown.sightings} == {(run.life.subject, run.life.closest)}


@pytest.mark.parametrize("view", [View.RECORDER, View.RADIO])
def test_who_taps_a_telephone_names_those_who_call_and_nobody_beyond(run: Run, view: View) -> None:
    (shown,) = [one for one in run.answers.views if one.view is view]
    assert shown.hops == []
    assert {one.who for one in shown.sightings} | {one.whom for one in shown.sightings} > {run.life.subject}


def test_the_gateway_names_whom_somebody_new_writes_to_and_nobody_who_writes(run: Run) -> None:
    (shown,) = [one for one in run.answers.views if one.view is View.GATEWAY]
    assert {one.who for one in shown.sightings} == {UNKNOWN}
    assert {one.whom for one in shown.sightings} - {UNKNOWN} <= run.grue()


# --- captures -------------------------------------------------------------------------------------


def sms_of(events: list[Event]) -> list[wire.SendSms]:
    """Each once: it is sent again over the server's challenge."""
    sent = [read.message for read in messages(events) if isinstance(read.message, wire.SendSms)]
    return list({sms.id: sms for sms in sent}.values())


@pytest.mark.parametrize("name", ["live-direct", "live-oblivious", "directory"])
def test_no_number_that_is_looked_up_is_on_an_anonymous_connection(run: Run, name: str) -> None:
    anonymous = [event.data for event in run.events(name) if event.where.endswith("/anonymous")]
    forms = [form for number in set(run.looked_up()) for form in encodings.of_number(number) if len(form) >= 8]
    held = b"\0".join(anonymous)
    assert anonymous
    assert not [form for form in forms if form in held]


@pytest.mark.parametrize("name", ["relay", "network", "network-oblivious", "rest"])
def test_no_number_is_with_a_relay_the_network_or_at_rest(run: Run, name: str) -> None:
    held = run.bytes(name)
    assert len(held.splitlines()) > 100
    assert not [one.number for one in run.life.people if one.number.encode() in held or one.number[1:].encode() in held]


def test_no_address_is_at_rest_or_with_what_came_by_a_relay(run: Run) -> None:
    assert b"2001:db8" not in run.bytes("rest")
    addresses = {event.address for event in run.events("live-oblivious") if event.where.endswith("/anonymous")}
    assert addresses == {RELAYED}


def test_the_relay_sees_nothing_but_addresses_times_and_a_few_sizes(run: Run) -> None:
    passed = list(load_lines(run.folder / CAPTURES / "relay.jsonl.gz", Passed))
    assert {one.address for one in passed} <= {one.address for one in run.life.people} | {
        stay.address for stay in run.life.stays
    }
    assert len({one.size for one in passed if one.up}) <= 6


@pytest.mark.parametrize("name", ["network", "network-oblivious"])
def test_the_network_has_all_that_passes_and_neither_a_text_nor_an_account(run: Run, name: str) -> None:
    passed = run.lines(name, Passed)
    live = run.events({"network": "live-direct", "network-oblivious": "live-oblivious"}[name])
    assert [(one.at, one.up) for one in passed] == [(event.at, event.up) for event in live]
    held = run.bytes(name)
    known = load(run.folder / f"names-{'oblivious' if 'oblivious' in name else 'direct'}.json", Names)
    forms = [form for text in {one.text for one in run.life.events if one.text} for form in encodings.of_text(text)]
    accounts = [bytes.fromhex(name) for name in (*known.accounts, *known.intros)]
    assert not [
        form for form in (*forms, *(form for one in accounts for form in encodings.of_bytes(one))) if form in held
    ]


def test_by_a_relay_the_network_sees_the_relay_and_the_server_for_the_accounts_own(run: Run) -> None:
    assert {one.to for one in run.lines("network", Passed)} == {"server"}
    oblivious = run.lines("network-oblivious", Passed)
    assert {one.to for one in oblivious} == {"relay", "server"}
    assert len({one.size for one in oblivious if one.up and one.to == "relay"}) <= 6


def codes(run: Run) -> list[tuple[str, str]]:
    return sorted(("Grue", number) for number in run.grue())


def test_the_carrier_has_each_code_each_call_and_each_sms_and_nothing_encrypted(run: Run) -> None:
    records = run.lines("carrier", CallDetail)
    codes_sent = [one for one in records if one.sender == "Grue"]
    others = [one for one in records if one.sender != "Grue"]
    assert sorted((one.sender, one.to) for one in codes_sent) == codes(run)
    truth = run.by_telephone()
    assert sorted((one.kind, one.sender, one.to, one.seconds) for one in others) == [one[:4] for one in truth]
    # Texts are kept for some days only.
    assert {one.text for one in others} - {""} <= {text for *_, text in truth}
    assert not [one for one in others if one.kind == "sms" and {one.sender, one.to} <= run.grue()]


def test_what_the_carrier_has_of_the_server_is_what_the_server_submitted(run: Run) -> None:
    submitted = run.lines("sms-gateway", CallDetail)
    records = run.lines("carrier", CallDetail)
    assert len(submitted) > len(run.grue())
    key = {(one.at, one.sender, one.to) for one in records}
    assert [one for one in submitted if (one.at, one.sender, one.to) not in key] == []


def test_the_server_hands_the_carrier_the_subjects_sms_and_no_other(run: Run) -> None:
    sent = [(sms.sender, sms.to) for sms in sms_of(run.events("live-direct"))]
    texts = [event for event in run.life.events if event.kind is Kind.TEXT and event.who == run.life.subject]
    assert sent == [(event.who, event.whom) for event in texts if event.whom not in run.grue()]
    submitted = run.lines("sms-gateway", CallDetail)
    assert [(one.sender, one.to) for one in submitted if one.sender != "Grue"] == sent
    assert sorted((one.sender, one.to) for one in submitted if one.sender == "Grue") == codes(run)


def test_the_gateway_is_given_requests_without_an_address(run: Run) -> None:
    events = run.events("gateway")
    assert events
    assert not [event for event in events if event.address != RELAYED or event.where.endswith("/account")]


def test_a_recorder_prints_a_code_and_each_call_and_sms_of_its_line_and_nothing_else(run: Run) -> None:
    me = run.life.subject
    printed = sorted(
        (one.kind, *((one.line, one.number) if one.outgoing else (one.number, one.line)), one.seconds)
        for one in run.lines("dialled", Dialled)
    )
    own = [one[:4] for one in run.by_telephone() if me in one[1:3]]
    assert printed == sorted([("sms", "Grue", me, 0), *own])


def test_a_recorder_knows_nobody_with_whom_all_goes_encrypted(run: Run) -> None:
    called = {one.who if one.whom == run.life.subject else one.whom for one in run.life.events if one.kind is Kind.CALL}
    encrypted = run.grue() & set(run.life.contacts()) - called
    assert encrypted
    assert not encrypted & {one.number for one in run.lines("dialled", Dialled)}


def test_a_receiver_hears_calls_sms_and_a_code_while_the_handset_is_near_and_of_grue_sizes(run: Run) -> None:
    me, home = run.life.subject, run.life.people[0].address
    heard = run.lines("radio", Heard)
    spoken = [one for one in heard if one.what in ("call", "sms")]
    own = {(kind, who, whom, text) for kind, who, whom, _, text in run.by_telephone() if me in (who, whom)}
    assert {(one.what, one.sender, one.to, one.text) for one in spoken if one.sender != "Grue"} <= own
    assert [one.to for one in spoken if one.sender == "Grue"] == [me]
    assert len(spoken) > 10
    assert [one for one in heard if one.what == "presence"]
    tls = [one for one in heard if one.what == "tls"]
    passed = [one for one in run.lines("network", Passed) if one.address == home]
    assert [(one.at, one.size, one.up) for one in tls] == [(one.at, one.size, one.up) for one in passed]
    assert len({one.size for one in tls}) > 5
    assert not [one for one in tls if one.to or one.text]


def test_a_contact_has_what_was_written_to_it_and_nothing_of_anybody_else(run: Run) -> None:
    contact = run.life.closest
    told = run.lines("contact", Delivered)
    written = [
        (one.who, one.text)
        for one in run.life.events
        if one.kind is Kind.TEXT and one.whom == contact and one.who in run.grue()
    ]
    opened = [(one.sender, one.text) for one in told if one.what != "receipt"]
    assert opened == written
    assert {one.what for one in told} == {"request", "text", "receipt"}
    strangers = {one.number for one in run.life.people} - {who for who, _ in written} - {contact}
    held = run.bytes("contact")
    assert not [number for number in strangers if number.encode() in held]
    assert b"2001:db8" not in held


def test_a_contact_is_told_only_what_the_server_delivered(run: Run) -> None:
    """Each at the moment of a delivery to that contact's address."""
    address = next(one.address for one in run.life.people if one.number == run.life.closest)
    delivered = {
        read.event.at
        for read in messages(run.events("live-direct"))
        if isinstance(read.message, wire.Delivery) and read.event.address == address
    }
    assert {one.at for one in run.lines("contact", Delivered)} <= delivered


def test_the_token_issuer_is_given_draws_and_no_numbers(run: Run) -> None:
    events = run.events("tokens")
    assert events
    assert all(event.where.endswith("/account") for event in events)
    assert not [one for one in run.life.people if one.number.encode() in run.bytes("tokens")]


def test_envelopes_are_written_down_by_their_size(run: Run) -> None:
    posts = [read.message for read in messages(run.events("live-direct")) if isinstance(read.message, wire.Post)]
    assert posts
    assert {len(post.blob) for post in posts} <= set(wire.ENVELOPE_BUCKETS)
    assert not [post for post in posts if any(post.blob)]


# --- files ----------------------------------------------------------------------------------------


def test_captures_in_files_give_the_same_answers(run: Run) -> None:
    assert read(run.folder) == run.answers == load(run.folder / "answers.json", Answers)


def cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def cut_inside(path: Path, share: float) -> None:
    """The same before it was packed: it ends within a line."""
    data = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(data[: int(len(data) * share)]))


@pytest.mark.parametrize("cutting", [cut, cut_inside])
@pytest.mark.parametrize("name", [name for name in KINDS if name not in ("tokens", "sms-gateway")])
def test_a_capture_that_was_cut_short_is_read_as_far_as_it_goes(
    run: Run, tmp_path: Path, name: str, cutting: Callable[[Path, float], None]
) -> None:
    shutil.copytree(run.folder, tmp_path / "cut")
    path = tmp_path / "cut" / CAPTURES / f"{name}.jsonl.gz"
    kind = KINDS[name]
    before = list(load_lines(path, kind))
    cutting(path, 0.6)
    after = list(load_lines(path, kind))
    assert 0 < len(after) < len(before)
    assert after == before[: len(after)]
    assert len(read(tmp_path / "cut").views) == len(SEEN)


def test_what_is_no_capture_is_read_as_nothing(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.folder, tmp_path / "cut")
    for path in (tmp_path / "cut" / CAPTURES).iterdir():
        path.write_bytes(b"")
    found = read(tmp_path / "cut")
    assert [one.records for one in found.views] == [0] * len(SEEN)


def test_a_folder_without_a_life_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        read(tmp_path)


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError):
        make(1, tmp_path / "file", WEEK)


def test_a_life_without_events_is_played_and_has_no_answers(tmp_path: Path) -> None:
    found = make(1, tmp_path, Shape(days=2, contacts=8, events=0))
    assert [one.answers for one in found.views] == [[]] * len(SEEN)
    assert len(load(tmp_path / "names-direct.json", Names).numbers) > 8
    assert read(tmp_path) == found


def test_seeds_without_events_have_no_scores() -> None:
    assert over_seeds([1, 2], Shape(days=2, contacts=8, events=0)) == []


def test_scores_over_seeds_have_every_view_and_question() -> None:
    found = over_seeds([1, 2], Shape(days=2, contacts=8, events=80))
    assert {(one.view, one.question) for one in found} == {(view, question) for view in View for question in Question}
    assert all(one.low <= one.share <= one.high and one.seeds == 2 for one in found)
    with pytest.raises(UsageError):
        over_seeds([], WEEK)


@pytest.fixture(scope="module")
def few() -> dict[Question, dict[View, Score]]:
    """A few of the lives that are measured in hundreds."""
    return dict(by_view(over_seeds(range(3), Shape(days=28, contacts=40, events=1600))))


@pytest.mark.parametrize("question", Question)
def test_over_a_few_lives_the_classic_directory_is_nearly_always_right(
    few: dict[Question, dict[View, Score]], question: Question
) -> None:
    classic = few[question][View.CLASSIC]
    assert classic.share > 0.95
    assert classic.low > 2 * classic.chance or question is Question.CONTACTS


@pytest.mark.parametrize("question", Question)
def test_over_a_few_lives_a_server_at_rest_that_is_looked_at_weekly_is_at_chance(
    few: dict[Question, dict[View, Score]], question: Question
) -> None:
    rest = few[question][View.REST]
    assert rest.low <= rest.chance <= rest.high


def test_a_server_at_rest_that_is_looked_at_daily_shows_when_somebody_new_wrote(
    few: dict[Question, dict[View, Score]],
) -> None:
    """What the threat model admits: a key package is gone until the account's client fills up, a day at most."""
    views = few[Question.SOURCE]
    assert views[View.REST_DAILY].share > views[View.REST].share
