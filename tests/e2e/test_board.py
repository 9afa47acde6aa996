"""What a board does when its flash is full, its power fails, its boots fail, its broker is away."""

import os
import time
from typing import Any

from tests.e2e.rig import Board, System, wait_for


def serial(board: Board, words: str, seconds: float = 15, send: str = "") -> str:
    """What the serial line printed from now on, once `words` are in it."""
    printed = [board.control.call("serial", send=send)["text"]]

    def seen() -> bool:
        printed[0] += board.control.call("serial")["text"]
        return words in printed[0]

    try:
        wait_for(f"{words!r} on the serial line", seen, seconds)
    except AssertionError as e:
        raise AssertionError(f"{e}\n{printed[0]}") from None
    return printed[0]


def newest_boot(system: System) -> int:
    return int(system.tap.of("status")[-1]["boot"])


def fail_boots(board: Board, count: int) -> None:
    """Reset it again and again before it has run for 10 s."""
    for _ in range(count):
        boots = board.control.call("stats")["boots"]
        board.control.call("reset")
        wait_for("the next boot", lambda b=boots: board.control.call("stats")["boots"] > b)
        time.sleep(0.3)  # main.py has counted


def test_three_failed_boots_lead_to_safe_mode_and_a_word_leads_back(fresh) -> None:
    system: System = fresh()
    board = system.board()
    system.say("call pin 17 kitchen light")
    fail_boots(board, 3)
    serial(board, "SAFE MODE")
    assert "no agent" in serial(board, "no agent", send="turn on pin 5\n")
    assert "safe mode: 3 boots failed" in serial(board, "boots failed", send="status\n")
    boot = newest_boot(system)
    board.control.call("serial", send="safe off\n")
    board.online(after=boot)
    # Nothing was wiped.
    assert system.say("turn on the kitchen light")["reply"] == "kitchen light is on."


def test_taking_the_power_away_leads_out_of_safe_mode(fresh) -> None:
    system: System = fresh()
    board = system.board()
    fail_boots(board, 3)
    serial(board, "SAFE MODE")
    boot = newest_boot(system)
    board.control.call("power", on=False)
    board.control.call("power", on=True)
    board.online(after=boot)
    assert system.say("turn on pin 5")["reply"] == "Pin 5 is on."


def test_a_full_flash_is_said_and_loses_nothing(fresh) -> None:
    system: System = fresh()
    board = system.board()
    system.say("remember that my plants like mornings")
    board.control.call("flash_full", bytes_left=0)
    kept = 0
    # A small fact may fit where a large one does not.
    for size in (200, 50, 1):
        receipt: dict[str, Any] = {}
        while "err" not in receipt:
            kept += 1
            assert kept < 60, "it never fills"
            receipt = board.do("memory_set", {"key": f"k{kept}", "value": "v" * size})
    assert receipt["err"] == "full" and "nothing was changed" in receipt["msg"], receipt
    turn = system.say("remember that the cat sleeps upstairs")
    assert turn["calls"][0]["receipt"]["err"] == "full" and "full" in turn["reply"]
    turn = system.say("call pin 5 kitchen light")
    assert turn["calls"][0]["receipt"]["err"] == "full"
    # Pins need no flash, and what was there is still there, also after a restart.
    assert system.say("turn on pin 5")["reply"] == "Pin 5 is on."
    boot = board.boot
    board.control.call("power", on=False)
    board.control.call("power", on=True)
    board.online(after=boot)
    assert "mornings" in system.say("what do you remember about my plants?")["reply"]
    board.control.call("flash_full", bytes_left=None)
    assert system.say("remember that the cat sleeps upstairs")["answered"]


def test_power_fails_as_a_name_is_written(fresh) -> None:
    """At each flash write of the change: afterwards the name is there or it is not."""
    system: System = fresh()
    board = system.board()
    system.say("call pin 17 kitchen light")
    cut = 0
    for n in range(1, 60 if os.environ.get("GANGLION_FULL") else 8):
        boot = board.boot
        board.control.call("cut_at_write", n=n, torn=bool(n % 2), auto=True)
        message = board.command(f"cut-{n}", tool="point_set", args={"name": f"lamp {n}", "pin": 18})
        system.tap.send("gn/demo/down/do", message)
        outcome: dict[str, Any] = {}

        def ended(boot: int = boot, message: Any = message, outcome: Any = outcome) -> bool:
            outcome["done"] = [d for d in system.tap.of("done") if d["id"] == message["id"]]
            outcome["boot"] = system.tap.of("status")[-1]["boot"] > boot
            return bool(outcome["done"] or outcome["boot"])

        wait_for("a receipt or a restart", ended)
        board.control.call("cut_at_write", n=0)
        board.online(after=boot if outcome["boot"] else 0)
        names = system.tap.of("state")[-1]["points"]
        known = board.do("gpio_read", {"pin": f"lamp {n}"})
        if outcome["done"] and "err" not in outcome["done"][0]["receipt"]:
            assert "err" not in known, (n, known)  # what was acknowledged is kept
        else:
            cut += 1
        assert known.get("err") in (None, "unknown_point"), (n, known)
        assert board.do("gpio_read", {"pin": "kitchen light"}).get("err") is None, (n, names)
    assert cut, "the cuts missed the write"


def test_without_a_broker_everybody_says_so_and_the_console_works(fresh) -> None:
    system: System = fresh()
    board = system.board()
    system.broker.stop()
    serial(board, "broker 127.0.0.1", 20)
    text = serial(board, "not connected", send="turn on pin 5\n")
    assert "nobody can work out what you mean" in text
    assert "link broker 127.0.0.1" in serial(board, "link", send="status\n")
    error = wait_for(
        "the companion to notice", lambda: system.say("turn on pin 5").get("error"), 10
    )
    assert error["code"] == "no_broker", error
    assert system.http("GET", "/healthz")[0] == 503
    done = system.run("say", "demo", "turn on pin 5", expect=1)
    assert "broker" in done.stderr and "Traceback" not in done.stderr
    # Not to reach a broker is no failed boot, and no reason to restart.
    assert board.control.call("stats")["boots"] == 1
