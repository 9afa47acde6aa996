"""The store in PostgreSQL: one connection of asyncpg, a batch in five round trips.

Batches that touch the ledger are alone in the database, by an advisory lock that lasts as long as
their transaction. They would wait for each other anyway, at the house's counters, and so no two can
ever wait for one another in a circle, and what was read stays so until it is written.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]

from companion.store import sql
from companion.store.account import (
    ALIVE_S,
    GRACE_S,
    Books,
    Entries,
    Work,
    account,
    sorted_changes,
)
from companion.store.driver import LOCK_LEDGER, Away, Rows, StoreError, Trust, Unfit
from companion.store.engine import Place, connect_postgres, make_engine
from companion.store.row import Row

_KINDS: Final = {float: "float8", str: "text", int: "int8"}
_ROW_ARRAYS: Final = ", ".join(
    f"${n}::{_KINDS[type(default)]}[]"
    for n, default in enumerate(Row(0.0, "", "", "")._asdict().values(), 1)
)
_INSERT_ROWS: Final = (
    f"INSERT INTO answers ({sql.ROW_COLUMNS}) SELECT * FROM unnest({_ROW_ARRAYS})"
    " ON CONFLICT DO NOTHING"
)
_BEGIN_LEDGER: Final = f"BEGIN; SELECT pg_advisory_xact_lock({LOCK_LEDGER})"
_CLAIMS: Final = (
    f"SELECT {sql.CLAIM_COLUMNS} FROM claims"
    " JOIN unnest($1::text[], $2::text[]) AS wanted (device, ask) USING (device, ask)"
)
_USED: Final = (
    "SELECT key, nano_reserved + nano_spent, tokens_reserved + tokens_spent FROM counters"
    " WHERE key = ANY ($1::text[])"
)
_COUNT: Final = """
    WITH change AS (
        SELECT * FROM unnest($1::text[], $2::int8[], $3::int8[], $4::int8[], $5::int8[],
                             $6::int8[], $7::int8[])
            AS change (key, n_reserved, n_spent, t_reserved, t_spent, nano_cap, tokens_cap)
    )
    UPDATE counters SET
        nano_reserved = nano_reserved + n_reserved, nano_spent = nano_spent + n_spent,
        tokens_reserved = tokens_reserved + t_reserved, tokens_spent = tokens_spent + t_spent
    FROM change WHERE counters.key = change.key
        AND nano_reserved + nano_spent + n_reserved + n_spent <= nano_cap
        AND tokens_reserved + tokens_spent + t_reserved + t_spent <= tokens_cap
    RETURNING counters.key"""
_PUT_CLAIMS: Final = (
    f"INSERT INTO claims ({sql.CLAIM_COLUMNS}) SELECT * FROM unnest($1::text[], $2::text[],"
    " $3::text[], $4::float8[], $5::float8[], $6::text[], $7::text[], $8::int8[], $9::int8[],"
    f" $10::bytea[], $11::float8[]) {sql.CLAIM_CONFLICT}"
)
_RETRIED: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)

_STOPPING: Final = (
    asyncpg.AdminShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.CrashShutdownError,
)
_LOST: Final = (
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
)


class _Moved(Exception):
    """A counter is not what it was read as: somebody wrote to it without the lock."""


class PostgresDriver:
    """``Driver`` on a server."""

    def __init__(self, place: Place) -> None:
        self.name = place.name
        self._place = place
        self._db: asyncpg.Connection[Any] | None = None
        self._turn = asyncio.Lock()
        self._trust = Trust()
        self._ahead_s = 0.0

    async def open(self) -> None:
        async with self._ready():
            pass

    async def fetch(self, text: str, *params: Any) -> Rows:
        async with self._ready() as db:
            return [tuple(row) for row in await db.fetch(text, *params)]

    async def transact(self, lock: int, *statements: tuple[str, tuple[Any, ...]]) -> None:
        async with self._ready() as db, db.transaction():
            await db.execute(f"SELECT pg_advisory_xact_lock({lock})")
            for text, params in statements:
                await db.execute(text, *params)

    async def post(self, work: Work) -> Entries:
        async with self._ready() as db:
            if not work.ledger:
                await _insert_rows(db, work.rows)
                return Entries()
            work.trusting = bool(self._trust)
            try:
                return await _post(db, work, self._ahead_s)
            except (*_RETRIED, _Moved):
                return await _post(db, work, self._ahead_s)

    async def shrink(self) -> None:
        """Autovacuum does it."""

    async def aclose(self) -> None:
        async with self._turn:
            await self._disconnect()

    @asynccontextmanager
    async def _ready(self) -> AsyncIterator["asyncpg.Connection[Any]"]:
        """The connection, for one at a time."""
        async with self._turn:
            try:
                yield await self._connect()
            except StoreError:
                raise
            except (UnicodeError, OverflowError, asyncpg.DataError) as error:
                # The text of a DataError holds what could not be stored.
                raise Unfit(type(error).__name__) from None
            except (
                OSError,
                TimeoutError,
                ValueError,
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                asyncpg.InternalClientError,
                _Moved,
            ) as error:
                await self._disconnect()
                raise Away(f"{self.name}: {_why(error)}") from error
            except BaseException:
                # Given up in the middle of a statement; the connection may still be at it.
                await self._disconnect()
                raise

    async def _connect(self) -> "asyncpg.Connection[Any]":
        if self._db is not None and not self._db.is_closed():
            return self._db
        db = await connect_postgres(self._place)
        try:
            await self._bring_up(db)
            # Heartbeats are compared between machines: everybody keeps the server's time.
            asked = time.time()
            server = await db.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
            self._ahead_s = server - (asked + time.time()) / 2
        except BaseException:
            db.terminate()
            raise
        self._db = db
        self._trust.connected()
        return db

    async def _bring_up(self, db: "asyncpg.Connection[Any]") -> None:
        known = await db.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL")
        version = await db.fetchval("SELECT max(version_num) FROM alembic_version") if known else 0
        if int(version or 0) > sql.VERSION:
            raise StoreError(f"{self.name}: {sql.newer(version)}")
        if int(version or 0) < sql.VERSION:
            from companion.store.migrate import upgrade_postgres

            engine = make_engine(self._place)
            try:
                await upgrade_postgres(engine)
            finally:
                await engine.dispose()

    async def _disconnect(self) -> None:
        if self._db is not None:
            db, self._db = self._db, None
            db.terminate()


async def _post(db: "asyncpg.Connection[Any]", work: Work, ahead_s: float) -> Entries:
    await db.execute(_BEGIN_LEDGER)
    try:
        books = await _read(db, work, ahead_s)
        new = work.slots() - books.used.keys()
        entries = account(work, books)
        changes = sorted_changes(entries.changes)
        missing = [(name, change.ends) for name, change in changes if name in new]
        if missing:
            await db.executemany(sql.NEW_COUNTER, missing)
        if changes:
            columns = zip(
                *(
                    (
                        name,
                        c.nano_reserved,
                        c.nano_spent,
                        c.tokens_reserved,
                        c.tokens_spent,
                        c.nano_cap,
                        c.tokens_cap,
                    )
                    for name, c in changes
                ),
                strict=True,
            )
            done = {key for (key,) in await db.fetch(_COUNT, *columns)}
            if any(c.reserved_on and name not in done for name, c in changes):
                raise _Moved("a counter was changed by somebody else")
        if entries.claims:
            rows = (sql.claim_row(key, held) for key, held in entries.claims.items())
            await db.execute(_PUT_CLAIMS, *zip(*rows, strict=True))
        if entries.found:
            await db.executemany(sql.FOUND, entries.found)
        if work.beat:
            await db.execute(sql.BEAT, work.me, work.now + ahead_s)
        await _insert_rows(db, work.rows + entries.lost)
        await db.execute("COMMIT")
    except BaseException:
        if not db.is_closed():
            await db.execute("ROLLBACK")
        raise
    return entries


async def _insert_rows(db: "asyncpg.Connection[Any]", rows: Sequence[Row]) -> None:
    if rows:
        await db.execute(_INSERT_ROWS, *zip(*rows, strict=True))


async def _read(db: "asyncpg.Connection[Any]", work: Work, ahead_s: float) -> Books:
    keys = work.asks()
    found: list[Any] = []
    if keys:
        found += await db.fetch(_CLAIMS, *zip(*keys, strict=True))
    if work.sweep:
        found += await db.fetch(sql.DUE, work.now - GRACE_S)
    claims = {(row[0], row[1]): sql.held(row) for row in found}
    slots = work.slots()
    used = {}
    if slots:
        used = {key: (nano, tokens) for key, nano, tokens in await db.fetch(_USED, list(slots))}
    alive: list[Any] = []
    if any(held.state == "open" and held.owner != work.me for held in claims.values()):
        alive = await db.fetch(sql.ALIVE, work.now + ahead_s - ALIVE_S)
    return Books(claims, used, frozenset(owner for (owner,) in alive))


def _why(error: Exception) -> str:
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return (
            f"it does not let us in; see user, store.password_env and store.password_file ({error})"
        )
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return f"{error}; make it with createdb"
    if isinstance(error, TimeoutError):
        return "it does not answer"
    if isinstance(error, OSError):
        return f"it cannot be reached ({error.strerror or error})"
    if isinstance(error, _STOPPING):
        return f"it cannot be reached ({error})"
    if isinstance(error, _LOST):
        # asyncpg's own words are of its states.
        return "it cannot be reached (the connection was lost)"
    return str(error) or type(error).__name__
