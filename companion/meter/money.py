"""Tokens and prices → money, in integers.

Prices are whole pico-dollars (1e-12 USD) a token, which is one millionth of the "USD per
million tokens" that providers publish, so that 0.0028 USD/M is exact. Amounts are whole
nano-dollars (1e-9 USD), rounded up: the sum of many answers is then exact, never drifts as
floats do, and never shows less than was spent.
"""

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from typing import Literal, TypeAlias

Tier: TypeAlias = Literal["edge", "commodity", "premium"]
"""Where an answer comes from: this house at no price, a cheap cloud, a fast or able one."""

NANO_PER_USD = 1_000_000_000
_PICO_PER_TOKEN_PER_USD_PER_M = 1_000_000
_PICO_PER_NANO = 1_000
_MS_PER_HOUR = 3_600_000


@dataclass(frozen=True, slots=True)
class Prices:
    """``input``, ``output``, ``cached`` and ``cache_written`` are pico-dollars a token; ``cached``
    is what an input token costs that the provider had in its prompt cache, ``cache_written`` one
    that it put there. Reasoning tokens are output tokens to every provider."""

    input: int
    output: int
    cached: int
    cache_written: int = -1
    """-1: what any other input token costs."""
    request_nano: int = 0
    """Nano-dollars for each request, besides its tokens."""
    hour_nano: int = 0
    """Nano-dollars for each hour of answering, for a machine of one's own."""
    version: str = ""
    """Where these prices are from and of what day, as ``deepseek 2026-11-21``."""

    @classmethod
    def per_million(
        cls,
        input_usd: Decimal | str | float,
        output_usd: Decimal | str | float,
        cached_usd: Decimal | str | float | None = None,
        cache_written_usd: Decimal | str | float | None = None,
        *,
        request_usd: Decimal | str | float = 0,
        hour_usd: Decimal | str | float = 0,
        version: str = "",
    ) -> "Prices":
        """From USD per million tokens, per request and per hour, as published. Without a cached
        price a cached token costs what any other does. Raises ValueError when a price is negative
        or not a number."""
        return cls(
            input=_pico(input_usd),
            output=_pico(output_usd),
            cached=_pico(input_usd if cached_usd is None else cached_usd),
            cache_written=-1 if cache_written_usd is None else _pico(cache_written_usd),
            request_nano=_nano(request_usd),
            hour_nano=_nano(hour_usd),
            version=version,
        )


def _nano(usd_: Decimal | str | float) -> int:
    value = Decimal(str(usd_)) * NANO_PER_USD
    if not value.is_finite() or value < 0:
        raise ValueError(f"a price is a number of USD, 0 or more, not {usd_}")
    return int(value.to_integral_value(ROUND_CEILING))


def _pico(usd_per_million: Decimal | str | float) -> int:
    # By way of str, so that a TOML 0.14 is 0.14 and not its nearest binary fraction.
    value = Decimal(str(usd_per_million)) * _PICO_PER_TOKEN_PER_USD_PER_M
    if not value.is_finite() or value < 0:
        raise ValueError(f"a price is a number of USD, 0 or more, not {usd_per_million}")
    return int(value.to_integral_value())


def cost_nano_usd(
    prices: Prices | None,
    input_tokens: int,
    output_tokens: int,
    cached_tokens: int = 0,
    *,
    cache_written_tokens: int = 0,
    busy_ms: int = 0,
) -> int:
    """What an answer cost in nano-dollars, rounded up. ``cached_tokens`` and
    ``cache_written_tokens`` are parts of ``input_tokens``; a provider that reports more of them
    than input is taken at the smaller. ``busy_ms``: how long a machine that is paid by the hour
    was at it."""
    if prices is None:
        return 0
    whole = max(input_tokens, 0)
    cached = min(max(cached_tokens, 0), whole)
    written = min(max(cache_written_tokens, 0), whole - cached)
    write_price = prices.input if prices.cache_written < 0 else prices.cache_written
    pico = (
        (whole - cached - written) * prices.input
        + cached * prices.cached
        + written * write_price
        + max(output_tokens, 0) * prices.output
    )
    hours = -(-prices.hour_nano * max(busy_ms, 0) // _MS_PER_HOUR)
    return -(-pico // _PICO_PER_NANO) + prices.request_nano + hours


def most_nano_usd(
    prices: Prices | None, input_tokens: int, output_tokens: int, busy_ms: int = 0
) -> int:
    """The most that an answer of so many tokens can cost, whatever of it is cached."""
    if prices is None:
        return 0
    dear = max(prices.input, prices.cached, prices.cache_written)
    worst = replace(prices, input=dear, cached=dear, cache_written=dear)
    return cost_nano_usd(worst, input_tokens, output_tokens, busy_ms=busy_ms)


def usd(nano_usd: int) -> float:
    """Nano-dollars as the float that JSON and people are shown."""
    return nano_usd / NANO_PER_USD
