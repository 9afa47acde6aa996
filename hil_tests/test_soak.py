"""A house, for as long as one likes: sentences, commands, schedules, rules, and troubles."""

import random
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from hil_tests.events import caught_up
from hil_tests.soak import Ledger, slope
from tools.hil.bench import Bench, Faults
from tools.hil.board import Board
from tools.hil.capabilities import Capabilities
from tools.hil.plugin import Broker, Recorder, Wifi

SAMPLES = 500
BEAT_S = 2
# Back-off and jitter, the session, joining the network (docs/limits.md).
BACK_S = 30 * 1.25 + 10 + 15
# A boot that ends sooner counts as a failed one.
HEALTHY_S = 12
# So much may a heap of 96 KiB lose: once (names, tables that double), and in each hour.
LOST_ONCE_BYTES = 1024
LOST_AN_HOUR_BYTES = 128
# Of the runs that were due; a handshake keeps a slow chip from some.
RUNS_SHARE = 0.8
_AHEAD_S = 290
_SEEN_S = 0.1  # rules look every 5 ms: there and back in between is nothing to them
_EVERY_S = 60

SENTENCES = (
    "what time is it?",
    "how much memory is free?",
    "how are you?",
    "remember that my plants like mornings",
    "my favourite colour is blue, remember that",
    "what do you remember about my plants?",
)
COMMANDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("get_time", {}),
    ("get_health", {}),
    ("schedule_list", {}),
    ("rule_list", {}),
    ("memory_list", {}),
    ("point_list", {}),
    ("persona_get", {}),
)


