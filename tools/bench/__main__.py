"""`make bench`: BENCH=name for one part (turn, heap, …), JSON=1 for one object."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from tools.bench import (
    cloud,
    companion,
    flash,
    heap,
    powercut,
    report,
    rule,
    schedule,
    soak,
    turn,
    update,
)
from tools.problem import Problem

PARTS: dict[str, Callable[[], report.Figures]] = {
    "turn": turn.run,
    "heap": heap.run,
    "companion": companion.run,
    "cloud": cloud.run,
    "powercut": powercut.run,
    "rule": rule.run,
    "schedule": schedule.run,
    "soak": soak.run,
    "update": update.run,
    "flash": flash.run,
}


def main() -> int:
    """Run the parts that BENCH names (all by default) and print their figures."""
    wanted = os.environ.get("BENCH", "")
    names = [n for n in wanted.replace(",", " ").split() if n] or list(PARTS)
    unknown = [n for n in names if n not in PARTS]
    if unknown:
        print(f"bench: no part {', '.join(unknown)}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    figures: report.Figures = {}
    for name in names:
        print(f"bench: {name} …", file=sys.stderr)
        try:
            found = PARTS[name]()
            # Two parts may call a figure alike: of several parts the later says whose it is.
            figures |= {f"{name}_{k}" if k in figures else k: v for k, v in found.items()}
        except Problem as problem:
            print(f"bench: {name}: {problem}", file=sys.stderr)
            return 1
    print(report.show(figures, bool(os.environ.get("JSON"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
