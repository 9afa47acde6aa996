"""The purse in the database: what is reserved and spent, for all companions together."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from companion.meter.purse import Claim, Granted
from companion.store import sql
from companion.store.account import GRACE_S, Settlement
from companion.store.batch import BEAT_S, Batches
from companion.store.driver import LOCK_LEDGER, Driver, StoreError

log = logging.getLogger(__name__)

SWEEP_S: Final = 10.0
CLEAN_S: Final = 600.0
PAYLOAD_KEPT_S: Final = 3600.0
CLAIM_KEPT_S: Final = 86_400.0
COUNTER_KEPT_S: Final = 40 * 86_400.0
"""After its window's end."""

_ANY_DUE: Final = "SELECT 1 FROM claims WHERE state = 'open' AND until < $1 LIMIT 1"
_FORGET_PAYLOADS: Final = (
    "UPDATE claims SET payload = NULL WHERE settled_at < $1 AND payload IS NOT NULL"
)
_FORGET_CLAIMS: Final = "DELETE FROM claims WHERE settled_at < $1"
_FORGET_COUNTERS: Final = (
    "DELETE FROM counters WHERE ends < $1 AND nano_reserved = 0 AND tokens_reserved = 0"
)
_FORGET_COMPANIONS: Final = "DELETE FROM companions WHERE seen < $1"

_COUNTED: Final = (
    "SELECT key, nano_spent, nano_reserved, tokens_spent, tokens_reserved FROM counters"
    " WHERE key IN ({})"
)
_KEYS_MAX: Final = 500
"""Databases bound the parameters of one statement."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What a budget's window holds."""

    nano_spent: int = 0
    nano_reserved: int = 0
    tokens_spent: int = 0
    tokens_reserved: int = 0


class Ledger:
    """``meter.purse.Purse``."""

    def __init__(self, batches: Batches, driver: Driver, me: str, clock: Callable[[], float]):
        self.me = me
        self._batches = batches
        self._driver = driver
        self._clock = clock
        self._tending: asyncio.Task[None] | None = None

    async def reserve(self, claim: Claim) -> Granted:
        """As ``Purse.reserve``. Raises PurseError, at once while the database is known to be
        away."""
        return await self._batches.reserve(claim)

    async def settle(self, device: str, ask: str, nano: int, tokens: int, payload: bytes) -> None:
        """As ``Purse.settle``. Raises PurseError when it could not be written yet; it is kept,
        and written when the database is back."""
        await self._batches.settle(Settlement(device, ask, nano, tokens, payload))

    async def counted(self, keys: Collection[str]) -> Mapping[str, Counted]:
        """What is counted on these slots; one on which nothing was counted yet is left out. Raises
        StoreError."""
        found: dict[str, Counted] = {}
        wanted = sorted(keys)
        for at in range(0, len(wanted), _KEYS_MAX):
            some = wanted[at : at + _KEYS_MAX]
            marks = ", ".join(f"${n}" for n in range(1, len(some) + 1))
            for key, *amounts in await self._driver.fetch(_COUNTED.format(marks), *some):
                found[key] = Counted(*amounts)
        return found

    async def sweep(self) -> None:
        """Settle as lost what nobody settled within ``GRACE_S`` after its time and nobody lives to
        settle. Raises StoreError."""
        if await self._driver.fetch(_ANY_DUE, self._clock() - GRACE_S):
            self._batches.sweep()
            await self._batches.flush()

    async def clean(self) -> None:
        """Forget payloads after an hour, claims after a day, counters 40 days after their window.
        Raises StoreError."""
        now = self._clock()
        await self._driver.transact(
            LOCK_LEDGER,
            (_FORGET_PAYLOADS, (now - PAYLOAD_KEPT_S,)),
            (_FORGET_CLAIMS, (now - CLAIM_KEPT_S,)),
            (_FORGET_COUNTERS, (now - COUNTER_KEPT_S,)),
            (_FORGET_COMPANIONS, (now - CLAIM_KEPT_S,)),
        )

    def start(self) -> None:
        """Begin to say that this companion lives, to sweep and to clean."""
        self._tending = asyncio.get_running_loop().create_task(self._tend())

    async def aclose(self) -> None:
        """Leave: claims that are still open may be taken over at once."""
        if self._tending is not None:
            self._tending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._tending
            self._tending = None
            if not self._batches.problem:
                with contextlib.suppress(StoreError):
                    await self._driver.fetch(sql.LEAVE, self.me)

    async def _tend(self) -> None:
        loop = asyncio.get_running_loop()
        swept = cleaned = float("-inf")
        while True:
            try:
                if loop.time() - swept >= SWEEP_S:
                    swept = loop.time()
                    await self.sweep()
                    if self._batches.problem:
                        self._batches.prove()
                if loop.time() - cleaned >= CLEAN_S:
                    cleaned = loop.time()
                    await self.clean()
            except StoreError as error:
                self._batches.notice(error)
            except Exception:
                log.exception("tending the ledger failed")
            # An idle companion writes nothing: there is nothing to take over from it.
            if self._batches.has_open(self._clock() - GRACE_S):
                self._batches.beat()
            await asyncio.sleep(BEAT_S)
