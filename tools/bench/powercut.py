"""Power cut at every flash write of a run of mixed operations: what is lost, what boots no more.

The flash image as it stood before an operation is put back for each of its writes, so that a run
of 1,000 operations need not be replayed from its start 20,000 times; what is on flash is all that
a power cut leaves, so that proves the same.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tools.bench.report import Figures
from tools.paths import ROOT
from tools.problem import Problem
from tools.runtime import micropython

OPERATIONS = 1000
_SCRIPT = Path(__file__).with_name("powercut_main.py")


def run(operations: int = OPERATIONS) -> Figures:
    """Counts. Every program and erase is cut once, by turns half done and not begun."""
    done = subprocess.run(
        [
            *micropython().command,
            "-X",
            "heapsize=8m",
            str(_SCRIPT),
            str(ROOT / "firmware"),
            str(operations),
        ],
        capture_output=True,
        text=True,
    )
    counts = {k: float(v) for k, v in re.findall(r"@(\w+) (\d+)", done.stdout)}
    if done.returncode or "cuts" not in counts:
        raise Problem(f"the run ended early:\n{(done.stdout + done.stderr)[-2000:]}")
    names = ("operations", "compactions", "cuts", "lost", "unbootable")
    return {f"powercut_{name}": counts[name] for name in names}
