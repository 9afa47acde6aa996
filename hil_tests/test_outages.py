"""Broker, Wi-Fi and board go and come: what was decided goes on, and is told afterwards."""

import itertools
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from hil_tests.events import caught_up, in_order, runs
from tools.hil.bench import Bench
from tools.hil.board import Board
from tools.hil.capabilities import Capabilities
from tools.hil.plugin import Broker, Power, Recorder, Wifi
from tools.hil.wire import Wire

# 30 s between two tries at most, with a quarter of jitter, and 10 for the session (docs/limits.md).
BACK_S = 30 * 1.25 + 10
# Joining the network takes 15 s at most, and comes before.
BACK_WIFI_S = BACK_S + 15
# A handshake keeps a slow chip from everything else for so long.
BUSY_S = 5
OUTAGE_S = 3.0


def beat(board: Board, name: str = "beat") -> None:
    """A schedule that tells every second what the clock says."""
    board.do("schedule_set", name=name, when="every 1 s", tool="get_time", args={})


def outage(board: Board, down: Callable[[], None], up: Callable[[], None], limit_s: float) -> float:
    """Out for as long as it takes and `OUTAGE_S` more; how long it then took to be back, in s."""
    position = board.line.position
    down()
    board.line.wait(": ", 60, position)  # it has seen it, and says so
    time.sleep(OUTAGE_S)
    up()
    at_s = time.monotonic()
    board.online(since_s=at_s, seconds=limit_s)
    return board.wire.of("status", at_s, online=True)[0].at_s - at_s


def it_goes_on(
    board: Board, record: Recorder, down: Callable[[], None], up: Callable[[], None], limit_s: float
) -> None:
    began_s = time.monotonic()
    boot, sessions = board.boot, board.sessions
    beat(board)
    board.wait_event("fired", since_s=began_s, by="beat")
    began = int(time.time())
    back_s = outage(board, down, up, limit_s)
    came = int(time.time())
    record.figure("back", "s", back_s, limit=limit_s)
    caught_up(board)
    assert board.boot == boot
    assert board.sessions == sessions + 1
    told = in_order(board.wire.of("event", began_s), boot)
    epochs = [receipt["epoch"] for receipt in runs(told, "beat")]
    assert epochs == sorted(epochs), epochs
    during = [e for e in epochs if began <= e <= came]
    assert len(during) >= OUTAGE_S - 1, (began, came, epochs)
    gaps = [b - a for a, b in itertools.pairwise(during)]
    record.figure("longest between two runs", "s", max(gaps), limit=1 + BUSY_S)


def test_the_broker_dies_and_comes_back(
    board: Board, broker: Broker, bench: Bench, record: Recorder
) -> None:
    """The broker dies and is back: schedules went on, all of it is told, all is retained again"""
    it_goes_on(board, record, broker.down, broker.up, BACK_S)
    # Who comes now hears what the new broker was told to keep.
    late = Wire(board.wire.device, bench.broker.port, *bench.broker.add_service("late"))
    try:
        status = late.wait("status", 10, boot=board.boot, online=True).body
        assert late.wait("tools", 10).body["hash"] == status["tools"]
        assert late.wait("state", 10).body["points"] == {}
    finally:
        late.close()


def test_a_reset_in_an_outage(board: Board, broker: Broker, record: Recorder) -> None:
    """A new start while nobody is there: schedules run, and are told when somebody is"""
    boot = board.boot
    beat(board)
    broker.down()
    position = board.line.position
    board.press()
    board.line.wait(f"boot {boot + 1} of", 60, position)
    time.sleep(OUTAGE_S)
    broker.up()
    at_s = time.monotonic()
    assert board.online(after=boot, seconds=BACK_S) == boot + 1
    record.figure("back", "s", board.wire.of("status", at_s)[0].at_s - at_s, limit=BACK_S)
    assert not board.status["safe"]
    caught_up(board)
    events = in_order(board.wire.of("event", at_s), boot + 1)
    assert events[0]["kind"] == "boot", events[0]
    assert len(runs(events, "beat")) >= OUTAGE_S - 1, events


@pytest.mark.needs("wifi")
def test_the_wifi_goes_and_comes_back(board: Board, wifi: Wifi, record: Recorder) -> None:
    """The Wi-Fi goes and is back: schedules went on, and all of it is told"""
    it_goes_on(board, record, wifi.down, wifi.up, BACK_WIFI_S)


