"""Budgets as gauges: what each may hold, what is spent of it and what is reserved.

Labels are bounded by the configuration: the house, its groups, the devices that a budget names. Of
a budget that each device has by itself, the one that is used up most stands for all of them.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from companion.config.model import Config
from companion.meter import usd
from companion.meter.budget import Budgets, Standing
from companion.ops.metrics import Metrics, Reading
from companion.store import Counted, StoreError

LOOK_S: Final = 2.0
"""A scrape waits no longer for a database."""
_LABELS: Final = ("scope", "name", "per")
_NOTHING: Final = Counted()


@dataclass(frozen=True, slots=True)
class Shown:
    """A budget, and what is counted on it."""

    labels: tuple[str, str, str]
    standing: Standing
    counted: Counted

    @property
    def share(self) -> float:
        """How much of it is used up, 1 where it is all: of money or tokens, what is more."""
        slot, counted = self.standing.slot, self.counted
        used = (
            (slot.nano, counted.nano_spent + counted.nano_reserved),
            (slot.tokens, counted.tokens_spent + counted.tokens_reserved),
        )
        return max((n / cap if cap else 1.0 for cap, n in used if cap is not None), default=0.0)


def shown(
    standings: Iterable[Standing], named: frozenset[str], held: Mapping[str, Counted]
) -> list[Shown]:
    """One for each combination of labels. ``named``: the devices that the configuration names."""
    found: dict[tuple[str, str, str], Shown] = {}
    for standing in standings:
        each = standing.scope == "device" and standing.name not in named
        labels = (standing.scope, "" if each else standing.name, standing.window)
        one = Shown(labels, standing, held.get(standing.slot.key, _NOTHING))
        other = found.get(labels)
        if other is None or one.share > other.share:
            found[labels] = one
    return list(found.values())


class BudgetGauges:
    """Looked at in the database before each scrape. ``counted``: slots' keys → what is there."""

    def __init__(
        self,
        config: Callable[[], Config],
        devices: Callable[[], Iterable[str]],
        counted: Callable[[Sequence[str]], Awaitable[Mapping[str, Counted]]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._devices = devices
        self._counted = counted
        self._clock = clock
        self._shown: list[Shown] = []

    async def look(self) -> None:
        """Read them anew; none are shown while they cannot be read."""
        config = self._config()
        self._shown = []
        if not config.caps:
            return
        named = frozenset(cap.name for cap in config.caps if cap.scope == "device" and cap.name)
        each = any(cap.scope == "device" and not cap.name for cap in config.caps)
        devices = list(self._devices()) if each else []
        # Of its own, and off the loop: thousands of devices take a while.
        budgets = Budgets(config.caps, config.groups, config.timezone)
        try:
            async with asyncio.timeout(LOOK_S):
                standings = await asyncio.to_thread(budgets.every, devices, self._clock())
                held = await self._counted([standing.slot.key for standing in standings])
                self._shown = await asyncio.to_thread(shown, standings, named, held)
        except (StoreError, TimeoutError):
            return

    def into(self, metrics: Metrics) -> None:
        """Have ``metrics`` show them."""
        metrics.ahead(self.look)
        for name, help, limits, read in _GAUGES:

            def values(limits: _Limit = limits, read: _Read = read) -> Reading:
                return {one.labels: read(one) for one in self._shown if limits(one) is not None}

            metrics.gauge(name, help, values, labels=_LABELS)


_Limit: TypeAlias = Callable[[Shown], int | None]
_Read: TypeAlias = Callable[[Shown], float]


def _nano(one: Shown) -> int | None:
    return one.standing.slot.nano


def _tokens(one: Shown) -> int | None:
    return one.standing.slot.tokens


_GAUGES: Final[tuple[tuple[str, str, _Limit, _Read], ...]] = (
    ("budget_limit_usd", "What a budget may hold.", _nano, lambda one: usd(_nano(one) or 0)),
    ("budget_spent_usd", "Spent of it.", _nano, lambda one: usd(one.counted.nano_spent)),
    (
        "budget_reserved_usd",
        "The most that answers under way may cost.",
        _nano,
        lambda one: usd(one.counted.nano_reserved),
    ),
    ("budget_limit_tokens", "What a budget may hold.", _tokens, lambda one: _tokens(one) or 0),
    ("budget_spent_tokens", "Spent of it.", _tokens, lambda one: one.counted.tokens_spent),
    (
        "budget_reserved_tokens",
        "The most that answers under way may take.",
        _tokens,
        lambda one: one.counted.tokens_reserved,
    ),
)
