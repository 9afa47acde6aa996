"""Limits of outputs on a whole system: over restarts, outages, and where the agent hangs."""

import time

from tests.e2e.rig import Board, System, wait_for


def limit(board: Board, **args: object) -> None:
    receipt = board.do("limit_set", args)
    assert "err" not in receipt, receipt


def on_for(board: Board, pin: int, seconds: float) -> float:
    """How long the pad stays high from now on."""
    began = time.monotonic()
    wait_for(f"pin {pin} low", lambda: board.level(pin) == 0, seconds)
    return time.monotonic() - began


def power_cycle(board: Board) -> None:
    boot = board.boot
    board.control.call("power", on=False)
    board.control.call("power", on=True)
    board.online(after=boot)


def test_max_on_min_off_and_interlock(system: System, board: Board) -> None:
    limit(board, pin=5, max_on_s=2, min_off_s=30, interlock="gate")
    limit(board, pin=13, interlock="gate")
    assert board.do("gpio_write", {"pin": 5, "value": 1}) == {"level": 1}
    refused = board.do("gpio_write", {"pin": 13, "value": 1})
    assert refused["err"] == "refused" and "pin 5 is on" in refused["msg"], refused
    assert board.level(13) == 0
    assert on_for(board, 5, 4) < 2.5
    system.tap.wait("event", kind="limit", pin=5)
    refused = board.do("gpio_write", {"pin": 5, "value": 1})
    assert "pin 5 may be on again in" in refused["msg"], refused
    assert board.do("gpio_write", {"pin": 13, "value": 1}) == {"level": 1}
    told = [e for e in system.tap.of("event") if e["kind"] == "refused"]
    assert [e["tool"] for e in told] == ["gpio_write", "gpio_write"], told


def test_rate(board: Board) -> None:
    limit(board, pin=14, rate_per_min=3)
    receipts = [board.do("gpio_write", {"pin": 14, "value": n % 2}) for n in range(1, 9)]
    assert ["err" in r for r in receipts] == [False] * 6 + [True, False], receipts
    assert "pin 14 may be on again in" in receipts[6]["msg"]


def test_restart_keeps_limits_levels_and_safe_states(board: Board) -> None:
    limit(board, pin=16, safe=1)
    limit(board, pin=17, safe=0, restore="last")
    limit(board, pin=18, safe=0, restore="last")
    limit(board, pin=19, safe=0, max_on_s=60)
    for pin, level in ((16, 0), (17, 1), (18, 0), (19, 1)):
        assert board.do("gpio_write", {"pin": pin, "value": level}) == {"level": level}
    time.sleep(1.5)  # the last level is on flash within a second
    power_cycle(board)
    assert [board.level(n) for n in (16, 17, 18, 19)] == [1, 1, 0, 0]
    assert board.do("limit_get", {"pin": 19})["limit"] == {"safe": 0, "max_on_s": 60}
    board.do("limit_delete", {"pin": 17})
    power_cycle(board)
    assert board.control.call("pads")["pads"]["17"]["mode"] != "out"


def test_safe_states_hold_before_the_network_and_in_safe_mode(fresh) -> None:
    system: System = fresh()
    board = system.board()
    limit(board, pin=16, safe=1)
    limit(board, pin=17, safe=0, restore="last")
    board.do("gpio_write", {"pin": 17, "value": 1})
    time.sleep(1.5)
    board.control.call("net", up=False)
    boots = board.control.call("stats")["boots"]
    for n in range(2):
        board.control.call("reset")
        wait_for("the outputs", lambda n=n: board.control.call("stats")["boots"] > boots + n, 10)
        wait_for("the safe level, with no network", lambda: board.level(16) == 1, 5)
        wait_for("the last level", lambda: board.level(17) == 1, 5)
    board.control.call("reset")
    wait_for("safe mode", lambda: "SAFE MODE" in board.control.call("serial")["text"], 15)
    assert (board.level(16), board.level(17)) == (1, 0)


def test_link_loss(fresh) -> None:
    system: System = fresh()
    board = system.board()
    limit(board, pin=5, link_loss_s=3)
    limit(board, pin=16, link_loss_s=3, safe=1)
    for pin, level in ((5, 1), (16, 0), (17, 1)):
        board.do("gpio_write", {"pin": pin, "value": level})
    board.control.call("net", up=False)
    began = time.monotonic()
    wait_for("pin 5 low", lambda: board.level(5) == 0, 20)
    assert time.monotonic() - began > 2
    wait_for("pin 16 high", lambda: board.level(16) == 1, 3)
    assert board.level(17) == 1
    board.control.call("net", up=True)
    system.tap.wait("event", 40, kind="limit", pin=16)
    assert board.do("gpio_write", {"pin": 5, "value": 1}) == {"level": 1}


def test_a_power_cut_at_each_write_of_a_limit(fresh) -> None:
    system: System = fresh()
    board = system.board()
    limit(board, pin=16, safe=1, max_on_s=10)
    for n in (1, 2):
        boot = board.boot
        board.control.call("cut_at_write", n=n, torn=True, auto=True)
        message = board.command(f"cut-{n}", tool="limit_set", args={"pin": 16, "max_on_s": 20})
        system.tap.send("gn/demo/down/do", message)
        wait_for(
            "a receipt or a restart",
            lambda boot=boot, n=n: (
                any(d["id"] == f"cut-{n}" for d in system.tap.of("done"))
                or system.tap.of("status")[-1]["boot"] > boot
            ),
        )
        board.control.call("cut_at_write", n=0)
        if system.tap.of("status")[-1]["boot"] > boot:
            board.online(after=boot)
        now = board.do("limit_get", {"pin": 16})["limit"]
        assert now["safe"] == 1 and now["max_on_s"] in (10, 20), now
        assert board.level(16) == 1
