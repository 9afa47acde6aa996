"""The schema is brought to this version by Alembic, which is loaded only then."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from companion.store import sql
from companion.store.driver import LOCK_SCHEMA, StoreError

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy.engine import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

_FOLDER = Path(__file__).parent / "migrations"
_OLD_LAYOUT = "0001"


def upgrade_sqlite(db: sqlite3.Connection) -> None:
    """Blocks. In one transaction, with the file locked: whole or not at all."""
    import sqlalchemy as sa
    from sqlalchemy.pool import StaticPool

    engine = sa.create_engine("sqlite://", creator=lambda: db, poolclass=StaticPool)
    begin_immediate(engine)
    with _plain_errors(), engine.begin() as connection:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version == sql.VERSION:
            return  # Another companion was faster.
        upgrade(connection)
    # Space is given back only by a file that was made so; one of the old layout was not.
    if version and db.execute("PRAGMA auto_vacuum").fetchone() == (0,):
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("VACUUM")


async def upgrade_postgres(engine: "AsyncEngine") -> None:
    """In one transaction; companions that start together wait for each other."""
    import sqlalchemy as sa

    with _plain_errors():
        async with engine.begin() as connection:
            await connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({LOCK_SCHEMA})"))
            await connection.run_sync(upgrade)


@contextmanager
def _plain_errors() -> Iterator[None]:
    """SQLAlchemy's errors name statements and a page of its manual."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        raise StoreError(f"the schema could not be brought up: {error.orig}") from error


def upgrade(connection: "Connection", revision: str = "head") -> None:
    """Up to ``revision``, within the connection's transaction. Raises StoreError where the schema
    is newer than this program."""
    import sqlalchemy as sa
    from alembic import command

    config = _config(connection)
    tables = set(sa.inspect(connection).get_table_names())
    if "alembic_version" in tables:
        found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
        if found is not None and int(found) > sql.VERSION:
            raise StoreError(sql.newer(found))
    elif "answers" in tables:
        # Of the time before migrations.
        command.stamp(config, _OLD_LAYOUT)
    command.upgrade(config, revision)


def downgrade(connection: "Connection", revision: str) -> None:
    """Down to ``revision``, ``base`` for an empty database, within the connection's
    transaction."""
    from alembic import command

    command.downgrade(_config(connection), revision)


def begin_immediate(engine: Any) -> None:
    """Let SQLAlchemy's transactions on SQLite be ones that also hold what changes the schema."""
    from sqlalchemy import event

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _config(connection: "Connection") -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
