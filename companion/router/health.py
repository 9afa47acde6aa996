"""How the backends fare: a breaker and a histogram each, and how companions agree on them."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from companion.backends.base import Card
from companion.router.breaker import Breaker
from companion.router.latency import ENOUGH, Histogram
from companion.store.health import HealthRow

log = logging.getLogger(__name__)

QUANTILE: Final = 0.95


class HealthStore(Protocol):
    """Where that is kept and shared (``store.health.Health``). Each method may raise any
    exception; the router then goes on by what it knows itself."""

    async def load(self) -> Mapping[str, HealthRow]:
        """By the backends' names."""
        ...

    async def save(self, row: HealthRow) -> None:
        """In place of the one of its name."""
        ...

    async def claim_probe(self, name: str, until: float) -> bool:
        """Whether this companion may try a backend whose breaker is half-open: True for one of
        all that ask before ``until``."""
        ...


@dataclass(slots=True)
class _Entry:
    breaker: Breaker = field(default_factory=Breaker)
    latency: Histogram = field(default_factory=Histogram)
    fresh: Histogram = field(default_factory=Histogram)
    """What has not been shared yet, as part of ``latency``."""
    changed: float = 0.0
    """Of the row that was read or written last."""
    dirty: bool = False


@dataclass(slots=True)
class Health:
    """All of them, by name. Times are Unix seconds."""

    version: int = 0
    """Grows when a breaker opens or closes."""
    _entries: dict[str, _Entry] = field(default_factory=dict)
    _refused: dict[str, str] = field(default_factory=dict)

    def breaker(self, name: str) -> Breaker:
        """The breaker of a backend."""
        return self._entry(name).breaker

    def p95_ms(self, card: Card, now: float) -> tuple[int, bool]:
        """Its 95th percentile, and whether that was measured; else its card's."""
        latency = self._entry(card.name).latency
        if latency.count(now) < ENOUGH:
            return card.typical_ms, False
        return max(round(latency.quantile(QUANTILE)), 1), True

    def took(self, name: str, ms: float, now: float) -> None:
        """An answer came after so long; or was given up then."""
        entry = self._entry(name)
        entry.latency.add(ms, now)
        entry.fresh.add(ms, now)
        entry.dirty = True

    def succeeded(self, name: str, now: float) -> None:
        """A valid answer."""
        entry = self._entry(name)
        entry.dirty = True
        if entry.breaker.succeeded(now):
            self._refused.pop(name, None)
            self._told(name, "answers again")

    def failed(
        self, name: str, now: float, code: str, msg: str, retry_after_s: float | None = None
    ) -> None:
        """As ``Breaker.failed``."""
        entry = self._entry(name)
        entry.dirty = True
        if not entry.breaker.failed(now, code, msg, retry_after_s):
            return
        if code == "auth":
            # Nobody but the operator can mend it: told once, until it is mended.
            if name not in self._refused:
                log.error(
                    "%s: %s; check its key (see docs/backends.md), then SIGHUP has it tried at "
                    "once; until then it is tried every 10 min",
                    name,
                    msg,
                )
            self._refused[name] = f"{name}: {msg}; check its key (see docs/backends.md)"
            self.version += 1
            return
        self._told(name, entry.breaker.why(now) or msg)

    @property
    def problems(self) -> list[str]:
        """What only the operator can mend."""
        return list(self._refused.values())

    def forgive(self, now: float) -> None:
        """The configuration was read again: keys may be other ones."""
        for name in self._refused:
            self._entry(name).breaker.reset(now)
            self._entry(name).dirty = True
        self._refused.clear()
        self.version += 1

    async def share(self, store: HealthStore, now: float) -> None:
        """Take in what others wrote, write what is new here. Raises what the store raises."""
        for name, row in (await store.load()).items():
            entry = self._entry(name)
            if row.changed == entry.changed:
                continue
            entry.changed = row.changed
            theirs = Breaker.from_json(row.breaker)
            if theirs.at > entry.breaker.at:
                entry.breaker = theirs
                self.version += 1
            # Theirs holds all that was shared before; ours adds what was not.
            entry.latency = Histogram.from_json(row.latency)
            entry.latency.merge(entry.fresh)
        for name, entry in self._entries.items():
            if not entry.dirty:
                continue
            entry.dirty, fresh = False, entry.fresh
            entry.fresh = Histogram()
            try:
                latency, breaker = entry.latency.to_json(), entry.breaker.to_json()
                await store.save(HealthRow(name, latency, breaker, now))
            except BaseException:
                fresh.merge(entry.fresh)
                entry.fresh, entry.dirty = fresh, True
                raise
            entry.changed = now

    def _entry(self, name: str) -> _Entry:
        entry = self._entries.get(name)
        if entry is None:
            entry = self._entries[name] = _Entry()
        return entry

    def _told(self, name: str, what: str) -> None:
        self.version += 1
        log.warning("%s: %s", name, what)
