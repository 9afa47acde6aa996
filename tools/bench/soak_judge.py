"""What a soak came to: what the board did, and the broker got, against what should have been."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tools.bench.report import Figures, median
from tools.bench.soak_due import LATE_S, Compared, compare, mark
from tools.bench.soak_house import JOBS, QUIET_MS, RULES, Rule

if TYPE_CHECKING:
    from tools.bench.soak import World


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
    late = LATE_S + QUIET_MS / 1000 * (10 if rule.what == "cold" else 1)
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
