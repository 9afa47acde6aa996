"""Nothing acts twice: doubles, late ones, replays, and every process dying mid-turn."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.companion.scripted_upstream import ScriptedUpstream
from tests.e2e.rig import System, wait_for

TOGGLE = {"pin": 5, "value": "toggle"}


@pytest.fixture
def upstream():
    with ScriptedUpstream() as u:
        yield u


def toml(upstream: ScriptedUpstream) -> str:
    return f"""
[[backend]]
kind = "openai"
name = "scripted"
url = "{upstream.url}"
model = "scripted"
tier = "premium"
"""


def test_a_doubled_do_acts_once(fresh) -> None:
    system = fresh()
    board = system.board()
    assert board.do("gpio_write", {"pin": 5, "value": 0}) == {"level": 0}
    message = board.command("d1", tool="gpio_write", args=TOGGLE)
    for _ in range(3):
        system.tap.send("gn/demo/down/do", message)
    wait_for(
        "three receipts", lambda: len([d for d in system.tap.of("done") if d["id"] == "d1"]) == 3
    )
    assert {json.dumps(d) for d in system.tap.of("done") if d["id"] == "d1"} == {
        json.dumps({"id": "d1", "receipt": {"level": 1}})
    }
    assert board.level(5) == 1


def test_late_and_replayed_commands_do_nothing(fresh) -> None:
    system = fresh()
    board = system.board()
    board.do("gpio_write", {"pin": 5, "value": 0})
    late = board.command("late", life_s=-1, tool="gpio_write", args=TOGGLE)
    system.tap.send("gn/demo/down/do", late)
    assert system.tap.wait("done", id="late")["receipt"]["err"] == "expired"
    old = board.command("old", life_s=120, tool="gpio_write", args={"pin": 5, "value": 1})
    system.tap.send("gn/demo/down/do", old)
    system.tap.wait("done", id="old")
    old_say = board.command("olds", life_s=120, text="turn on pin 5")
    boot = board.boot
    board.control.call("power", on=False)
    board.control.call("power", on=True)
    board.online(after=boot)
    board.do("gpio_write", {"pin": 5, "value": 0})
    before = len(system.tap.of("done"))
    system.tap.send("gn/demo/down/do", old)
    system.tap.send("gn/demo/down/say", old_say)
    wait_for("the refusal", lambda: len(system.tap.of("done")) > before)
    assert system.tap.of("done")[-1]["receipt"]["err"] == "stale_boot"
    assert system.tap.wait("reply", id="olds")["err"] == "stale_boot"
    assert board.level(5) == 0
    # A retained command is somebody's mistake, and would come again at each boot.
    retained = board.command("ret", tool="gpio_write", args={"pin": 5, "value": 1})
    system.tap.send("gn/demo/down/do", retained, retain=True)
    boot = board.boot
    board.control.call("reset")
    board.online(after=boot)
    time.sleep(0.3)
    assert board.level(5) == 0


def test_a_doubled_and_a_late_answer_act_once(fresh, upstream) -> None:
    system = fresh(toml(upstream))
    board = system.board()
    board.do("gpio_write", {"pin": 5, "value": 0})
    upstream.script([{"calls": [("gpio_write", TOGGLE)], "text": "Flipped."}])
    turn = system.say("be a dear and flip the fifth one")
    assert turn["reply"] == "Flipped. [Pin 5 is on]", turn
    answer = next(a for a in system.tap.of("answer") if a.get("calls"))
    for _ in range(3):
        system.tap.send("gn/demo/down/answer", answer)
    # The board has taken all three once it answers this.
    assert board.do("gpio_read", {"pin": 5}) == {"level": 1}


def test_the_companion_dies_mid_turn(fresh, upstream) -> None:
    system = fresh(toml(upstream))
    board = system.board()
    board.do("gpio_write", {"pin": 5, "value": 0})
    upstream.script([{"hang_s": 30}, {"calls": [("gpio_write", TOGGLE)], "text": "Flipped."}])
    say = board.command("s1", text="be a dear and flip the fifth one")
    system.tap.send("gn/demo/down/say", say)
    wait_for("the upstream's call", lambda: upstream.requests)
    system.companion.kill()
    system.start_companion()
    # The device asks again with the same id; the new companion answers; one actuation.
    assert system.tap.wait("reply", seconds=25, id="s1")["text"] == "Flipped. [Pin 5 is on]"
    assert {a["id"] for a in system.tap.of("ask") if "want" not in a} == {"s1.1"}
    assert board.level(5) == 1
    assert system.say("turn off pin 5")["reply"] == "Pin 5 is off."


def test_the_broker_dies_mid_turn(fresh, upstream) -> None:
    system = fresh(toml(upstream))
    board = system.board()
    board.do("gpio_write", {"pin": 5, "value": 0})
    upstream.script([{"delay_s": 2, "calls": [("gpio_write", TOGGLE)], "text": "Flipped."}] * 3)
    system.tap.send(
        "gn/demo/down/say", board.command("s1", text="be a dear and flip the fifth one")
    )
    wait_for("the upstream's call", lambda: upstream.requests)
    os.kill(system.broker.pid, signal.SIGKILL)
    assert system.tap.wait("reply", seconds=40, id="s1")["text"] == "Flipped. [Pin 5 is on]"
    assert board.level(5) == 1
    assert system.say("turn off pin 5")["reply"] == "Pin 5 is off."
    assert board.boot == board.online()


def test_the_board_loses_power_mid_turn(fresh, upstream) -> None:
    system = fresh(toml(upstream))
    board = system.board()
    board.do("gpio_write", {"pin": 5, "value": 0})
    upstream.script([{"delay_s": 2, "calls": [("gpio_write", TOGGLE)], "text": "Flipped."}])
    turns = []
    asking = threading.Thread(
        target=lambda: turns.append(system.say("be a dear and flip the fifth one"))
    )
    asking.start()
    wait_for("the upstream's call", lambda: upstream.requests)
    boot = board.boot
    board.control.call("power", on=False)
    board.control.call("power", on=True)
    board.online(after=boot)
    asking.join(40)
    assert not turns[0]["answered"] and "restarted" in (turns[0]["reply"] or str(turns[0]["err"]))
    time.sleep(0.5)
    assert board.level(5) == 0
    assert system.say("turn on pin 5")["reply"] == "Pin 5 is on."


def test_wifi_gone_and_back_needs_no_reboot(fresh) -> None:
    system: System = fresh()
    board = system.board()
    board.control.call("net", up=False)
    time.sleep(2)
    board.control.call("net", up=True)
    wait_for(
        "the next answer", lambda: system.say("turn on pin 5").get("reply") == "Pin 5 is on.", 60
    )
    assert board.control.call("stats")["boots"] == 1


def test_no_ntp_the_companion_gives_the_time(tmp_path: Path, fresh) -> None:
    system = fresh()
    board = system.board()
    board.control.call("clock", known=False)
    boot = board.boot
    board.control.call("power", on=False)
    board.control.call("power", on=True)
    board.online(after=boot)
    wait_for(
        "a status with the clock known",
        lambda: (
            system.tap.of("status")[-1].get("clock") and system.tap.of("status")[-1]["boot"] > boot
        ),
    )
    assert system.say("turn on pin 5")["reply"] == "Pin 5 is on."
