"""A house for a month: the whole firmware in simulated time, with all that goes wrong in a month.

The board is the virtual one with the firmware's own main program, flash and link; the broker is
mosquitto; who answers is played by this module. Time is left out where the board would only wait
(tools/vboard/standins/_leap.py). What the board did it tells on its serial line, so that this is
known while there is no network; what the broker got is compared with it.

The house: ten schedules, five rules, fifty sentences a day, one in ten of which is remembered. The
month: a change of daylight-saving time, Wi-Fi and broker away, resets, power cuts (at any moment,
and at a flash write), and boots at which nobody knows the time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tools.bench.report import Figures, median
from tools.bench.requester import Requester
from tools.bench.soak_due import LATE_S, Compared, Job, Span, compare, due_times, mark
from tools.broker import EmbeddedBroker
from tools.paths import ROOT
from tools.problem import Problem
from tools.vboard import BoardConfig, VirtualBoard, layout

DAYS = 30
SENTENCES = 50
_DEVICE = "house"
ZONE = ZoneInfo("Europe/Berlin")
_POSIX = "CET-1CEST,M3.5.0,M10.5.0/3"
PLACE = (52.5, 13.4)
_CHANGE = datetime(2026, 10, 25, tzinfo=UTC)
_QUIET_MS = 60_000
_OUTAGE_MS = 10_000
_FINE_MS = 1_000
_STUCK_S = 60.0
_DOOR, _SOIL, _COLD = 4, 34, 23


def _write(pin: int, value: int | str) -> dict[str, Any]:
    return {"pin": pin, "value": value}


JOBS = (
    Job("morning", "30 6 * * mon-fri", "gpio_write", _write(5, 1), "late", 47),
    Job("night", "0 23 * * *", "gpio_write", _write(5, 0), "late", 133),
    Job("half past two", "30 2 * * *", "gpio_write", _write(13, "toggle")),
    Job("hourly", "5 * * * *", "gpio_write", _write(14, "toggle")),
    Job("quarters", "*/15 7-21 * * *", "gpio_write", _write(15, "toggle")),
    Job("monthly", "0 12 1,15 * *", "memory_set", {"key": "rent", "value": "due"}, "expire"),
    Job("dusk", "sunset -20 min", "gpio_write", _write(16, 1), "late", 241),
    Job("dawn", "sunrise +10 min", "gpio_write", _write(16, 0), "expire"),
    Job("feed", "every 6 h from 06:00", "gpio_write", _write(17, "toggle"), "late", 61),
    Job("pump", "every 50 min", "gpio_write", _write(18, "toggle")),
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
    sensor = {"tool": "adc_read", "args": {"pin": _SOIL}, "field": "mv"}
    return {"sensor": sensor, "is": way, "value": value, "hyst": 100}


RULES = (
    Rule("door", {"read": _DOOR, "is": "on"}, _write(19, 1), "door", 1),
    Rule("shut", {"read": _DOOR, "is": "off", "for_s": 120}, _write(19, 0), "door", 0, 120),
    Rule("dry", _adc("above", 2000), _write(21, 1), "soil", 2500),
    Rule("wet", _adc("below", 1500), _write(21, 0), "soil", 1000),
    Rule(
        "frost",
        {
            "sensor": {"tool": "ds18x20_read", "args": {"pin": _COLD}, "field": "celsius"},
            "is": "below",
            "value": 3,
            "hyst": 1,
        },
        _write(22, 1),
        "cold",
        -2,
    ),
)
_LEVELS = {"door": (0, 1), "soil": (1000, 2500), "cold": (10, -2)}


class House(Requester):
    """People and companion: asks are answered with one call; events are kept as they come."""

    def __init__(self, world: World, port: int, user: str, secret: str) -> None:
        self.events: list[dict[str, Any]] = []
        self.replies: dict[str, dict[str, Any]] = {}
        self.sessions = 0
        self.knows_time = True
        self._world = world
        super().__init__(_DEVICE, port, user, secret, lambda: world.now)

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
        return ["gpio_write", _write(rng.choice((25, 26, 27)), "toggle")]


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


class _Board(VirtualBoard):
    """Its broker may be away: the address that it knows stays, what is behind it does not."""

    behind: EmbeddedBroker | None = None

    def target(self, i: int) -> str:
        return f"127.0.0.1:{self.behind.port if self.behind else 1}"


@dataclass
class World:
    """The board, the broker, and the time of both."""

    folder: Path
    seed: int
    begins: int
    days: int

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.ends = self.begins + self.days * 86400
        self.told = Told()
        self.levels: dict[str, list[tuple[float, int]]] = {"door": [], "soil": [], "cold": []}
        self.counts = dict.fromkeys(("wifi", "broker", "off", "reset", "lost", "cut"), 0)
        self.received: list[dict[str, Any]] = []
        self.said = self.unanswered = 0
        self._day = -1
        self._step = _QUIET_MS

    @property
    def now(self) -> float:
        """Unix seconds in the world."""
        return self.board.hardware.world_ms() / 1000

    # ---- the parts

    async def start(self, stack: contextlib.AsyncExitStack, firmware: Path) -> None:
        self._broker = EmbeddedBroker(self.folder / "broker")
        self._broker.start()
        stack.callback(lambda: self._broker.stop())
        secret = self._broker.add(_DEVICE)
        config = BoardConfig(secret, "127.0.0.1", 1)
        self.board = _Board(
            self.folder, _DEVICE, config, firmware=firmware, begins=self.begins, powered=False
        )
        self.board.serial.listeners.append(self.told.take)
        await stack.enter_async_context(self.board)
        self.house = House(self, self._broker.port, *self._broker.add_service("house"))
        stack.callback(lambda: self.house.close())
        await self._real("who listens to the broker", lambda: self.house.listening)
        self.board.behind = self._broker
        for what in self.levels:
            self.set(what, 0)
        self._writes_at_start = self._writes
        await self.board.power(True)
        await self._real("the board, with the time", lambda: self.house.clock)

    @property
    def _writes(self) -> int:
        return self.board.hardware.u32(layout.WRITES)

    @property
    def writes(self) -> int:
        """Flash programs and erases since the start."""
        return self._writes - self._writes_at_start

    async def _real(self, what: str, true: Any, seconds: float = _STUCK_S) -> None:
        """Wait while the world's time goes as ours."""
        until = time.monotonic() + seconds
        while not true():
            if self.board.hardware[layout.CUT] and not self.board.running:
                await self._after_cut()
            elif time.monotonic() > until:
                raise Problem(f"{what}: not within {seconds:g} s\n{self._tail()}")
            await asyncio.sleep(0.002)

    def _tail(self) -> str:
        return self.board.serial.since(0)[-3000:]

    # ---- time

    async def run_to(self, unix: float, step_ms: int | None = None) -> None:
        """Let the world go on until then. The power may fail before: then it comes back later."""
        hardware = self.board.hardware
        while (now := self.now) < unix:
            if int((now - self.begins) / 86400) != self._day:
                self._day = int((now - self.begins) / 86400)
                print(f"  soak: day {self._day} of {self.days} …", file=sys.stderr)
            hardware.leap_to(int(unix * 1000), step_ms or self._step)
            last, since = now, time.monotonic()
            while (now := self.now) < unix and self.board.running:
                if now - last > 1800:
                    last, since = now, time.monotonic()
                elif time.monotonic() - since > _STUCK_S:
                    raise Problem(f"the world stands still\n{self._tail()}")
                await asyncio.sleep(0.002)
            hardware.stay()
            if not self.board.running:
                await asyncio.sleep(0.05)
                if hardware[layout.CUT]:
                    await self._after_cut()

    async def _after_cut(self) -> None:
        await self.board.wait_off()
        self.counts["cut"] += 1
        self._ended(self.now)
        await self.dark(self.rng.choice((60, 900, 7200)))

    def _ended(self, at: float) -> None:
        if self.told.spans and self.told.spans[-1].end == float("inf"):
            self.told.spans[-1].end = at

    async def dark(self, seconds: float) -> None:
        """The power is off; put it on after so long."""
        hardware = self.board.hardware
        hardware.set_world(int((self.now + seconds) * 1000))
        boots = self.told.boots
        await self.board.power(True)
        await self._real("the next boot", lambda: self.told.boots > boots)
        await self._settle()

    async def _settle(self) -> None:
        """After a boot, in small steps: what holds already is acted on."""
        spans = len(self.told.spans)
        await self._real("the firmware", lambda: len(self.told.spans) >= max(spans, 1))
        await self.run_to(self.now + 20, _FINE_MS)

    # ---- what happens

    def set(self, what: str, which: int) -> None:
        """Door, soil or cold to the first or second of its readings."""
        value = _LEVELS[what][which]
        if what == "door":
            self.board.drive(_DOOR, value)
        elif what == "soil":
            self.board.adc(_SOIL, value)
        else:
            self.board.sensor(_COLD, "ds18b20", celsius=float(value))
        self.levels[what].append((self.now, value))

    async def change(self, what: str) -> None:
        self.set(what, int(self.levels[what][-1][1] == _LEVELS[what][0]))
        await self.run_to(self.now + 15, _FINE_MS)

    async def say(self) -> None:
        if not self.house.clock or not self.board.running:
            return
        self.said += 1
        id_ = self.house.command("say", text=f"sentence {self.said} of this house")
        until = time.monotonic() + 25
        while id_ not in self.house.replies and self.board.running:
            if time.monotonic() > until:
                raise Problem(f"no reply to {id_}\n{self._tail()}")
            await asyncio.sleep(0.002)
        if id_ not in self.house.replies:
            self.unanswered += 1
        await self.run_to(self.now + 1)

    async def back(self, sessions: int) -> None:
        """The network is there: wait for a new session."""
        until = self.now + 900
        while self.house.sessions <= sessions:
            if self.now > until:
                raise Problem(f"no session within 15 minutes of a network\n{self._tail()}")
            await self.run_to(self.now + 5, _FINE_MS)
        self._step = _QUIET_MS
        await self.run_to(self.now + 30, _FINE_MS)

    async def outage(self, kind: str, seconds: float, reset: bool) -> None:
        self.counts[kind] += 1
        self._step = _OUTAGE_MS
        sessions = self.house.sessions
        if kind == "wifi":
            await self.board.net(False)
        else:
            self.board.behind = None
            self._broker.stop()
        await self.run_to(self.now + 60, _FINE_MS)
        if reset:
            await self.run_to(self.now + seconds / 2)
            await self.reset()
        await self.run_to(self.now + seconds / (1 + reset))
        if kind == "wifi":
            await self.board.net(True)
        else:
            self._restart_broker()
            await self._real("who listens to the broker", lambda: self.house.listening)
            sessions = 0
            self.board.behind = self._broker
        await self.back(sessions)

    def _restart_broker(self) -> None:
        before = self.house
        before.close()
        self._broker = EmbeddedBroker(self.folder / "broker")
        self._broker.start()
        self.house = House(self, self._broker.port, *self._broker.add_service("house"))
        self.house.boot, self.house.events = before.boot, before.events

    async def reset(self) -> None:
        self.counts["reset"] += 1
        self._ended(self.now)
        spans = len(self.told.spans)
        await self.board.reset()
        await self._real("the boot after a reset", lambda: len(self.told.spans) > spans)
        await self._settle()

    async def off(self, seconds: float, lost_s: float) -> None:
        """The power goes, and for ``lost_s`` after it is back nobody knows the time."""
        self.counts["lost" if lost_s else "off"] += 1
        sessions = self.house.sessions
        self.house.clock = False
        self._ended(self.now)
        self.house.knows_time = not lost_s
        self.board.hardware[layout.NTP_UP] = not lost_s
        await self.board.power(False)
        await self.dark(seconds)
        await self.back(sessions)
        if lost_s:
            await self.run_to(self.now + lost_s)
            self.house.knows_time = True
            self.board.hardware[layout.NTP_UP] = 1
            await self.run_to(self.now + 90, _FINE_MS)

    # ---- the month

    async def furnish(self) -> None:
        """Schedules and rules."""
        await self.house.do("set_timezone", tz=_POSIX)
        await self.house.do("set_place", lat=PLACE[0], lon=PLACE[1])
        self.first: dict[str, float] = {}
        for job in JOBS:
            call = {"tool": job.tool, "args": job.args, "miss": job.miss, "late_min": job.late_min}
            await self.house.do("schedule_set", name=job.name, when=job.when, **call)
            self.first[job.name] = self.now
        for rule in RULES:
            await self.house.do(
                "rule_set", name=rule.name, **rule.args, tool="gpio_write", args=rule.act
            )
        await self._settle()

    def plan(self) -> list[tuple[float, str]]:
        """What happens when. Trouble comes at moments at which no schedule is due."""
        dues = sorted(d for job in JOBS if not job.uptime_s for d in self.dues(job))
        items: list[tuple[float, str]] = []

        def moment(low: float, high: float) -> float:
            while True:
                at = self.rng.uniform(low, high)
                if not any(at - 120 < d < at + 120 for d in dues):
                    return at

        for day in range(self.days):
            start = self.begins + day * 86400
            for _ in range(SENTENCES):
                items.append((self.rng.uniform(start + 6 * 3600, start + 23 * 3600), "say"))
            for _ in range(8):
                items.append((self.rng.uniform(start, start + 86400), "door"))
            for _ in range(2):
                items.append((self.rng.uniform(start, start + 86400), "soil"))
            items.append((self.rng.uniform(start, start + 86400), "cold"))
        kinds = ["wifi", "broker", "off", "lost", "cut", "wifi+reset", "reset", "broker"]
        for n in range(self.days + 1):
            # One a day, and none in the third week: the heap is to be seen over a long boot, too.
            if self.days < 21 or not 12 <= n < 19:
                at = self.begins + n * 86400
                items.append((moment(at + 3600, at + 80000), kinds[n % len(kinds)]))
        # And one of each kind more in a short run.
        if self.days < 8:
            for n, kind in enumerate(kinds[self.days + 1 :]):
                at = self.begins + (n % self.days) * 86400
                items.append((moment(at + 3600, at + 80000), kind))
        return sorted(item for item in items if item[0] < self.ends - 7200)

    def dues(self, job: Job) -> list[int]:
        return due_times(job, ZONE, PLACE, self.begins, self.ends + 86400)

    async def live(self) -> None:
        for at, what in self.plan():
            await self.run_to(at)
            gap = self.rng.choice((60, 300, 1500, 5400))
            if what == "say":
                await self.say()
            elif what in self.levels:
                await self.change(what)
            elif what == "reset":
                await self.reset()
            elif what == "off":
                await self.off(gap, 0)
            elif what == "lost":
                await self.off(gap, self.rng.choice((700, 4000)))
            elif what == "cut":
                self.board.cut_at_write(self.rng.randint(1, 12), self.rng.random() < 0.5)
            else:
                kind, _, reset = what.partition("+")
                await self.outage(kind, gap * 2, bool(reset))
        self.board.cut_at_write(0)
        await self.run_to(self.ends)
        # Not at a moment at which something is due; and what was said is to be read.
        await self.run_to(self.now + 400, _FINE_MS)
        await asyncio.sleep(0.5)
        self._ended(self.now)


