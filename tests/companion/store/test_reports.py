"""Reports against the same sums done by hand in Python, over random answers."""

import math
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime
from itertools import chain, combinations
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from companion.config import StoreConfig
from companion.meter.calendar import Calendar
from companion.meter.purse import Claim, Reserved, Slot
from companion.meter.whatif import Traffic
from companion.store import Counted, Store
from companion.store.reports import KEYS, Key, Range, Sums, spend, traffic
from companion.store.row import BESIDE, Row

# The clocks of Berlin go back in the night to 25 October 2026.
BEGIN = datetime(2026, 10, 20, 3, tzinfo=UTC).timestamp()
NOW = datetime(2026, 10, 31, 12, tzinfo=UTC).timestamp()
KEEP_DAYS = 7
ROLLED_BEFORE = "2026-10-24"
BERLIN = Calendar("Europe/Berlin")
BACKENDS = (
    ("commands", "edge", ""),
    ("home", "edge", "tiny"),
    ("cheap", "commodity", "v"),
    ("dear", "premium", "s"),
)


OUTCOMES = ("answered", "no_answer", "canceled", "lost", BESIDE)


def random_rows(seed: int, n: int = 300) -> list[Row]:
    rng = random.Random(seed)
    rows = []
    for number in range(n):
        time = BEGIN + rng.choice(
            (rng.uniform(0, 9 * 86_400), 86_400 * rng.randrange(9) - 3 * 3600)
        )
        outcome = rng.choices(OUTCOMES, (8, 1, 1, 1, 2))[0]
        answered = outcome == "answered"
        named = answered or outcome == BESIDE
        backend, tier, model = rng.choice(BACKENDS) if named else ("", "", "")
        row = Row(time, rng.choice(("attic", "kitchen", "bed")), f"a{number}.1", f"a{number}")
        rows.append(
            row._replace(
                backend=backend,
                tier=tier,
                model=model,
                outcome=outcome,
                tokens_in=rng.randrange(2000) if model else 0,
                tokens_out=rng.randrange(300) if model else 0,
                tokens_cached=rng.randrange(500) if model else 0,
                tokens_reasoning=rng.randrange(100) if model else 0,
                estimated=int(bool(model) and rng.random() < 0.2),
                nano_usd=rng.randrange(10**7) if rng.random() < 0.7 else 0,
                ms=rng.randrange(20_000),
                energy_how=(how := rng.choice(("", "measured", "estimated"))),
                energy_mj=rng.randrange(90_000) if how else 0,
                would_in=0 if model else rng.randrange(1500),
                would_out=0 if model else rng.randrange(60),
            )
        )
    return rows


def utc_day(row: Row) -> str:
    return datetime.fromtimestamp(row.time, UTC).strftime("%Y-%m-%d")


def is_rolled(row: Row) -> bool:
    return utc_day(row) < ROLLED_BEFORE


def day(row: Row) -> str:
    """The house's for what is kept one by one, UTC's for the rest."""
    if is_rolled(row):
        return utc_day(row)
    return datetime.fromtimestamp(row.time, ZoneInfo("Europe/Berlin")).strftime("%Y-%m-%d")


