"""What was spent, by what and on what; what it would have been elsewhere; what is left.

``routes`` are put under the same gate as all others. Shapes are in ``docs/spending.md``.
"""

import asyncio
import csv
import io
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, TypeVar

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from companion.backends import prompt
from companion.backends.base import Card, Request
from companion.config import Config
from companion.fleet import Fleet
from companion.meter import usd
from companion.meter.budget import Budgets, Standing
from companion.meter.calendar import Offset
from companion.meter.whatif import Offer, Scenario, WhatIf, what_if
from companion.router import Router
from companion.router.explain import no_room
from companion.router.tab import most_of
from companion.store import Counted, Ledger, StoreError
from companion.web.errors import ApiError
from companion.wire import ASK_MS_DEFAULT

if TYPE_CHECKING:
    from companion.chart import Chart, Format
    from companion.store.reports import Key, Range, Report, Spent

__all__ = ["Reporting", "room", "routes"]

LINES_MAX: Final = 20_000
CHART_DAYS: Final = 30
CHART_DAYS_MAX: Final = 1100
_KEYS: Final = ("device", "day", "tier", "backend")
_MANY_DAYS: Final = 36_500

Cell: TypeAlias = str | int | float | None
T = TypeVar("T")
Table: TypeAlias = Sequence[Mapping[str, Cell]]


class _Store(Protocol):
    ledger: Ledger

    async def read(self, statement: Any) -> Any: ...


class Reporting(Protocol):
    """What is reported on: ``app.Companion``, seen from here."""

    @property
    def config(self) -> Config: ...
    @property
    def fleet(self) -> Fleet: ...
    @property
    def router(self) -> Router: ...
    @property
    def store(self) -> _Store | None: ...


def routes(companion: Reporting, clock: Callable[[], float] = time.time) -> APIRouter:
    """``GET`` of ``/reports/spend``, ``/reports/what-if``, ``/reports/chart.svg``, ``….png`` and
    ``/budgets``."""
    router = APIRouter()
    made: list[tuple[Config, Budgets]] = []

    def current() -> Budgets:
        # Those of the configuration that holds now: it may be read again.
        config = companion.config
        if not made or made[0][0] is not config:
            made[:] = [(config, Budgets(config.caps, config.groups, config.timezone))]
        return made[0][1]

    def range_of(since: str, until: str) -> "Range":
        from companion.store.reports import Range

        today = current().calendar.day_of(clock())
        range_ = Range(_day("since", since, today), _day("until", until, today))
        if range_.since and range_.until and range_.since > range_.until:
            raise ApiError(422, "bad_range", f"{range_.since} is after {range_.until}")
        return range_

    async def spend_by(keys: Sequence["Key"], range_: "Range") -> "Report":
        from companion.store.reports import spend

        calendar = current().calendar
        return await _read(companion, lambda store: spend(store.read, keys, range_, calendar))

    @router.get("/reports/spend")
    async def spent(
        by: str = "",
        since: str = "",
        until: str = "",
        format: Literal["json", "csv"] = "json",
    ) -> Response:
        keys = _keys(by)
        report = await spend_by(keys, range_of(since, until))
        if len(report.lines) > LINES_MAX:
            msg = f"these are {len(report.lines)} lines; {LINES_MAX} at most: ask for fewer days or"
            raise ApiError(422, "too_long", f"{msg} for fewer of {', '.join(_KEYS)}")
        zone = current().timezone
        # Off the loop: it may be thousands of lines.
        if format == "csv":
            header = [*report.by, *_amounts(report.total)]
            return _csv(header, await asyncio.to_thread(_spend_lines, report), "spend")
        return JSONResponse(await asyncio.to_thread(_spend_body, report, zone))

    @router.get("/reports/what-if")
    async def elsewhere(
        since: str = "", until: str = "", format: Literal["json", "csv"] = "json"
    ) -> Response:
        from companion.store.reports import traffic

        range_, calendar = range_of(since, until), current().calendar
        parts = await _read(companion, lambda store: traffic(store.read, range_, calendar))
        cards = (backend.card for backend in companion.router.backends)
        offers = [Offer(c.name, c.tier, c.prices, c.typical_ms) for c in cards if c.needs_context]
        result = what_if(parts, offers)
        if format == "csv":
            lines = [_scenario(scenario) for scenario in result.scenarios]
            return _csv(lines[0], lines, "what-if")
        return JSONResponse(_what_if_body(result, range_))

    async def picture(since: str, until: str, format_: "Format") -> Response:
        from companion.chart import ChartError, render

        range_ = range_of(since or f"{CHART_DAYS}d", until or "today")
        if range_.since is None or range_.until is None:
            raise AssertionError("a chart has both ends")
        n = (range_.until - range_.since).days + 1
        if n > CHART_DAYS_MAX:
            raise ApiError(422, "too_long", f"a chart has {CHART_DAYS_MAX} days at most, not {n}")
        report = await spend_by(("day", "tier"), range_)
        chart = _chart(report, range_.since, n, current().timezone)
        try:
            content = await render(chart, format_)
        except ChartError as error:
            raise ApiError(501, "no_chart", str(error)) from None
        media = "image/svg+xml" if format_ == "svg" else "image/png"
        return Response(content, media_type=media)

    @router.get("/reports/chart.svg")
    async def chart_svg(since: str = "", until: str = "") -> Response:
        return await picture(since, until, "svg")

    @router.get("/reports/chart.png")
    async def chart_png(since: str = "", until: str = "") -> Response:
        return await picture(since, until, "png")

    @router.get("/budgets")
    async def budgets(format: Literal["json", "csv"] = "json") -> Response:
        standings = current().every((d.id for d in companion.fleet), clock())
        keys = [standing.slot.key for standing in standings]
        held = await _read(companion, lambda store: store.ledger.counted(keys))
        offset = current().calendar.offset
        bodies = [_budget(s, held.get(s.slot.key, Counted()), offset) for s in standings]
        if format == "csv":
            return _csv(_BUDGET_COLUMNS, [_budget_line(body) for body in bodies], "budgets")
        return JSONResponse(bodies)

    return router