@dataclass
class Outcome:
    """What a run came to: `figures` for the bench, the rest for who looks for a fault."""

    figures: Figures
    unexplained: list[str]
    counts: dict[str, int]
    heap: list[int]  # the most of each day


def judge(world: World) -> Outcome:
    """What was against what should have been."""
    told = world.told
    wrong: list[str] = []
    want = got = either = 0
    for job in JOBS:
        runs = [at for at, call, _ in told.acts if call == job.mark]
        missed = [at for at, name in told.missed if name == job.name]
        dues = [] if job.uptime_s else world.dues(job)
        first = world.first[job.name]
        found: Compared = compare(job, dues, told.spans, first, runs, missed)
        wrong += [f"schedule {job.name}: {text}" for text in found.unexplained]
        want += found.expected
        got += found.actual
        either += found.either_way
    for rule in RULES:
        wrong += _rule(world, rule)
    known = {j.mark for j in JOBS} | {mark("gpio_write", r.act) for r in RULES}
    wrong += [f"nobody asked for {call}" for _, call, _ in told.acts if call not in known]
    wrong += [f"{call} failed: {err}" for _, call, err in told.acts if err]
    wrong += told.faults
    figures, odd = _events(world)
    wrong += odd
    days = _by_day(world)
    third = max(1, len(days) // 3)
    drift = median(days[-third:]) - median(days[:third])
    return Outcome(
        {
            "soak_days": world.days,
            "soak_boots": told.boots,
            "soak_runs_expected": want,
            "soak_runs_actual": got,
            "soak_runs_either_way": either,
            "soak_unexplained": len(wrong),
            **figures,
            "soak_sentences": world.said,
            "soak_heap_peak_bytes": max(days),
            "soak_heap_drift_bytes": drift,
            "flash_writes_per_day": world.writes / world.days,
        },
        wrong,
        world.counts,
        days,
    )


def _by_day(world: World) -> list[int]:
    days: dict[int, int] = {}
    for at, _, peak in world.told.heap:
        day = int((at - world.begins) / 86400)
        days[day] = max(days.get(day, 0), peak)
    return [days[d] for d in sorted(days) if 0 <= d < world.days]


def _rule(world: World, rule: Rule) -> list[str]:
    """A rule acts once each time its reading comes to hold, and once at a boot where it holds."""
    levels = world.levels[rule.what]
    want = []
    # A thermometer is asked at every tenth step only.
    late = LATE_S + _QUIET_MS / 1000 * (10 if rule.what == "cold" else 1)
    for n, span in enumerate(world.told.spans):
        on = world.first[JOBS[-1].name] if n == 0 else span.on
        held = False
        for (at, value), following in zip(
            levels, [*(at for at, _ in levels[1:]), float("inf")], strict=True
        ):
            begin, end = max(at, on), min(following, span.end)
            if begin >= end:
                continue
            if value == rule.holds and not held and begin + rule.for_s < end:
                want.append((begin + rule.for_s, end - begin - rule.for_s < late))
            held = value == rule.holds
    got = sorted(at for at, call, _ in world.told.acts if call == mark("gpio_write", rule.act))
    out = []
    for at, maybe in want:
        near = [g for g in got if at - 10 <= g <= at + late]
        if near:
            got.remove(near[0])
        elif not maybe:
            out.append(f"rule {rule.name}: due {datetime.fromtimestamp(at, UTC)}, is not there")
    return out + [f"rule {rule.name}: {datetime.fromtimestamp(g, UTC)} was not due" for g in got]


def _events(world: World) -> tuple[Figures, list[str]]:
    """Delivered in order and once; what is missing was counted, or the power failed on it."""
    wrong = []
    told = world.told
    seen: set[tuple[int, int]] = set()
    last = (0, 0)
    doubled = dropped = 0
    for event in world.house.events:
        key = (event["boot"], event["n"])
        dropped += event.get("dropped", 0)
        if key in seen:
            doubled += 1
        elif key < last:
            wrong.append(f"event {key} came after {last}")
        seen.add(key)
        last = max(last, key)
    wrong += [f"event {key} came, and never was" for key in sorted(seen - told.events)]
    gone = len(told.events - seen)
    return {
        "soak_events": len(told.events),
        "soak_events_delivered": len(seen),
        "soak_events_doubled": doubled,
        "soak_events_dropped": dropped,
        "soak_events_lost": gone - dropped,
    }, wrong


async def _soak(folder: Path, days: int, seed: int) -> Outcome:
    firmware = folder / "firmware"
    shutil.copytree(ROOT / "firmware", firmware)
    shutil.copy(Path(__file__).with_name("soak_main.py"), firmware / "main.py")
    for path, (anchor, method) in _PROBES.items():
        text = (firmware / "ganglion" / path).read_text()
        if anchor not in text:
            raise Problem(f"{path} has no {anchor!r}: _PROBES of {Path(__file__).name} is stale")
        (firmware / "ganglion" / path).write_text(text.replace(anchor, anchor + method, 1))
    begins = int(_CHANGE.timestamp()) - days * 43200
    world = World(folder, seed, begins, days)
    async with contextlib.AsyncExitStack() as stack:
        await world.start(stack, firmware)
        await world.furnish()
        await world.live()
        return judge(world)


# What the soak's main.py has to know and what is nobody else's business: private names are
# shortened by the build, so only the module itself can tell.
_PROBES = {
    "link.py": (
        "class Link:\n",
        """    def under_way(self):
        if self.connected:
            return bool(self._pending or self._ping or self._out)
        return self._sock is not None

""",
    ),
    "agent.py": (
        "class Agent:\n",
        """    def under_way(self):
        waits = self._waiting or self.asker.under_way() or self.presence.under_way()
        return bool(waits)

    def asked_time(self):
        return self.presence.time_id

""",
    ),
    "asker.py": (
        "class Asker:\n",
        """    def under_way(self):
        return self._open or self.questions

""",
    ),
    "presence.py": (
        "class Presence:\n",
        """    def under_way(self):
        return self._sending

""",
    ),
    "schedule.py": (
        "class Schedules:\n",
        """    def soonest_ms(self, world_ms):
        ms = 1 << 29
        now = clock.now()
        for i in range(0, len(self.table), _ROW_BYTES):
            _, due, _, flags = struct.unpack_from(_ROW, self.table, i)
            if due == _NEVER:
                continue
            if flags & _BY_UPTIME:
                past = time.ticks_diff(time.ticks_ms(), self._ticks)
                ms = min(ms, (due - self.up) * 1000 - past)
            elif now is not None:
                ms = min(ms, (due - now) * 1000 - world_ms % 1000)
        return 1 if self._stale else max(ms, 1)

""",
    ),
}


def soak(days: int, seed: int = 1) -> Outcome:
    """Live so many days, half of them before the clocks change."""
    with tempfile.TemporaryDirectory(prefix="gn-soak-") as name:
        return asyncio.run(_soak(Path(name), days, seed))


def run(days: int = DAYS) -> Figures:
    """Counts, bytes, and flash programs and erases a day."""
    began = time.monotonic()
    outcome = soak(days)
    for text in outcome.unexplained[:20]:
        print(f"  soak: {text}", file=sys.stderr)
    troubles = ", ".join(f"{n} {kind}" for kind, n in outcome.counts.items())
    print(f"  soak: {troubles}; {time.monotonic() - began:.0f} s", file=sys.stderr)
    return outcome.figures
