"""What runs on a board to say what is there: sources for mpremote's exec, and readers of what they
print. MicroPython, in the memory that an agent leaves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from tools.problem import Problem

_MARK: Final = "ganglion:"
_SILENT: Final = "the board did not say what is on it; press EN (or RST) and run this again"

# Lines of JSON behind a mark: whatever else a board prints is not taken for it. Files go out in
# pieces: an agent with a TLS session leaves no room for them whole.
PROBE: Final = """
import sys, gc
gc.collect()
put = sys.stdout.write
def show(path):
    put("ganglion:")
    try:
        with open(path) as f:
            while True:
                s = f.read(128)
                if not s:
                    break
                put(s.replace("\\n", " "))
    except OSError:
        put("null")
    put("\\n")
put("ganglion:[%d, %d, %d]\\n" % sys.implementation[1][:3])
show("/config.json")
show("/installed.json")
"""

# Hashes of all files that a build has, a block at a time.
HASHES: Final = """
import hashlib, binascii, json, gc
gc.collect()
def sha(path):
    try:
        h = hashlib.sha256()
        b = bytearray(512)
        with open(path, "rb") as f:
            while True:
                n = f.readinto(b)
                if not n:
                    return binascii.hexlify(h.digest()).decode()
                h.update(memoryview(b)[:n])
    except OSError:
        return ""
for p in {paths!r}:
    print("ganglion:" + json.dumps([p, sha("/" + p)]))
"""

RENAME: Final = """
import os
os.rename({old!r}, {new!r})
"""

REMOVE: Final = """
import os
for p in {paths!r}:
    try:
        os.remove("/" + p)
    except OSError:
        pass
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What a board has: MicroPython's version, its settings, and path → sha256 of what a build
    put there; None and {} where there is nothing."""

    version: tuple[int, ...]
    config: dict[str, Any] | None
    installed: dict[str, str]

    @property
    def runs_ganglion(self) -> bool:
        return bool(self.installed) and self.config is not None


def found(printed: str) -> Found:
    """From what PROBE printed."""
    told = _marked(printed)
    if len(told) != 3 or not isinstance(told[0], list):
        raise Problem(_SILENT)
    version, config, installed = told
    return Found(
        tuple(version),
        config if isinstance(config, dict) else None,
        installed if isinstance(installed, dict) else {},
    )


def hashes(printed: str) -> dict[str, str]:
    """Path → sha256 (hex), "" where it is not there. From what HASHES printed."""
    told = [row for row in _marked(printed) if row is not None]
    if not told:
        raise Problem(_SILENT)
    return {path: sha for path, sha in told}


def unmarked(printed: str) -> str:
    """What was printed but for the values, which may be secrets."""
    return "\n".join(line for line in printed.splitlines() if not line.startswith(_MARK))


def _marked(printed: str) -> list[Any]:
    """The values behind marks; None for what is no JSON."""
    found: list[Any] = []
    for line in printed.splitlines():
        # The firmware's own lines have a space there.
        if line.startswith(_MARK) and line[len(_MARK) :][:1] not in ("", " "):
            try:
                found.append(json.loads(line[len(_MARK) :]))
            except ValueError:
                found.append(None)
    return found
