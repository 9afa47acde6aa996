"""A row an answer: batched, once, and never in the way of answering."""

import asyncio
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from companion.config import StoreConfig
from companion.store import KEPT_MAX, Row, Store, StoreError
from tests.companion.conftest import until


def store_at(path: Path) -> Store:
    return Store(StoreConfig(f"sqlite:///{path}"))


def row(ask: str = "a1.1", device: str = "kitchen", **fields: object) -> Row:
    turn = ask.split(".")[0]
    return Row(time.time(), device, ask, turn)._replace(**fields)


async def test_rows_are_written_without_anybody_waiting(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "companion.db"
    store = store_at(path)
    await store.open()
    began = time.perf_counter()
    for n in range(1000):
        store.add(row(f"a{n}.1"))
    assert time.perf_counter() - began < 0.05
    await asyncio.sleep(0.6)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM answers").fetchone() == (1000,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    await store.aclose()


async def test_an_answer_is_recorded_once(tmp_path: Path) -> None:
    store = store_at(tmp_path / "c.db")
    await store.open()
    store.add(row(backend="first"))
    store.add(row(backend="second"))
    await store.flush()
    store.add(row(backend="third"))
    store.add(row(device="cellar", backend="other"))
    assert [r.backend for r in await store.by_turn("kitchen", "a1")] == ["first"]
    assert [r.backend for r in await store.by_turn("cellar", "a1")] == ["other"]
    await store.aclose()


async def test_rows_survive_a_restart_and_closing_writes_the_last(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    store = store_at(path)
    await store.open()
    kept = row(model="m", tokens_in=7, nano_usd=123, outcome="no_answer", err="why")
    store.add(kept)
    await store.aclose()
    again = store_at(path)
    await again.open()
    assert await again.by_turn("kitchen", "a1") == [kept]
    await again.aclose()


async def test_totals_by_device_and_day(tmp_path: Path) -> None:
    store = store_at(tmp_path / "c.db")
    await store.open()
    noon = 1_795_262_400.0
    for n in range(3):
        store.add(row(f"a{n}.1", time=noon, tokens_in=10, tokens_out=5, nano_usd=2_000_000))
    store.add(row("b1.1", time=noon + 86_400, tokens_in=1))
    store.add(row("c1.1", device="attic", time=noon))
    totals = await store.totals()
    assert [(t.device, t.day, t.answers, t.tokens_in, t.tokens_out, t.usd) for t in totals] == [
        ("attic", "2026-11-21", 1, 0, 0, 0.0),
        ("kitchen", "2026-11-21", 3, 30, 15, 0.006),
        ("kitchen", "2026-11-22", 1, 1, 0, 0.0),
    ]
    assert len(await store.totals(noon + 1)) == 1
    await store.aclose()


async def test_a_damaged_file_is_named_and_answering_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    path.write_bytes(b"this is no database" * 100)
    store = store_at(path)
    await store.open()
    assert str(path) in store.problem and "damaged" in store.problem
    store.add(row())
    await store.flush()
    with pytest.raises(StoreError, match="damaged"):
        await store.totals()
    # Moved away, as the message says, it recovers by itself and has lost nothing.
    path.rename(tmp_path / "old.db")
    await store.flush()
    assert store.problem == ""
    assert len(await store.by_turn("kitchen", "a1")) == 1
    await store.aclose()


async def test_a_locked_file_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("companion.store.sqlite.BUSY_TIMEOUT_S", 0.05)
    path = tmp_path / "c.db"
    store = store_at(path)
    await store.open()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store.add(row())
    await store.flush()
    assert "another process" in store.problem
    other.execute("ROLLBACK")
    other.close()
    assert len(await store.by_turn("kitchen", "a1")) == 1
    assert store.problem == ""
    await store.aclose()


async def test_a_full_disk_is_said_and_memory_stays_bounded(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    store = store_at(path)
    await store.open()

    def limit(db: sqlite3.Connection) -> None:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages}")

    await store._driver._call(limit)
    for n in range(2000):
        store.add(row(f"a{n}.1", err="x" * 100))
    # So many are written at once, unasked. A flush now would be the next try.
    await until("it is said", lambda: "full" in store.problem)
    await store._driver._call(limit)
    for n in range(KEPT_MAX + 50 - 2000):
        store.add(row(f"b{n}.1"))
    await store.flush()
    assert "full" in store.problem and store.dropped == 50
    # The connection was made anew without the limit, so there is room again.
    await store.flush()
    assert store.problem == ""
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM answers").fetchone() == (KEPT_MAX,)
    await store.aclose()


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = store_at(tmp_path / "file" / "c.db")
    await store.open()
    assert "file" in store.problem
    store.add(row())
    await store.aclose()


async def test_a_newer_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    store = store_at(path)
    await store.open()
    assert "newer" in store.problem
    await store.aclose()


async def test_a_row_that_can_never_be_written_blocks_nothing(tmp_path: Path) -> None:
    store = store_at(tmp_path / "c.db")
    await store.open()
    store.add(row("a1.1", model="\ud800"))
    await store.flush()
    store.add(row("b1.1", tokens_in=10**30))
    await store.flush()
    store.add(row("c1.1"))
    assert len(await store.by_turn("kitchen", "c1")) == 1
    assert store.dropped == 2
    await store.aclose()


IDLE = """
import asyncio, sys
from companion.config import StoreConfig
from companion.meter.purse import Claim
from companion.store import Row, Store

async def main():
    store = Store(StoreConfig(sys.argv[1]))
    await store.open()
    await store.ledger.reserve(Claim("kitchen", "k1.1", (), 1, 1, 2.0**31))
    await store.ledger.settle("kitchen", "k1.1", 1, 1, b"x")
    store.add(Row(1.0, "kitchen", "k1.1", "k1"))
    assert await store.by_turn("kitchen", "k1") and await store.health.load() == {}
    await store.aclose()

asyncio.run(main())
print(sorted({"sqlalchemy", "alembic", "aiosqlite", "asyncpg"} & set(sys.modules)))
"""


def test_answering_loads_no_sqlalchemy(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IDLE, f"sqlite:///{tmp_path / 'c.db'}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
