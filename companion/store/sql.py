"""The statements on the way of an answer, for both databases, and their rows.

Written out, and not compiled from ``tables.py``, since loading SQLAlchemy costs an idle companion
21 MB. A test holds them to the tables.
"""

from typing import Any, Final

from companion.store.account import Held, Key, dump_slots, load_slots
from companion.store.row import Row

VERSION: Final = 2
"""Of the schema: the number of the newest migration, and SQLite's ``user_version``."""

ROW_COLUMNS: Final = ", ".join(Row._fields)
_MARKS: Final = ", ".join(f"${n}" for n in range(1, len(Row._fields) + 1))
INSERT_ROW: Final = f"INSERT INTO answers ({ROW_COLUMNS}) VALUES ({_MARKS}) ON CONFLICT DO NOTHING"

GROUPED: Final = ("device", "tier", "backend", "model", "outcome", "energy_how")
"""Columns of ``answers`` that, with the day, are the key of ``days``."""
SUMMED: Final = (
    "tokens_in",
    "tokens_out",
    "tokens_cached",
    "tokens_cache_written",
    "tokens_reasoning",
    "estimated",
    "nano_usd",
    "ms",
    "energy_mj",
    "would_in",
    "would_out",
)
"""Columns of ``answers`` whose sums ``days`` has by the same names; of ``estimated`` that is a
count."""

CLAIM_COLUMNS: Final = (
    "device, ask, owner, opened, until, state, slots, nano, tokens, payload, settled_at"
)
CLAIM: Final = f"SELECT {CLAIM_COLUMNS} FROM claims WHERE device = $1 AND ask = $2"
DUE: Final = f"SELECT {CLAIM_COLUMNS} FROM claims WHERE state = 'open' AND until < $1"
CLAIM_CONFLICT: Final = (
    "ON CONFLICT (device, ask) DO UPDATE SET owner = excluded.owner, opened = excluded.opened,"
    " until = excluded.until, state = excluded.state, slots = excluded.slots,"
    " nano = excluded.nano, tokens = excluded.tokens, payload = excluded.payload,"
    " settled_at = excluded.settled_at"
)
PUT_CLAIM: Final = (
    f"INSERT INTO claims ({CLAIM_COLUMNS})"
    f" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) {CLAIM_CONFLICT}"
)
FOUND: Final = "DELETE FROM answers WHERE device = $1 AND ask = $2 AND outcome = 'lost'"

USED: Final = (
    "SELECT nano_reserved + nano_spent, tokens_reserved + tokens_spent FROM counters WHERE key = $1"
)
NEW_COUNTER: Final = (
    "INSERT INTO counters (key, nano_reserved, nano_spent, tokens_reserved, tokens_spent, ends)"
    " VALUES ($1, 0, 0, 0, 0, $2) ON CONFLICT DO NOTHING"
)
COUNT: Final = (
    "UPDATE counters SET nano_reserved = nano_reserved + $1, nano_spent = nano_spent + $2,"
    " tokens_reserved = tokens_reserved + $3, tokens_spent = tokens_spent + $4"
    " WHERE key = $7 AND nano_reserved + nano_spent + $1 + $2 <= $5"
    " AND tokens_reserved + tokens_spent + $3 + $4 <= $6"
)
"""The database itself does not let a counter pass its cap."""

ALIVE: Final = "SELECT id FROM companions WHERE seen > $1"
BEAT: Final = (
    "INSERT INTO companions (id, seen) VALUES ($1, $2)"
    " ON CONFLICT (id) DO UPDATE SET seen = excluded.seen"
)
LEAVE: Final = "DELETE FROM companions WHERE id = $1"


def claim_row(key: Key, held: Held) -> tuple[Any, ...]:
    """In the order of ``CLAIM_COLUMNS``."""
    return (
        *key,
        held.owner,
        held.opened,
        held.until,
        held.state,
        dump_slots(held.slots),
        held.nano,
        held.tokens,
        held.payload,
        held.settled_at,
    )


def held(row: Any) -> Held:
    """From a row in the order of ``CLAIM_COLUMNS``."""
    _, _, owner, opened, until, state, slots, nano, tokens, payload, settled_at = row
    return Held(owner, opened, until, state, load_slots(slots), nano, tokens, payload, settled_at)


def newer(version: int | str) -> str:
    """Why a database is left alone."""
    return (
        f"its schema is of version {version}, written by a newer Ganglion; this one knows"
        f" {VERSION}. Update this companion, or give it another database"
    )
