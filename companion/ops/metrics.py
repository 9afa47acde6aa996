"""Counts for Prometheus.

Counting is a few additions to plain objects, since every answer pays for it; names, labels and
text are made when somebody asks (``render``), and prometheus_client is loaded then.
"""

import threading
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from companion.meter import usd
from companion.store.row import BESIDE, Row

if TYPE_CHECKING:
    from prometheus_client.core import Metric
    from prometheus_client.registry import CollectorRegistry

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS_MS: Final = (1, 5, 25, 100, 250, 500, 1000, 2000, 4000, 8000, 15_000, 30_000)
"""Upper bounds of the buckets of answer times; one more has no bound."""

Reading: TypeAlias = float | Mapping[tuple[str, ...], float]
"""One number, or one for each combination of values of the gauge's labels."""


@dataclass(slots=True)
class _Sums:
    """The answers of one backend, tier and outcome."""

    answers: int = 0
    ms: int = 0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_MS) + 1))
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    tokens_reasoning: int = 0
    estimated: int = 0
    nano_usd: int = 0
    energy_mj: int = 0


@dataclass(frozen=True, slots=True)
class _Gauge:
    name: str
    help: str
    read: Callable[[], Reading]
    labels: tuple[str, ...]


class Metrics:
    """What this companion has counted since its start. ``record`` and ``attempt`` belong to the
    event loop's thread; ``render`` may be called in any."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str, str], _Sums] = {}
        self._attempts: dict[tuple[str, str], int] = {}
        self._gauges: list[_Gauge] = []
        self._ahead: list[Callable[[], Awaitable[None]]] = []
        self._registry: CollectorRegistry | None = None
        self._lock = threading.Lock()

    def record(self, row: Row) -> None:
        """Count an answer."""
        key = (row.backend, row.tier, row.outcome)
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = _Sums()
        if row.outcome != BESIDE:
            sums.answers += 1
            sums.ms += row.ms
            sums.buckets[bisect_left(BOUNDS_MS, row.ms)] += 1
        if row.tokens_in or row.nano_usd or row.energy_mj:
            sums.tokens_in += row.tokens_in
            sums.tokens_out += row.tokens_out
            sums.tokens_cached += row.tokens_cached
            sums.tokens_reasoning += row.tokens_reasoning
            sums.estimated += row.estimated
            sums.nano_usd += row.nano_usd
            sums.energy_mj += row.energy_mj

    def attempt(self, backend: str, code: str) -> None:
        """Count an attempt at a backend. ``code``: ``answered``, ``declined``, ``invalid``, or a
        BackendError's."""
        key = (backend, code)
        self._attempts[key] = self._attempts.get(key, 0) + 1

    def gauge(
        self, name: str, help: str, read: Callable[[], Reading], *, labels: tuple[str, ...] = ()
    ) -> None:
        """Show what ``read`` returns at each scrape, as ``ganglion_<name>``. With ``labels`` it
        returns a number for each combination of their values. A gauge that raises is left out."""
        self._gauges.append(_Gauge(name, help, read, labels))

    def ahead(self, look: Callable[[], Awaitable[None]]) -> None:
        """Have ``look`` awaited before each scrape: what gauges show that is not in memory."""
        self._ahead.append(look)

    async def look(self) -> None:
        """What ``ahead`` was given; on the event loop, before ``render``."""
        for look in self._ahead:
            await look()

    def render(self) -> bytes:
        """Everything, in Prometheus's text format."""
        from prometheus_client.exposition import generate_latest

        with self._lock:
            if self._registry is None:
                self._registry = self._make_registry()
            return generate_latest(self._registry)

    def _make_registry(self) -> "CollectorRegistry":
        from prometheus_client.process_collector import ProcessCollector
        from prometheus_client.registry import CollectorRegistry

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        ProcessCollector(registry=registry)
        return registry

    # -- at a scrape

    def collect(self) -> "Iterator[Metric]":
        """What a registry of prometheus_client asks a collector for."""
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        # Copied at once: the loop's thread goes on counting.
        rows = list(self._sums.items())

        def counter(name: str, help: str, labels: Iterable[str]) -> Any:
            return CounterMetricFamily(f"ganglion_{name}", help, labels=tuple(labels))

        answers = counter("answers", "Asks that came to an end.", ("backend", "tier", "outcome"))
        tokens = counter("tokens", "Tokens of answers, by kind.", ("backend", "kind"))
        estimated = counter("answers_estimated", "Answers whose tokens are guesses.", ("backend",))
        money = counter("usd", "Spent, in US dollars.", ("backend", "tier"))
        energy = counter("joules", "Energy of answers.", ("backend",))
        times = HistogramMetricFamily(
            "ganglion_answer_seconds",
            "From an ask's arrival to its answer.",
            labels=("backend",),
        )
        by_backend: dict[str, _Sums] = {}
        by_tier: dict[tuple[str, str], int] = {}
        for (backend, tier, outcome), sums in rows:
            answers.add_metric((backend, tier, outcome), sums.answers)
            by_tier[backend, tier] = by_tier.get((backend, tier), 0) + sums.nano_usd
            _add(by_backend.setdefault(backend, _Sums()), sums)
        for (backend, tier), nano in by_tier.items():
            money.add_metric((backend, tier), usd(nano))
        for backend, sums in by_backend.items():
            for kind in ("in", "out", "cached", "reasoning"):
                tokens.add_metric((backend, kind), getattr(sums, f"tokens_{kind}"))
            estimated.add_metric((backend,), sums.estimated)
            energy.add_metric((backend,), sums.energy_mj / 1000)
            times.add_metric((backend,), _cumulative(sums.buckets), sums.ms / 1000)
        yield from (answers, tokens, estimated, money, energy, times)
        attempts = counter("attempts", "Attempts at backends.", ("backend", "code"))
        for key, count in list(self._attempts.items()):
            attempts.add_metric(key, count)
        yield attempts
        for gauge in self._gauges:
            found = _read(gauge)
            if found is not None:
                yield found


def _add(total: _Sums, part: _Sums) -> None:
    for name in _Sums.__slots__:
        if name != "buckets":
            setattr(total, name, getattr(total, name) + getattr(part, name))
    total.buckets = [a + b for a, b in zip(total.buckets, part.buckets, strict=True)]


def _cumulative(buckets: list[int]) -> list[tuple[str, float]]:
    names = [*(f"{bound / 1000:g}" for bound in BOUNDS_MS), "+Inf"]
    return [(name, sum(buckets[: i + 1])) for i, name in enumerate(names)]


def _read(gauge: _Gauge) -> "Metric | None":
    from prometheus_client.core import GaugeMetricFamily

    try:
        value = gauge.read()
    except Exception:
        # One part that is being closed must not take the whole page with it.
        return None
    family = GaugeMetricFamily(f"ganglion_{gauge.name}", gauge.help, labels=gauge.labels)
    if isinstance(value, Mapping):
        for values, number in value.items():
            family.add_metric(values, number)
    else:
        family.add_metric((), value)
    return family
