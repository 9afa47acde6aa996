"""Weeks of schedules at speed, across a change of daylight-saving time, with the power and the
clock lost again and again: every run that was due against every run that was."""

import json
import os
import random
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tools import paths, runtime

HERE = Path(__file__).parent
BERLIN = ("Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3")
SYDNEY = ("Australia/Sydney", "AEST-10AEDT,M10.1.0,M4.1.0/3")


@dataclass(frozen=True)
class Job:
    """``when`` as the board is told, and ``due(local)``: what it means, said a second time."""

    when: str
    due: Callable[[datetime], bool]
    miss: str = "skip"
    late_min: int = 60

    @property
    def each_hour(self) -> bool:
        return self.when.split()[1] == "*"


JOBS = {
    "daily": Job("30 7 * * *", lambda t: (t.hour, t.minute) == (7, 30)),
    "night": Job("30 2 * * *", lambda t: (t.hour, t.minute) == (2, 30)),
    "hourly": Job("5 * * * *", lambda t: t.minute == 5),
    "quarters": Job("*/15 * * * *", lambda t: t.minute % 15 == 0),
    "often": Job("*/20 8-17 * * mon-fri", lambda t: t.minute % 20 == 0 and 8 <= t.hour <= 17
                 and t.weekday() < 5),
    "monthly": Job("0 12 1,15 * *", lambda t: t.day in (1, 15) and (t.hour, t.minute) == (12, 0)),
    "either": Job("15 6 13 * fri", lambda t: (t.day == 13 or t.weekday() == 4)
                  and (t.hour, t.minute) == (6, 15)),
    "late": Job("0 7 * * *", lambda t: (t.hour, t.minute) == (7, 0), "late", 120),
    "late night": Job("45 2 * * *", lambda t: (t.hour, t.minute) == (2, 45), "late", 600),
    "tells": Job("0 19 * * *", lambda t: (t.hour, t.minute) == (19, 0), "expire"),
}  # fmt: skip


def due_times(job: Job, zone: str, start: int, end: int) -> list[int]:
    """Every due time in [start, end), minute by minute. In an hour that comes twice what runs each
    hour runs in both passes, the rest in the first; what falls into an hour that does not come
    is due as that hour is skipped."""
    tz = ZoneInfo(zone)
    found = set()
    before = datetime.fromtimestamp(start - 60, tz).replace(tzinfo=None)
    for t in range(start, end, 60):
        local = datetime.fromtimestamp(t, tz)
        naive = local.replace(tzinfo=None)
        skipped = before + timedelta(minutes=1)
        while skipped < naive:
            if job.due(skipped) and not job.each_hour:
                found.add(t)
            skipped += timedelta(minutes=1)
        if (job.each_hour or not local.fold) and job.due(naive):
            found.add(t)
        before = naive
    return sorted(found)


def expected(job: Job, dues: list[int], events: list[tuple[str, int]], start: int) -> Counter:
    """("run", second) and ("missed", due) that one job should give."""
    out: Counter = Counter()
    now, handled = start, start
    for kind, seconds in events:
        if kind == "on":
            if job.miss != "skip":
                missed = [d for d in dues if handled < d <= now]
                if missed and job.miss == "late" and now - missed[-1] <= job.late_min * 60:
                    out["run", now] += 1
                    handled = missed[-1]
                elif missed:
                    out["missed", missed[0]] += 1
                    handled = now
            for d in dues:
                if now < d <= now + seconds:
                    out["run", d] += 1
                    handled = d
        now += seconds
    return out


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("zone", "change"),
    [(BERLIN, "2026-10-25"), (BERLIN, "2027-03-28"), (SYDNEY, "2027-04-04")],
    ids=["autumn", "spring", "south"],
)
def test_every_due_run_runs_once_and_nothing_else(zone, change) -> None:
    days = 30 if os.environ.get("GANGLION_FULL") else 6
    rng = random.Random(change)
    midnight = int(datetime.fromisoformat(change).replace(tzinfo=UTC).timestamp())
    start = midnight - days * 43200 + 11
    events: list[tuple[str, int]] = []
    left = days * 86400
    while left > 0:
        # Odd seconds, so that nothing is due in the second in which the power comes or goes.
        on = rng.randrange(3600, 86400) // 60 * 60
        events.append(("on", on))
        gap = rng.choice((60, 600, 3600, 5 * 3600, 26 * 3600))
        kind = rng.choice(("off", "off", "lost"))
        events.append((kind, gap))
        left -= on + gap
    events.append(("on", 86400))
    end = start + sum(s for _, s in events)
    scenario = {
        "start": start,
        "tz": zone[1],
        "schedules": [
            {"name": name, "when": j.when, "miss": j.miss, "late_min": j.late_min}
            for name, j in JOBS.items()
        ],
        "events": events,
    }
    command = [*runtime.micropython().command, "-X", "heapsize=1m", "-c"]
    program = (
        f"import sys; sys.path[:0] = [{str(HERE / 'units')!r}, {str(HERE / 'units/fakes')!r}, "
        f"{str(paths.ROOT / 'firmware')!r}]; "
        f"exec(open({str(HERE / 'soak/board.py')!r}).read())"
    )
    done = subprocess.run(
        [*command, program], input=json.dumps(scenario) + "\n", capture_output=True, text=True,
        timeout=550,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    ran: dict[str, Counter] = {name: Counter() for name in JOBS}
    heap: list[int] = []
    for line in done.stdout.splitlines():
        kind, _, rest = line.partition(" ")
        if kind in ("@run", "@missed"):
            name, _, when = rest.rpartition(" ")
            ran[name][kind[1:], int(when)] += 1
        elif kind == "@heap":
            heap = [int(n) for n in rest.split()]
        else:
            raise AssertionError(line)
    total = 0
    for name, job in JOBS.items():
        want = expected(job, due_times(job, zone[0], start // 60 * 60, end), events, start)
        total += sum(n for (kind, _), n in want.items() if kind == "run")
        assert ran[name] == want, (name, sorted((ran[name] - want) | (want - ran[name]))[:5])
    assert total > days * 12, total
    # The heap is after weeks what it was on the second day.
    assert max(heap[2:]) - heap[2] <= 512, heap
