"""Faults that are planted into the firmware to see whether the bench finds them: one a family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tools.hil.variants import Edit
from tools.problem import Usage


@dataclass(frozen=True, slots=True)
class Planted:
    """``seen_by``: the tests that must fail, as ids below `hil_tests/`."""

    name: str
    what: str
    edits: tuple[Edit, ...]
    seen_by: tuple[str, ...]


FAULTS: Final[tuple[Planted, ...]] = (
    Planted(
        "boot",
        "20 KB of heap stay taken",
        (
            Edit(
                "ganglion/start.py",
                "    board.config = config = load_config()",
                "    board.config = config = load_config()\n    board.hoard = bytearray(20480)",
            ),
        ),
        ("test_boot.py::test_heap",),
    ),
    Planted(
        "repl",
        "Ctrl-C never ends the agent, so nobody gets to MicroPython's prompt",
        (
            Edit(
                "ganglion/edit.py",
                "            raise KeyboardInterrupt\n",
                "            return flags\n",
            ),
        ),
        ("test_repl.py::test_a_program_runs",),
    ),
    Planted(
        "tools",
        "a counter counts each edge twice",
        (
            Edit(
                "ganglion/hw_counter.py",
                "    def _count(self, pin):\n        self.n += 1",
                "    def _count(self, pin):\n        self.n += 2",
            ),
        ),
        (),
    ),
    Planted(
        "guard",
        "the longest time on is not kept",
        (
            Edit(
                "ganglion/guard.py",
                "            self._from_now(at, _MAX_ON)\n            state |= _DUE",
                "            self._from_now(at, _MAX_ON)",
            ),
        ),
        (),
    ),
    Planted(
        "rules",
        "pins are looked at every 3 s, and not every 5 ms",
        (Edit("ganglion/rules.py", "_FAST_MS = const(5)", "_FAST_MS = const(3000)"),),
        (),
    ),
    Planted(
        "schedules",
        "what runs every n seconds runs every n + 1",
        (
            Edit(
                "ganglion/schedule.py",
                "if due + every > self.up else self.up) + every",
                "if due + every > self.up else self.up) + every + 1",
            ),
        ),
        (),
    ),
    Planted(
        "outages",
        "after a lost connection the next try is ten minutes later",
        (
            Edit(
                "ganglion/link.py",
                "_BACKOFF_FIRST_MS = const(500)",
                "_BACKOFF_FIRST_MS = const(600000)",
            ),
            Edit(
                "ganglion/link.py",
                "_BACKOFF_MAX_MS = const(30000)",
                "_BACKOFF_MAX_MS = const(600000)",
            ),
        ),
        (),
    ),
    Planted(
        "faults",
        "a silent path is taken for a quiet one for an hour",
        (Edit("ganglion/link.py", "_ACK_MS = const(10000)", "_ACK_MS = const(3600000)"),),
        (),
    ),
    Planted(
        "tls",
        "any certificate will do",
        (
            Edit(
                "ganglion/dial.py",
                "context.verify_mode = tls.CERT_REQUIRED",
                "context.verify_mode = tls.CERT_NONE",
            ),
        ),
        (),
    ),
    Planted(
        "update",
        "whoever signs an update, it is taken",
        (Edit("ganglion/offer.py", "    return not wrong", "    return True"),),
        (),
    ),
    Planted(
        "power",
        "each start forgets what was written last",
        (
            Edit(
                "ganglion/store_log.py",
                "                if not end:\n",
                "                if not end or "
                "f.seek(0, 2) == store.size + _HEAD_BYTES + len(body):\n",
            ),
        ),
        (),
    ),
    Planted(
        "soak",
        "every command leaves 64 bytes behind",
        (
            Edit(
                "ganglion/agent.py",
                '        self.inbox.finish(cid, "done", payload)',
                '        self.inbox.finish(cid, "done", payload)\n'
                "        self.asker.left = (bytearray(48), getattr(self.asker, 'left', None))",
            ),
        ),
        (),
    ),
)
"""One a family of tests. The bench that does not find them is broken itself."""


def named(name: str) -> Planted:
    """Usage where there is none of that name."""
    for fault in FAULTS:
        if fault.name == name:
            return fault
    raise Usage(f"no fault is called {name!r}; there are {', '.join(f.name for f in FAULTS)}")
