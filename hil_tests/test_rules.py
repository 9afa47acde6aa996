"""Rules: a level at the jumper, a voltage, an event, and what they run (docs/automation.md)."""

import json
import time
from typing import Any, Final

import pytest

from hil_tests.covered import covers
from hil_tests.jumper import Jumper, console, happened, teach
from tools.hil.board import Board
from tools.hil.capabilities import Capabilities
from tools.hil.plugin import Faults, Recorder

# From the receipt of the write to the rule's event: some milliseconds on the chip (docs/limits.md),
# and a Wi-Fi that may sleep until its next beacons.
RULE_MS: Final = 500
CHANGES: Final = 30


def _rule(board: Board, name: str, tool: str, args: dict[str, Any], **condition: Any) -> None:
    board.do("rule_set", name=name, tool=tool, args=args, **condition)


def _fired(board: Board, since_s: float) -> list[str]:
    """Whose events came, once the board has answered: what came before is told before."""
    board.do("get_time")
    return [heard.body["by"] for heard in board.events("fired", since_s)]


@pytest.mark.needs("jumper")
def test_latency(board: Board, jumper: Jumper, record: Recorder) -> None:
    """A rule runs when the level at the far end changes, each time, at once"""
    read = {"pin": jumper.to_pin}
    began_s = time.monotonic()
    for name, condition in (("up", "on"), ("down", "off")):
        _rule(board, name, "gpio_read", read, read=jumper.to_pin, **{"is": condition})
    happened(board, 1, 10, began_s, by="down")  # it is low, and from now on looked at
    took_ms = []
    for n in range(CHANGES):
        level = 1 - n % 2
        sent_s = time.monotonic()
        command = board.wire.command(
            board.boot, tool="gpio_write", args={"pin": jumper.from_pin, "value": level}
        )
        done = board.wire.exchange("do", "done", command, 30)
        assert done.body["receipt"] == {"level": level}
        (fired,) = happened(board, 1, 10, sent_s, by=("down", "up")[level])
        assert fired.body["receipt"] == {"level": level}, fired.body
        took_ms.append(max(fired.at_s - done.at_s, 0) * 1000)
    assert len(_fired(board, began_s)) == 1 + CHANGES
    record.figure("rule", "ms", took_ms, limit=RULE_MS)


@pytest.mark.needs("jumper")
def test_for_so_long(board: Board, jumper: Jumper, record: Recorder) -> None:
    """With for_s it has to hold for so long without a break"""
    began_s = time.monotonic()
    _rule(board, "held", "get_time", {}, read=jumper.to_pin, for_s=1, **{"is": "on"})
    _rule(board, "low", "get_time", {}, read=jumper.to_pin, **{"is": "off"})
    happened(board, 1, 10, began_s, by="low")
    jumper.drive(1)
    time.sleep(0.6)
    jumper.drive(0)
    happened(board, 2, 10, began_s, by="low")  # the break was seen
    on = jumper.drive(1)
    (fired,) = happened(board, 1, 10, began_s, by="held")
    assert fired.at_s - on.from_s >= 1, f"ran after {fired.at_s - on.from_s:.3f} s"
    record.figure("for_s late", "ms", max(fired.at_s - on.to_s - 1, 0) * 1000, limit=RULE_MS)
    assert _fired(board, began_s).count("held") == 1


@pytest.mark.needs("jumper")
def test_cool_down(board: Board, jumper: Jumper, record: Recorder) -> None:
    """In cool_s after a run there is none; what still holds then runs then"""
    began_s = time.monotonic()
    _rule(board, "on", "get_time", {}, read=jumper.to_pin, cool_s=2, **{"is": "on"})
    _rule(board, "low", "get_time", {}, read=jumper.to_pin, **{"is": "off"})
    happened(board, 1, 10, began_s, by="low")
    on = jumper.drive(1)
    happened(board, 1, 10, began_s, by="on")
    jumper.drive(0)
    happened(board, 2, 10, began_s, by="low")
    jumper.drive(1)
    first, again = happened(board, 2, 10, began_s, by="on")
    assert again.at_s - on.from_s >= 2, f"ran again after {again.at_s - on.from_s:.3f} s"
    record.figure("cool_s late", "ms", max(again.at_s - first.at_s - 2, 0) * 1000, limit=RULE_MS)


