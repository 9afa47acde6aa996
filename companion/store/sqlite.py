"""The store in a SQLite file: one connection in a thread of its own, a batch in one hop.

The standard library's driver: a batch of 50 reservations is 200 statements of some 4 µs each, and
any layer above would cost more than they do.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from companion.store import sql
from companion.store.account import (
    ALIVE_S,
    GRACE_S,
    Books,
    Entries,
    Held,
    Key,
    Work,
    account,
    sorted_changes,
)
from companion.store.driver import Away, Rows, StoreError, Unfit
from companion.store.engine import Place

T = TypeVar("T")

BUSY_TIMEOUT_S: Final = 2.0
_SHRINK_PAGES: Final = 500


class SqliteDriver:
    """``Driver`` on a file."""

    def __init__(self, place: Place) -> None:
        self.name = place.name
        self.connected = 0
        self._place = place
        self._db: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, "ganglion-store")

    async def open(self) -> None:
        await self._call(lambda db: None)

    async def fetch(self, text: str, *params: Any) -> Rows:
        return await self._call(lambda db: db.execute(_numbered(text), params).fetchall())

    async def transact(self, lock: int, *statements: tuple[str, tuple[Any, ...]]) -> None:
        def work(db: sqlite3.Connection) -> None:
            db.execute("BEGIN IMMEDIATE")
            for text, params in statements:
                db.execute(_numbered(text), params)
            db.execute("COMMIT")

        await self._call(work)

    async def post(self, work: Work) -> Entries:
        return await self._call(lambda db: _post(db, work))

    async def shrink(self) -> None:
        def free(db: sqlite3.Connection) -> int:
            db.execute(f"PRAGMA incremental_vacuum({_SHRINK_PAGES})").fetchall()
            (left,) = db.execute("PRAGMA freelist_count").fetchone()
            return int(left)

        # A step at a time, so that answers come in between.
        left = await self._call(free)
        while left > 0:
            before, left = left, await self._call(free)
            if left >= before:
                return

    async def aclose(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown(wait=False)

    async def _call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._do, work)

    # -- in the thread

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return work(self._connect())
        except (UnicodeError, OverflowError) as error:
            self._disconnect()
            raise Unfit(str(error)) from error
        except (sqlite3.Error, OSError, StoreError) as error:
            self._disconnect()
            raise Away(f"{self.name}: {why(error)}") from error
        except BaseException:
            # Whatever it was, begin again with a fresh connection.
            self._disconnect()
            raise

    def _connect(self) -> sqlite3.Connection:
        if self._db is None:
            path = self._place.path
            path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            try:
                # Only a file that is still empty takes this.
                db.execute("PRAGMA auto_vacuum = INCREMENTAL")
                # NORMAL under WAL: a power cut may lose the last batch, never corrupts.
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = NORMAL")
                _bring_up(db)
            except BaseException:
                db.close()
                raise
            self._db = db
            self.connected += 1
        return self._db

    def _disconnect(self) -> None:
        if self._db is not None:
            db, self._db = self._db, None
            db.close()


def _bring_up(db: sqlite3.Connection) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == sql.VERSION:
        return
    if version > sql.VERSION:
        raise sqlite3.DatabaseError(sql.newer(version))
    from companion.store.migrate import upgrade_sqlite

    upgrade_sqlite(db)


def _numbered(text: str) -> str:
    return text.replace("$", "?")


_INSERT_ROW: Final = _numbered(sql.INSERT_ROW)
_CLAIM: Final = _numbered(sql.CLAIM)
_DUE: Final = _numbered(sql.DUE)
_ALIVE: Final = _numbered(sql.ALIVE)
_USED: Final = _numbered(sql.USED)
_NEW_COUNTER: Final = _numbered(sql.NEW_COUNTER)
_COUNT: Final = _numbered(sql.COUNT)
_PUT_CLAIM: Final = _numbered(sql.PUT_CLAIM)
_FOUND: Final = _numbered(sql.FOUND)
_BEAT: Final = _numbered(sql.BEAT)


def _post(db: sqlite3.Connection, work: Work) -> Entries:
    db.execute("BEGIN IMMEDIATE")
    entries = _post_ledger(db, work) if work.ledger else Entries()
    if work.rows or entries.lost:
        db.executemany(_INSERT_ROW, work.rows + entries.lost)
    db.execute("COMMIT")
    return entries


def _post_ledger(db: sqlite3.Connection, work: Work) -> Entries:
    books = _read(db, work)
    new = work.slots() - books.used.keys()
    entries = account(work, books)
    changes = sorted_changes(entries.changes)
    missing = [(name, c.ends) for name, c in changes if name in new]
    if missing:
        db.executemany(_NEW_COUNTER, missing)
    for name, c in changes:
        values = (c.nano_reserved, c.nano_spent, c.tokens_reserved, c.tokens_spent)
        done = db.execute(_COUNT, (*values, c.nano_cap, c.tokens_cap, name))
        if c.reserved_on and done.rowcount != 1:
            raise sqlite3.IntegrityError(f"the counter {name} is not what it was a moment ago")
    if entries.claims:
        db.executemany(_PUT_CLAIM, (sql.claim_row(k, held) for k, held in entries.claims.items()))
    if entries.found:
        db.executemany(_FOUND, entries.found)
    if work.beat:
        db.execute(_BEAT, (work.me, work.now))
    return entries


def _read(db: sqlite3.Connection, work: Work) -> Books:
    claims: dict[Key, Held] = {}
    for key in work.asks():
        row = db.execute(_CLAIM, key).fetchone()
        if row is not None:
            claims[key] = sql.held(row)
    if work.sweep:
        for row in db.execute(_DUE, (work.now - GRACE_S,)):
            claims[row[0], row[1]] = sql.held(row)
    used: dict[str, tuple[int, int]] = {}
    for name in work.slots():
        row = db.execute(_USED, (name,)).fetchone()
        if row is not None:
            used[name] = row
    alive: Iterable[tuple[str]] = ()
    if any(held.state == "open" and held.owner != work.me for held in claims.values()):
        alive = db.execute(_ALIVE, (work.now - ALIVE_S,))
    return Books(claims, used, frozenset(owner for (owner,) in alive))


def why(error: BaseException) -> str:
    """For people, with what to do where there is something."""
    text = str(error)
    if "not a database" in text or "malformed" in text:
        return f"the file is damaged ({text}); move it away and a new one is made"
    if "full" in text:
        return f"the disk is full ({text})"
    if "locked" in text:
        return f"another process holds it ({text})"
    return text or type(error).__name__
