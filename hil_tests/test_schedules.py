"""Schedules: what is due is run, when it is due, as often as it is due (docs/automation.md)."""

import calendar
import statistics
import time
from typing import Any, Final

import pytest

from hil_tests.covered import covers
from hil_tests.jumper import Jumper, happened
from tools.hil.board import Board
from tools.hil.plugin import Recorder
from tools.hil.wire import Heard

# On the chip 50 ms (docs/limits.md); and a Wi-Fi that may sleep until its next beacons.
JITTER_MS: Final = 500
# The time comes in whole seconds, and may be under way for a while: docs/protocol.md.
CLOCK_OFF_S: Final = 2.0
RUNS: Final = 8


def _tick(board: Board, name: str, when: str, **more: Any) -> dict[str, Any]:
    """Ask for the time then: an event, and nothing switched."""
    return board.do("schedule_set", name=name, when=when, tool="get_time", args={}, **more)


def _jitter_ms(runs: list[Heard], period_s: float) -> list[float]:
    """How far each run is from where the others say that it should be."""
    off_s = [heard.at_s - n * period_s for n, heard in enumerate(runs)]
    middle_s = statistics.median(off_s)
    return [abs(each - middle_s) * 1000 for each in off_s]


def _unix(iso: str) -> int:
    return calendar.timegm(time.strptime(iso, "%Y-%m-%dT%H:%M:%SZ"))


def _unix_of(heard: Heard) -> float:
    """When it came, by this machine's clock."""
    return time.time() - (time.monotonic() - heard.at_s)


@covers("schedule_set", "schedule_pause")
@pytest.mark.needs("jumper")
def test_every(board: Board, jumper: Jumper, record: Recorder) -> None:
    """What is due each second, or each other one, runs then; each run is an edge at the jumper"""
    began_s = time.monotonic()
    board.do("counter_start", pin=jumper.to_pin, edge="both")
    toggle = {"pin": jumper.from_pin, "value": "toggle"}
    board.do("schedule_set", name="one", when="every 1 s", tool="gpio_write", args=toggle)
    _tick(board, "two", "every 2 s")
    ones = happened(board, RUNS, 3 * RUNS, began_s, by="one")
    counted = board.do("counter_read", pin=jumper.to_pin)["count"]
    board.do("schedule_pause", name="one", paused=True)
    edges = board.do("counter_stop", pin=jumper.to_pin)["count"]
    # What the board did, and what it told, are the same.
    told = [heard.body["receipt"] for heard in board.events("fired", began_s, by="one")]
    assert told == [{"level": (n + 1) % 2} for n in range(edges)], (told, edges)
    assert RUNS <= counted <= RUNS + 1, (counted, RUNS)
    twos = happened(board, RUNS // 2, 10, began_s, by="two")
    jitter_ms = _jitter_ms(ones, 1) + _jitter_ms(twos, 2)
    record.figure("schedule jitter", "ms", jitter_ms, limit=JITTER_MS)


@covers("schedule_list")
def test_once_and_by_the_clock(board: Board, record: Recorder) -> None:
    """Once in some seconds; every 5 s by the clock; a cron line says its next minute"""
    began_s = time.monotonic()
    next_minute = (int(time.time()) // 60 + 1) * 60
    minute = _unix(_tick(board, "minute", "* * * * *")["next"])
    assert 0 <= minute - next_minute <= 60, (minute, next_minute)
    assert minute % 60 == 0
    fifth = _unix(_tick(board, "fifth", "every 5 s from 00:00")["next"])
    assert fifth % 5 == 0
    once = _unix(_tick(board, "once", "in 3 s")["next"])
    off_s = []
    for name, due in (("once", once), ("fifth", fifth)):
        (fired,) = happened(board, 1, 20, began_s, by=name)
        off_s.append(abs(_unix_of(fired) - due))
        # It was not a moment too soon by its own clock.
        assert fired.body["receipt"]["epoch"] >= due, (name, fired.body, due)
    record.figure("run off its second by", "s", off_s, limit=CLOCK_OFF_S)
    left = [row[0] for row in board.do("schedule_list")["schedules"]]
    assert left == ["fifth", "minute"], left
    assert len(board.events("fired", began_s, by="once")) == 1


@pytest.mark.long
def test_cron(board: Board, record: Recorder) -> None:
    """A cron line runs at its minute"""
    began_s = time.monotonic()
    due = _unix(_tick(board, "minute", "* * * * *")["next"])
    assert 0 < due - time.time() <= 61, due
    (fired,) = happened(board, 1, 70, began_s, by="minute")
    assert due <= fired.body["receipt"]["epoch"] < due + 5, (due, fired.body)
    record.figure("run off its minute by", "s", abs(_unix_of(fired) - due), limit=CLOCK_OFF_S)


@covers("schedule_pause", "schedule_list")
def test_paused_and_so_many_times(board: Board) -> None:
    """What is paused does not run, what is to run twice runs twice; going on, it runs again"""
    _tick(board, "paused", "every 1 s")
    board.do("schedule_pause", name="paused", paused=True)
    began_s = time.monotonic()
    _tick(board, "other", "every 1 s")
    _tick(board, "twice", "every 1 s", runs=2)
    happened(board, 2, 15, began_s, by="twice")
    others = len(board.events("fired", began_s, by="other"))
    happened(board, others + 2, 15, began_s, by="other")
    board.do("get_time")  # what came before has been told by now
    assert len(board.events("fired", began_s, by="twice")) == 2
    assert not board.events("fired", began_s, by="paused")
    rows = {row[0]: row[3] for row in board.do("schedule_list")["schedules"]}
    assert sorted(rows) == ["other", "paused"] and rows["paused"] == "paused", rows
    going_s = time.monotonic()
    board.do("schedule_pause", name="paused", paused=False)
    happened(board, 1, 10, going_s, by="paused")


def test_after_a_reset(board: Board) -> None:
    """A schedule is there after a reset, and counts from it"""
    _tick(board, "tick", "every 2 s")
    boot = board.reset()
    (fired,) = happened(board, 1, 15, 0, by="tick", boot=boot)
    assert fired.body["receipt"]["epoch"] > 0, fired.body


@pytest.mark.needs("jumper")
def test_conflicts(board: Board, jumper: Jumper) -> None:
    """Two that do different things to one pin in the same minute: the second says so"""
    for name, value in (("on", 1), ("off", 0)):
        receipt = board.do(
            "schedule_set",
            name=name,
            when="0 7 1 1 *",
            tool="gpio_write",
            args={"pin": jumper.from_pin, "value": value},
        )
        says = receipt.get("conflicts", [])
        assert bool(says) == (name == "off"), receipt
    assert f"schedule on turns pin {jumper.from_pin} on" in says[0], says
