"""How long a backend takes, as a histogram that forgets. Pure but for the time it is given.

Buckets grow by a fifth, from 1 ms to two minutes, so a quantile is right within 20 %. What is
old weighs less: half after ``HALF_SAMPLES`` further answers, and half after ``HALF_S``. Instead of
shrinking every bucket at each answer, each answer weighs more than the one before.
"""

import json
import logging
import math
from collections.abc import Mapping
from typing import Any, Final

log = logging.getLogger(__name__)

FACTOR: Final = 1.2
MOST_MS: Final = 120_000
HALF_SAMPLES: Final = 100
HALF_S: Final = 86_400.0
ENOUGH: Final = (1 - 2 ** (-20 / HALF_SAMPLES)) / (1 - 2 ** (-1 / HALF_SAMPLES))
"""What the last twenty answers weigh: from there on a quantile is worth something."""
_BUCKETS: Final = math.ceil(math.log(MOST_MS, FACTOR)) + 1
_LOG_FACTOR: Final = math.log(FACTOR)
_RESCALE: Final = 1e9


class Histogram:
    """Milliseconds of one backend's answers. Times are Unix seconds."""

    __slots__ = ("_at", "_scale", "_total", "_weights")

    def __init__(self) -> None:
        self._weights = [0.0] * _BUCKETS
        self._total = 0.0
        self._scale = 1.0
        """What an answer weighs now."""
        self._at = 0.0

    def add(self, ms: float, now: float) -> None:
        """One answer. One that was given up counts as long as it was waited for: at least."""
        self._age(now)
        self._scale *= 2 ** (1 / HALF_SAMPLES)
        self._weights[_bucket(ms)] += self._scale
        self._total += self._scale
        if self._scale > _RESCALE:
            self._rescale()

    def count(self, now: float) -> float:
        """Answers that it stands on, the newest as one and older ones as less."""
        if not self._total:
            return 0.0
        return self._total / (self._scale * _growth(self._at, now)) + 1e-9

    def quantile(self, q: float) -> float:
        """Milliseconds within which the share ``q`` of answers came, taken at the upper end of
        its bucket; 0 without any."""
        rest = q * self._total
        if not rest:
            return 0.0
        for i, weight in enumerate(self._weights):
            rest -= weight
            if rest <= 1e-9 * self._total:
                return min(FACTOR**i, float(MOST_MS))
        return float(MOST_MS)

    def merge(self, other: "Histogram") -> None:
        """Add what the other one has seen."""
        if not other._total:
            return
        now = max(self._at, other._at)
        self._age(now)
        unit = self._scale / (other._scale * _growth(other._at, now))
        for i, weight in enumerate(other._weights):
            self._weights[i] += weight * unit
        self._total += other._total * unit

    def _age(self, now: float) -> None:
        self._scale *= _growth(self._at, now) if self._at else 1.0
        self._at = max(self._at, now)
        if self._scale > _RESCALE:
            self._rescale()

    def _rescale(self) -> None:
        self._weights = [weight / self._scale for weight in self._weights]
        self._total /= self._scale
        self._scale = 1.0

    # -- kept

    def to_json(self) -> str:
        """Weights by bucket, the newest answer as 1, and the time of the newest."""
        weights = {
            str(i): round(weight / self._scale, 4)
            for i, weight in enumerate(self._weights)
            if weight / self._scale >= 0.0001
        }
        return json.dumps({"at": round(self._at, 3), "weights": weights}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Histogram":
        """As it was; an empty one for what is none."""
        histogram = cls()
        try:
            data: Mapping[str, Any] = json.loads(text)
            histogram._at = float(data["at"])
            for i, weight in data["weights"].items():
                if not 0 <= float(weight) < math.inf:
                    raise ValueError("a weight is a number")
                histogram._weights[min(max(int(i), 0), _BUCKETS - 1)] += float(weight)
            histogram._total = sum(histogram._weights)
        except (ValueError, KeyError, TypeError, AttributeError):
            if text not in ("", "{}"):
                log.warning("a histogram that was kept cannot be read and begins anew")
            return cls()
        return histogram


def _bucket(ms: float) -> int:
    """The bucket whose upper end is the first at or above ``ms``."""
    if ms <= 1:
        return 0
    return min(math.ceil(math.log(ms) / _LOG_FACTOR - 1e-9), _BUCKETS - 1)


def _growth(since: float, now: float) -> float:
    # Bounded, so that a clock that was wrong for a while is no overflow.
    return math.exp2(min(max((now - since) / HALF_S, 0.0), 60.0))
