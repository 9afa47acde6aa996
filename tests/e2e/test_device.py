"""The device itself: a restart that answers first and happens once, a name, groups of points."""

import time

from tests.e2e.rig import Board, System, wait_for


def grown(board: Board) -> None:
    """Until it has run for long enough to be told to restart."""
    wait_for("10 s of uptime", lambda: board.do("get_health", {})["up"] >= 10, 20)


def boots(board: Board) -> int:
    return int(board.control.call("stats")["boots"])


def test_a_restart_is_answered_and_happens_once(fresh) -> None:
    system: System = fresh()
    board = system.board()
    early = board.do("reboot", {})
    assert early["err"] == "busy" and "ask again in" in early["msg"], early
    board.do("limit_set", {"pin": 16, "safe": 1})
    board.do("limit_set", {"pin": 17, "safe": 0, "restore": "last"})
    board.do("gpio_write", {"pin": 16, "value": 0})
    grown(board)
    # Switched a moment before: the level must be on flash when it restarts.
    assert board.do("gpio_write", {"pin": 17, "value": 1}) == {"level": 1}
    board.do("pwm_set", {"pin": 18, "freq": 1000, "duty": 60})
    before, boot = boots(board), board.boot
    order = board.command("again", life_s=120, tool="reboot", args={})
    said = board.command("said", life_s=120, text="reboot")
    for _ in range(3):
        system.tap.send("gn/demo/down/do", order)
    assert system.tap.wait("done", id="again")["receipt"] == {"boot": boot}
    assert board.online(after=boot) == boot + 1
    assert [board.level(pin) for pin in (16, 17, 18)] == [1, 1, 0]
    told = system.tap.wait("event", kind="boot", boot=boot + 1)
    assert told["reset"] == "reset", told
    # It said goodbye, so the broker did not publish its will.
    offline = [s for s in system.tap.of("status") if not s["online"] and s["boot"] == boot]
    assert not offline
    # What is sent again now was meant for another boot.
    for _ in range(2):
        system.tap.send("gn/demo/down/do", order)
        system.tap.send("gn/demo/down/say", said)
    wait_for(
        "refusals",
        lambda: (
            [r["err"] for r in system.tap.of("reply") if r["id"] == "said"] == ["stale_boot"] * 2
        ),
    )
    grown(board)
    assert boots(board) == before + 1


def test_a_restart_that_is_said_gets_its_reply(fresh) -> None:
    system: System = fresh()
    board = system.board()
    grown(board)
    boot, before = board.boot, boots(board)
    turn = system.say("please restart the board")
    assert turn["answered"] and turn["reply"].startswith("I restart now"), turn
    assert [c["receipt"] for c in turn["calls"]] == [{"boot": boot}]
    assert board.online(after=boot) == boot + 1
    # A double of the answer that said so finds no ask that it could close.
    answer = next(a for a in system.tap.of("answer") if a.get("calls") == [["reboot", {}]])
    system.tap.send("gn/demo/down/answer", answer)
    time.sleep(1)
    assert boots(board) == before + 1 and board.do("get_health", {})["boot"] == boot + 1


def test_a_name_to_show(fresh) -> None:
    system: System = fresh()
    board = system.board()
    turn = system.say("call yourself Green House")
    assert turn["reply"] == "I am called Green House now.", turn
    system.tap.wait("status", name="Green House")
    wait_for("the name", lambda: "Green House" in system.run("devices").stdout)
    shown = system.run("say", "green house", "what version are you running?").stdout
    assert "I am Green House (demo), an esp32 with Ganglion" in shown, shown
    boot = board.boot
    board.control.call("reset")
    board.online(after=boot)
    assert system.tap.of("status")[-1]["name"] == "Green House"
    system.say("forget your name")
    missing = system.run("do", "Green House", "get_health", expect=1)
    assert "a-z" in missing.stderr or "known are: demo" in missing.stderr


def test_groups(system: System, board: Board) -> None:
    for said in ("call pin 21 desk lamp", "call pin 22 wall lamp", "call pin 23 pump"):
        assert system.say(said)["answered"]
    turn = system.say("put the desk lamp and the wall lamp in the group lamps")
    assert turn["answered"] and all(c["receipt"]["group"] == "lamps" for c in turn["calls"]), turn
    wait_for("the group", lambda: system.tap.of("state")[-1].get("groups") == ["lamps"])
    turn = system.say("turn on all lamps")
    assert turn["reply"] == "lamps are on: desk lamp, wall lamp.", turn
    assert [c["args"] for c in turn["calls"]] == [{"pin": "lamps", "value": 1}]
    assert [board.level(pin) for pin in (21, 22, 23)] == [1, 1, 0]
    # A pad that is held does not follow, and the reply does not say that it did.
    board.control.call("hold", pin=22, level=1)
    turn = system.say("lamps off")
    assert "only in part: desk lamp off" in turn["reply"] and "check the wiring" in turn["reply"]
    receipt = turn["calls"][0]["receipt"]
    assert receipt["err"] == "partial" and receipt["failed"] == {"wall lamp": "mismatch"}, receipt
    turn = system.say("are the lamps on?")
    assert turn["reply"] == "lamps: desk lamp off, wall lamp on.", turn
    board.control.call("hold", pin=22, level=None)
