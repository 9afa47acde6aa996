"""Limits of pins, with a stopwatch at the far end of the jumper (docs/guard.md)."""

import time
from typing import Any, Final

import pytest

from hil_tests.covered import covers
from hil_tests.jumper import Jumper, Span, changed, console, happened, teach
from tools.hil.board import Board
from tools.hil.capabilities import Capabilities
from tools.hil.plugin import Faults, Recorder

# How much later than its seconds a limit may act, as people count; and how much earlier the two
# clocks, of the board and of this machine, may make it seem.
LATE_MS: Final = 250
EARLY_S: Final = 0.02


def _refused(board: Board, tool: str, /, **args: Any) -> str:
    """What the guard says no with. AssertionError where it was not the guard, or no no."""
    receipt = board.ask(tool, **args)
    assert receipt.get("err") == "refused", f"{tool} {args}: {receipt}"
    return str(receipt["msg"])


def _on_time(record: Recorder, name: str, took: Span, seconds: float) -> None:
    """Neither early nor late, as far as the round trips let one see."""
    assert took.to_s >= seconds - EARLY_S, f"{name}: after {took.to_s:.3f} s, and not {seconds} s"
    record.figure(f"{name} late", "ms", max(took.from_s - seconds, 0) * 1000, limit=LATE_MS)
    record.figure(f"{name} seen within", "ms", (took.to_s - took.from_s) * 1000)


@covers("limit_set")
@pytest.mark.needs("jumper")
def test_max_on(board: Board, jumper: Jumper, record: Recorder) -> None:
    """An output goes off by itself after max_on_s, counted from when it was first switched on"""
    began_s = time.monotonic()
    board.do("limit_set", pin=jumper.from_pin, max_on_s=2, safe=0)
    on = jumper.drive(1)
    assert jumper.reads() == 1
    jumper.drive(1)  # does not extend it
    _on_time(record, "max_on_s", jumper.becomes(0, 10).since(on), 2)
    told = board.wait_event("limit", 10, began_s, pin=jumper.from_pin)
    assert "as long as it may be" in told.body["msg"], told.body


@pytest.mark.needs("jumper")
def test_max_on_of_pwm(board: Board, jumper: Jumper, record: Recorder) -> None:
    """PWM goes off after max_on_s, too, and a new duty does not extend it"""
    board.do("limit_set", pin=jumper.from_pin, max_on_s=1, safe=0)
    began_s = time.monotonic()
    board.do("pwm_set", pin=jumper.from_pin, freq=1000, duty=100)
    on = Span(began_s, time.monotonic())
    assert jumper.reads() == 1
    board.do("pwm_set", pin=jumper.from_pin, freq=2000, duty=100)
    _on_time(record, "max_on_s of PWM", jumper.becomes(0, 10).since(on), 1)
    assert board.refused("pwm_stop", pin=jumper.from_pin) == "not_found"


@pytest.mark.needs("jumper")
def test_max_on_of_what_is_on_already(board: Board, jumper: Jumper, record: Recorder) -> None:
    """A limit holds for what is on when it is set: from then, or off at once where it breaks it"""
    jumper.drive(1)
    began_s = time.monotonic()
    board.do("limit_set", pin=jumper.from_pin, max_on_s=1)
    limited = Span(began_s, time.monotonic())
    _on_time(record, "max_on_s of what is on", jumper.becomes(0, 10).since(limited), 1)
    jumper.drive(1)
    assert board.do("limit_set", pin=jumper.from_pin, max_on_s=0, allow="in")["off"] == 1
    assert "only be read" in _refused(board, "gpio_write", pin=jumper.from_pin, value=1)


