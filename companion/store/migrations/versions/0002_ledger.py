"""Answers say more; days, claims and counters, health, companions, tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_OLD = (
    "time",
    "device",
    "ask",
    "turn",
    "speaker",
    "backend",
    "tier",
    "model",
    "tokens_in",
    "tokens_out",
    "tokens_cached",
    "tokens_reasoning",
    "estimated",
    "nano_usd",
    "ms",
    "outcome",
    "err",
)
_NEW = {
    "policy": "''",
    "reason": "''",
    "tokens_cache_written": "0",
    "price_version": "''",
    "queue_ms": "0",
    "first_ms": "-1",
    "energy_mj": "0",
    "energy_how": "''",
    "would_in": "0",
    "would_out": "0",
}


def upgrade() -> None:
    _copy_aside()
    op.create_table(
        "answers",
        _real("time"),
        _key("device"),
        _key("ask"),
        *map(_text, ("turn", "speaker", "backend", "tier", "model", "policy", "reason")),
        *map(_number, ("tokens_in", "tokens_out", "tokens_cached", "tokens_cache_written")),
        *map(_number, ("tokens_reasoning", "estimated", "nano_usd")),
        _text("price_version"),
        *map(_number, ("queue_ms", "first_ms", "ms", "energy_mj")),
        _text("energy_how"),
        *map(_number, ("would_in", "would_out")),
        *map(_text, ("outcome", "err")),
        sqlite_with_rowid=False,
    )
    columns, values = ", ".join((*_OLD, *_NEW)), ", ".join((*_OLD, *_NEW.values()))
    _copy_back(f"INSERT INTO answers ({columns}) SELECT {values} FROM answers_aside")
    op.create_table(
        "days",
        *map(_key, ("day", "device", "tier", "backend", "model", "outcome", "energy_how")),
        *map(_number, ("answers", "tokens_in", "tokens_out", "tokens_cached")),
        *map(_number, ("tokens_cache_written", "tokens_reasoning", "estimated", "nano_usd")),
        *map(_number, ("ms", "energy_mj", "would_in", "would_out")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "claims",
        *map(_key, ("device", "ask")),
        _text("owner"),
        *map(_real, ("opened", "until")),
        *map(_text, ("state", "slots")),
        *map(_number, ("nano", "tokens")),
        sa.Column("payload", sa.LargeBinary),
        sa.Column("settled_at", sa.Double),
        sqlite_with_rowid=False,
    )
    open_ = sa.text("state = 'open'")
    op.create_index("claims_open", "claims", ["until"], sqlite_where=open_, postgresql_where=open_)
    op.create_index("claims_settled", "claims", ["settled_at"])
    op.create_table(
        "counters",
        _key("key"),
        *map(_number, ("nano_reserved", "nano_spent", "tokens_reserved", "tokens_spent")),
        _real("ends"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "health",
        _key("name"),
        *map(_text, ("latency", "breaker")),
        *map(_real, ("changed", "probe_until")),
        sqlite_with_rowid=False,
    )
    op.create_table("companions", _key("id"), _real("seen"), sqlite_with_rowid=False)
    op.create_table(
        "tokens",
        _key("name"),
        *map(_text, ("hash", "scope")),
        *map(_real, ("created", "last_used")),
        sqlite_with_rowid=False,
    )
    _say_version(2)


def downgrade() -> None:
    for table in ("tokens", "companions", "health", "counters", "claims", "days"):
        op.drop_table(table)
    _copy_aside()
    op.create_table(
        "answers",
        _real("time"),
        *map(_key, ("device", "ask")),
        *map(_text, ("turn", "speaker", "backend", "tier", "model")),
        *map(_number, ("tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning")),
        *map(_number, ("estimated", "nano_usd", "ms")),
        *map(_text, ("outcome", "err")),
        sqlite_with_rowid=False,
    )
    columns = ", ".join(_OLD)
    _copy_back(f"INSERT INTO answers ({columns}) SELECT {columns} FROM answers_aside")
    _say_version(1)


def _copy_aside() -> None:
    # A table made anew, so that its columns are in order and it is as small as it can be.
    op.execute("CREATE TABLE answers_aside AS SELECT * FROM answers")
    op.drop_index("answers_time", "answers")
    op.drop_table("answers")


def _copy_back(insert: str) -> None:
    op.execute(insert)
    op.drop_table("answers_aside")
    op.create_index("answers_time", "answers", ["time"])


def _say_version(version: int) -> None:
    # What a Ganglion of the time before migrations looks at, to leave a newer file alone.
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"PRAGMA user_version = {version}")


def _key(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, primary_key=True, nullable=False)


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False)


def _number(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, nullable=False)


def _real(name: str) -> "sa.Column[float]":
    return sa.Column(name, sa.Double, nullable=False)
