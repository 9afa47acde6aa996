"""A sentence becomes a receipt from a pin."""

import json

import jsonschema
import pytest

from tests.e2e.rig import Board, System, wait_for
from tools.paths import ROOT


def test_a_sentence_moves_a_pin(system: System, board: Board) -> None:
    turn = system.say("turn on pin 5")
    assert turn["reply"] == "Pin 5 is on."
    assert turn["calls"] == [
        {"tool": "gpio_write", "args": {"pin": 5, "value": 1}, "receipt": {"level": 1}}
    ]
    assert (turn["backend"], turn["tier"], turn["usd"]) == ("commands", "edge", 0)
    assert turn["answered"] and turn["ms"] > 0
    assert 0 < turn["bytes_up"] + turn["bytes_down"] <= 400, turn
    assert board.level(5) == 1
    assert system.say("could you switch pin 5 off please")["reply"] == "Pin 5 is off."
    assert board.level(5) == 0


def test_a_name_is_kept_over_a_reboot(system: System, board: Board) -> None:
    system.say("call pin 17 kitchen light")
    assert system.say("could you switch the kitchen light on please")["reply"] == (
        "kitchen light is on."
    )
    assert board.level(17) == 1
    boot = board.boot
    board.control.call("power", on=False)
    board.control.call("power", on=True)
    assert board.online(after=boot) == boot + 1
    turn = system.say("turn on the kitchen light")
    assert turn["calls"][0]["receipt"] == {"level": 1}, turn
    assert board.level(17) == 1


def test_several_calls_all_run_in_order(system: System, board: Board) -> None:
    turn = system.say("turn on pin 18 and pin 19 and turn pin 21 off")
    assert [c["args"] for c in turn["calls"]] == [
        {"pin": 18, "value": 1},
        {"pin": 19, "value": 1},
        {"pin": 21, "value": 0},
    ]
    assert [board.level(p) for p in (18, 19, 21)] == [1, 1, 0]
    assert turn["reply"] == "Pin 18 is on. Pin 19 is on. Pin 21 is off."


def test_a_held_pad_is_never_answered_with_success(system: System, board: Board) -> None:
    system.say("call pin 22 hall light")
    board.control.call("hold", pin=22, level=0)
    turn = system.say("turn on the hall light")
    assert turn["calls"][0]["receipt"]["level"] == 0
    assert turn["calls"][0]["receipt"]["err"] == "mismatch"
    assert "reads off" in turn["reply"] and "hall light is on" not in turn["reply"]
    board.control.call("hold", pin=22, level=None)
    assert system.say("turn on the hall light")["reply"] == "hall light is on."


def test_memory_time_and_health(system: System, board: Board) -> None:
    assert "like mornings" in system.say("remember that my plants like mornings")["reply"]
    assert "like mornings" in system.say("what do you remember about my plants?")["reply"]
    assert "UTC" in system.say("what time is it?")["reply"]
    health = system.do("get_health", {})["receipt"]
    assert 0 < health["heap"] < 96 * 1024 and health["boot"] == board.boot


def test_the_guard_refuses_and_says_why(system: System, board: Board) -> None:
    turn = system.say("turn on pin 6")
    assert turn["calls"][0]["receipt"]["err"] == "refused"
    assert "flash" in turn["reply"]


def test_what_nobody_understands_is_said_so(system: System, board: Board) -> None:
    turn = system.say("write me a sonnet about my boiler")
    assert not turn["answered"] and turn["err"] == "no_answer"
    assert "commands" in turn["reply"] and not turn["calls"]


@pytest.mark.parametrize("leaf", ["status", "tools", "state", "ask", "reply", "answer", "say"])
def test_every_message_fits_its_schema(system: System, board: Board, leaf: str) -> None:
    system.say("turn on pin 5")
    schema = json.loads((ROOT / "companion" / "schemas" / f"{leaf}.json").read_text())
    wait_for(leaf, lambda: system.tap.of(leaf))
    for message in system.tap.of(leaf):
        if leaf == "status" and not message["online"]:
            continue
        jsonschema.validate(message, schema)


def test_state_shows_points_and_levels(system: System, board: Board) -> None:
    system.say("call pin 23 attic lamp")
    system.say("turn on the attic lamp")

    def seen() -> bool:
        return system.tap.of("state")[-1]["points"].get("attic lamp", {}).get("level") == 1

    wait_for("the new level in state", seen)