@pytest.mark.needs("jumper")
def test_min_off(board: Board, jumper: Jumper, record: Recorder) -> None:
    """Switched off, it cannot be on again before min_off_s, and then it can"""
    board.do("limit_set", pin=jumper.from_pin, min_off_s=2, safe=0)
    jumper.drive(1)
    off = jumper.drive(0)
    assert "may be on again in" in _refused(board, "gpio_write", pin=jumper.from_pin, value=1)
    assert jumper.reads() == 0
    jumper.drive(0)  # off is never refused, nor does it begin anew
    on = changed(
        lambda: "err" not in board.ask("gpio_write", pin=jumper.from_pin, value=1),
        f"pin {jumper.from_pin} to be let on again",
        10,
    )
    _on_time(record, "min_off_s", on.since(off), 2)
    assert jumper.reads() == 1


@pytest.mark.needs("jumper")
def test_rate(board: Board, jumper: Jumper) -> None:
    """Switched on as often as rate_per_min, by whatever tool, it is refused; off is not"""
    board.do("limit_set", pin=jumper.from_pin, rate_per_min=4, safe=0)
    for _ in range(2):
        jumper.drive(1)
        jumper.drive(0)
    board.do("gpio_pulse", pin=jumper.from_pin, ms=20)
    jumper.becomes(0, 10)
    board.do("pwm_set", pin=jumper.from_pin, freq=1000, duty=100)
    # A value counts, too: of a motor that is told ten speeds a second.
    _refused(board, "pwm_set", pin=jumper.from_pin, freq=1000, duty=50)
    jumper.drive(0)
    why = _refused(board, "gpio_write", pin=jumper.from_pin, value=1)
    seconds = int(why.rpartition(" in ")[2].partition(" ")[0])
    assert 0 < seconds <= 75, why
    assert jumper.reads() == 0


@pytest.mark.needs("jumper")
def test_range(board: Board, jumper: Jumper) -> None:
    """A duty outside min and max is refused, the ends are not; a new range switches it off"""
    pin = jumper.from_pin
    board.do("limit_set", pin=pin, min=20, max=60, safe=0)
    for duty in (20, 60):
        board.do("pwm_set", pin=pin, freq=1000, duty=duty)
    for duty in (19.9, 60.1):
        assert "takes 20 to 60" in _refused(board, "pwm_set", pin=pin, freq=1000, duty=duty)
    assert board.do("limit_set", pin=pin, max=50)["off"] == 1
    assert jumper.reads() == 0


@pytest.mark.needs("jumper", "strip")
def test_interlock(board: Board, jumper: Jumper, has: Capabilities) -> None:
    """Of two outputs with one interlock word the second is refused, in any way of switching on"""
    assert has.strip
    one, other = jumper.from_pin, has.strip.pin
    board.do("neopixel_set", pin=other, count=has.strip.leds, colour="off")
    for pin in (one, other):
        board.do("limit_set", pin=pin, interlock="motor", safe=0)
    for on, off in ((one, other), (other, one)):
        board.do("gpio_write", pin=on, value=1)
        why = f"pin {on} is on: never together with {off}"
        for tool, args in (
            ("gpio_write", {"value": 1}),
            ("gpio_write", {"value": "toggle"}),
            ("gpio_pulse", {"ms": 10}),
            ("pwm_set", {"freq": 1000, "duty": 1}),
            ("servo_set", {"degrees": 0}),
        ):
            assert why in _refused(board, tool, pin=off, **args)
        assert board.level(on) == 1 and board.level(off) == 0
        assert jumper.reads() == int(on == one)
        board.do("gpio_write", pin=on, value=0)


# ---- new starts, the link


@covers("limit_get")
@pytest.mark.needs("jumper")
def test_safe_level_at_boot(board: Board, jumper: Jumper) -> None:
    """After a reset an output is at its safe level, no PWM goes on, and its limits hold"""
    pin = jumper.from_pin
    limit = board.do("limit_set", pin=pin, safe=1, min_off_s=600)["limit"]
    # On, since 1 is off.
    board.do("pwm_set", pin=pin, freq=1000, duty=5)
    assert jumper.reads() == 0
    board.reset()
    assert [jumper.reads() for _ in range(8)] == [1] * 8
    assert board.do("limit_get", pin=pin)["limit"] == limit
    # Nobody knows for how long it was off, so it counts from the boot.
    why = _refused(board, "gpio_write", pin=pin, value=0)
    assert f"pin {pin} may be off again in" in why, why
    assert jumper.reads() == 1


