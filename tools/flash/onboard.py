"""What runs on a board to say what is there: sources for mpremote's exec, and readers of what they
print. MicroPython, in the memory that an agent leaves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from tools.problem import Problem

_MARK: Final = "ganglion:"

# One line of JSON behind a mark: whatever else a board prints is not taken for it.
PROBE: Final = """
import sys, json
def read(path):
    try:
        with open(path) as f:
            return json.load(f)
    except (OSError, ValueError):
        return None
try:
    with open("/slot") as f:
        slot = f.read().split()[0]
except (OSError, IndexError):
    slot = ""
found = [list(sys.implementation[1][:3]), read("/config.json"), read("/installed.json"), slot]
print("ganglion:" + json.dumps(found))
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

# From one slot to the other, what both firmwares have: the cable is slower than the flash.
COPY: Final = """
import os
b = bytearray(512)
for d in {folders!r}:
    try:
        os.mkdir({to!r} + d)
    except OSError:
        pass
for p in {paths!r}:
    with open({source!r} + p, "rb") as f:
        with open({to!r} + p, "wb") as t:
            while True:
                n = f.readinto(b)
                if not n:
                    break
                t.write(memoryview(b)[:n])
"""

# What lies in a slot and is none of its firmware's.
TIDY: Final = """
import os
for d in {folders!r}:
    for e in list(os.ilistdir({slot!r} + d)):
        if d[1:] + "/" + e[0] not in {paths!r}:
            os.remove({slot!r} + d + "/" + e[0])
"""

SWITCH: Final = """
import os
with open("/slot.new", "w") as f:
    f.write({text!r})
os.rename("/slot.new", "/slot")
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What a board has: MicroPython's version, its settings, path → sha256 of what a build
    put there, the slot in use; None, {} and "" where there is nothing."""

    version: tuple[int, ...]
    config: dict[str, Any] | None
    installed: dict[str, str]
    slot: str = ""

    @property
    def runs_ganglion(self) -> bool:
        return bool(self.installed) and self.config is not None


def found(printed: str) -> Found:
    """From what PROBE printed."""
    version, config, installed, slot = _marked(printed)[0]
    return Found(
        tuple(version),
        config if isinstance(config, dict) else None,
        installed if isinstance(installed, dict) else {},
        slot if slot in ("/a", "/b") else "",
    )


def hashes(printed: str) -> dict[str, str]:
    """Path → sha256 (hex), "" where it is not there. From what HASHES printed."""
    return {path: sha for path, sha in _marked(printed)}


def _marked(printed: str) -> list[Any]:
    told = [
        json.loads(line[len(_MARK) :])
        for line in printed.splitlines()
        if line.startswith(_MARK) and line[len(_MARK) :][:1] in ("[", "{")
    ]
    if not told:
        raise Problem("the board did not say what is on it; press EN (or RST) and run this again")
    return told
