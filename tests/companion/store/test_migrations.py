"""The schema: made, brought up from the layout before migrations, taken down, on both databases."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from companion.config import StoreConfig
from companion.store import Row, Store, migrate, sql, tables
from companion.store.engine import make_engine, place

# As a companion before migrations made it.
OLD_SCHEMA = """
CREATE TABLE answers (
    time REAL NOT NULL, device TEXT NOT NULL, ask TEXT NOT NULL, turn TEXT NOT NULL,
    speaker TEXT NOT NULL, backend TEXT NOT NULL, tier TEXT NOT NULL, model TEXT NOT NULL,
    tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, tokens_cached INTEGER NOT NULL,
    tokens_reasoning INTEGER NOT NULL, estimated INTEGER NOT NULL, nano_usd INTEGER NOT NULL,
    ms INTEGER NOT NULL, outcome TEXT NOT NULL, err TEXT NOT NULL, PRIMARY KEY (device, ask)
) WITHOUT ROWID;
CREATE INDEX answers_time ON answers (time);
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
"""
OLD_ROW = (5.0, "kitchen", "k1.1", "k1", "eva", "groq", "premium", "m", 9, 8, 7, 6, 0, 5, 4)


async def empty(postgres_url: str) -> None:
    db = await asyncpg.connect(postgres_url)
    await db.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await db.close()


async def on(url: str, work: Callable[[sa.Connection], Any]) -> Any:
    """In a transaction, as the store does it."""
    found = place(StoreConfig(url))
    if found.kind == "sqlite":
        engine = sa.create_engine(f"sqlite:///{found.path}")
        sa.event.listen(engine, "connect", lambda db, _: setattr(db, "isolation_level", None))
        migrate.begin_immediate(engine)
        with engine.begin() as connection:
            return work(connection)
    async_engine = make_engine(found)
    try:
        async with async_engine.begin() as connection:
            return await connection.run_sync(work)
    finally:
        await async_engine.dispose()


def names(connection: sa.Connection) -> set[str]:
    return set(sa.inspect(connection).get_table_names()) - {"alembic_version"}


@pytest.fixture
async def bare(url: str) -> str:
    """A database with nothing in it."""
    if url.startswith("postgresql"):
        await empty(url)
    return url


async def test_up_down_and_up_again(bare: str) -> None:
    everything = set(tables.metadata.tables)
    await on(bare, migrate.upgrade)
    assert await on(bare, names) == everything
    await on(bare, lambda connection: migrate.downgrade(connection, "0001"))
    assert await on(bare, names) == {"answers"}
    await on(bare, lambda connection: migrate.downgrade(connection, "base"))
    assert await on(bare, names) == set()
    await on(bare, migrate.upgrade)
    assert await on(bare, names) == everything


async def test_rows_go_down_and_up_with_the_schema(bare: str) -> None:
    store = Store(StoreConfig(bare))
    await store.open()
    kept = Row(5.0, "kitchen", "k1.1", "k1", tokens_in=7, nano_usd=123, err="why", first_ms=-1)
    store.add(kept._replace(energy_mj=5, policy="cheapest"))
    await store.aclose()
    await on(bare, lambda connection: migrate.downgrade(connection, "0001"))
    again = Store(StoreConfig(bare))
    await again.open()
    assert again.problem == ""
    # What the old layout has no place for is gone, and nothing else.
    assert await again.by_turn("kitchen", "k1") == [kept]
    await again.aclose()


async def test_what_migrations_make_is_what_the_tables_say(bare: str) -> None:
    def differences(connection: sa.Connection) -> list[Any]:
        migrate.upgrade(connection)
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        return compare_metadata(context, tables.metadata)

    assert await on(bare, differences) == []


async def test_on_sqlite_they_are_the_same_to_the_letter(tmp_path: Path) -> None:
    """What a comparison does not see: clustering, conditions of indexes, the order of columns."""

    def texts(path: Path) -> list[str]:
        with sqlite3.connect(path) as db:
            rows = db.execute(
                "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"
                " AND tbl_name <> 'alembic_version' ORDER BY name"
            )
            return [" ".join(text.split()) for (text,) in rows]

    await on(f"sqlite:///{tmp_path / 'up.db'}", migrate.upgrade)
    await on(f"sqlite:///{tmp_path / 'made.db'}", tables.metadata.create_all)
    assert texts(tmp_path / "up.db") == texts(tmp_path / "made.db")


def test_a_new_file_is_what_migrations_make() -> None:
    written = Path(migrate.__file__).parent / "migrations" / "sqlite.sql"
    assert written.read_text() == migrate.new_file(), "run python -m companion.store.migrate"


def test_the_version_in_the_code_is_the_newest_migration() -> None:
    folder = Path(migrate.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_current_head() == f"{sql.VERSION:04d}"


def test_columns_are_those_of_a_row() -> None:
    assert [column.name for column in tables.answers.columns] == list(Row._fields)
    claims = [column.name for column in tables.claims.columns]
    assert claims == sql.CLAIM_COLUMNS.split(", ")


async def test_a_file_of_the_time_before_migrations_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    with sqlite3.connect(path) as db:
        db.executescript(OLD_SCHEMA)
        db.execute(f"INSERT INTO answers VALUES ({','.join('?' * 17)})", (*OLD_ROW, "answered", ""))
    db.close()
    store = Store(StoreConfig(f"sqlite:///{path}"))
    await store.open()
    assert store.problem == ""
    (row,) = await store.by_turn("kitchen", "k1")
    expected = Row(5.0, "kitchen", "k1.1", "k1", "eva", "groq", "premium", "m")
    assert row == expected._replace(
        tokens_in=9, tokens_out=8, tokens_cached=7, tokens_reasoning=6, nano_usd=5, ms=4
    )
    await store.aclose()
    with sqlite3.connect(path) as db:
        # It gives space back, as one made today does, and an old Ganglion leaves it alone.
        assert db.execute("PRAGMA auto_vacuum").fetchone() == (2,)
        assert db.execute("PRAGMA user_version").fetchone() == (sql.VERSION,)


async def test_a_newer_schema_is_left_alone(bare: str) -> None:
    await on(bare, migrate.upgrade)

    def age(connection: sa.Connection) -> None:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0099'"))
        if connection.dialect.name == "sqlite":
            connection.execute(sa.text("PRAGMA user_version = 99"))

    await on(bare, age)
    store = Store(StoreConfig(bare))
    await store.open()
    assert "version 99" in store.problem.replace("0099", "99")
    assert "newer Ganglion" in store.problem and "Update this companion" in store.problem
    await store.aclose()


async def test_companions_that_start_together_migrate_once(bare: str) -> None:
    import asyncio

    stores = [Store(StoreConfig(bare)) for _ in range(4)]
    await asyncio.gather(*(store.open() for store in stores))
    assert [store.problem for store in stores] == [""] * 4
    for store in stores:
        await store.aclose()


async def test_a_migration_that_fails_changes_nothing(
    bare: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(connection: sa.Connection, revision: str = "head") -> None:
        upgrade(connection, "0001")
        connection.execute(sa.text("SELECT no_such_function()"))

    if bare.startswith("sqlite"):
        # A new file needs no migration; one with something in it does.
        await on(bare, lambda connection: connection.execute(sa.text("CREATE TABLE other (a)")))
    before = await on(bare, names)
    upgrade = migrate.upgrade
    monkeypatch.setattr(migrate, "upgrade", half)
    store = Store(StoreConfig(bare))
    await store.open()
    assert "no_such_function" in store.problem and "sqlalche.me" not in store.problem
    assert await on(bare, names) == before
    monkeypatch.undo()
    store.add(Row(5.0, "kitchen", "k1.1", "k1"))
    await store.flush()
    assert store.problem == ""
    await store.aclose()
