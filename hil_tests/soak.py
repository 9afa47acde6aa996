"""What a soak keeps an eye on: every message once, and a heap that does not go."""

import itertools
import statistics
from typing import Any, Final

from tools.hil.wire import Heard

# So far back an event may come again; 16 wait at most, 4 are under way.
_AGAIN: Final = 64
_EXPECTED: Final = ("boot", "fired", "bad_message")


class Ledger:
    """What the board told, message by message, in a memory that does not grow.

    ``faults`` has in words what must not be; ``runs`` counts what was told of each schedule and
    rule, ``dropped`` the events that it says were too many to keep, ``bad`` the messages that were
    none, ``boots`` its new starts."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.runs: dict[str, int] = {}
        self.dropped = 0
        self.bad = 0
        self.boots: list[int] = []
        self.done = 0
        self._missing = 0
        self._last: dict[int, int] = {}
        self._recent: dict[tuple[int, int], str] = {}
        self._receipts: dict[str, str] = {}

    def take(self, heard: Heard) -> None:
        """In the order in which they came; one that was taken may be taken again."""
        if heard.leaf == "event":
            self._event(heard.body)
        elif heard.leaf == "done":
            self._done(heard.body)

    def close(self) -> None:
        """Nothing waits any more: what never came has to be counted as dropped."""
        if self._missing != self.dropped:
            self.faults.append(f"{self._missing} events never came, {self.dropped} are counted")

    def _event(self, body: dict[str, Any]) -> None:
        boot, n, text = body["boot"], body["n"], repr(sorted(body.items(), key=str))
        if (boot, n) in self._recent:
            if self._recent[boot, n] != text:
                self.faults.append(f"told twice, and not alike: {self._recent[boot, n]}, {text}")
            return
        _keep(self._recent, (boot, n), text)
        if n <= self._last.get(boot, 0):
            self.faults.append(f"out of order, after {self._last[boot]}: {text}")
            return
        if boot in self._last:
            self._missing += n - self._last[boot] - 1
        self._last[boot] = n
        self.dropped += body.get("dropped", 0)
        if body["kind"] == "boot":
            self.boots.append(boot)
        elif body["kind"] == "bad_message":
            self.bad += 1
        elif body["kind"] == "fired":
            self.runs[body["by"]] = self.runs.get(body["by"], 0) + 1
            if "err" in body["receipt"]:
                self.faults.append(f"a run failed: {text}")
        if body["kind"] not in _EXPECTED:
            self.faults.append(f"told of a fault: {text}")

    def _done(self, body: dict[str, Any]) -> None:
        id_, text = body["id"], repr(body["receipt"])
        if id_ not in self._receipts:
            self.done += 1
            _keep(self._receipts, id_, text)
        elif self._receipts[id_] != text:
            self.faults.append(f"{id_} was answered twice: {self._receipts[id_]}, {text}")


def _keep(table: dict[Any, str], key: Any, text: str) -> None:
    table[key] = text
    if len(table) > _AGAIN:
        del table[next(iter(table))]


def slope(points: list[tuple[float, float]]) -> float:
    """Of value over time: the median of the slopes between all pairs (Theil-Sen), so that a few
    points that lie far off, or one step, change it little. 0.0 where there are no two times."""
    slopes = [
        (b[1] - a[1]) / (b[0] - a[0]) for a, b in itertools.combinations(points, 2) if b[0] > a[0]
    ]
    return statistics.median(slopes) if slopes else 0.0