@pytest.mark.needs("adc")
def test_voltage(board: Board, has: Capabilities, record: Recorder) -> None:
    """A voltage above a value is seen within seconds and told once, one that is not below is not"""
    assert has.adc
    sensor = {"tool": "adc_read", "args": {"pin": has.adc.pin}, "field": "mv"}
    low = has.adc.mv - 2 * has.adc.tolerance_mv
    began_s = time.monotonic()
    _rule(board, "above", "get_time", {}, sensor=sensor, value=low, **{"is": "above"})
    _rule(board, "below", "get_time", {}, sensor=sensor, value=low, **{"is": "below"})
    (fired,) = happened(board, 1, 10, began_s, by="above")
    record.figure("rule of a voltage", "s", fired.at_s - began_s, limit=3)
    # Looked at once a second: a schedule of two more tells that it was, twice.
    board.do("schedule_set", name="later", when="every 2 s", tool="get_time", args={}, runs=1)
    happened(board, 1, 10, began_s, by="later")
    assert _fired(board, began_s) == ["above", "later"]


# ---- events


def _send(board: Board, name: str, payload: object) -> None:
    data = payload if isinstance(payload, str) else json.dumps(payload)
    board.wire.send(f"event/{name}", data.encode())


@covers("rule_pause")
def test_events(board: Board) -> None:
    """What an event says is compared: a number, a word, on and off, that it came"""
    for name, condition in (
        ("hot", {"event": "temp", "is": "above", "value": 25, "hyst": 2}),
        ("open", {"event": "door", "is": "on"}),
        ("twice", {"event": "button", "is": "equals", "text": "double"}),
        ("ring", {"event": "bell", "is": "arrives"}),
        ("paused", {"event": "bell", "is": "arrives"}),
    ):
        _rule(board, name, "get_time", {}, **condition)
    board.do("rule_pause", name="paused", paused=True)
    for event, payload, runs in (
        ("temp", 24, None),
        ("temp", {"value": 25.5}, "hot"),
        ("temp", "24.0", None),  # still, by its hysteresis
        ("temp", "22.5", None),
        ("temp", "30", "hot"),
        ("door", "closed", None),
        ("door", "OPEN", "open"),
        ("button", "single", None),
        ("button", "Double", "twice"),
        ("bell", "", "ring"),
        ("nobody", "", None),
    ):
        began_s = time.monotonic()
        _send(board, event, payload)
        assert _fired(board, began_s) == ([runs] if runs else []), (event, payload)


def test_events_that_are_not_to_run(board: Board) -> None:
    """A double by its id runs once; one that is too late or too big does not, and is told"""
    _rule(board, "ring", "get_time", {}, event="bell", **{"is": "arrives"})
    began_s = time.monotonic()
    for _ in range(2):
        _send(board, "bell", {"id": f"{began_s:.6f}"})
    assert _fired(board, began_s) == ["ring"]
    for payload, code in (({"exp": int(time.time()) - 60}, "expired"), ("x" * 513, "too_big")):
        _send(board, "bell", payload)
        told = board.wait_event("bad_message", 10, began_s, code=code).body
        assert told["on"] == "event/bell", told
    assert _fired(board, began_s) == ["ring"]


def test_after_a_reset(board: Board) -> None:
    """A rule is there after a reset"""
    _rule(board, "ring", "get_time", {}, event="bell", **{"is": "arrives"})
    boot = board.reset()
    began_s = time.monotonic()
    _send(board, "bell", "")
    assert happened(board, 1, 10, began_s, by="ring")[0].body["boot"] == boot


# ---- nobody there, too much


