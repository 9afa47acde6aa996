"""The facade: what the rest of the companion knows of the database."""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from companion.config.model import StoreConfig
from companion.meter import usd
from companion.store import sql
from companion.store.batch import Batches
from companion.store.driver import Driver, StoreError
from companion.store.engine import Place, make_engine, place
from companion.store.health import Health
from companion.store.ledger import Ledger
from companion.store.retention import retire
from companion.store.row import BESIDE, Row
from companion.store.tokens import Tokens

if TYPE_CHECKING:
    import sqlalchemy as sa
    from sqlalchemy.ext.asyncio import AsyncEngine

log = logging.getLogger(__name__)

_DAY_S: Final = 86_400.0
_RETIRE_AGAIN_S: Final = 3600.0

_BY_TURN: Final = (
    f"SELECT {sql.ROW_COLUMNS} FROM answers WHERE device = $1 AND turn = $2 ORDER BY time, ask"
)


@dataclass(frozen=True, slots=True)
class Total:
    """What a device's answers of one day (UTC, ``2026-11-21``) came to."""

    device: str
    day: str
    answers: int
    tokens_in: int
    tokens_out: int
    usd: float


class Store:
    """The companion's database. Made and used on one event loop; close it with ``aclose``."""

    def __init__(self, config: StoreConfig, *, clock: Callable[[], float] = time.time) -> None:
        """Raises StoreError for a URL that names no database."""
        self.keep_days = config.keep_days
        """Holds from the next time that old answers are summed up."""
        self._place = place(config)
        self._clock = clock
        self._driver = _driver(self._place)
        me = secrets.token_hex(8)
        self._batches = Batches(self._driver, me, clock)
        self.ledger = Ledger(self._batches, self._driver, me, clock)
        """The purse."""
        self.health = Health(self._driver, clock)
        self.tokens = Tokens(self._driver)
        self._engine: AsyncEngine | None = None
        self._retiring: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The database, for people; without a password."""
        return self._place.name

    @property
    def problem(self) -> str:
        """Why it cannot be written now, "" while it can."""
        return self._batches.problem

    @property
    def waiting(self) -> int:
        """Answers that are not written yet."""
        return len(self._batches.rows)

    @property
    def dropped(self) -> int:
        """Answers that were not recorded, since there were too many or they never could be."""
        return self._batches.dropped

    async def open(self) -> None:
        """Connect, bring the schema up, begin to tend. What goes wrong becomes ``problem``, not an
        exception: answering goes on without a store, and it is tried again with what there is to
        write."""
        try:
            await self._driver.open()
        except StoreError as error:
            self._batches.notice(error)
        self.ledger.start()
        self._retiring = asyncio.get_running_loop().create_task(self._retire_daily())

    def add(self, row: Row) -> None:
        """Take a row. At once, and never fails; a row of the same device and ask is ignored."""
        self._batches.add(row)

    async def flush(self) -> None:
        """Write what is there. Returns when it is written or ``problem`` says why not."""
        await self._batches.flush()

    async def aclose(self) -> None:
        """Write what is left and disconnect."""
        if self._retiring is not None:
            self._retiring.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._retiring
        await self._batches.aclose()
        await self.ledger.aclose()
        if self._engine is not None:
            await self._engine.dispose()
        await self._driver.aclose()

    async def retire(self) -> None:
        """Sum up what is older than ``keep_days``. Runs at the start and daily by itself. Raises
        StoreError."""
        await retire(self._driver, self.keep_days, self._clock())

    # -- reading

    async def by_turn(self, device: str, turn: str) -> list[Row]:
        """The rows of one turn, first round first. Raises StoreError."""
        await self.flush()
        return [Row(*row) for row in await self._driver.fetch(_BY_TURN, device, turn)]

    async def totals(self, since: float = 0.0) -> list[Total]:
        """What each device came to on each day from ``since`` (Unix seconds) on; days that are no
        longer kept answer by answer are not among them. Raises StoreError."""
        import sqlalchemy as sa

        from companion.store.tables import answers as a
        from companion.store.tables import utc_day

        day = utc_day(a.c.time).label("day")
        sums = [sa.cast(sa.func.sum(c), sa.BigInteger) for c in (a.c.tokens_in, a.c.tokens_out)]
        nano = sa.cast(sa.func.sum(a.c.nano_usd), sa.BigInteger)
        asks = sa.func.count(sa.case((a.c.outcome != BESIDE, 1)))
        statement = (
            sa.select(a.c.device, day, asks, *sums, nano)
            .where(a.c.time >= since)
            .group_by(a.c.device, day)
            .order_by(day, a.c.device)
        )
        found = await self.read(statement)
        return [Total(device, on, n, i, o, usd(spent)) for device, on, n, i, o, spent in found]

    async def read(self, statement: "sa.Select[Any]") -> list[Any]:
        """SQLAlchemy's rows of a SELECT over ``tables``, everything added so far among them. It
        runs beside the answering, on a connection of its own. Raises StoreError."""
        from sqlalchemy.exc import DBAPIError

        from companion.store.sqlite import why

        await self.flush()
        if self._engine is None:
            self._engine = make_engine(self._place)
        try:
            async with self._engine.connect() as connection:
                return list(await connection.execute(statement))
        except DBAPIError as error:
            raise StoreError(f"{self.name} cannot be read: {why(error.orig or error)}") from error
        except OSError as error:
            raise StoreError(f"{self.name} cannot be read: {why(error)}") from error

    # -- by itself

    async def _retire_daily(self) -> None:
        while True:
            wait_s = _DAY_S
            try:
                await self.retire()
            except StoreError as error:
                log.debug("old answers are summed up later: %s", error)
                wait_s = _RETIRE_AGAIN_S
            except Exception:
                log.exception("summing up old answers failed")
            await asyncio.sleep(wait_s)


def _driver(place: Place) -> Driver:
    if place.kind == "sqlite":
        from companion.store.sqlite import SqliteDriver

        return SqliteDriver(place)
    from companion.store.postgres import PostgresDriver

    return PostgresDriver(place)
