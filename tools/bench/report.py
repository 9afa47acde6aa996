"""How figures are printed: the machine, then name, value, unit and aim."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path

Figures = dict[str, float]


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    cpu = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    return {
        "cpu": cpu,
        "cores": str(os.cpu_count()),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0..1) of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median(values: Sequence[float]) -> float:
    """Middle value; of an even number, the mean of the two."""
    return statistics.median(values)


# Aim of the project: (comparison, value, unit).
AIMS: dict[str, tuple[str, float]] = {
    "turn_p50_ms": ("<=", 15),
    "rule_p99_ms": ("<=", 10),
    "schedule_jitter_p99_ms": ("<=", 50),
    "soak_unexplained": ("<=", 0),
    "soak_events_lost": ("<=", 0),
    "soak_heap_drift_bytes": ("<=", 512),
    "schedule_runs_missing": ("<=", 0),
    "schedule_set_out_of_memory": ("<=", 0),
    "powercut_lost": ("<=", 0),
    "powercut_unbootable": ("<=", 0),
    "turn_bytes": ("<=", 400),
    "heap_peak_bytes": ("<=", 80 * 1024),
    "heap_full_peak_bytes": ("<=", 96 * 1024),
    "companion_cpu_ms_per_request": ("<=", 0.5),
    "companion_rss_mb": ("<=", 80),
    "companion_to_echo": (">=", 0.5),
    "companion_cpu_ms": ("<=", 0.5),
    "companion_metered_cpu_ms": ("<=", 0.5),
    "companion_metered_rss_mb": ("<=", 80),
    "litellm_to_companion_cpu": (">=", 18),
    "cloud_companion_rss_mb": ("<=", 80),
}


def verdict(name: str, value: float) -> str:
    """`ok`, `MISSED` or nothing, against the aim of that figure."""
    aim = AIMS.get(name) or AIMS.get(name.rsplit("_at_", 1)[0])
    if aim is None:
        return ""
    met = value <= aim[1] if aim[0] == "<=" else value >= aim[1]
    return f"{'ok' if met else 'MISSED'} (aim {aim[0]} {aim[1]:g})"


def show(figures: Figures, as_json: bool) -> str:
    """A table, or one JSON object."""
    if as_json:
        return json.dumps({k: round(v, 4) for k, v in figures.items()} | {"machine": machine()})
    m = machine()
    lines = [f"{m['cpu']}, {m['cores']} cores, {m['system']}, Python {m['python']}", ""]
    width = max((len(k) for k in figures), default=0)
    for name, value in figures.items():
        lines.append(f"{name:<{width}}  {value:>12,.3f}  {verdict(name, value)}".rstrip())
    return "\n".join(lines)