@pytest.mark.needs("power", "wifi")
def test_a_cold_start_without_a_network(
    board: Board, power: Power, wifi: Wifi, record: Recorder
) -> None:
    """Power comes back before the network: no clock, so only what needs none runs, and at once"""
    boot = board.boot
    beat(board)
    board.do("schedule_set", name="by the clock", when="every 2 s from 00:00",
             tool="get_time", args={})  # fmt: skip
    wifi.down()
    power.off()
    power.on()
    time.sleep(2 * OUTAGE_S)  # of which a chip takes some for its start
    at_s = time.monotonic()
    wifi.up()
    assert board.online(after=boot, seconds=BACK_WIFI_S) == boot + 1
    record.figure("back", "s", board.wire.of("status", at_s)[0].at_s - at_s, limit=BACK_WIFI_S)
    board.wait_event("fired", since_s=at_s, by="by the clock")
    caught_up(board)
    events = in_order(board.wire.of("event", at_s), boot + 1)
    beats = runs(events, "beat")
    blind = [receipt for receipt in beats if receipt.get("err") == "no_clock"]
    assert len(blind) >= OUTAGE_S - 1, beats
    assert all("epoch" in receipt for receipt in runs(events, "by the clock")), events


@pytest.mark.needs("jumper")
def test_a_sentence_acts_once(board: Board, broker: Broker, has: Capabilities) -> None:
    """The broker dies as a sentence comes: it is answered, and has acted once"""
    assert has.jumper is not None
    drives, reads = has.jumper.from_pin, has.jumper.to_pin
    board.do("gpio_write", pin=drives, value=0)
    board.do("counter_start", pin=reads, edge="rising")
    came: list[dict[str, Any]] = []
    said = threading.Thread(
        target=lambda: came.append(board.say(f"turn on pin {drives} for 1 second"))
    )
    said.start()
    broker.down()
    time.sleep(1)
    broker.up()
    said.join(60)
    board.online(since_s=time.monotonic() - 30, seconds=BACK_S)
    assert came and came[0]["reply"] and "err" not in came[0], came
    count = board.do("counter_read", pin=reads)["count"]
    assert count == 1, f"{count} pulses; it was said: {came[0]}"


@pytest.mark.needs("jumper")
def test_rules_act_meanwhile(
    board: Board, broker: Broker, has: Capabilities, record: Recorder
) -> None:
    """While the broker is away a rule answers each change of its pin, once"""
    assert has.jumper is not None
    began_s = time.monotonic()
    drives, reads = has.jumper.from_pin, has.jumper.to_pin
    board.do("gpio_write", pin=drives, value=0)
    board.do("rule_set", name="bell", read=reads, **{"is": "changes"}, tool="get_time", args={})
    toggle = {"pin": drives, "value": "toggle"}
    board.do("schedule_set", name="wave", when="every 1 s", tool="gpio_write", args=toggle)
    board.wait_event("fired", since_s=began_s, by="bell")
    back_s = outage(board, broker.down, broker.up, BACK_S)
    record.figure("back", "s", back_s, limit=BACK_S)
    board.do("schedule_delete", name="wave")
    caught_up(board)
    told = [e["by"] for e in in_order(board.wire.of("event", began_s), board.boot) if "by" in e]
    while told[-1] == "wave":  # that of the last one is not told yet
        told.pop()
    assert told == ["wave", "bell"] * (len(told) // 2), told
    assert len(told) >= 2 * (OUTAGE_S - 1), told


def test_what_is_too_much_to_keep_is_counted(board: Board, broker: Broker) -> None:
    """More events than are kept: 16 at least come, in order, and the others are counted"""
    boot = board.reset()  # flash takes 16 of them at once, then one a minute
    names = [f"beat {n}" for n in range(10)]
    for name in names:
        beat(board, name)
    began_s = time.monotonic()
    board.wait_event("fired", since_s=began_s, by=names[-1])
    broker.down()
    at_s = time.monotonic()
    time.sleep(2 * OUTAGE_S)
    broker.up()
    board.online(since_s=at_s, seconds=BACK_S)
    for name in names:
        board.do("schedule_delete", name=name)
    caught_up(board)
    events = in_order(board.wire.of("event", began_s), boot)
    assert any("dropped" in event for event in events), "the outage was too short"
    waited = board.events("fired", at_s)
    assert len(waited) >= 16, waited
    assert board.boot == boot


@pytest.mark.long
@pytest.mark.needs("jumper")
def test_a_command_acts_once(board: Board, broker: Broker, has: Capabilities) -> None:
    """The broker dies as a command comes: sent again, it has acted once"""
    assert has.jumper is not None
    drives, reads = has.jumper.from_pin, has.jumper.to_pin
    board.do("gpio_write", pin=drives, value=0)
    board.reset()  # so that it comes back soon each time
    board.do("counter_start", pin=reads, edge="rising")
    dice = random.Random(1)
    for n in range(1, 3):
        body = board.wire.command(board.boot, tool="gpio_pulse", args={"pin": drives, "ms": 30})
        board.wire.send("do", body)
        time.sleep(dice.uniform(0, 0.05))
        broker.down()
        time.sleep(0.2)
        broker.up()
        at_s = time.monotonic()
        board.online(since_s=at_s, seconds=BACK_S)
        receipt = board.wire.exchange("do", "done", body, 30).body["receipt"]
        assert "err" not in receipt, receipt
        assert board.wire.exchange("do", "done", body, 30).body["receipt"] == receipt
        time.sleep(0.1)
        count = board.do("counter_read", pin=reads)["count"]
        assert count == n, f"{count} pulses after {n} commands"
