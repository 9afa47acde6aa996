"""What a token costs on a given day: our own dated entries, else ``genai-prices``.

Providers change their prices, and tables of prices disagree (DeepSeek's do). So an entry of ours
has the day it began and wins over the package from then on; a report of last month is not priced
at today's.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from importlib.metadata import version
from typing import Any, Final

from companion.meter.money import Prices

__all__ = ["Dated", "newest", "prices_of"]

PROMPT_TOKENS_MAX: Final = 100_000
"""No prompt of ours is longer (a conversation is 64 messages of 4 KiB at most), so a dearer rate
for prompts past this length never holds."""
_SLOT: Final = timedelta(minutes=30)
"""Rates that change within a day do so on the half hour."""


@dataclass(frozen=True, slots=True)
class Dated:
    """Prices from a day on."""

    since: date
    prices: Prices
    source: str = ""
    """The address where they were published."""


def newest(entries: Iterable[Dated], on: date) -> Dated | None:
    """The entry that holds on that day: the newest that does not begin after it."""
    begun = [entry for entry in entries if entry.since <= on]
    return max(begun, key=lambda entry: entry.since, default=None)


def prices_of(
    provider: str, model: str, on: date, overrides: Iterable[Dated] = (), table: str | None = None
) -> Prices | None:
    """What ``model`` of ``provider`` costs on that day, None where nobody knows.

    ``overrides`` win. ``table`` is what ``genai-prices`` calls the provider, "" when it is not
    to be asked; not said: as we do. ``Prices.version`` says who said it: ``deepseek 2026-10-17``
    for an entry of ours by the day it began, else ``genai-prices 0.2.3``.
    """
    ours = newest(overrides, on)
    if ours is not None:
        return replace(ours.prices, version=f"{provider} {ours.since.isoformat()}")
    name = provider if table is None else table
    return _from_package(name, model, on) if name else None


def _from_package(provider_id: str, model_id: str, on: date) -> Prices | None:
    # Imported here: 30 MB that a companion without priced backends must not pay for.
    from genai_prices.data import providers

    provider = next((p for p in providers if p.id == provider_id), None)
    found = None if provider is None else provider.find_model(model_id)
    if found is None:
        return None
    # Rates that depend on the hour (DeepSeek's) are taken at their dearest: a budget must hold at
    # any hour, and what is shown is never less than was spent.
    start = datetime.combine(on, time(), UTC)
    moments = [start + n * _SLOT for n in range(timedelta(days=1) // _SLOT)]
    each = [found.get_prices(moment) for moment in moments]
    into, out = _dearest(each, "input_mtok"), _dearest(each, "output_mtok", "output_reasoning_mtok")
    if into is None or out is None:
        return None
    return Prices.per_million(
        into,
        out,
        _dearest(each, "cache_read_mtok"),
        _dearest(each, "cache_write_mtok"),
        request_usd=(_dearest(each, "requests_kcount") or Decimal(0)) / 1000,
        version=f"genai-prices {version('genai-prices')}",
    )


def _dearest(each: Iterable[Any], *fields: str) -> Decimal | None:
    """The highest USD in these fields of each ``genai_prices.types.ModelPrice``."""
    usd: list[Decimal] = []
    for value in (getattr(prices, field) for prices in each for field in fields):
        if value is None:
            continue
        tiers = getattr(value, "tiers", None)
        if tiers is None:
            usd.append(value)
        else:
            usd.append(value.base)
            usd += [tier.price for tier in tiers if tier.start < PROMPT_TOKENS_MAX]
    return max(usd, default=None)
