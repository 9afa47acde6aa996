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
try:
    with open("/slot") as f:
        put('ganglion:"%s"\\n' % f.read().split()[0])
except (OSError, IndexError):
    put('ganglion:""\\n')
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
    told = _marked(printed)
    if len(told) != 4 or not isinstance(told[0], list):
        raise Problem(_SILENT)
    version, config, installed, slot = told
    return Found(
        tuple(version),
        config if isinstance(config, dict) else None,
        installed if isinstance(installed, dict) else {},
        slot if slot in ("/a", "/b") else "",
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
