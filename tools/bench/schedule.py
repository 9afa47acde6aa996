"""Due to pad: how late a schedule's action is at the pad, with several due in the same second.

The pads' own time stamps are compared with the second in which a schedule was due. `every` of the
uptime has no due time that one could know outside: what is compared is the distance from a grid of
whole seconds through its earliest run. That the chip's clock is right is not measured: it is set
to the second, and drifts with its crystal.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tools.bench.report import Figures, percentile
from tools.bench.requester import Requester
from tools.bench.rule import until
from tools.broker import EmbeddedBroker
from tools.problem import Problem
from tools.vboard import BoardConfig, VirtualBoard

SECONDS = 190
_TRIES = 20
_KINDS = {
    "cron": ("* * * * *", 60, (5, 13, 14, 15)),
    "clock": ("every 2 s from 00:00", 2, (16, 17, 18, 19)),
    "every": ("every 1 s", 1, (21, 22, 23, 25)),
}


async def _watch(board: VirtualBoard, pins: list[int], seconds: float) -> dict[int, list[int]]:
    """When each pad changed, ns since 1970."""
    seen: dict[int, list[int]] = {pin: [] for pin in pins}
    last = {pin: board.hardware.changed_ns(pin) for pin in pins}
    began = told = time.monotonic()
    while (now := time.monotonic()) < began + seconds:
        for pin in pins:
            at = board.hardware.changed_ns(pin)
            if at != last[pin]:
                last[pin] = at
                seen[pin].append(at)
        if now > told + 20:
            told = now
            print(f"  schedule: {now - began:.0f} of {seconds:g} s …", file=sys.stderr)
        await asyncio.sleep(0.005)
    return seen


def late_ms(stamps: list[int], period_s: int, grid: bool) -> list[float]:
    """Lateness of each run; of a ``grid`` against its own earliest."""
    period = period_s * 10**9
    if not grid:
        return [at % period / 1e6 for at in stamps]
    # From the first run on the circle of a period, so that no residue wraps.
    off = [((at - stamps[0] + period // 2) % period - period // 2) / 1e6 for at in stamps]
    return [o - min(off) for o in off]


async def _set(requester: Requester, name: str, when: str, args: dict[str, Any]) -> int:
    """Set a schedule; how often the board had not the memory for it."""
    for refused in range(_TRIES):
        try:
            await requester.do("schedule_set", name=name, when=when, tool="gpio_write", args=args)
            return refused
        except Problem as problem:
            if "not enough memory" not in str(problem):
                raise
            await asyncio.sleep(0.2)
    raise Problem(f"no memory for the schedule {name!r}, {_TRIES} times in a row")


async def _run(folder: Path, seconds: float) -> Figures:
    with EmbeddedBroker(folder / "broker") as broker, contextlib.ExitStack() as stack:
        requester = Requester("demo", broker.port, *broker.add_service("bench"))
        stack.callback(requester.close)
        config = BoardConfig(broker.add("demo"), "127.0.0.1", broker.port)
        async with VirtualBoard(folder, "demo", config) as board:
            await until("the board, with the time", lambda: requester.clock, 60)
            refused = 0
            for kind, (when, _, pins) in _KINDS.items():
                for pin in pins:
                    args = {"pin": pin, "value": "toggle"}
                    name = f"{kind} {pin}"
                    refused += await _set(requester, name, when, args)
            await asyncio.sleep(2)
            pads = [pin for _, _, pins in _KINDS.values() for pin in pins]
            seen = await _watch(board, pads, seconds)
    figures: Figures = {}
    every: list[float] = []
    runs = missing = 0
    for kind, (_, period_s, pins) in _KINDS.items():
        late: list[float] = []
        for pin in pins:
            late += late_ms(seen[pin], period_s, kind == "every")
            gaps = zip(seen[pin], seen[pin][1:], strict=False)
            missing += sum(round((b - a) / 1e9 / period_s) - 1 for a, b in gaps)
        figures[f"schedule_{kind}_p50_ms"] = percentile(late, 0.5)
        figures[f"schedule_{kind}_worst_ms"] = max(late)
        runs += len(late)
        every += late
    return figures | {
        "schedule_set_out_of_memory": refused,
        "schedule_runs": runs,
        "schedule_runs_missing": missing,
        "schedule_jitter_p50_ms": percentile(every, 0.5),
        "schedule_jitter_p99_ms": percentile(every, 0.99),
    }


def run(seconds: float = SECONDS) -> Figures:
    """Milliseconds, and how many runs there were and were not."""
    with tempfile.TemporaryDirectory(prefix="gn-schedule-") as name:
        return asyncio.run(_run(Path(name), seconds))
