"""The serial line as a person at a plain terminal has it."""

from __future__ import annotations

import json
import random
import re
import struct
import time
from typing import Any

from tests.e2e.rig import Board, System, wait_for
from tests.e2e.test_board import fail_boots, newest_boot
from tests.e2e.test_routines import learn
from tools.vboard import layout

WRITE = {"tool": "gpio_write", "args": {"pin": 5, "value": "toggle"}}


class Line:
    """One who types, and reads what comes: `text` is all of it."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.text = ""
        self.read()

    def read(self) -> str:
        self.text += self.board.control.call("serial")["text"]
        return self.text

    def type(self, keys: str | bytes) -> None:
        data = keys.encode() if isinstance(keys, str) else keys
        self.text += self.board.control.call("serial", hex=data.hex())["text"]

    def shows(self, words: str, seconds: float = 10, after: int = 0) -> int:
        """Wait until `words` stand past `after`; where they end."""
        try:
            wait_for(f"{words!r}", lambda: words in self.read()[after:], seconds)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.text[-3000:]}") from None
        return self.text.index(words, after) + len(words)

    def quiet(self) -> None:
        """Until all that was typed has been taken."""
        before = -1
        while before < len(self.read()):
            before = len(self.text)
            time.sleep(0.5)

    def say(self, line: str, words: str = "\r\n> ", seconds: float = 10) -> str:
        """Type a line, and what is shown until `words` (the next prompt) come."""
        at = len(self.read())
        self.type(line + "\r")
        at = self.shows("\r\n", 5, at) - 2
        end = self.shows(words, seconds, at)
        return self.text[at:end]


def boots(board: Board) -> int:
    return int(board.control.call("stats")["boots"])


def test_a_person_at_a_terminal(system: System, board: Board) -> None:
    line = Line(board)
    said = line.say("turn on pin 5", "{'level': 1}")
    assert "Pin 5 is on.  (edge/commands)" in said, said
    # Keys are echoed, and mended.
    at = len(line.read())
    line.type("turn off püx")
    line.type("\x7f\x7f")
    line.type("in 5\x1b[D\r\n")
    line.shows("Pin 5 is off.", after=at)
    assert board.level(5) == 0
    assert "turn off p" in line.text[at:]
    # A terminal needs CR and LF, and a line is never answered with two prompts.
    assert not re.search(r"[^\r]\n", line.text)
    at = len(line.read())
    line.type("\r\n\r\n")
    time.sleep(0.3)
    assert line.read()[at:] == "\r\n> \r\n> ", repr(line.text[at:])
    shown = line.say("help")
    words = "status points rules schedules routines log wifi reboot"
    for word in (*words.split(), "safe off", "factory reset"):
        assert word in shown, word


def test_status_says_how_it_is(system: System, board: Board) -> None:
    line = Line(board)
    shown = line.say("STATUS")
    for words in (
        "demo: ganglion ",
        " on esp32",
        f"boot {board.boot} (power_on), up 0:0",
        "B of memory free",
        "Wi-Fi virtual: connected, 192.0.2.2, -50 dBm",
        f"link up: broker 127.0.0.1:{system.broker.port}",
        time.strftime("%Y-%m-%d", time.gmtime()),
        "0 events wait",
    ):
        assert words in shown, (words, shown)
    assert "This is not safe mode." in line.say("safe off")


def test_what_is_set_is_listed_with_how_it_went(system: System, board: Board) -> None:
    line = Line(board)
    for what in ("rules", "schedules", "routines"):
        assert f"no {what}" in line.say(what)
    board.do("point_set", {"name": "door", "pin": 4, "dir": "in"})
    board.do("rule_set", {"name": "bell", "read": "door", "is": "on", "for_s": 0.1, **WRITE})
    assert "door: pin 4, input, off" in line.say("points")
    shown = line.say("rules")
    assert 'bell: door on for 0.1 s -> gpio_write {"' in shown and "last" not in shown, shown
    board.control.call("drive", pin=4, level=1)
    wait_for("the rule", lambda: "last gpio_write ok (boot 1" in line.say("rules"))
    assert "fired bell gpio_write ok" in line.say("log")
    board.do("rule_delete", {"name": "bell"})

    board.do("schedule_set", {"name": "blink", "when": "every 1 s", **WRITE})
    board.do("schedule_set", {"name": "wake", "when": "0 7 * * *", **WRITE})
    board.do("schedule_pause", {"name": "blink", "paused": True})
    wait_for("the time", lambda: "next 20" in line.say("schedules"))
    shown = line.say("schedules")
    assert "blink: every 1 s -> gpio_write" in shown and "; paused" in shown, shown
    assert re.search(r"wake: 0 7 \* \* \* -> gpio_write .*; next 20\d\d-\d\d-\d\dT07:00", shown), (
        shown
    )
    board.do("schedule_pause", {"name": "blink", "paused": False})
    wait_for("a run", lambda: re.search(r"blink: .*; last gpio_write ok", line.say("schedules")))


def test_routines_are_listed_with_their_phrases(fresh) -> None:
    system: System = fresh()
    board = system.board()
    line = Line(board)
    program = {
        "name": "flash",
        "phrases": ["flash now"],
        "do": [{"call": ["gpio_write", {"pin": 18, "value": 1}]}, {"wait": 60}],
        "finally": [{"call": ["gpio_write", {"pin": 18, "value": 0}]}],
    }
    learn(board, program)
    assert "flash: idle; say 'flash now'" in line.say("routines")
    line.say("flash now", "(chip)")
    assert "flash: running" in line.say("routines")
    board.do("routine_cancel", {"name": "flash"})
    wait_for("its end", lambda: "flash: idle; " in line.say("routines"))
    wait_for("its last end", lambda: "last canceled (boot 1" in line.say("routines"))


def test_long_tables_are_listed_in_the_heap_of_a_chip(fresh) -> None:
    system: System = fresh()
    board = system.board()
    rule = {"read": 4, "is": "on", "for_s": 9, **WRITE}
    for n in range(64):
        board.do("point_set", {"name": f"lamp {n} upstairs", "pin": (5, 13, 14)[n % 3]})
    for n in range(32):
        board.do("rule_set", {"name": f"door {n}", **rule})
    started = boots(board)
    line = Line(board)
    for what, name, count in (
        ("points", "lamp {} upstairs: pin", 64),
        ("rules", "door {}: pin 4 on", 32),
    ):
        shown = line.say(what, seconds=30)
        assert all(name.format(n) in shown for n in range(count)), shown
    assert "Memory" not in line.text and boots(board) == started
    assert board.do("gpio_write", {"pin": 5, "value": 1}) == {"level": 1}


def test_noise_does_nothing_and_costs_nothing(fresh) -> None:
    """A terminal at the wrong rate, for a while; then one at the right one."""
    system: System = fresh()
    board = system.board()
    line = Line(board)
    line.say("turn on pin 5", "{'level': 1}")
    line.say("status")  # what a first time loads
    heap = int(re.findall(r"(\d+) B of memory", line.say("status"))[0])
    before = len(line.text)
    asks = len(system.tap.of("ask"))
    generator = random.Random(7)
    line.type("x")
    for _ in range(40):
        # What 9600 looks like to 115200, and all that can be; lines among it.
        line.type(bytes(generator.choice(b"\x00\x80\xf8\xff\xe6\x1e\r\n\x03q") for _ in range(900)))
        line.type(generator.randbytes(900))
        line.type(b"x" * 900)
    line.quiet()
    line.type("\r")  # ends what noise has begun
    time.sleep(0.3)
    line.type("status\r")
    line.shows("B of memory", after=before)
    now = int(re.findall(r"(\d+) B of memory", line.text[before:])[0])
    assert now > heap - 256, (heap, now)
    assert boots(board) == 1 and "Traceback" not in line.text and "MemoryError" not in line.text
    assert len(system.tap.of("ask")) == asks
    assert line.text.count("That was no text") >= 1
    assert len(line.text) < 100000
    assert "Pin 5 is on." in line.say("turn on pin 5", "{'level': 1}")


def test_a_fast_paste_arrives_whole(system: System, board: Board) -> None:
    line = Line(board)
    at = len(line.read())
    line.type("".join(f"turn on pin {n}\r\n" for n in (16, 17, 18)))
    line.shows("Pin 18 is on.", after=at)
    assert [board.level(n) for n in (16, 17, 18)] == [1, 1, 1]


def test_what_happens_meanwhile_is_shown_beside_what_is_typed(fresh) -> None:
    system: System = fresh()
    board = system.board()
    line = Line(board)
    line.type("turn on p")
    at = len(line.read())
    board.control.call("net", up=False)
    line.shows("> turn on p", 15, line.shows("Wi-Fi is gone", 15, at))
    at = len(line.read())
    told = len(system.tap.of("status"))
    board.control.call("net", up=True)
    wait_for("the link", lambda: len(system.tap.of("status")) > told + 1, 40)
    line.type("in 5\r")
    line.shows("{'level': 1}", after=at)
    # One outage is told once, not with each try, and is in the log.
    assert line.text.count("Wi-Fi is gone") == 1
    assert "link broker 127.0.0.1" in line.say("log")


def test_wifi_is_set_without_a_reboot_and_without_a_word_of_the_key(fresh) -> None:
    system: System = fresh()
    board = system.board()
    line = Line(board)
    assert "Wi-Fi virtual: connected, 192.0.2.2" in line.say("wifi")
    shown = line.say("wifi Elsewhere", "none): ")
    line.type("somewhere-secret\r")
    line.shows("joining Elsewhere")
    at = line.shows("no access point of that name", 40)
    shown = line.say("wifi")
    assert "Wi-Fi Elsewhere: not connected" in shown and "no access point" in shown, shown
    # A key that is wrong, one that cannot be, and the right one.
    line.say("wifi virtual", "none): ")
    line.type("wrong-secret\r")
    line.shows("wrong password", 60, at)
    line.say("wifi virtual", "none): ")
    assert "8 to 63" in line.say("short")
    line.say("wifi virtual", "none): ")
    line.type("virtual-password\r")
    wait_for("Wi-Fi", lambda: "connected, 192" in line.say("wifi"), 60)
    wait_for("the link", lambda: "link up" in line.say("status"), 40)
    assert boots(board) == 1
    for key in ("somewhere-secret", "wrong-secret", "virtual-password"):
        assert key not in line.read()
    # It is on flash.
    board.control.call("reset")
    board.online(after=board.boot)
    line.say("log")
    assert "virtual-password" not in line.text
    assert system.say("turn on pin 5")["reply"] == "Pin 5 is on."


def test_a_power_cut_as_wifi_is_written(fresh) -> None:
    system: System = fresh()
    board = system.board()
    line = Line(board)
    for n in range(1, 5):
        boot = board.boot
        line.say("wifi virtual", "none): ")
        board.control.call("cut_at_write", n=n, torn=bool(n % 2), auto=True)
        line.type("virtual-password\r")
        # Saved, or cut: it is back with an identity and a network.
        board.online(after=boot if boots(board) > n else 0)
        time.sleep(0.5)
        board.control.call("cut_at_write", n=0)
        if boots(board) > 1:
            board.online(after=0)
            wait_for("the console", lambda: "Wi-Fi virtual" in line.say("wifi", seconds=20), 30)
    assert system.say("turn on pin 5")["reply"] == "Pin 5 is on."


def test_a_factory_reset_asks_twice_and_keeps_who_it_is(fresh) -> None:
    system: System = fresh()
    board = system.board()
    system.say("call pin 17 kitchen light")
    board.do("schedule_set", {"name": "blink", "when": "every 1 s", **WRITE})
    board.do("limit_set", {"pin": 13, "safe": 0})
    board.do("gpio_write", {"pin": 13, "value": 1})
    line = Line(board)
    line.say("factory reset", "to go on: ")
    assert "Nothing was erased." in line.say("y")
    line.say("factory reset", "to go on: ")
    line.say("yes", "to do it: ")
    assert "Nothing was erased." in line.say("yes")
    assert "kitchen light" in line.say("points") and boots(board) == 1
    line.say("factory reset", "to go on: ")
    line.say("yes", "to do it: ")
    boot = board.boot
    line.type("erase\r")
    board.online(after=boot)
    assert board.boot == boot + 1
    for what in ("points", "schedules"):
        assert f"no {what}" in line.say(what)
    assert board.level(13) == 0 and "blink" not in line.say("log")
    assert board.do("limit_list", {}).get("limits") in ({}, [], None)
    assert system.say("turn on pin 5")["reply"] == "Pin 5 is on."


def test_safe_mode_has_the_console_and_factory_reset_all_leads_there(fresh) -> None:
    system: System = fresh()
    board = system.board()
    system.say("call pin 17 kitchen light")
    board.do("schedule_set", {"name": "blink", "when": "every 5 min", **WRITE})
    board.do("limit_set", {"pin": 13, "safe": 0, "restore": "last"})
    board.do("gpio_write", {"pin": 13, "value": 1})
    time.sleep(1.5)
    line = Line(board)
    fail_boots(board, 3)
    line.shows("SAFE MODE")
    line.shows("> ", after=line.shows("what you want", after=line.text.rindex("SAFE MODE")))
    assert board.level(13) == 0
    assert "no agent" in line.say("turn on pin 5")
    shown = line.say("status")
    assert "safe mode: 3 boots failed" in shown and "demo: ganglion" in shown, shown
    assert "kitchen light: pin 17" in line.say("points")
    assert "blink: every 5 min" in line.say("schedules")
    assert "in safe mode" in line.say("log")
    assert "not connected" in line.say("wifi")
    line.say("wifi virtual", "none): ")
    assert "'safe off' starts with it" in line.say("virtual-password")
    boot = newest_boot(system)
    line.type("safe off\r")
    board.online(after=boot)
    line.say("factory reset all", "to go on: ")
    line.say("yes", "to do it: ")
    at = len(line.read())
    line.type("erase\r")
    # No identity: it says so where one can read it.
    line.shows("/config.json is missing: provision this board", 30, at)
    at = line.shows("SAFE MODE", 30, at)
    line.shows("> ", 10, line.shows("what you want", 10, at))
    shown = line.say("status")
    assert "(not provisioned)" in shown and "config.json is missing" in shown, shown
    line.say("wifi virtual", "none): ")
    assert "provisioned first" in line.say("virtual-password")


def test_ctrl_c_leads_to_micropython_with_safe_outputs(fresh) -> None:
    system: System = fresh()
    board = system.board()
    board.do("limit_set", {"pin": 13, "safe": 0})
    board.do("gpio_write", {"pin": 13, "value": 1})
    line = Line(board)
    at = len(line.read())
    line.type("turn")
    time.sleep(0.3)
    line.type("\x03")
    at = line.shows("Ctrl-C again", after=at)
    assert board.level(13) == 1 and boots(board) == 1
    time.sleep(0.3)
    line.type("\x03")
    at = line.shows(">>> ", after=line.shows("MicroPython's own prompt", after=at + 40))
    assert board.level(13) == 0
    system.tap.wait("status", online=False)
    line.type("print(6 * 7)\n")
    line.shows("42", after=at)
    memory = (board.folder / "hw.mem").read_bytes()
    assert struct.unpack_from("<I", memory, layout.WDT_MS)[0] == 600_000
    # As a tool does it.
    boot = board.boot
    board.control.call("reset")
    board.online(after=boot)
    line.shows("> ", after=line.text.rindex("what you want"))
    time.sleep(0.3)
    at = len(line.read())
    line.type("\r\x03")
    line.shows(">>> ", after=at)


def test_reboot(system: System, board: Board) -> None:
    boot = board.boot
    Line(board).type("reboot\r")
    board.online(after=boot)
    # It said goodbye: nobody was told that it is lost.
    lost: list[Any] = [s for s in system.tap.of("status") if not s["online"]]
    assert not lost, json.dumps(lost)
