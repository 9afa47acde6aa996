"""Where the database is, by URL; SQLAlchemy's engine on it, for reports and migrations.

Answering itself goes through the database's own driver (``sqlite.py``, ``postgres.py``), so a
companion that only answers never loads SQLAlchemy.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import unquote, urlsplit, urlunsplit

from companion.config.model import StoreConfig
from companion.store.driver import StoreError

if TYPE_CHECKING:
    import asyncpg  # type: ignore[import-untyped]
    from sqlalchemy.ext.asyncio import AsyncEngine

FORMS: Final = "sqlite:///companion.db or postgresql://user@host/database"
CONNECT_S: Final = 5.0
ANSWER_S: Final = 10.0
"""A PostgreSQL that has not answered by then is taken for away."""


@dataclass(frozen=True, slots=True)
class Place:
    """One database. ``name`` is for people."""

    kind: Literal["sqlite", "postgresql"]
    name: str
    path: Path = Path()
    dsn: str = field(default="", repr=False)
    """libpq's URL; where the owner wrote a password into it, with that."""
    password_env: str | None = None
    password_file: Path | None = None

    def password(self) -> str | None:
        """Read anew for each connection, so that it can be changed. Raises StoreError."""
        if self.password_file is not None:
            try:
                return self.password_file.read_text().strip()
            except (OSError, UnicodeError) as error:
                raise StoreError(
                    f"{self.name}: store.password_file {self.password_file} cannot be read: {error}"
                ) from None
        if self.password_env is not None:
            value = os.environ.get(self.password_env)
            if not value:
                raise StoreError(
                    f"{self.name}: the variable {self.password_env}, named by store.password_env,"
                    " is not set"
                )
            return value
        return None


def place(config: StoreConfig) -> Place:
    """Raises StoreError for a URL of neither form."""
    parts = urlsplit(config.url)
    scheme = parts.scheme.partition("+")[0]
    if scheme == "sqlite" and not parts.netloc and len(parts.path) > 1:
        path = Path(unquote(parts.path[1:]))
        return Place("sqlite", str(path), path)
    if scheme in ("postgresql", "postgres") and len(parts.path) > 1:
        user, at, host = parts.netloc.rpartition("@")
        shown = f"postgresql://{user.partition(':')[0]}{at}{host}{parts.path}"
        dsn = urlunsplit(parts._replace(scheme="postgresql"))
        return Place(
            "postgresql",
            shown,
            dsn=dsn,
            password_env=config.password_env,
            password_file=config.password_file,
        )
    raise StoreError(f"store.url is of the form {FORMS}")


async def connect_postgres(place: Place, **more: Any) -> "asyncpg.Connection[Any]":
    """Raises StoreError for a password that is not there, and what asyncpg raises."""
    import asyncpg

    return await asyncpg.connect(
        place.dsn,
        password=place.password(),
        timeout=CONNECT_S,
        command_timeout=ANSWER_S,
        server_settings={
            "application_name": "ganglion",
            # A companion that is frozen in the middle of a transaction must not hold the others'.
            "idle_in_transaction_session_timeout": str(int(ANSWER_S * 1000)),
        },
        **more,
    )


def make_engine(place: Place) -> "AsyncEngine":
    """SQLAlchemy's engine, for what is not on the way of an answer."""
    from sqlalchemy import event
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    if place.kind == "postgresql":
        # The creator, not the URL, so that a password is read anew and is in no message.
        return create_async_engine(
            "postgresql+asyncpg://",
            async_creator=lambda **more: connect_postgres(place, **more),
            pool_size=1,
            max_overflow=2,
            pool_pre_ping=True,
        )
    # Opening a file is cheap; a connection kept would be a thread that waits for the next report.
    engine = create_async_engine(f"sqlite+aiosqlite:///{place.path}", poolclass=NullPool)

    @event.listens_for(engine.sync_engine, "connect")
    def wait_for_writers(connection: Any, _: object) -> None:
        connection.execute("PRAGMA busy_timeout = 5000")

    return engine