class Soak:
    """One run of it."""

    def __init__(self, board: Board, bench: Bench, has: Capabilities, soak_s: float) -> None:
        self.board = board
        self.ledger = Ledger()
        self.began_s = time.monotonic()
        self.seconds = soak_s
        self.boot = self.first_boot = board.boot
        self.troubles: dict[str, list[float]] = {}
        self.heap: list[tuple[float, float]] = []
        self.sessions: list[tuple[float, float]] = []
        self.writes: list[tuple[float, float]] = []
        self.sentences = self.commands = self.toggles = self.marks = 0
        self.dice = random.Random(7)
        self._has = has
        self._bench = bench
        self._level = 0
        self._booted_s = self.began_s
        self._taken_s = self.began_s
        self._before = {"sessions": 0.0, "writes": 0.0}
        self._now = {"sessions": 0.0, "writes": 0.0}

    @property
    def past_s(self) -> float:
        return time.monotonic() - self.began_s

    # ---- what a house does

    def set_up(self) -> None:
        do = self.board.do
        do("schedule_set", name="beat", when=f"every {BEAT_S} s", tool="get_time", args={})
        if self._has.jumper:
            drives, reads = self._has.jumper.from_pin, self._has.jumper.to_pin
            do("limit_set", pin=drives, safe=0)
            do("gpio_write", pin=drives, value=0)
            do("rule_set", name="bell", read=reads, tool="get_time", args={}, **{"is": "changes"})
        self.began_s = self._booted_s = self._taken_s = time.monotonic()

    def step(self) -> None:
        """A sentence, or a command."""
        if self.dice.random() < 0.4:
            text = self.dice.choice(SENTENCES)
            told = self.board.say(text)
            assert told["reply"] and "err" not in told, (text, told)
            self.sentences += 1
        elif self._has.jumper and self.dice.random() < 0.4:
            self.toggled(self.toggle())
        else:
            tool, args = self.dice.choice(COMMANDS)
            if self.dice.random() < 0.2:
                key = f"key {self.dice.randrange(8)}"
                tool, args = "memory_set", {"key": key, "value": f"{self.past_s:.0f} s"}
            self.board.do(tool, **args)
            self.commands += 1

    def toggle(self) -> dict[str, Any]:
        """A command that must act once, on its way; `toggled` waits for it."""
        time.sleep(_SEEN_S)
        assert self._has.jumper is not None
        args = {"pin": self._has.jumper.from_pin, "value": "toggle"}
        body = self.board.wire.command(self.boot, tool="gpio_write", args=args)
        body["exp"] = int(time.time()) + _AHEAD_S
        self.board.wire.send("do", body)
        return body

    def toggled(self, body: dict[str, Any]) -> None:
        told = self.board.wire.exchange("do", "done", body, 3 * BACK_S).body["receipt"]
        self._level = 1 - self._level
        self.toggles += 1
        self.commands += 1
        assert told == {"level": self._level}, f"toggle {self.toggles} told {told}"

    # ---- what goes wrong

    def trouble(self, name: str, begin: Callable[[], None], end: Callable[[], None]) -> None:
        """It lasts some seconds; a command is on its way as it begins."""
        body = self.toggle() if self._has.jumper else None
        begin()
        time.sleep(self.dice.uniform(0.5, 5 if self.seconds < 3600 else 20))
        end()
        at_s = time.monotonic()
        self.board.online(seconds=BACK_S, since_s=at_s if name == "broker" else 0.0)
        if body:
            self.toggled(body)
        else:
            self.board.do("get_time", seconds=3 * BACK_S)
            self.commands += 1
        self.troubles.setdefault(name, []).append(time.monotonic() - at_s)

    def reset(self) -> None:
        if time.monotonic() - self._booted_s < HEALTHY_S:
            return
        if self._level:
            self.toggled(self.toggle())  # else the new start changes it
        self.catch_up()  # what a reset finds in the heap is gone
        at_s = time.monotonic()
        self.boot += 1
        assert self.board.reset() == self.boot
        self._booted_s = time.monotonic()
        self._before = dict(self._now)
        self.troubles.setdefault("reset", []).append(self._booted_s - at_s)

    # ---- what is looked at

    def sample(self) -> None:
        told = self.board.do("get_diagnostics", scope="all", seconds=BACK_S)
        self.commands += 1
        at_s = self.past_s
        self._now = {
            "sessions": self._before["sessions"] + told["link"]["sessions"],
            "writes": self._before["writes"] + told["store"]["writes"],
        }
        self.heap.append((at_s, float(told["heap"]["free"])))
        self.sessions.append((at_s, self._now["sessions"]))
        self.writes.append((at_s, self._now["writes"]))
        self.look()

    def look(self) -> None:
        """Take what was told since the last time, and forget it."""
        wire, now_s = self.board.wire, time.monotonic()
        for leaf in ("event", "done"):
            for heard in wire.of(leaf, self._taken_s):
                self.ledger.take(heard)
        self._taken_s = now_s
        wire.forget(now_s - 2 * _EVERY_S)
        assert self.board.boot == self.boot, f"boot {self.board.boot}, and it was {self.boot}"
        assert not self.ledger.faults, self.ledger.faults

    def catch_up(self) -> None:
        """Until all that waits is told, and looked at."""
        caught_up(self.board)
        self.marks += 1
        self.look()

    def progress(self) -> str:
        return (
            f"soak: {self.past_s / 60:.1f} of {self.seconds / 60:.1f} min, {self.commands} "
            f"commands, {self.sentences} sentences, {sum(map(len, self.troubles.values()))} "
            f"troubles, heap {self.heap[-1][1] if self.heap else 0:.0f} B free"
        )


def kinds(
    faults: Faults, broker: Broker, wifi: Wifi, has: Capabilities
) -> dict[str, tuple[Callable[[], None], Callable[[], None]]]:
    """What goes wrong between board and broker: how it begins and how it ends."""

    def slow_answer() -> None:
        faults.reset()
        faults.delay_connack(3)

    made: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
        "broker": (broker.down, broker.up),
        "refuse": (faults.refuse, faults.clear),
        "reset by peer": (faults.reset, faults.clear),
        "black hole": (faults.blackhole, faults.clear),
        "half open": (faults.half_open, faults.clear),
        "slow": (lambda: faults.slow(2000, 200), faults.clear),
        "cut short": (lambda: faults.truncate(3000), faults.clear),
        "late answer": (slow_answer, faults.clear),
    }
    if has.wifi:
        made["Wi-Fi"] = (wifi.down, wifi.up)
    return made


