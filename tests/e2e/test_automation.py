"""Schedules and rules on a board: set with a call, run by the board, with nobody's help."""

import time

from tests.e2e.rig import Board, System, wait_for

WRITE = {"tool": "gpio_write", "args": {"pin": 5, "value": "toggle"}}


def fired(system: System, by: str) -> list[dict]:
    return [e for e in system.tap.of("event") if e["kind"] == "fired" and e["by"] == by]


def restart(board: Board, system: System) -> None:
    boot = board.boot
    board.control.call("power", on=False)
    board.control.call("power", on=True)
    board.online(after=boot)


def test_a_schedule_runs_and_goes_on_without_a_companion_and_after_a_power_cut(fresh) -> None:
    system: System = fresh()
    board = system.board()
    receipt = board.do("schedule_set", {"name": "blink", "when": "every 1 s", **WRITE})
    assert receipt["name"] == "blink" and receipt["next"], receipt
    wait_for("two runs", lambda: len(fired(system, "blink")) >= 2)
    first, second = fired(system, "blink")[:2]
    assert {first["receipt"]["level"], second["receipt"]["level"]} == {0, 1}
    system.companion.kill()
    count = len(fired(system, "blink"))
    wait_for("runs without a companion", lambda: len(fired(system, "blink")) >= count + 2)
    boot = board.boot
    board.control.call("power", on=False)
    board.control.call("power", on=True)
    wait_for("runs after it", lambda: [e for e in fired(system, "blink") if e["boot"] > boot])


def test_a_schedule_by_the_clock_runs_at_its_second(fresh) -> None:
    system: System = fresh()
    board = system.board()
    due = int(time.time()) + 3
    text = time.strftime("%Y-%m-%d %H:%M", time.gmtime(due + 120))
    receipt = board.do("schedule_set", {"name": "later", "when": f"at {text}", **WRITE})
    assert receipt.get("next", "").startswith(text.replace(" ", "T")), receipt
    receipt = board.do("schedule_set", {"name": "soon", "when": "in 2 s", **WRITE})
    wait_for("its run", lambda: fired(system, "soon"))
    rows = board.do("schedule_list", {})["schedules"]
    assert [r[0] for r in rows] == ["later"], rows
    assert board.do("schedule_delete", {"name": "later"}) == {"name": "later"}
    assert board.do("schedule_list", {})["schedules"] == []


def test_a_rule_joins_a_pin_to_a_pin(fresh) -> None:
    system: System = fresh()
    board = system.board()
    board.control.call("drive", pin=4, level=0)
    args = {"name": "bell", "read": 4, "is": "on", **WRITE}
    args["args"] = {"pin": 5, "value": 1}
    assert "err" not in board.do("rule_set", args)
    time.sleep(0.3)
    assert board.level(5) == 0
    board.control.call("drive", pin=4, level=1)
    wait_for("the pad", lambda: board.level(5) == 1, 2)
    wait_for("the event", lambda: fired(system, "bell"))
    # It goes on after a power cut, with no broker.
    board.do("gpio_write", {"pin": 5, "value": 0})
    board.control.call("drive", pin=4, level=0)
    restart(board, system)
    system.broker.stop()
    board.control.call("drive", pin=4, level=1)
    wait_for("the pad", lambda: board.level(5) == 1, 5)


def test_what_the_guard_refuses_a_rule_does_not_do(fresh) -> None:
    system: System = fresh()
    board = system.board()
    board.control.call("drive", pin=4, level=1)
    args = {"name": "bad", "read": 4, "is": "on", "tool": "gpio_write"}
    board.do("rule_set", args | {"args": {"pin": 34, "value": 1}})
    wait_for("the run", lambda: fired(system, "bad"))
    assert fired(system, "bad")[0]["receipt"]["err"] == "refused"
