"""Answers become sums of days: each is counted once, whatever happens in between."""

import asyncio
import itertools
import os
import random
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from companion.config import StoreConfig
from companion.store import Row, Store, StoreError, retention
from companion.store.driver import Away

from .conftest import Clock, MakeStore

DAY = 86_400
FULL = bool(os.environ.get("GANGLION_FULL"))
NOON = time.time() // DAY * DAY + DAY / 2


def answer(n: int, days_ago: float, **fields: Any) -> Row:
    return Row(NOON - days_ago * DAY + n, f"dev{n % 3}", f"k{n}.1", f"k{n}")._replace(
        **{"backend": "groq", "tier": "premium", "model": "m", "nano_usd": 10, "ms": n, **fields}
    )


async def sums(store: Store) -> tuple[int, ...]:
    """Answers, nano-dollars and ms, whether kept one by one or as days."""
    columns = "coalesce(sum({}), 0), coalesce(sum(nano_usd), 0), coalesce(sum(ms), 0)"
    ((a, b, c),) = await store._driver.fetch(f"SELECT {columns.format('1')} FROM answers")
    ((d, e, f),) = await store._driver.fetch(f"SELECT {columns.format('answers')} FROM days")
    return int(a + d), int(b + e), int(c + f)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of 7, so that a day takes several."""
    monkeypatch.setattr(retention, "_END", retention._END.replace("LIMIT 1000", "LIMIT 7"))


@pytest.mark.usefixtures("small")
async def test_old_answers_become_days_and_young_ones_stay(make: MakeStore) -> None:
    store = await make(keep_days=30)
    for n in range(60):
        store.add(answer(n, 33 - n % 6, outcome="answered" if n % 4 else "no_answer"))
    await store.flush()
    before = await sums(store)
    await store.retire()
    assert await sums(store) == before
    ((oldest,),) = await store._driver.fetch("SELECT min(time) FROM answers")
    assert oldest == NOON - 30 * DAY + 3
    days = await store._driver.fetch("SELECT DISTINCT day FROM days ORDER BY day")
    expected = [time.strftime("%Y-%m-%d", time.gmtime(NOON - ago * DAY)) for ago in (33, 32, 31)]
    assert [day for (day,) in days] == expected
    row = await store._driver.fetch(
        "SELECT answers, nano_usd, ms FROM days WHERE day = $1 AND device = 'dev0'"
        " AND outcome = 'no_answer'",
        expected[0],
    )
    assert row == [(5, 50, 0 + 12 + 24 + 36 + 48)]
    # Again, and once more a row of a day that is already summed up.
    await store.retire()
    store.add(answer(1000, 33))
    await store.flush()
    await store.retire()
    assert await sums(store) == (before[0] + 1, before[1] + 10, before[2] + 1000)


def crashing(transact: Any, after: int) -> Any:
    """``transact``, but once it was called so often the power goes when the sum is written."""
    steps = itertools.count()

    async def crash(lock: int, *statements: Any) -> None:
        if next(steps) >= after:
            statements = (statements[0], ("SELECT no_such_function()", ()))
        await transact(lock, *statements)

    return crash


@pytest.mark.usefixtures("small")
async def test_a_crash_in_the_middle_loses_and_doubles_nothing(
    make: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await make(keep_days=30)
    for n in range(60):
        store.add(answer(n, 31 + n % 3))
    await store.flush()
    before = await sums(store)
    transact = store._driver.transact
    for crash_after in range(4):
        monkeypatch.setattr(store._driver, "transact", crashing(transact, crash_after))
        with pytest.raises(Away):
            await store.retire()
        assert await sums(store) == before
    monkeypatch.setattr(store._driver, "transact", transact)
    await store.retire()
    assert await sums(store) == before
    assert await store._driver.fetch("SELECT ask FROM answers") == []


@pytest.mark.usefixtures("small")
async def test_two_companions_at_it_count_once(make: MakeStore) -> None:
    stores = [await make(keep_days=30), await make(keep_days=30)]
    for n in range(200):
        stores[0].add(answer(n, 31 + n % 3))
    await stores[0].flush()
    before = await sums(stores[0])
    await asyncio.gather(*(store.retire() for store in stores))
    assert await sums(stores[1]) == before


async def test_it_runs_at_the_start_by_itself(make: MakeStore, clock: Clock) -> None:
    store = await make(keep_days=1)
    store.add(answer(1, 5))
    await store.flush()
    again = await make(keep_days=1)
    end = time.monotonic() + 5
    while await again._driver.fetch("SELECT 1 FROM answers"):
        assert time.monotonic() < end
        await asyncio.sleep(0.02)
    assert (await sums(again))[0] == 1


def house(day: int, answers: int) -> list[tuple[Any, ...]]:
    """A day of a busy house: 30 devices, four backends, mostly short reasons."""
    chance = random.Random(day)
    backends = [
        ("", "", "", 30),
        ("commands", "edge", "", 50),
        ("groq", "premium", "llama-3.3-70b-versatile", 10),
        ("deepseek", "commodity", "deepseek-chat", 10),
    ]
    rows = []
    for n in range(answers):
        backend, tier, model, _ = chance.choices(backends, [b[3] for b in backends])[0]
        paid = bool(model)
        turn = f"{chance.getrandbits(40):x}{n:x}"
        rows.append(
            Row(
                NOON - day * DAY + n / answers * DAY / 2,
                f"device-{n % 30:02d}",
                f"{turn}.1",
                turn,
                speaker="grandmother",
                backend=backend,
                tier=tier,
                model=model,
                policy="auto",
                reason="cheapest that meets 4000 ms; commands: I know no such request",
                tokens_in=chance.randrange(2000) if paid else 0,
                tokens_out=chance.randrange(300) if paid else 0,
                nano_usd=chance.randrange(10**6) if paid else 0,
                price_version="genai-prices 2026-11-21" if paid else "",
                queue_ms=3,
                first_ms=200,
                ms=chance.randrange(2000),
                energy_mj=chance.randrange(5000),
                energy_how="estimated",
                would_in=chance.randrange(2000),
                would_out=40,
                outcome="answered" if backend else "no_answer",
                err="" if backend else "Nobody could answer: commands: I know no such request.",
            )
        )
    return rows


@pytest.mark.timeout(1200 if FULL else 60)
async def test_a_year_of_a_busy_house_stays_under_1_gb(tmp_path: Path) -> None:
    """30 devices, 20,000 answers a day, kept for 30 days. At its everyday size 12 days of 2,000
    answers are written and summed up, and the year is computed from what a row and a day take."""
    path = tmp_path / "year.db"
    store = Store(StoreConfig(f"sqlite:///{path}", keep_days=3650))
    await store.open()
    days, answers = (365, 20_000) if FULL else (12, 2_000)
    insert = f"INSERT INTO answers VALUES ({','.join('?' * len(Row._fields))})"

    async def write(rows: list[Row]) -> None:
        def work(db: sqlite3.Connection) -> None:
            db.execute("BEGIN")
            db.executemany(insert, rows)
            db.execute("COMMIT")

        await store._driver._call(work)

    async def used() -> int:
        ((pages,),) = await store._driver.fetch("PRAGMA page_count")
        ((free,),) = await store._driver.fetch("PRAGMA freelist_count")
        ((size,),) = await store._driver.fetch("PRAGMA page_size")
        assert free < 200, "free space was not given back"
        return int((pages - free) * size)

    if FULL:
        for day in range(days, 0, -1):
            await write(house(day, answers))
            await retention.retire(store._driver, 30, NOON - day * DAY + DAY)
        year = await used()
        print(f"{year / 1e6:.0f} MB")
    else:
        empty = await used()
        for day in range(days, 0, -1):
            await write(house(day, answers))
        row_bytes = (await used() - empty) / (days * answers)
        await retention.retire(store._driver, 0, NOON)
        assert await store._driver.fetch("SELECT ask FROM answers") == []
        day_bytes = (await used() - empty) / days
        # A claim is kept for a day, its payload of some 400 bytes for an hour.
        claims = 20_000 * 400 + 20_000 // 24 * 600
        year = 31 * 20_000 * row_bytes + 365 * day_bytes + claims
        print(f"{row_bytes:.0f} bytes a row, {day_bytes:.0f} a day of sums, {year / 1e6:.0f} MB")
    assert year < 1e9
    # And the file is as small as what is in it, but for its journal.
    await store.aclose()
    assert path.stat().st_size < 1e9


async def test_a_database_that_is_away_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(StoreConfig(f"sqlite:///{tmp_path / 'file' / 'c.db'}"))
    with pytest.raises(StoreError, match="file"):
        await store.retire()
