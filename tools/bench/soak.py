"""A house for a month: the whole firmware in simulated time, with all that goes wrong in a month.

The board is the virtual one with the firmware's own main program, flash and link; the broker is
mosquitto; who answers is played by soak_house.py. Time is left out where the board would only wait
(tools/vboard/standins/_leap.py). What the board did it tells on its serial line, so that this is
known while there is no network; what the broker got is compared with it.

The house: ten schedules, five rules, fifty sentences a day, one in ten of which is remembered. The
month: a change of daylight-saving time, Wi-Fi and broker away, resets, power cuts (at any moment,
and at a flash write), and boots at which nobody knows the time.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tools.bench.report import Figures
from tools.bench.soak_due import Job, due_times
from tools.bench.soak_house import (
    COLD,
    DEVICE,
    DOOR,
    JOBS,
    LEVELS,
    QUIET_MS,
    RULES,
    SOIL,
    House,
    Told,
)
from tools.bench.soak_judge import Outcome, judge
from tools.broker import EmbeddedBroker
from tools.paths import ROOT
from tools.problem import Problem
from tools.vboard import BoardConfig, VirtualBoard, layout

DAYS = 30
SENTENCES = 50
ZONE = ZoneInfo("Europe/Berlin")
_POSIX = "CET-1CEST,M3.5.0,M10.5.0/3"
PLACE = (52.5, 13.4)
_CHANGE = datetime(2026, 10, 25, tzinfo=UTC)
_OUTAGE_MS = 10_000
_FINE_MS = 1_000
_STUCK_S = 60.0


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
        self._step = QUIET_MS

    @property
    def now(self) -> float:
        """Unix seconds in the world."""
        return self.board.hardware.world_ms() / 1000

    # ---- the parts

    async def start(self, stack: contextlib.AsyncExitStack, firmware: Path) -> None:
        self._broker = EmbeddedBroker(self.folder / "broker")
        self._broker.start()
        stack.callback(lambda: self._broker.stop())
        secret = self._broker.add(DEVICE)
        config = BoardConfig(secret, "127.0.0.1", 1)
        self.board = _Board(
            self.folder, DEVICE, config, firmware=firmware, begins=self.begins, powered=False
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
        value = LEVELS[what][which]
        if what == "door":
            self.board.drive(DOOR, value)
        elif what == "soil":
            self.board.adc(SOIL, value)
        else:
            self.board.sensor(COLD, "ds18b20", celsius=float(value))
        self.levels[what].append((self.now, value))

    async def change(self, what: str) -> None:
        self.set(what, int(self.levels[what][-1][1] == LEVELS[what][0]))
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
        self._step = QUIET_MS
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
