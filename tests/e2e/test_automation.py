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


def test_what_was_due_while_the_power_was_off(fresh) -> None:
    system: System = fresh()
    board = system.board()
    for n, (name, miss) in enumerate((("late", "late"), ("told", "expire"), ("skip", "skip"))):
        args = {"name": name, "when": "in 3 s", "miss": miss, "tool": "gpio_write"}
        receipt = board.do("schedule_set", args | {"args": {"pin": (5, 13, 14)[n], "value": 1}})
        assert receipt.get("next"), receipt
    boot = board.boot
    board.control.call("power", on=False)
    time.sleep(4)
    board.control.call("net", up=False)
    board.control.call("clock", known=False)
    board.control.call("power", on=True)
    time.sleep(5)
    # It does not know what time it is, so nothing is due and nothing is missed.
    assert [board.level(pin) for pin in (5, 13, 14)] == [0, 0, 0]
    board.control.call("clock", known=True)
    board.control.call("net", up=True)
    board.online(after=boot)
    wait_for("the late run", lambda: fired(system, "late"))
    missed = wait_for(
        "what was missed",
        lambda: sorted(e["by"] for e in system.tap.of("event") if e["kind"] == "missed"),
    )
    assert fired(system, "late")[0]["due"] and missed == ["skip", "told"]
    assert [board.level(pin) for pin in (5, 13, 14)] == [1, 0, 0]
    assert board.do("schedule_list", {})["schedules"] == []


def test_two_that_get_in_each_others_way_are_told(fresh) -> None:
    system: System = fresh()
    system.board()
    system.say("pin 5 is the lamp")
    assert "But" not in system.say("every day at 07:00 turn on the lamp")["reply"]
    assert "But" not in system.say("every day at 22:00 turn off the lamp")["reply"]
    reply = system.say("every 2 hours from 06:00 turn off the lamp")["reply"]
    assert "But" not in reply, reply
    reply = system.say("every hour from 06:00 turn off the lamp")["reply"]
    assert reply.endswith("But schedule lamp on daily 07:00 turns lamp on in the same minute."), (
        reply
    )
    reply = system.say("when pin 4 goes on turn on the lamp")["reply"]
    assert "turns lamp off" in reply and "when pin 4 is on, I turn lamp on" in reply, reply
