"""From `ganglion update` to a board that has proved the new firmware, and what crosses the wire.

``update_one_*``: one file differs, the others are copied on the board. Else every file of code
does, so that all of it is sent. On the virtual board; a chip's flash and radio are slower.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
from pathlib import Path

from tools.bench.report import Figures
from tools.bench.turn import DEVICE, Running, system, wait
from tools.paths import FIRMWARE
from tools.problem import Problem
from tools.state import Home
from tools.update import Options, start


def _sources(folder: Path, version: str, each: bool) -> Path:
    shutil.copytree(FIRMWARE, folder)
    if each:
        for path in folder.rglob("*.py"):
            if path.name != "main.py":
                path.write_text(path.read_text() + "\n_another = 1\n")
    init = folder / "ganglion" / "__init__.py"
    init.write_text(init.read_text() + f'VERSION = "{version}"\n')
    return folder


def _update(running: Running, home: Home, firmware: Path) -> tuple[float, int]:
    """Seconds and bytes, as the companion counts them."""
    with contextlib.redirect_stdout(io.StringIO()):
        job = start(running.client, Options(home, [DEVICE], firmware=firmware))
    wait(lambda: running.client.update(job)["ended"], "the update", 120)
    row = running.client.update(job)["devices"][0]
    if row["state"] != "done":
        raise Problem(f"the update failed: {row}")
    return row["s"], row["bytes_up"] + row["bytes_down"]


def run() -> Figures:
    """Seconds and bytes, up and down with topics."""
    figures: Figures = {}
    with tempfile.TemporaryDirectory(prefix="gn-fw-") as name, system() as running:
        folder = Path(name)
        home = Home(folder)  # the companion has the keys
        for prefix, version, each in (("update_one", "8.0.0", False), ("update", "8.0.1", True)):
            firmware = _sources(folder / prefix, version, each)
            seconds, size = _update(running, home, firmware)
            figures |= {f"{prefix}_s": seconds, f"{prefix}_bytes": size}
    return figures
