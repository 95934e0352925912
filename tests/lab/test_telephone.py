"""The telephone network: what a carrier keeps, what a recorder on a line prints, what is heard near a handset."""

from grue.exposure.records import CallDetail, Dialled, Heard
from grue.lab.telephone import Telephones

ALICE, BOB, CAROL = "+447700900111", "+447700900222", "+447700900333"
DAY = 86_400.0


class World:
    def __init__(self, years: float = 7.0) -> None:
        self.now = 1_800_000_000.0
        self.near = True
        self.network = Telephones(lambda: self.now, kept_years=years, line=ALICE, near=lambda: self.near)


def test_a_carrier_records_both_numbers_time_length_and_text() -> None:
    world = World()
    world.network.sms(ALICE, BOB, "at four")
    world.network.call(BOB, CAROL, 61)
    assert world.network.records == [
        CallDetail(world.now, "sms", ALICE, BOB, text="at four"),
        CallDetail(world.now, "call", BOB, CAROL, 61),
    ]


def test_texts_go_after_days_and_records_after_years() -> None:
    world = World(years=1)
    world.network.sms(ALICE, BOB, "at four")
    world.now += 6 * DAY
    world.network.sweep()
    assert [(one.to, one.text) for one in world.network.records] == [(BOB, "")]
    world.now += 365 * DAY
    world.network.sweep()
    assert world.network.records == []


def test_a_recorder_prints_the_numbers_of_its_line_and_no_text() -> None:
    world = World()
    world.network.sms(ALICE, BOB, "at four")
    world.network.call(CAROL, ALICE, 61)
    world.network.call(BOB, CAROL, 5)
    assert world.network.dialled == [
        Dialled(world.now, ALICE, BOB, True, "sms"),
        Dialled(world.now, ALICE, CAROL, False, "call", 61),
    ]


def test_a_receiver_hears_sms_and_presence_in_the_clear() -> None:
    world = World()
    world.network.present()
    world.network.sms(BOB, ALICE, "at four")
    assert world.network.heard == [
        Heard(world.now, "presence", ALICE),
        Heard(world.now, "sms", BOB, ALICE, "at four"),
    ]


def test_nothing_is_heard_of_a_handset_that_is_elsewhere() -> None:
    world = World()
    world.near = False
    world.network.present()
    world.network.sms(BOB, ALICE, "at four")
    assert world.network.heard == []
    assert len(world.network.dialled) == 1
