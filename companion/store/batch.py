"""Group commit: whatever waits to be written goes into one transaction.

Rows wait a moment for company; a reservation or a settlement goes at once and takes the rows along.
While one batch is written the next gathers, so the busier the house, the less an answer costs.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from companion.meter.purse import Claim, Granted, PurseError
from companion.store.account import Entries, Key, Settlement, Work
from companion.store.driver import Driver, StoreError, Unfit
from companion.store.row import Row

log = logging.getLogger(__name__)

FLUSH_S: Final = 0.3
"""How long rows wait for company."""
ROWS_MAX: Final = 256
"""So many wait no longer: at 10,000 answers a second those of 0.3 s were 6 MB."""
GATHER_S: Final = 0.005
"""Where several are at it, batches of the ledger begin no closer together. One who is alone does
not wait."""
KEPT_MAX: Final = 10_000
"""Rows, and settlements, kept in memory while the database is away; then the oldest go."""
BEAT_S: Final = 1.5
_RETRY_MAX_S: Final = 30.0
_REFUSE_MAX_S: Final = 2.0
"""While the database is away it is tried for a reservation no more often than this."""


@dataclass(slots=True)
class _Reserving:
    claim: Claim
    done: "asyncio.Future[Granted]"


@dataclass(slots=True)
class _Settling:
    settlement: Settlement
    done: "asyncio.Future[None]"


class Batches:
    """What waits, and who writes it. On one event loop."""

    def __init__(self, driver: Driver, me: str, clock: Callable[[], float]) -> None:
        self.problem = ""
        self.dropped = 0
        self.rows: list[Row] = []
        self._driver = driver
        self._me = me
        self._clock = clock
        # Claims of ours that are open, and until when.
        self._open: dict[Key, float] = {}
        self._reserving: list[_Reserving] = []
        self._settling: list[_Settling] = []
        self._sweep = False
        self._beat = False
        self._beaten = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        self._began = 0.0
        self._company = False
        """The last batch was of several."""
        self._retry_s = FLUSH_S
        self._away_until = 0.0
        self._closed = False

    def add(self, row: Row) -> None:
        self.rows.append(row)
        if self._writing is not None:
            return
        if len(self.rows) >= ROWS_MAX and not (self.problem or self._closed):
            self._start()
        elif self._timer is None:
            self._wake(self._retry_s)

    async def reserve(self, claim: Claim) -> Granted:
        """Raises PurseError."""
        loop = asyncio.get_running_loop()
        if self.problem and loop.time() < self._away_until:
            raise PurseError(self.problem)
        one = _Reserving(claim, loop.create_future())
        self._reserving.append(one)
        self._hurry()
        return await one.done

    async def settle(self, settlement: Settlement) -> None:
        """Raises PurseError when it could not be written yet; it is kept and will be."""
        loop = asyncio.get_running_loop()
        one = _Settling(settlement, loop.create_future())
        self._settling.append(one)
        if self.problem and loop.time() < self._away_until:
            one.done.cancel()  # nobody waits for it
            self._bound()
            raise PurseError(self.problem)
        self._hurry()
        await one.done

    def sweep(self) -> None:
        """Have claims that nobody settled looked for with the next batch, which is now."""
        self._sweep = True
        self._hurry()

    def has_open(self, horizon: float) -> bool:
        """Whether claims of ours are open whose time ends after ``horizon``, Unix seconds. Others
        are forgotten: the database knows what became of them."""
        self._open = {key: until for key, until in self._open.items() if until > horizon}
        return bool(self._open)

    def beat(self) -> None:
        """Say that we live, if that is long ago."""
        if self._clock() - self._beaten >= BEAT_S:
            self._beat = True
            self._hurry()

    def notice(self, error: StoreError) -> None:
        """Somebody has seen that the database cannot be used. It is told once, in whichever words
        it cannot be reached."""
        problem = f"answers cannot be recorded in {error}"
        if problem.partition(" (")[0] != self.problem.partition(" (")[0]:
            log.error("%s", problem)
        self.problem = problem

    def prove(self) -> None:
        """Write something, since the database seems to be back."""
        self._beat = True
        self._hurry()

    async def flush(self) -> None:
        """Write what is there. Returns when it is written or ``problem`` says why not."""
        if self._writing is not None:
            await asyncio.shield(self._writing)
        # Perhaps another has begun meanwhile; then that one has all of it.
        self._start()
        if self._writing is not None:
            await asyncio.shield(self._writing)

    async def aclose(self) -> None:
        self._closed = True
        await self.flush()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for one in self._reserving:
            if not one.done.done():
                one.done.set_exception(PurseError("the companion ends"))
        lost = len(self.rows) + len(self._settling)
        if lost:
            log.error("%d answers were not recorded: %s", lost, self.problem)

    # -- when

    def _hurry(self) -> None:
        loop = asyncio.get_running_loop()
        if self._writing is not None or self._closed:
            return
        wait_s = self._began + GATHER_S - loop.time()
        if self._company and wait_s > 0:
            self._wake(wait_s)
        else:
            self._start()

    def _wake(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._closed:
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._start)

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_and_look())

    async def _write_and_look(self) -> None:
        try:
            await self._write()
        finally:
            self._writing = None
            if self._closed:
                pass
            elif self.problem:
                if self.rows or self._settling:
                    self._wake(self._retry_s)
            elif self._reserving or self._settling or self._sweep or self._beat:
                self._hurry()
            elif self.rows:
                self._wake(FLUSH_S)

    # -- what

    async def _write(self) -> None:
        self._began = asyncio.get_running_loop().time()
        rows, self.rows = self.rows, []
        # Nobody waits any more for one that was given up before it began.
        reserving = [one for one in self._reserving if not one.done.done()]
        settling, self._reserving, self._settling = self._settling, [], []
        if reserving or settling:
            self._company = len(reserving) + len(settling) > 1
        await self._write_these(rows, reserving, settling)

    async def _write_these(
        self, rows: list[Row], reserving: list[_Reserving], settling: list[_Settling]
    ) -> None:
        now = self._clock()
        work = Work(
            self._me,
            now,
            rows,
            [one.claim for one in reserving],
            [one.settlement for one in settling],
            self._sweep,
            self._beat or (bool(reserving) and now - self._beaten >= BEAT_S),
        )
        if not (rows or work.ledger):
            return
        self._sweep = self._beat = False
        try:
            entries = await self._driver.post(work)
        except Unfit as unfit:
            await self._one_by_one(rows, reserving, settling, unfit)
        except StoreError as error:
            self._away(error, rows, reserving, settling)
        except BaseException:
            self._away(StoreError("a fault; see the log"), rows, reserving, settling)
            raise
        else:
            self._told(work, entries, reserving, settling)

    def _told(
        self, work: Work, entries: Entries, reserving: list[_Reserving], settling: list[_Settling]
    ) -> None:
        if work.beat:
            self._beaten = work.now
        for key, held in entries.claims.items():
            if held.state == "open" and held.owner == self._me:
                self._open[key] = held.until
            else:
                self._open.pop(key, None)
        for device, ask in entries.late:
            log.warning("ask %s of %s was settled after others had taken it over", ask, device)
        for row in entries.lost:
            log.warning("ask %s of %s is lost; it counts at the most it cost", row.ask, row.device)
        for one, granted in zip(reserving, entries.granted, strict=True):
            if not one.done.done():
                one.done.set_result(granted)
        for other in settling:
            if not other.done.done():
                other.done.set_result(None)
        self._retry_s = FLUSH_S
        if self.problem:
            log.warning("answers are recorded again in %s", self._driver.name)
            self.problem = ""

    async def _one_by_one(
        self,
        rows: list[Row],
        reserving: list[_Reserving],
        settling: list[_Settling],
        unfit: Unfit,
    ) -> None:
        """A part can never be written. Alone it fails alone, and nothing waits behind it."""
        if len(rows) + len(reserving) + len(settling) == 1:
            log.error("an answer cannot be written and is dropped: %s", unfit)
            self.dropped += len(rows)
            _fail(reserving, settling, f"{self._driver.name}: {unfit}")
            return
        for row in rows:
            await self._write_these([row], [], [])
        for reservation in reserving:
            await self._write_these([], [reservation], [])
        for settling_one in settling:
            await self._write_these([], [], [settling_one])

    def _away(
        self,
        error: StoreError,
        rows: list[Row],
        reserving: list[_Reserving],
        settling: list[_Settling],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.notice(error)
        self._away_until = loop.time() + min(self._retry_s, _REFUSE_MAX_S)
        self._retry_s = min(self._retry_s * 2, _RETRY_MAX_S)
        self.rows = rows + self.rows
        # Those that came meanwhile are told too: nobody is to wait for the next try.
        reserving, self._reserving = reserving + self._reserving, []
        self._settling = settling + self._settling
        _fail(reserving, self._settling, self.problem)
        self._bound()

    def _bound(self) -> None:
        for kept in (self.rows, self._settling):
            excess = len(kept) - KEPT_MAX
            if excess > 0:
                del kept[:excess]
                self.dropped += excess


def _fail(reserving: list[_Reserving], settling: list[_Settling], why: str) -> None:
    for reservation in reserving:
        if not reservation.done.done():
            reservation.done.set_exception(PurseError(why))
    for settlement in settling:
        if not settlement.done.done():
            settlement.done.set_exception(PurseError(why))
