"""The house that soaks: its schedules and rules, its people, and what its board tells of itself."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tools.bench.requester import Requester
from tools.bench.soak_due import Job, Span, mark

if TYPE_CHECKING:
    from tools.bench.soak import World

DEVICE = "house"
QUIET_MS = 60_000
"""So far the clock is put ahead at a time while all is well: rules look at their pins as often."""
DOOR, SOIL, COLD = 4, 34, 23


def write(pin: int, value: int | str) -> dict[str, Any]:
    return {"pin": pin, "value": value}


JOBS = (
    Job("morning", "30 6 * * mon-fri", "gpio_write", write(5, 1), "late", 47),
    Job("night", "0 23 * * *", "gpio_write", write(5, 0), "late", 133),
    Job("half past two", "30 2 * * *", "gpio_write", write(13, "toggle")),
    Job("hourly", "5 * * * *", "gpio_write", write(14, "toggle")),
    Job("quarters", "*/15 7-21 * * *", "gpio_write", write(15, "toggle")),
    Job("monthly", "0 12 1,15 * *", "memory_set", {"key": "rent", "value": "due"}, "expire"),
    Job("dusk", "sunset -20 min", "gpio_write", write(16, 1), "late", 241),
    Job("dawn", "sunrise +10 min", "gpio_write", write(16, 0), "expire"),
    Job("feed", "every 6 h from 06:00", "gpio_write", write(17, "toggle"), "late", 61),
    Job("pump", "every 50 min", "gpio_write", write(18, "toggle")),
)


@dataclass(frozen=True)
class Rule:
    """``holds`` is the world's reading at which it is true; it acts ``for_s`` later."""

    name: str
    args: dict[str, Any]
    act: dict[str, Any]
    what: str
    holds: int
    for_s: int = 0


def _adc(way: str, value: int) -> dict[str, Any]:
    sensor = {"tool": "adc_read", "args": {"pin": SOIL}, "field": "mv"}
    return {"sensor": sensor, "is": way, "value": value, "hyst": 100}


RULES = (
    Rule("door", {"read": DOOR, "is": "on"}, write(19, 1), "door", 1),
    Rule("shut", {"read": DOOR, "is": "off", "for_s": 120}, write(19, 0), "door", 0, 120),
    Rule("dry", _adc("above", 2000), write(21, 1), "soil", 2500),
    Rule("wet", _adc("below", 1500), write(21, 0), "soil", 1000),
    Rule(
        "frost",
        {
            "sensor": {"tool": "ds18x20_read", "args": {"pin": COLD}, "field": "celsius"},
            "is": "below",
            "value": 3,
            "hyst": 1,
        },
        write(22, 1),
        "cold",
        -2,
    ),
)
LEVELS = {"door": (0, 1), "soil": (1000, 2500), "cold": (10, -2)}


class House(Requester):
    """People and companion: asks are answered with one call; events are kept as they come."""

    def __init__(self, world: World, port: int, user: str, secret: str) -> None:
        self.events: list[dict[str, Any]] = []
        self.replies: dict[str, dict[str, Any]] = {}
        self.sessions = 0
        self.knows_time = True
        self._world = world
        super().__init__(DEVICE, port, user, secret, lambda: world.now)

    def take(self, leaf: str, body: dict[str, Any]) -> None:
        if leaf == "ask" and body.get("want") == "time" and not self.knows_time:
            return
        super().take(leaf, body)
        if leaf == "event":
            self.events.append(body)
        elif leaf == "reply":
            self.replies[body["id"]] = body
        elif leaf == "status":
            self.sessions += body["online"]
        elif leaf == "ask" and body.get("want") != "time":
            self.send("answer", {"id": body["id"], "by": "edge/soak", "calls": [self._call()]})

    def _call(self) -> list[Any]:
        rng = self._world.rng
        if rng.random() < 0.1:
            fact = {"key": f"fact {rng.randrange(8)}", "value": "it is so " * rng.randint(1, 8)}
            return ["memory_set", fact]
        return ["gpio_write", write(rng.choice((25, 26, 27)), "toggle")]


@dataclass
class Told:
    """What the board said on its serial line, by the world's Unix seconds."""

    acts: list[tuple[float, str, str]] = field(default_factory=list)  # when, call, error
    missed: list[tuple[float, str]] = field(default_factory=list)
    events: set[tuple[int, int]] = field(default_factory=set)  # boot, n
    heap: list[tuple[float, int, int]] = field(default_factory=list)  # when, stays, peak
    spans: list[Span] = field(default_factory=list)
    boots: int = 0
    rest: str = ""
    faults: list[str] = field(default_factory=list)

    def take(self, data: bytes) -> None:
        lines = (self.rest + data.decode(errors="replace")).split("\n")
        self.rest = lines.pop()
        for line in lines:
            # The prompt may stand before it.
            if found := re.fullmatch(r"[^@]*@(\w+) (\d+) ?(.*)", line.rstrip("\r")):
                self._line(found[1], int(found[2]) / 1000, found[3])
            elif "Traceback" in line or "Error" in line:
                self.faults.append(line)

    def _line(self, what: str, at: float, more: str) -> None:
        if what == "boot":
            self.boots += 1
        elif what == "engine":
            self.spans.append(Span(at, at if more == "1" else None, float("inf")))
        elif what == "clock":
            if self.spans and self.spans[-1].known is None:
                self.spans[-1].known = at
        elif what == "act":
            tool, args, error = json.loads(more)
            self.acts.append((at, mark(tool, args), error))
        elif what == "heap":
            stays, peak = more.split()
            self.heap.append((at, int(stays), int(peak)))
        elif what == "event":
            boot, n, kind, by = more.split(" ", 3)
            self.events.add((int(boot), int(n)))
            if kind == "missed":
                self.missed.append((at, by))
