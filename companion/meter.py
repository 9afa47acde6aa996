"""Tokens and prices → money, in integers.

Prices are whole pico-dollars (1e-12 USD) a token, which is one millionth of the "USD per
million tokens" that providers publish, so that 0.0028 USD/M is exact. Amounts are whole
nano-dollars (1e-9 USD), rounded up: the sum of many answers is then exact, never drifts as
floats do, and never shows less than was spent.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

Tier: TypeAlias = Literal["edge", "commodity", "premium"]
"""Where an answer comes from: this house at no price, a cheap cloud, a fast or able one."""

NANO_PER_USD = 1_000_000_000
_PICO_PER_TOKEN_PER_USD_PER_M = 1_000_000
_PICO_PER_NANO = 1_000


@dataclass(frozen=True, slots=True)
class Prices:
    """Pico-dollars a token. ``cached`` is what an input token costs that the provider had in its
    prompt cache; reasoning tokens are output tokens to every provider."""

    input: int
    output: int
    cached: int

    @classmethod
    def per_million(
        cls,
        input_usd: Decimal | str | float,
        output_usd: Decimal | str | float,
        cached_usd: Decimal | str | float | None = None,
    ) -> "Prices":
        """From USD per million tokens, as published. Without a cached price a cached token costs
        what any other does. Raises ValueError when a price is negative or not a number."""
        return cls(
            input=_pico(input_usd),
            output=_pico(output_usd),
            cached=_pico(input_usd if cached_usd is None else cached_usd),
        )


def _pico(usd_per_million: Decimal | str | float) -> int:
    # By way of str, so that a TOML 0.14 is 0.14 and not its nearest binary fraction.
    value = Decimal(str(usd_per_million)) * _PICO_PER_TOKEN_PER_USD_PER_M
    if not value.is_finite() or value < 0:
        raise ValueError(f"a price is a number of USD, 0 or more, not {usd_per_million}")
    return int(value.to_integral_value())


def cost_nano_usd(
    prices: Prices | None, input_tokens: int, output_tokens: int, cached_tokens: int = 0
) -> int:
    """What an answer cost in nano-dollars, rounded up. ``cached_tokens`` is a part of
    ``input_tokens``; a provider that reports more cached than input is taken at the smaller."""
    if prices is None:
        return 0
    cached = min(max(cached_tokens, 0), max(input_tokens, 0))
    pico = (
        (max(input_tokens, 0) - cached) * prices.input
        + cached * prices.cached
        + max(output_tokens, 0) * prices.output
    )
    return -(-pico // _PICO_PER_NANO)


def usd(nano_usd: int) -> float:
    """Nano-dollars as the float that JSON and people are shown."""
    return nano_usd / NANO_PER_USD
