"""Power fails while flash is written: what was acknowledged is there, nothing is half there."""

import random
import threading
import time
from typing import Any

import pytest

from hil_tests.events import in_order
from tools.hil.board import Board
from tools.hil.capabilities import Capabilities
from tools.hil.plugin import Power, Recorder

pytestmark = pytest.mark.needs("power", "jumper")

ROUNDS = 10
CUT_S = 0.3
ONLINE_S = 30
# What the board may have before it; more than the results it keeps would be too much to ask.
AT_ONCE = 4
SLOTS = 5
# Tool and name → a value.
Key = tuple[str, str]


class Expected:
    """What may be on flash: for each key what was acknowledged last, or what was sent after it."""

    def __init__(self) -> None:
        self.may: dict[Key, list[Any]] = {}
        self.n = 0
        """of all that was sent, so that no value comes twice"""
        self._sent: dict[str, tuple[Key, Any]] = {}

    def send(self, id_: str, key: Key, value: Any) -> None:
        self.may.setdefault(key, [None]).append(value)
        self._sent[id_] = (key, value)

    def acknowledge(self, id_: str) -> None:
        key, value = self._sent[id_]
        if value in self.may[key]:  # else a later one has been acknowledged
            del self.may[key][: self.may[key].index(value)]

    def check(self, found: dict[Key, Any]) -> None:
        """AssertionError with all that must not be so; then what was found is what is known."""
        wrong = [
            f"{key[1]} is {found.get(key)!r}, and not one of {may}"
            for key, may in self.may.items()
            if found.get(key) not in may
        ]
        strangers = [f"{key[1]} is {found[key]!r}" for key in found if key not in self.may]
        assert not wrong + strangers, "; ".join(wrong + strangers)
        self.may = {key: [found.get(key)] for key in self.may}
        self._sent.clear()


def command(dice: random.Random, n: int, pin: int) -> tuple[Key, Any, dict[str, Any]]:
    """Something that writes flash: its key, the value that it then has, and the arguments."""
    tool = dice.choice(["memory_set", "memory_set", "schedule_set", "point_set"])
    name = f"{tool[0]}{dice.randrange(SLOTS)}"
    if tool == "memory_set":
        value: Any = f"{n} " + "x" * dice.randrange(190)
        return (tool, name), value, {"key": name, "value": value}
    if tool == "schedule_set":
        value = f"every {n} min"
        what = {"tool": "gpio_read", "args": {"pin": pin}}
        return (tool, name), value, {"name": name, "when": value, **what}
    return (tool, name), n, {"name": name, "pin": pin, "dir": "in", "scale": n}


def on_flash(board: Board) -> dict[Key, Any]:
    """All of it, as the board lists it."""
    found: dict[Key, Any] = {}
    for tool, lists, field in (
        ("memory_set", "memory_list", "facts"),
        ("schedule_set", "schedule_list", "schedules"),
        ("point_set", "point_list", "points"),
    ):
        after: dict[str, str] = {}
        while True:
            receipt = board.do(lists, **after)
            for entry in receipt[field]:
                if tool == "schedule_set":
                    name, value = entry[0], entry[1]
                else:
                    name, value = entry, receipt[field][entry]
                found[tool, name] = value["scale"] if tool == "point_set" else value
                after = {"after": name}
            if not receipt.get("more"):
                break
    return found


class Burst:
    """Sends commands one after the other, as fast as the board answers, until `end`."""

    def __init__(self, board: Board, expected: Expected, dice: random.Random, pin: int) -> None:
        self._board = board
        self._expected = expected
        self._dice = dice
        self._pin = pin
        self._ended = threading.Event()
        self._since_s = time.monotonic()
        self.ids: list[str] = []
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def answered(self) -> dict[str, dict[str, Any]]:
        """Receipts by id."""
        done = self._board.wire.of("done", self._since_s)
        return {h.body["id"]: h.body["receipt"] for h in done if h.body["id"] in self.ids}

    def _send(self) -> None:
        boot = self._board.boot
        while not self._ended.is_set():
            if len(self.ids) - len(self.answered()) >= AT_ONCE:
                self._ended.wait(0.002)
                continue
            self._expected.n += 1
            key, value, args = command(self._dice, self._expected.n, self._pin)
            body = self._board.wire.command(boot, tool=key[0], args=args)
            self._expected.send(body["id"], key, value)
            self.ids.append(body["id"])
            self._board.wire.send("do", body)

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


def test_power_fails_at_any_moment(
    board: Board, power: Power, has: Capabilities, record: Recorder
) -> None:
    """Ten times cut within 0.3 s of a burst of writes: what was acknowledged is there, whole"""
    assert has.jumper is not None
    dice = random.Random(1)
    expected = Expected()
    took_s, acknowledged, lost = [], 0, 0
    for _ in range(ROUNDS):
        boot = board.boot
        burst = Burst(board, expected, random.Random(dice.random()), has.jumper.to_pin)
        time.sleep(dice.uniform(0, CUT_S))
        power.off()
        burst.end()
        on_s = time.monotonic()
        power.on()
        assert board.online(after=boot) == boot + 1
        took_s.append(board.wire.of("status", on_s, online=True)[0].at_s - on_s)
        status = board.status
        assert (status["reset"], status["safe"]) == ("power_on", False)
        answered = burst.answered()
        failed = [receipt for receipt in answered.values() if "err" in receipt]
        assert not failed, failed
        for id_ in answered:
            expected.acknowledge(id_)
        acknowledged += len(answered)
        lost += len(burst.ids) - len(answered)
        expected.check(on_flash(board))
        in_order(board.wire.of("event", on_s), boot + 1)
    assert acknowledged >= ROUNDS, f"only {acknowledged} were acknowledged in all rounds"
    record.figure("online again", "s", took_s, limit=ONLINE_S)
    record.figure("acknowledged before a cut", "", acknowledged / ROUNDS, better="higher")
    record.figure("cut off unanswered", "", lost / ROUNDS)


def test_outputs_are_safe_after_it(
    board: Board, power: Power, has: Capabilities, record: Recorder
) -> None:
    """After the power was away an output is safe, or as it was where that is wanted"""
    assert has.jumper is not None
    drives, reads = has.jumper.from_pin, has.jumper.to_pin
    board.do("limit_set", pin=drives, safe=1)
    board.do("gpio_write", pin=drives, value=0)
    assert board.level(reads) == 0
    power.cycle()
    assert board.level(reads) == 1
    board.do("limit_delete", pin=drives)
    board.do("limit_set", pin=drives, safe=0, restore="last")
    for level in (1, 0):
        board.do("gpio_write", pin=drives, value=level)
        time.sleep(2)  # it is on flash a second later (docs/guard.md)
        power.cycle()
        assert board.level(reads) == level
