"""Answers older than the owner keeps them become sums of days.

A slice at a time, each summed and deleted in one transaction: a crash loses and doubles nothing,
and asks are answered in between.
"""

from datetime import UTC, datetime
from typing import Final

from companion.store.driver import LOCK_RETENTION, Driver
from companion.store.sql import GROUPED, SUMMED

SLICE: Final = 1000
"""Answers in one transaction, or a few more that came in the same instant."""
_DAY_S: Final = 86_400

_COLUMNS: Final = ", ".join(("answers", *SUMMED))
_SUMS: Final = ", ".join(("count(*)", *(f"sum({name})" for name in SUMMED)))
_ADDED: Final = ", ".join(f"{n} = days.{n} + excluded.{n}" for n in ("answers", *SUMMED))
_GROUP: Final = ", ".join(GROUPED)

_OLDEST: Final = "SELECT min(time) FROM answers"
_END: Final = (
    "SELECT max(time) FROM (SELECT time FROM answers WHERE time < $1 ORDER BY time"
    f" LIMIT {SLICE}) AS slice"
)
_SUM: Final = (
    f"INSERT INTO days (day, {_GROUP}, {_COLUMNS})"
    f" SELECT $1, {_GROUP}, {_SUMS} FROM answers WHERE time <= $2 AND time >= $3"
    f" GROUP BY {_GROUP}"
    f" ON CONFLICT (day, {_GROUP}) DO UPDATE SET {_ADDED}"
)
_DELETE: Final = "DELETE FROM answers WHERE time <= $1 AND time >= $2"


async def retire(driver: Driver, keep_days: int, now: float) -> int:
    """Sum and delete the answers of days (UTC) that ended ``keep_days`` ago or earlier. Returns
    how many transactions it took. Raises StoreError."""
    cutoff = now // _DAY_S * _DAY_S - keep_days * _DAY_S
    slices = 0
    while True:
        ((oldest,),) = await driver.fetch(_OLDEST)
        if oldest is None or oldest >= cutoff:
            break
        begins = oldest // _DAY_S * _DAY_S
        ((last,),) = await driver.fetch(_END, float(begins + _DAY_S))
        day = datetime.fromtimestamp(begins, UTC).strftime("%Y-%m-%d")
        await driver.transact(
            LOCK_RETENTION, (_SUM, (day, last, begins)), (_DELETE, (last, begins))
        )
        slices += 1
    if slices:
        await driver.shrink()
    return slices
