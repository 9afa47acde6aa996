"""The tables. The one definition of the schema: SQL texts are compiled from it, and a test holds
the migrations to it.

Times are Unix seconds, money is nano-dollars, ``day`` is a day of UTC as ``2026-11-21``.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from companion.store.row import Row
from companion.store.sql import GROUPED, SUMMED

metadata = sa.MetaData()

_TYPES = {int: sa.BigInteger, float: sa.Double, str: sa.Text}


def _column(name: str, kind: type, *, key: bool = False) -> "sa.Column[object]":
    return sa.Column(name, _TYPES[kind](), primary_key=key, nullable=False)


# Clustered by their keys, or SQLite would keep each key twice.
answers = sa.Table(
    "answers",
    metadata,
    *(
        _column(name, type(default), key=name in ("device", "ask"))
        for name, default in Row(0.0, "", "", "")._asdict().items()
    ),
    sa.Index("answers_time", "time"),
    sqlite_with_rowid=False,
)
"""One ask and what it came to; the columns are those of ``Row``."""

days = sa.Table(
    "days",
    metadata,
    _column("day", str, key=True),
    *(_column(name, str, key=True) for name in GROUPED),
    _column("answers", int),
    *(_column(name, int) for name in SUMMED),
    sqlite_with_rowid=False,
)
"""Sums of the answers of whole days that are no longer kept one by one. An answer is counted here
or is in ``answers``, never both."""

claims = sa.Table(
    "claims",
    metadata,
    _column("device", str, key=True),
    _column("ask", str, key=True),
    # The id of a companion: one life of one process.
    _column("owner", str),
    _column("opened", float),
    _column("until", float),
    # open, settled, lost
    _column("state", str),
    # {key of a counter: [nano-dollars, tokens]}: what is reserved there while the claim is open,
    # what was spent there after.
    _column("slots", str),
    _column("nano", int),
    _column("tokens", int),
    sa.Column("payload", sa.LargeBinary()),
    sa.Column("settled_at", sa.Double()),
    sa.Index(
        "claims_open",
        "until",
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    ),
    sa.Index("claims_settled", "settled_at"),
    sqlite_with_rowid=False,
)
"""One ask that may cost something."""

counters = sa.Table(
    "counters",
    metadata,
    # As device/kitchen/day/2026-11-21
    _column("key", str, key=True),
    _column("nano_reserved", int),
    _column("nano_spent", int),
    _column("tokens_reserved", int),
    _column("tokens_spent", int),
    _column("ends", float),
    sqlite_with_rowid=False,
)
"""What a budget's window holds: the sum of its claims."""

health = sa.Table(
    "health",
    metadata,
    _column("name", str, key=True),
    # JSON, as the router writes them
    _column("latency", str),
    _column("breaker", str),
    _column("changed", float),
    # Until then one companion tries whether this backend is well again; 0: nobody does.
    _column("probe_until", float),
    sqlite_with_rowid=False,
)
"""What is known of each backend."""

companions = sa.Table(
    "companions",
    metadata,
    _column("id", str, key=True),
    _column("seen", float),
    sqlite_with_rowid=False,
)
"""Heartbeats of companions that have claims open."""

tokens = sa.Table(
    "tokens",
    metadata,
    _column("name", str, key=True),
    _column("hash", str),
    _column("scope", str),
    _column("created", float),
    # 0: never
    _column("last_used", float),
    sqlite_with_rowid=False,
)
"""API tokens; never the token itself."""


class utc_day(FunctionElement[str]):
    """``utc_day(answers.c.time)``: its day of UTC, as ``2026-11-21``, as in ``days.day``."""

    type = sa.Text()
    inherit_cache = True
    name = "utc_day"


@compiles(utc_day, "sqlite")
def _sqlite_day(element: Any, compiler: Any, **how: Any) -> str:
    return f"date({compiler.process(element.clauses, **how)}, 'unixepoch')"


@compiles(utc_day, "postgresql")
def _postgresql_day(element: Any, compiler: Any, **how: Any) -> str:
    time = compiler.process(element.clauses, **how)
    return f"to_char(to_timestamp({time}) AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