class House:
    """A store as the companion has it, a week after which answers become sums of days."""

    def __init__(self, url: str) -> None:
        self.store = Store(StoreConfig(url, keep_days=KEEP_DAYS), clock=lambda: NOW)
        self.read = self.store.read

    async def fill(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self.store.add(row)
        await self.store.flush()
        await self.store.retire()
        assert self.store.problem == ""


@pytest_asyncio.fixture
async def house(url: str) -> AsyncIterator[House]:
    house = House(url)
    await house.store.open()
    yield house
    await house.store.aclose()


def summed(rows: Sequence[Row]) -> Sums:
    return Sums(
        asks=sum(r.outcome != BESIDE for r in rows),
        answered=sum(r.outcome == "answered" for r in rows),
        tokens_in=sum(r.tokens_in for r in rows),
        tokens_out=sum(r.tokens_out for r in rows),
        tokens_cached=sum(r.tokens_cached for r in rows),
        tokens_reasoning=sum(r.tokens_reasoning for r in rows),
        estimated=sum(r.estimated for r in rows if r.outcome != BESIDE),
        nano_usd=sum(r.nano_usd for r in rows),
        measured_mj=sum(r.energy_mj for r in rows if r.energy_how == "measured"),
        estimated_mj=sum(r.energy_mj for r in rows if r.energy_how == "estimated"),
    )


def timed(rows: Sequence[Row]) -> tuple[int, int | None, int | None]:
    times = sorted(r.ms for r in rows if r.outcome == "answered" and not is_rolled(r))
    if not times:
        return 0, None, None
    at = [times[math.ceil(len(times) * share / 100) - 1] for share in (50, 95)]
    return len(times), at[0], at[1]


ALL_KEYS = list(chain.from_iterable(combinations(KEYS, n) for n in range(5)))
RANGES = [
    Range(),
    Range(since=date(2026, 10, 25)),
    Range(date(2026, 10, 22), date(2026, 10, 25)),
    Range(until=date(2026, 10, 21)),
    Range(date(2027, 1, 1), date(2027, 1, 2)),
]


@pytest.mark.parametrize("range_", RANGES, ids=str)
async def test_sums_are_those_done_by_hand(house: House, range_: Range) -> None:
    rows = random_rows(1)
    await house.fill(rows)
    since = "" if range_.since is None else range_.since.isoformat()
    until = "9" if range_.until is None else range_.until.isoformat()
    inside = [row for row in rows if since <= day(row) <= until]
    for by in ALL_KEYS if range_ == Range() else ((), KEYS):
        report = await spend(house.read, by, range_, BERLIN)
        expected = defaultdict(list)
        for row in inside:
            key = tuple(day(row) if k == "day" else getattr(row, k) for k in by)
            expected[key].append(row)
        if by:
            assert [line.key for line in report.lines] == sorted(expected)
        for line in report.lines:
            assert line.sums == summed(expected[line.key])
            assert (line.timed, line.p50_ms, line.p95_ms) == timed(expected[line.key])
        assert report.total.sums == summed(inside)
        assert (report.total.timed, report.total.p50_ms, report.total.p95_ms) == timed(inside)
        gone = [utc_day(row) for row in inside if is_rolled(row)]
        assert report.rolled_until == (max(gone) if gone else "")


async def test_a_report_and_the_next_one_share_nothing_and_miss_nothing(
    house: House,
) -> None:
    rows = random_rows(2)
    await house.fill(rows)
    whole = (await spend(house.read, (), Range(), BERLIN)).total.sums
    for border in (date(2026, 10, n) for n in range(22, 27)):
        before = (await spend(house.read, (), Range(until=border), BERLIN)).total.sums
        after = Range(since=date.fromordinal(border.toordinal() + 1))
        assert before + (await spend(house.read, (), after, BERLIN)).total.sums == whole


async def test_an_empty_house_has_empty_reports(house: House) -> None:
    report = await spend(house.read, ("device", "day"), Range(), BERLIN)
    assert report.lines == () and report.total.sums == Sums() and report.total.p50_ms is None
    assert await traffic(house.read, Range(), BERLIN) == ()


async def test_an_answer_counts_to_the_day_it_has_in_the_house(
    house: House,
) -> None:
    """A quarter of a second before midnight in Berlin, and a quarter after; on the day of 25
    hours and on the next."""
    midnights = [datetime(2026, 10, d, tzinfo=ZoneInfo("Europe/Berlin")) for d in (25, 26)]
    rows = [
        Row(midnight.timestamp() + beside, "bed", f"a{n}{side}.1", "a")
        for n, midnight in enumerate(midnights)
        for side, beside in enumerate((-0.25, 0.25))
    ]
    await house.fill(rows)
    by: tuple[Key, ...] = ("day",)
    report = await spend(house.read, by, Range(), BERLIN)
    assert [(line.key[0], line.sums.asks) for line in report.lines] == [
        ("2026-10-24", 1),
        ("2026-10-25", 2),
        ("2026-10-26", 1),
    ]


async def test_traffic_has_the_tokens_of_models_and_guesses_for_the_rest(
    house: House,
) -> None:
    rows = random_rows(3)
    await house.fill(rows)
    expected: dict[tuple[str, bool], list[Row]] = defaultdict(list)
    for row in rows:
        answered = row.outcome == "answered"
        expected[(row.tier, bool(row.model)) if answered else ("", False)].append(row)
    assert await traffic(house.read, Range(), BERLIN) == tuple(
        Traffic(
            tier,
            sum(r.outcome != BESIDE for r in some),
            sum(r.tokens_in if modelled else r.would_in for r in some),
            sum(r.tokens_out if modelled else r.would_out for r in some),
            sum(r.tokens_cached for r in some if modelled),
            modelled,
            sum(r.nano_usd for r in some),
        )
        for (tier, modelled), some in sorted(expected.items())
    )


async def test_what_is_counted_on_many_slots(house: House) -> None:
    """Reserved, and some of it settled, by the ledger itself."""
    keys = [f"device/d{n}/day/2026-10-31" for n in range(600)]
    for n in range(0, 600, 200):
        slots = tuple(Slot(key, "", NOW + 3600) for key in keys[n : n + 200])
        claim = Claim("d", f"a{n}", slots, nano=100 + n, tokens=10, until=NOW + 60)
        assert await house.store.ledger.reserve(claim) == Reserved()
    await house.store.ledger.settle("d", "a200", 40, 4, b"")
    found = await house.store.ledger.counted([*keys, "house/day/2026-10-31"])
    assert found.keys() == set(keys)
    assert found[keys[0]] == Counted(nano_reserved=100, tokens_reserved=10)
    assert found[keys[399]] == Counted(nano_spent=40, tokens_spent=4)
    assert found[keys[599]] == Counted(nano_reserved=500, tokens_reserved=10)
