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
        ("test_tools.py::test_counter",),
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
        ("test_guard.py::test_max_on",),
    ),
    Planted(
        "rules",
        "pins are looked at every second, and not every 5 ms",
        (Edit("ganglion/rules.py", "_FAST_MS = const(5)", "_FAST_MS = const(1000)"),),
        ("test_rules.py::test_latency",),
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
        ("test_schedules.py::test_every",),
    ),
    Planted(
        "outages",
        "what happens while the broker is away is never told",
        (
            Edit(
                "ganglion/outbox.py",
                "        self.held.append(event)\n        self.pump()",
                "        if self._link.connected:\n"
                "            self.held.append(event)\n        self.pump()",
            ),
        ),
        ("test_outages.py::test_the_broker_dies_and_comes_back",),
    ),
    Planted(
        "faults",
        "a silent path is taken for a quiet one for an hour",
        (Edit("ganglion/link.py", "_ACK_MS = const(10000)", "_ACK_MS = const(3600000)"),),
        ("test_faults.py::test_blackhole", "test_faults.py::test_half_open"),
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
        ("test_tls.py::test_whom_it_does_not_trust_it_tells_nothing",),
    ),
    Planted(
        "update",
        "whoever signs an update, it is taken",
        (Edit("ganglion/signed.py", "    return not wrong", "    return True"),),
        ("test_update.py::test_what_is_not_ours_not_whole_or_not_now_is_refused",),
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
        ("test_power.py::test_power_fails_at_any_moment",),
    ),
    Planted(
        "soak",
        "every command leaves 150 bytes behind",
        (
            Edit(
                "ganglion/agent.py",
                '        self.inbox.finish(cid, "done", payload)',
                '        self.inbox.finish(cid, "done", payload)\n'
                "        self.asker.left = (bytearray(112), getattr(self.asker, 'left', None))",
            ),
        ),
        ("test_soak.py::test_soak",),
    ),
)
"""One a family of tests. The bench that does not find them is broken itself."""


def named(name: str) -> Planted:
    """Usage where there is none of that name."""
    for fault in FAULTS:
        if fault.name == name:
            return fault
    raise Usage(f"no fault is called {name!r}; there are {', '.join(f.name for f in FAULTS)}")
