"""A routine on a board: defined, approved, run, canceled, cut off by the power, said."""

from __future__ import annotations

import time
from typing import Any

from tests.e2e.rig import Board, System, wait_for

FAN = 14


def write(value: int) -> dict[str, Any]:
    return {"call": ["gpio_write", {"pin": FAN, "value": value}]}


PROGRAM = {
    "name": "air the bath",
    "params": {"seconds": {"type": "num", "default": 60, "min": 0, "max": 60}},
    "phrases": ["air the bath", "steam, please"],
    "do": [write(1), {"wait": "$seconds"}, {"notify": "Pin: {14}."}],
    "finally": [write(0)],
}


def learn(board: Board, program: dict[str, Any]) -> dict[str, Any]:
    shown = board.do("routine_define", {"program": program})
    assert "err" not in shown, shown
    assert board.do("routine_approve", {"token": shown["token"]}) == {"routine": program["name"]}
    return shown


def events(system: System, kind: str) -> list[dict[str, Any]]:
    return [e for e in system.tap.of("event") if e["kind"] == kind]


def test_a_life_of_a_routine(fresh) -> None:
    system: System = fresh()
    board = system.board()
    wrong = board.do("routine_define", {"program": {**PROGRAM, "do": [{"wait": "$minutes"}]}})
    assert wrong["msg"].startswith("do[0].wait: $minutes is not defined"), wrong
    shown = learn(board, PROGRAM)
    assert shown["trace"] == ["+0s pin 14 on", "+60s tell: Pin: on.", "+60s pin 14 off"], shown
    assert shown["left_on"] == shown["on_if_cut"] == [] and shown["ends"] == {"14": 0}

    # It runs to its end.
    started = board.do("routine_run", {"name": "air the bath", "args": {"seconds": 0.2}})
    assert started["did"] == ["Pin 14 is on."] and started["state"] == "running", started
    wait_for("its notify", lambda: events(system, "notify"))
    assert events(system, "notify")[0]["text"] == "Pin: on."
    wait_for("its finally", lambda: board.level(FAN) == 0)

    # It is stopped, and its finally runs.
    board.do("routine_run", {"name": "air the bath"})
    assert board.level(FAN) == 1
    assert board.do("routine_run", {"name": "air the bath"})["err"] == "busy"
    board.do("routine_cancel", {"name": "air the bath"})
    wait_for("its end", lambda: events(system, "routine"))
    assert events(system, "routine")[0]["end"] == "canceled" and board.level(FAN) == 0

    # The power fails; its finally runs at the boot, before anybody is there.
    board.do("routine_run", {"name": "air the bath"})
    boot = board.boot
    board.control.call("power", on=False)
    system.companion.kill()
    board.control.call("power", on=True)
    cut = wait_for("its finally", lambda: [e for e in events(system, "routine")[1:]], 30)[0]
    assert (cut["end"], cut["routine"], cut["boot"]) == ("cut", "air the bath", boot + 1), cut
    assert "code" not in cut and board.level(FAN) == 0
    board.boot = boot + 1


def test_a_phrase_needs_no_companion_and_no_broker(fresh) -> None:
    system: System = fresh()
    board = system.board()
    learn(board, PROGRAM)
    system.companion.kill()
    asks = len(system.tap.of("ask"))
    system.tap.send("gn/demo/down/say", board.command("p1", text="Steam please!"))
    reply = system.tap.wait("reply", id="p1")
    assert reply["by"] == "chip" and "err" not in reply, reply
    assert reply["text"].startswith("Pin 14 is on. air the bath runs, "), reply
    assert reply["calls"][0][:2] == ["routine_run", {"name": "air the bath"}], reply
    assert board.level(FAN) == 1
    assert len([a for a in system.tap.of("ask")[asks:] if "new" in a]) == 0
    board.do("routine_cancel", {"name": "air the bath"})
    wait_for("its finally", lambda: board.level(FAN) == 0)

    # Over a reboot, on the serial line, with the network gone.
    boot = board.boot
    board.control.call("power", on=False)
    board.control.call("net", up=False)
    board.control.call("power", on=True)
    printed = [""]

    def seen(words: str) -> bool:
        printed[0] += board.control.call("serial")["text"]
        return words in printed[0]

    wait_for("the console", lambda: seen("B free"), 30)
    assert boot and board.level(FAN) == 0
    time.sleep(0.3)
    board.control.call("serial", send="air the bath\n")
    try:
        wait_for("its reply", lambda: seen("(chip)"), 5)
    except AssertionError:
        raise AssertionError(printed[0][-1500:]) from None
    assert board.level(FAN) == 1


def test_the_greatest_program_fits_the_heap(fresh) -> None:
    system: System = fresh()
    board = system.board()
    blink = [write(1), {"wait": 0.1}, write(0), {"wait": 0.1}]
    program = {"name": "long", "do": blink * 5, "finally": [write(0)]}
    shown = learn(board, program)
    assert shown["steps"] == 21 and shown["ends"] == {"14": 0}, shown
    again = board.do("routine_define", {"program": {**program, "do": blink * 9}})
    assert again["err"] == "full" and "1024 may be" in again["msg"], again
    assert board.do("routine_run", {"name": "long"})["state"] == "running"
    # A turn beside it.
    assert system.say("turn on pin 5")["reply"] == "Pin 5 is on."
    idle = {"routines": {"long": "idle"}}
    wait_for("its end", lambda: board.do("routine_list", {}) == idle)
    assert not events(system, "routine") and not events(system, "error")
