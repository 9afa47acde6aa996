"""Wi-Fi, broker and companion go and come: what is decided goes on, and nothing needs a reboot."""

from __future__ import annotations

import os
import signal
import time

from tests.e2e.rig import Board, System, wait_for
from tests.e2e.test_board import newest_boot
from tests.e2e.test_console import Line, boots
from tests.e2e.test_routines import PROGRAM, learn
from tools.vboard import layout


def set_up(board: Board) -> None:
    """Pin 4 rules pin 16; pin 5 blinks; a phrase switches pin 14."""
    board.control.call("drive", pin=4, level=0)
    learn(board, PROGRAM)
    rule = {"name": "bell", "read": 4, "is": "on", "tool": "gpio_write"}
    board.do("rule_set", rule | {"args": {"pin": 16, "value": 1}})
    blink = {"tool": "gpio_write", "args": {"pin": 5, "value": "toggle"}}
    board.do("schedule_set", {"name": "blink", "when": "every 1 s", **blink})


def goes_on(board: Board, line: Line) -> None:
    """Rule, schedule, routine, phrase and console work now."""
    level = board.level(5)
    wait_for("the schedule", lambda: board.level(5) != level, 5)
    board.control.call("drive", pin=4, level=1)
    wait_for("the rule", lambda: board.level(16) == 1, 3)
    assert "boot 1 (power_on)" in line.say("status")
    line.say("air the bath", "(chip)")
    assert board.level(14) == 1


def test_wifi_goes_and_comes_back(fresh) -> None:
    system: System = fresh()
    board = system.board()
    set_up(board)
    line = Line(board)
    told = len(system.tap.of("status"))
    board.control.call("net", up=False)
    line.shows("Wi-Fi is gone", 20)
    goes_on(board, line)
    assert "not connected" in line.say("wifi")
    board.control.call("net", up=True)
    wait_for("the link", lambda: len(system.tap.of("status")) > told + 1, 60)
    assert boots(board) == 1 and "MemoryError" not in line.text


def test_broker_and_companion_go_and_come_back(fresh) -> None:
    system: System = fresh()
    board = system.board()
    set_up(board)
    line = Line(board)
    told = len(system.tap.of("status"))
    system.companion.kill()
    pid = system.broker.pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    line.shows("broker 127.0.0.1", 20)
    wait_for("the broker", lambda: system.broker.restarts, 30)
    wait_for("the link", lambda: len(system.tap.of("status")) > told, 60)
    system.start_companion()
    assert wait_for("an answer", lambda: system.say("turn on pin 21").get("reply"), 60)
    assert boots(board) == 1 and board.level(21) == 1
    # And with neither, for good.
    system.companion.kill()
    at = len(line.read())
    system.broker.stop()
    line.shows("broker 127.0.0.1", 20, at)
    goes_on(board, line)
    assert boots(board) == 1


def test_a_router_that_is_away_at_boot_is_no_failed_boot(fresh) -> None:
    """Not after any number of them: the count of failed boots is taken back with no network."""
    system: System = fresh()
    board = system.board()
    boot = newest_boot(system)
    board.control.call("net", up=False)
    for _ in range(2):
        board.control.call("reset")
        time.sleep(0.5)
    failed = layout.RTC + 3  # main.py counts there

    def count() -> int:
        return (board.folder / "hw.mem").read_bytes()[failed]

    assert count() >= 2
    started = boots(board)
    wait_for("a healthy boot", lambda: count() == 0, 20)
    line = Line(board)
    assert "not connected" in line.say("wifi")
    board.control.call("net", up=True)
    board.online(after=boot)
    assert boots(board) == started and "SAFE" not in line.text