async def room(companion: Reporting, request: Request) -> Callable[[Card], str]:
    """Which budget has no room for an attempt at a backend, for ``explained``."""
    slots = companion.router.slots_of(request.device)
    if not slots or companion.store is None:
        return lambda card: ""
    try:
        found = await companion.store.ledger.counted([slot.key for slot in slots])
    except StoreError:
        away = "budgets cannot be read"
        return lambda card: "" if card.prices is None else away
    held = {
        key: (c.nano_spent + c.nano_reserved, c.tokens_spent + c.tokens_reserved)
        for key, c in found.items()
    }
    bound_tokens = prompt.measure(request).bound_tokens
    return lambda card: no_room(slots, held, most_of(card, bound_tokens, ASK_MS_DEFAULT))


async def _read(companion: Reporting, work: Callable[[_Store], Awaitable[T]]) -> T:
    if companion.store is None:
        msg = "nothing is recorded: this companion has no [store] in its configuration"
        raise ApiError(409, "no_store", msg)
    try:
        return await work(companion.store)
    except StoreError as error:
        raise ApiError(503, "store_away", str(error)) from None


# -- what is asked for


def _keys(by: str) -> "tuple[Key, ...]":
    keys = [part.strip() for part in by.split(",") if part.strip()]
    for key in keys:
        if key not in _KEYS:
            msg = f"'{key[:40]}' is none of {', '.join(_KEYS)}"
            raise ApiError(422, "bad_key", f"by: {msg}; several are joined by commas")
    return tuple(dict.fromkeys(keys))  # type: ignore[arg-type]


def _day(name: str, text: str, today: date) -> date | None:
    """``2026-11-01``, ``today``, or ``7d``: seven days, today among them."""
    if not text:
        return None
    if text == "today":
        return today
    back = re.fullmatch(r"(\d{1,5})d", text)
    if back and 1 <= int(back[1]) <= _MANY_DAYS:
        return today - timedelta(int(back[1]) - 1)
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            raise ValueError
        day = date.fromisoformat(text)
        if not 1970 <= day.year <= 9000:  # what comes before has no Unix time
            raise ValueError
        return day
    except ValueError:
        msg = f"{name}: '{text[:40]}' is no day; write 2026-11-01, today, or 7d for seven days"
        raise ApiError(422, "bad_day", msg) from None


# -- what is answered


def _amounts(line: "Spent") -> dict[str, Cell]:
    s = line.sums
    return {
        "asks": s.asks,
        "answered": s.answered,
        "answered_share": _share(s.answered, s.asks),
        "tokens_in": s.tokens_in,
        "tokens_out": s.tokens_out,
        "tokens_cached": s.tokens_cached,
        "tokens_reasoning": s.tokens_reasoning,
        "estimated_share": _share(s.estimated, s.asks),
        "usd": usd(s.nano_usd),
        "p50_ms": line.p50_ms,
        "p95_ms": line.p95_ms,
        "energy_j_measured": s.measured_mj / 1000,
        "energy_j_estimated": s.estimated_mj / 1000,
    }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _spend_lines(report: "Report") -> Table:
    lines = [
        {**dict(zip(report.by, line.key, strict=True)), **_amounts(line)} for line in report.lines
    ]
    return lines or ([] if report.by else [_amounts(report.total)])