@pytest.mark.needs("jumper")
def test_with_nobody_connected(board: Board, jumper: Jumper, faults: Faults) -> None:
    """Rules run with the broker away; what they did is told later, in order, each once"""
    blink = [
        step
        for value in (1, 0)
        for step in (
            {"call": ["gpio_write", {"pin": jumper.from_pin, "value": value}]},
            {"wait": 0.3},
        )
    ]
    teach(board, {"name": "blink", "do": [{"wait": 2}, {"repeat": 2, "do": blink}]})
    began_s = time.monotonic()
    read = {"pin": jumper.to_pin}
    for name, condition in (("up", "on"), ("down", "off")):
        _rule(board, name, "gpio_read", read, read=jumper.to_pin, **{"is": condition})
    happened(board, 1, 10, began_s, by="down")
    board.do("routine_run", name="blink")
    faults.refuse()
    board.offline()
    away_s = time.monotonic()
    until = away_s + 20
    while console(board, "routines", "blink: ").startswith("running"):
        assert time.monotonic() < until, "the routine goes on"
        time.sleep(0.1)
    assert not board.events("fired", away_s)
    faults.clear()
    told = [heard.body for heard in happened(board, 4, 60, away_s)]
    assert [(b["by"], b["receipt"]["level"]) for b in told] == [("up", 1), ("down", 0)] * 2
    board.online(since_s=away_s)
    board.do("get_time")
    came = [(h.body["boot"], h.body["n"]) for h in board.wire.of("event", away_s, kind="fired")]
    assert len(came) == 4 and came == sorted(set(came)), came


@covers("rule_delete")
@pytest.mark.needs("jumper")
def test_a_rule_gone_wild(board: Board, jumper: Jumper, record: Recorder) -> None:
    """A rule that sets itself off again and again starves nobody, and what it drops is counted"""
    act = {"pin": jumper.from_pin, "value": "toggle"}
    writes = board.flash_writes
    began_s = time.monotonic()
    _rule(board, "low", "get_time", {}, read=jumper.to_pin, **{"is": "off"})
    _rule(board, "wild", "gpio_write", act, read=jumper.to_pin, **{"is": "changes"})
    happened(board, 1, 10, began_s, by="low")
    jumper.drive(1)
    happened(board, 20, 30, began_s, by="wild")
    answers_ms = []
    for _ in range(10):
        asked_s = time.monotonic()
        board.do("get_time")
        answers_ms.append((time.monotonic() - asked_s) * 1000)
    record.figure("answer beside a wild rule", "ms", answers_ms, limit=2000)
    board.do("rule_delete", name="wild")
    board.refused("gpio_read", pin=63)
    last = board.wait_event("refused", 30, began_s, tool="gpio_read").body
    came = [heard.body for heard in board.wire.of("event", began_s)]
    seen = {body["n"] for body in came}
    gone = sum(body.get("dropped", 0) for body in came)
    assert len(seen) + gone == last["n"] - min(seen) + 1, (len(seen), gone, last["n"], min(seen))
    # Setting two and forgetting one: no run costs flash while the broker is there.
    assert board.flash_writes - writes <= 3


def test_a_storm_of_events(board: Board, record: Recorder) -> None:
    """Of a storm of events 16 run, then 4 a second; how many were dropped is told"""
    _rule(board, "ring", "get_time", {}, event="bell", **{"is": "arrives"})
    began_s = time.monotonic()
    sent = 60
    for _ in range(sent):
        _send(board, "bell", "")
    stormed_s = time.monotonic() - began_s
    dropped = board.wait_event("error", 60, began_s, on="event").body["msg"]
    came = [heard.body for heard in board.wire.of("event", began_s)]
    fired = len(board.events("fired", began_s, by="ring"))
    untold = sum(body.get("dropped", 0) for body in came)
    assert "came too fast" in dropped, dropped
    assert fired + untold + int(dropped.split()[0]) == sent, (fired, untold, dropped)
    answered_s = time.monotonic()
    _fired(board, began_s)
    record.figure("answer after a storm", "ms", (time.monotonic() - answered_s) * 1000, limit=2000)
    assert 4 <= fired + untold <= 16 + 4 * (stormed_s + 2), (fired, stormed_s)
