"""A row an answer, in SQLite.

The standard library's sqlite3 and not SQLAlchemy: one table and three queries do not pay for
11 MB and 120 ms of import in a process that aims at 80 MB. The rows are plain data and the
store is behind its own class, so another database is another class.

Rows are written in batches by one thread. Answering never waits for the disk and never fails
because of it: while the file cannot be written rows are kept, up to a bound, and ``problem``
says what is wrong.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from companion.meter import usd
from companion.store.row import Row

log = logging.getLogger(__name__)

FLUSH_S: Final = 0.3
KEPT_MAX: Final = 10_000
"""Rows kept in memory while the file cannot be written; then the oldest go."""
_RETRY_MAX_S: Final = 30.0
_BUSY_TIMEOUT_S: Final = 2.0

_TYPES: Final = {int: "INTEGER", float: "REAL", str: "TEXT"}
_COLUMNS: Final = ",\n    ".join(
    f"{name} {_TYPES[type(default)]} NOT NULL"
    for name, default in Row(0.0, "", "", "")._asdict().items()
)
_SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS answers (
    {_COLUMNS},
    PRIMARY KEY (device, ask)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_time ON answers (time);
"""
_VERSION: Final = 1


_INSERT: Final = f"INSERT OR IGNORE INTO answers VALUES ({','.join('?' * len(Row._fields))})"


@dataclass(frozen=True, slots=True)
class Total:
    """What a device's answers of one day (UTC, ``2026-11-21``) came to."""

    device: str
    day: str
    answers: int
    tokens_in: int
    tokens_out: int
    usd: float


class StoreError(Exception):
    """The database cannot be read or written; the message names the file and what to do."""


T = TypeVar("T")


class Store:
    """The answers' database. Made and used on one event loop; close it with ``aclose``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = ""
        self.dropped = 0
        self._rows: list[Row] = []
        self._db: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, "ganglion-store")
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._retry_s = FLUSH_S
        self._closed = False

    async def open(self) -> None:
        """Make the file and its table. What goes wrong becomes ``problem``, not an exception:
        answering goes on without a store."""
        try:
            await self._in_thread(self._connect)
        except (sqlite3.Error, OSError) as error:
            self._fail(error)

    def add(self, row: Row) -> None:
        """Take a row. At once, and never fails; a row of the same device and ask is ignored."""
        self._rows.append(row)
        if self._timer is None and self._flushing is None and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._start_flush)

    async def flush(self) -> None:
        """Write what is there. Returns when it is written or ``problem`` says why not."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._flushing is not None:
            await self._flushing
        await self._flush()

    async def aclose(self) -> None:
        """Write what is left and close the file."""
        await self.flush()
        self._closed = True
        if self._rows:
            log.error("%d answers were not recorded: %s", len(self._rows), self.problem)
        await self._in_thread(self._disconnect)
        self._thread.shutdown(wait=False)

    async def by_turn(self, device: str, turn: str) -> list[Row]:
        """The rows of one turn, first round first. Raises StoreError."""
        sql = "SELECT * FROM answers WHERE device = ? AND turn = ? ORDER BY time, ask"
        return [Row(*row) for row in await self._query(sql, (device, turn))]

    async def totals(self, since: float = 0.0) -> list[Total]:
        """What each device came to on each day from ``since`` (Unix seconds) on. Raises
        StoreError."""
        sql = """
            SELECT device, date(time, 'unixepoch') AS day, count(*), sum(tokens_in),
                   sum(tokens_out), sum(nano_usd)
            FROM answers WHERE time >= ? GROUP BY device, day ORDER BY day, device"""
        rows = await self._query(sql, (since,))
        return [Total(d, day, n, i, o, usd(nano)) for d, day, n, i, o, nano in rows]

    # -- on the loop

    def _start_flush(self) -> None:
        self._timer = None
        self._flushing = asyncio.get_running_loop().create_task(self._flush_again())

    async def _flush_again(self) -> None:
        try:
            await self._flush()
        finally:
            self._flushing = None
            if self._rows and not self._closed:
                self._timer = asyncio.get_running_loop().call_later(
                    self._retry_s, self._start_flush
                )

    async def _flush(self) -> None:
        if not self._rows:
            return
        rows, self._rows = self._rows, []
        try:
            await self._in_thread(lambda: self._write(rows))
        except (UnicodeError, OverflowError):
            # Would fail for ever, and everything behind it.
            log.exception("%d answers cannot be written and are dropped", len(rows))
            self.dropped += len(rows)
        except (sqlite3.Error, OSError) as error:
            self._rows = rows + self._rows
            excess = len(self._rows) - KEPT_MAX
            if excess > 0:
                del self._rows[:excess]
                self.dropped += excess
            self._retry_s = min(self._retry_s * 2, _RETRY_MAX_S)
            self._fail(error)
        else:
            self._retry_s = FLUSH_S
            if self.problem:
                log.warning("answers are recorded again in %s", self.path)
                self.problem = ""

    def _fail(self, error: Exception) -> None:
        problem = f"answers cannot be recorded in {self.path}: {_why(error)}"
        if problem != self.problem:
            log.error("%s", problem)
        self.problem = problem

    async def _query(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        await self.flush()
        try:
            return await self._in_thread(
                lambda: self._connect().execute(sql, tuple(params)).fetchall()
            )
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self.path} cannot be read: {_why(error)}") from error

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # -- in the thread

    def _connect(self) -> sqlite3.Connection:
        if self._db is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(
                self.path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            try:
                # NORMAL under WAL: a power cut may lose the last batch, never corrupts.
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = NORMAL")
                (version,) = db.execute("PRAGMA user_version").fetchone()
                if version > _VERSION:
                    raise sqlite3.DatabaseError(
                        f"it is of version {version}, written by a newer Ganglion"
                    )
                db.executescript(_SCHEMA)
                db.execute(f"PRAGMA user_version = {_VERSION}")
            except BaseException:
                db.close()
                raise
            self._db = db
        return self._db

    def _write(self, rows: list[Row]) -> None:
        db = self._connect()
        try:
            db.execute("BEGIN IMMEDIATE")
            db.executemany(_INSERT, rows)
            db.execute("COMMIT")
        except BaseException:
            # Whatever it was, begin again with a fresh connection.
            self._disconnect()
            raise

    def _disconnect(self) -> None:
        if self._db is not None:
            db, self._db = self._db, None
            db.close()


def _why(error: Exception) -> str:
    text = str(error)
    if "not a database" in text or "malformed" in text:
        return f"the file is damaged ({text}); move it away and a new one is made"
    if "full" in text:
        return f"the disk is full ({text})"
    if "locked" in text:
        return f"another process holds it ({text})"
    return text or type(error).__name__
