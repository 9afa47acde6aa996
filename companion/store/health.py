"""What is known of each backend: kept over a restart, shared between companions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from companion.store.driver import Driver

_LOAD: Final = "SELECT name, latency, breaker, changed, probe_until FROM health"
_SAVE: Final = (
    "INSERT INTO health (name, latency, breaker, changed, probe_until)"
    " VALUES ($1, $2, $3, $4, 0) ON CONFLICT (name) DO UPDATE SET latency = excluded.latency,"
    " breaker = excluded.breaker, changed = excluded.changed"
    " WHERE excluded.changed >= health.changed"
)
_CLAIM_PROBE: Final = (
    "INSERT INTO health (name, latency, breaker, changed, probe_until)"
    " VALUES ($1, '{}', '{}', 0, $2) ON CONFLICT (name)"
    " DO UPDATE SET probe_until = excluded.probe_until WHERE health.probe_until < $3"
    " RETURNING name"
)


@dataclass(frozen=True, slots=True)
class HealthRow:
    """One backend. ``latency`` and ``breaker`` are JSON texts, as the router writes and reads
    them; times are Unix seconds."""

    name: str
    latency: str
    breaker: str
    changed: float
    probe_until: float = 0.0
    """Until then somebody tries whether it is well again. Only ``claim_probe`` writes it."""


class Health:
    """The table ``health``. Every method raises StoreError."""

    def __init__(self, driver: Driver, clock: Callable[[], float]) -> None:
        self._driver = driver
        self._clock = clock

    async def load(self) -> dict[str, HealthRow]:
        return {row[0]: HealthRow(*row) for row in await self._driver.fetch(_LOAD)}

    async def save(self, row: HealthRow) -> None:
        """Unless somebody has saved a later ``changed``."""
        await self._driver.fetch(_SAVE, row.name, row.latency, row.breaker, row.changed)

    async def claim_probe(self, name: str, until: float) -> bool:
        """Whether this companion is the one that tries the backend, until then."""
        return bool(await self._driver.fetch(_CLAIM_PROBE, name, until, self._clock()))