@pytest.mark.needs("jumper")
def test_last_level_at_boot(board: Board, jumper: Jumper) -> None:
    """With restore last an output is after a reset what it was before"""
    board.do("limit_set", pin=jumper.from_pin, restore="last", safe=0)
    writes = board.flash_writes
    jumper.drive(1)
    changed(lambda: board.flash_writes > writes, "the level to be on flash", 5)
    board.reset()
    assert jumper.reads() == 1
    jumper.drive(0)
    assert jumper.reads() == 0


@covers("limit_set")
@pytest.mark.needs("jumper")
def test_link_loss(board: Board, jumper: Jumper, faults: Faults, record: Recorder) -> None:
    """An output goes off when the link has been down for link_loss_s, seen at the console"""
    board.do("point_set", name="far end", pin=jumper.to_pin, dir="in")
    board.do("limit_set", pin=jumper.from_pin, link_loss_s=3, safe=0)
    jumper.drive(1)
    assert _at_the_console(board) == "on"
    began_s = time.monotonic()
    faults.refuse()
    down = Span(began_s, time.monotonic())
    off = changed(lambda: _at_the_console(board) == "off", "the far end to be low", 20)
    took = off.since(down)
    # Looked at once a second; and until the link's end is seen, it counts as up.
    assert took.to_s >= 2, f"went off {took.to_s:.2f} s after the link"
    record.figure("link_loss_s late", "s", max(took.from_s - 3, 0), limit=3)
    faults.clear()
    told = board.wait_event("limit", 60, began_s, pin=jumper.from_pin)
    assert "the link is lost" in told.body["msg"], told.body
    board.online(since_s=began_s)
    assert jumper.reads() == 0
    jumper.drive(1)
    assert jumper.reads() == 1


def _at_the_console(board: Board) -> str:
    """The far end, "on" or "off", as the console shows it with nobody connected."""
    return console(board, "points", "far end: pin").rpartition(" ")[2]


# ---- whoever asks


@covers("limit_set", "rule_set", "schedule_set")
@pytest.mark.needs("jumper")
def test_one_limit_for_all(board: Board, jumper: Jumper) -> None:
    """A rule, a schedule, a routine, a sentence and a direct call are stopped by the same limit"""
    jumper.fresh()
    pin = jumper.from_pin
    act: dict[str, Any] = {"tool": "gpio_write", "args": {"pin": pin, "value": 1}}
    teach(board, {"name": "try", "do": [{"call": [act["tool"], act["args"]]}]})
    board.do("rule_set", name="try", event="try", **{"is": "arrives"}, **act)
    board.do("point_set", name="near end", pin=pin)
    board.do("limit_set", pin=pin, min_off_s=600, safe=0)
    jumper.drive(1)
    jumper.drive(0)
    board.do("counter_start", pin=jumper.to_pin)
    why = f"pin {pin} may be on again in"
    began_s = time.monotonic()
    assert why in _refused(board, "gpio_write", pin=pin, value=1)
    assert why in _refused(board, "routine_run", name="try")
    said = board.say("turn on the near end")
    assert why in said["reply"].lower(), said["reply"]
    board.wire.send("event/try", b"")
    board.do("schedule_set", name="by time", when="every 1 s", **act)
    for by in ("try", "by time"):
        receipt = happened(board, 1, 15, began_s, by=by)[0].body["receipt"]
        assert receipt["err"] == "refused" and why in receipt["msg"], (by, receipt)
    # Each of the five is told.
    happened(board, 5, 10, began_s, "refused", code="refused")
    assert board.do("counter_stop", pin=jumper.to_pin) == {"count": 0}