def _spend_body(report: "Report", zone: str) -> dict[str, Any]:
    return {
        "by": list(report.by),
        **_ends(report.range),
        "timezone": zone or "local",
        "rows": _spend_lines(report) if report.by else [],
        "total": _amounts(report.total),
        "notes": [_rolled(report)] if report.rolled_until else [],
    }


def _rolled(report: "Report") -> str:
    return (
        f"Of the days until {report.rolled_until} only sums are kept: they are days of UTC, and"
        " their answers are not among those of p50_ms and p95_ms."
    )


def _ends(range_: "Range") -> dict[str, str | None]:
    return {
        "since": None if range_.since is None else range_.since.isoformat(),
        "until": None if range_.until is None else range_.until.isoformat(),
    }


def _scenario(scenario: Scenario) -> dict[str, Cell]:
    prices = scenario.prices
    return {
        "name": scenario.name,
        "at": scenario.at,
        "answered": scenario.answered,
        "answered_share": round(scenario.answered_share, 4),
        "usd": usd(scenario.nano_usd),
        # Pico-dollars a token are millionths of dollars a million tokens.
        "input_usd_per_m": 0.0 if prices is None else prices.input / 1e6,
        "output_usd_per_m": 0.0 if prices is None else prices.output / 1e6,
    }


def _what_if_body(result: WhatIf, range_: "Range") -> dict[str, Any]:
    return {
        **_ends(range_),
        "asks": result.asks,
        "answered": result.answered,
        "answered_share": _share(result.answered, result.asks),
        "guessed": result.guessed,
        "usd": usd(result.nano_usd),
        "scenarios": [_scenario(scenario) for scenario in result.scenarios],
        "notes": [
            "These are estimates: another model would have used other words and other tokens.",
            f"{result.guessed} of {result.answered} answers came without a model; their tokens are"
            " what one would have been sent.",
            "A tier is taken to keep what it or a cheaper one did answer.",
        ],
    }


def _budget(standing: Standing, counted: Counted, offset: Offset) -> dict[str, Any]:
    slot = standing.slot
    zone = timezone(timedelta(seconds=offset(int(slot.ends))))
    return {
        "scope": standing.scope,
        "name": standing.name,
        "window": standing.window,
        "what": slot.what,
        "ends": slot.ends,
        "until": datetime.fromtimestamp(slot.ends, zone).isoformat(timespec="minutes"),
        "usd": None
        if slot.nano is None
        else {
            name: usd(nano)
            for name, nano in _left(slot.nano, counted.nano_spent, counted.nano_reserved).items()
        },
        "tokens": None
        if slot.tokens is None
        else _left(slot.tokens, counted.tokens_spent, counted.tokens_reserved),
    }


def _left(cap: int, spent: int, reserved: int) -> dict[str, int]:
    left = max(0, cap - spent - reserved)
    return {"cap": cap, "spent": spent, "reserved": reserved, "left": left}


_PARTS: Final = [(unit, name) for unit in ("usd", "tokens") for name in _left(0, 0, 0)]
_BUDGET_COLUMNS: Final = (
    "scope", "name", "window", "until", *(f"{unit}_{name}" for unit, name in _PARTS)
)  # fmt: skip


def _budget_line(body: Mapping[str, Any]) -> dict[str, Cell]:
    amounts = (None if body[unit] is None else body[unit][name] for unit, name in _PARTS)
    values = (body["scope"], body["name"], body["window"], body["until"], *amounts)
    return dict(zip(_BUDGET_COLUMNS, values, strict=True))


def _chart(report: "Report", first: date, n: int, zone: str) -> "Chart":
    from companion.chart import Chart

    amounts: dict[str, list[float]] = {}
    asks, answered = [0] * n, [0] * n
    for line in report.lines:
        day, tier = line.key
        at = (date.fromisoformat(day) - first).days
        amounts.setdefault(tier, [0.0] * n)[at] += usd(line.sums.nano_usd)
        asks[at] += line.sums.asks
        answered[at] += line.sums.answered
    shares = [a / b if b else None for a, b in zip(answered, asks, strict=True)]
    note = f"days of {zone}" if zone else "days"
    if report.rolled_until:
        note += f"; until {report.rolled_until} days of UTC"
    return Chart(first.isoformat(), amounts, shares, sum(answered), sum(asks), note)


# -- CSV


def _csv(header: Iterable[str], lines: Table, name: str) -> Response:
    """RFC 4180, with a header."""
    into = io.StringIO(newline="")
    writer = csv.writer(into, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in line.values()] for line in lines)
    return Response(
        into.getvalue(),
        media_type="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        # No exponents, which some programs read as text; nine digits are nano-dollars.
        return f"{value:.9f}".rstrip("0").removesuffix(".")
    if isinstance(value, int):
        return str(value)
    # A spreadsheet would run what begins so as a formula (OWASP, CSV Injection).
    return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
