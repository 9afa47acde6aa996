"""Sums over what is kept: answers one by one, and the days that older ones became.

An answer is in ``answers`` or counted in ``days``, never both, so each query runs over either and
the sums are added here. A day of ``answers`` is a day of the house; one of ``days`` is of UTC,
because what it was made of is gone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import Any, Final, Literal, TypeAlias

import sqlalchemy as sa

from companion.meter.calendar import Calendar
from companion.meter.whatif import Traffic
from companion.store.row import BESIDE
from companion.store.tables import answers, days

__all__ = [
    "KEYS",
    "Key",
    "Range",
    "Read",
    "Report",
    "Spent",
    "Sums",
    "spend",
    "traffic",
]

Key: TypeAlias = Literal["device", "day", "tier", "backend"]


Read: TypeAlias = Callable[["sa.Select[Any]"], Awaitable[Sequence[Sequence[Any]]]]
"""What runs a statement: ``Store.read``."""

KEYS: Final[tuple[Key, ...]] = ("device", "day", "tier", "backend")
_EPOCH: Final = date(1970, 1, 1)
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Range:
    """Days, the first and the last included; None: without that end."""

    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """What some asks came to. Tokens and money are those of all of them."""

    asks: int = 0
    answered: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    tokens_reasoning: int = 0
    estimated: int = 0
    """Answers whose tokens are guesses."""
    nano_usd: int = 0
    measured_mj: int = 0
    """Millijoules; of these answers somebody measured them."""
    estimated_mj: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Sums)))


@dataclass(frozen=True, slots=True)
class Spent:
    """A line of a report. ``key`` has a value for each of the report's ``by``; nobody's answers
    have the tier and the backend ``""``. ``p50_ms`` and ``p95_ms`` are of the ``timed`` answers
    that are still kept one by one, None where there are none."""

    key: tuple[str, ...]
    sums: Sums
    timed: int
    p50_ms: int | None
    p95_ms: int | None


@dataclass(frozen=True, slots=True)
class Report:
    """Lines in the order of their keys, and all of them together."""

    by: tuple[Key, ...]
    range: Range
    lines: tuple[Spent, ...]
    total: Spent
    rolled_until: str
    """The last day (UTC) of which there are only sums, "" where there is none in the range."""


async def spend(read: Read, by: Sequence[Key], range_: Range, calendar: Calendar) -> Report:
    """Sums by any of ``KEYS``, or of everything where ``by`` is empty."""
    raw, rolled = _raw(range_, calendar), _rolled(range_)
    day = await _day(read, raw, calendar) if "day" in by else None
    from_raw = [day if k == "day" else answers.c[k] for k in by]
    from_days = [days.c[k] for k in by]

    both = (
        _grouped(from_raw, _RAW_SUMS, raw, sa.literal("")),
        _grouped(from_days, _DAY_SUMS, rolled, sa.func.max(days.c.day)),
    )
    # In one statement, so that no answer is missed or doubled while it becomes a day.
    rows = await read(_all_of(*both))
    times = await _times(read, by, from_raw, raw) if by else {}
    of_all = await _times(read, (), (), raw)
    # Off the loop: they may be ten thousands.
    lines, all_sums, until = await asyncio.to_thread(_lines, by, rows, times)
    return Report(
        by=tuple(by),
        range=range_,
        lines=lines if by else (),
        total=Spent((), all_sums, *of_all.get((), _UNTIMED)),
        rolled_until=until,
    )


def _lines(
    by: Sequence[Key], rows: Sequence[Sequence[Any]], times: "Mapping[tuple[str, ...], _Times]"
) -> tuple[tuple[Spent, ...], Sums, str]:
    """Lines by their keys, the sums of all, and the last day of which there are only sums."""
    sums: dict[tuple[str, ...], Sums] = {}
    until = ""
    for last, *row in rows:
        amounts = row[len(by) :]
        if amounts[0] is not None:  # where there is no key there is a line without rows, of NULLs
            until = max(until, last)
            key = tuple(row[: len(by)]) if last else _key(by, row)
            before = sums.get(key)
            sums[key] = _sums(amounts) if before is None else before + _sums(amounts)
    lines = tuple(Spent(key, sums[key], *times.get(key, _UNTIMED)) for key in sorted(sums))
    return lines, sum(sums.values(), Sums()), until


async def traffic(read: Read, range_: Range, calendar: Calendar) -> tuple[Traffic, ...]:
    """What ``meter.whatif`` starts from."""
    parts = []
    for table, asks, where in (
        (answers, sa.literal(1), _raw(range_, calendar)),
        (days, days.c.answers, _rolled(range_)),
    ):
        c = table.c
        answered = c.outcome == "answered"
        tier = sa.case((answered, c.tier), else_="")
        # Whoever is a model names one.
        modelled = sa.case((sa.and_(answered, c.model != ""), 1), else_=0)
        sums = [
            sa.case((c.outcome != BESIDE, asks), else_=0),
            sa.case((modelled == 1, c.tokens_in), else_=c.would_in),
            sa.case((modelled == 1, c.tokens_out), else_=c.would_out),
            sa.case((modelled == 1, c.tokens_cached), else_=0),
            c.nano_usd,
        ]
        parts.append(
            _grouped([tier, modelled], [sa.func.sum(s) for s in sums], where, sa.literal(""))
        )
    found: dict[tuple[str, bool], tuple[int, ...]] = {}
    for _, tier_, modelled_, *amounts in await read(_all_of(*parts)):
        before = found.get((tier_, bool(modelled_)), (0,) * len(amounts))
        found[(tier_, bool(modelled_))] = tuple(
            a + int(b) for a, b in zip(before, amounts, strict=True)
        )
    return tuple(
        Traffic(tier, asks, tokens_in, tokens_out, cached, modelled, nano)
        for (tier, modelled), (asks, tokens_in, tokens_out, cached, nano) in sorted(found.items())
    )


# -- what is asked of the tables


def _when(condition: Any, value: Any) -> Any:
    return sa.func.sum(sa.case((condition, value), else_=0))


_SUMMED: Final = (
    "tokens_in",
    "tokens_out",
    "tokens_cached",
    "tokens_reasoning",
)


def _sums_of(table: sa.Table, asks: Any) -> tuple[Any, ...]:
    """In the order of ``Sums``; ``asks``: how many a row is."""
    c = table.c
    return (
        _when(c.outcome != BESIDE, asks),
        _when(c.outcome == "answered", asks),
        *(sa.func.sum(c[name]) for name in _SUMMED),
        _when(c.outcome != BESIDE, c.estimated),
        sa.func.sum(c.nano_usd),
        _when(c.energy_how == "measured", c.energy_mj),
        _when(c.energy_how == "estimated", c.energy_mj),
    )


_RAW_SUMS: Final = _sums_of(answers, sa.literal(1))
_DAY_SUMS: Final = _sums_of(days, days.c.answers)


def _raw(range_: Range, calendar: Calendar) -> list[Any]:
    where: list[Any] = []
    if range_.since is not None:
        where.append(answers.c.time >= calendar.midnight(range_.since))
    if range_.until is not None:
        where.append(answers.c.time < calendar.midnight(range_.until + timedelta(days=1)))
    return where


def _rolled(range_: Range) -> list[Any]:
    where: list[Any] = []
    if range_.since is not None:
        where.append(days.c.day >= range_.since.isoformat())
    if range_.until is not None:
        where.append(days.c.day <= range_.until.isoformat())
    return where


def _grouped(
    keys: Sequence[Any], sums: Iterable[Any], where: Sequence[Any], first: Any
) -> "sa.Select[Any]":
    # Grouped by the names of the keys: PostgreSQL would take an expression with parameters in it
    # for another one there.
    names = [f"k{n}" for n in range(len(keys))]
    named = [key.label(name) for key, name in zip(keys, names, strict=True)]
    return sa.select(first, *named, *sums).where(*where).group_by(*names)


def _all_of(*parts: "sa.Select[Any]") -> "sa.Select[Any]":
    return sa.select(sa.union_all(*parts).subquery())


async def _day(read: Read, where: Sequence[Any], calendar: Calendar) -> Any:
    """The local day of an answer, counted from 1970-01-01, as text."""
    ends = sa.select(sa.func.min(answers.c.time), sa.func.max(answers.c.time)).where(*where)
    ((first, last),) = await read(ends)
    if first is None:
        return sa.literal("0")
    (_, ahead), *changes = calendar.offsets(first, last)
    offset: Any = sa.literal(ahead)
    for at, then in changes:
        offset = sa.case((answers.c.time >= at, then), else_=offset)
    number = (answers.c.time + offset) / sa.literal(float(_DAY_S))
    # One database rounds here and the other cuts off.
    near = sa.cast(number, sa.BigInteger)
    return sa.cast(near - sa.case((near > number, 1), else_=0), sa.Text)


_Times: TypeAlias = tuple[int, int | None, int | None]
_UNTIMED: Final[_Times] = (0, None, None)


async def _times(
    read: Read, by: Sequence[Key], keys: Sequence[Any], where: Sequence[Any]
) -> dict[tuple[str, ...], _Times]:
    """Key → how many answers, and the nearest-rank percentiles 50 and 95 of their ``ms``."""
    # Counted by milliseconds first: there are far fewer of these than of answers, and only they
    # are put in order.
    named = [key.label(f"k{n}") for n, key in enumerate(keys)]
    names = [label.name for label in named]
    counts = (
        sa.select(*named, answers.c.ms, sa.func.count().label("c"))
        .where(answers.c.outcome == "answered", *where)
        .group_by(*names, answers.c.ms)
        .subquery()
    )
    groups = [counts.c[name] for name in names]
    c = sa.func.sum(counts.c.c)
    places = sa.select(
        *groups,
        counts.c.ms,
        c.over(partition_by=groups, order_by=counts.c.ms).label("up_to"),
        c.over(partition_by=groups).label("n"),
    ).subquery()
    groups = [places.c[name] for name in names]
    at = [
        sa.func.min(sa.case((places.c.up_to * 100 >= places.c.n * share, places.c.ms)))
        for share in (50, 95)
    ]
    statement = sa.select(*groups, sa.func.max(places.c.n), *at).group_by(*groups)
    return {
        _key(by, row): (int(row[-3]), int(row[-2]), int(row[-1]))
        for row in await read(statement)
        if row[-3]
    }


def _key(by: Sequence[Key], row: Sequence[Any]) -> tuple[str, ...]:
    return tuple(
        (_EPOCH + timedelta(days=int(value))).isoformat() if key == "day" else str(value)
        for key, value in zip(by, row, strict=False)
    )


def _sums(values: Iterable[Any]) -> Sums:
    # PostgreSQL's sums of integers are decimals.
    return Sums(*(int(value) for value in values))