@pytest.mark.timeout(0)  # as long as was asked for; every wait in it has a bound of its own
def test_soak(
    board: Board,
    bench: Bench,
    broker: Broker,
    faults: Faults,
    wifi: Wifi,
    has: Capabilities,
    soak_s: float,
    record: Recorder,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A house with troubles: no restart of its own, no memory lost, all done and told once"""
    soak = Soak(board, bench, has, soak_s)
    soak.set_up()
    troubles = kinds(faults, broker, wifi, has)
    pause_s = min(5.0, max(0.3, soak_s / 5000))
    between_s = min(600.0, max(8.0, soak_s / 50))
    next_sample_s = next_progress_s = 0.0
    next_trouble_s = between_s / 2
    waiting: list[str] = []
    while soak.past_s < soak_s:
        soak.step()
        if soak.past_s >= next_sample_s:
            next_sample_s = soak.past_s + max(1.0, soak_s / SAMPLES)
            soak.sample()
        if soak.past_s >= next_progress_s:
            next_progress_s = soak.past_s + _EVERY_S
            with capsys.disabled():
                print(f"\n{soak.progress()}", end="", file=sys.stderr, flush=True)
        if soak.past_s >= next_trouble_s:
            next_trouble_s = soak.past_s + soak.dice.uniform(0.7, 1.3) * between_s
            if not waiting:
                waiting = soak.dice.sample([*troubles, "reset"], len(troubles) + 1)
            name = waiting.pop()
            if name != "reset":
                soak.trouble(name, *troubles[name])
            elif soak.past_s < soak_s / 2:  # the second half is one long boot
                soak.reset()
        time.sleep(pause_s)
    ended_s = time.monotonic()
    soak.sample()
    soak.catch_up()
    soak.ledger.close()
    _record(soak, record)
    assert not soak.ledger.faults, soak.ledger.faults
    ledger = soak.ledger
    assert ledger.bad == soak.marks, (ledger.bad, soak.marks)
    assert ledger.boots == list(range(soak.first_boot + 1, soak.boot + 1))
    beats, due = ledger.runs.get("beat", 0), (ended_s - soak.began_s) / BEAT_S
    assert RUNS_SHARE * due - 2 <= beats + ledger.dropped, (beats, due, ledger.dropped)
    assert beats <= due + 2 + len(ledger.boots), (beats, due)
    if has.jumper:
        bells = ledger.runs.get("bell", 0)
        assert bells <= soak.toggles <= bells + ledger.dropped, (bells, soak.toggles)


def _record(soak: Soak, record: Recorder) -> None:
    record.series("heap free", "B", soak.heap)
    record.series("sessions", "", soak.sessions)
    record.series("flash writes", "", soak.writes)
    hours = soak.past_s / 3600
    record.figure("sentences", "", soak.sentences, better="higher")
    record.figure("commands", "", soak.commands, better="higher")
    record.figure("flash writes an hour", "", soak.writes[-1][1] / hours)
    record.figure("events dropped", "", soak.ledger.dropped)
    for name, took_s in soak.troubles.items():
        record.figure(f"back after {name}", "s", took_s, limit=3 * BACK_S)
    half = [point for point in soak.heap if point[0] >= soak.seconds / 2]
    half_hours = (half[-1][0] - half[0][0]) / 3600
    lost = LOST_AN_HOUR_BYTES + LOST_ONCE_BYTES / half_hours
    trend = slope(half) * 3600
    record.figure("heap trend", "B/h", trend, better="higher", limit=-lost)
