"""The flash image: a LittleFS that MicroPython itself makes, and puts the firmware into.

MicroPython does it so that what is on flash is by definition what it can read. Writes here are
not the board's: they are not counted, and no power cut hits them.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tools.build import Build
from tools.runtime import MicroPython
from tools.vboard.layout import BLOCK_SIZE

SIZE = 2 * 1024 * 1024

_INSTALLER = Path(__file__).parent / "standins" / "_install.py"


class FlashError(RuntimeError):
    """The image cannot be read or written; the text is MicroPython's."""


def prepare(
    image: Path,
    build: Build | None,
    config: dict[str, Any],
    micropython: MicroPython,
    ca: bytes = b"",
) -> list[str]:
    """Bring ``image`` up to date; make it when it is not there. Returns the changed paths.

    Files of ``build`` that differ from those on flash are replaced, files that an earlier build
    put there and this one lacks are removed, everything else stays. The keys of ``config`` are
    set in `/config.json`; other keys in it stay. ``ca``, if any, is put into `/ca.der`. Raises
    FlashError.
    """
    if not image.exists():
        blank = image.with_suffix(".new")
        blank.touch(mode=0o600)  # it will hold the board's secret
        blank.write_bytes(b"\xff" * SIZE)
        blank.replace(image)
    plan = {
        "image": str(image),
        "block_size": BLOCK_SIZE,
        "blocks": image.stat().st_size // BLOCK_SIZE,
        "root": str(build.root) if build else "",
        "files": {name: e.sha256 for name, e in build.files.items()} if build else None,
        "config": config,
        "ca": ca.hex(),
    }
    done = subprocess.run(
        [*micropython.command, "-X", "heapsize=4m", str(_INSTALLER)],
        input=json.dumps(plan) + "\n",
        capture_output=True,
        text=True,
    )
    if done.returncode:
        why = (done.stderr + done.stdout).strip()
        raise FlashError(f"{image} is damaged (delete it to start with an empty flash): {why}")
    return [line for line in done.stdout.splitlines() if line]
