"""The same traffic on one tier alone, and at three prices that everybody knows. Pure.

All of it is an estimate: another model would have used other words, its tokenizer would have
counted others, and what it would have got right nobody knows. What is taken: that a tier keeps
what it or a cheaper one did answer; that an answer needs the tokens it needed, or, where no model
was asked, those that one would have been sent (``would_in``, ``would_out``).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from companion.meter.money import Prices, Tier, cost_nano_usd

__all__ = ["POINTS", "Offer", "Scenario", "Traffic", "WhatIf", "what_if"]

_RANK: Final[dict[str, int]] = {"edge": 0, "commodity": 1, "premium": 2}
_TIERS: Final[tuple[Tier, ...]] = ("edge", "commodity", "premium")


@dataclass(frozen=True, slots=True)
class Traffic:
    """Asks that were answered by the same tier, with a model or without; or by nobody."""

    tier: str
    """"" where nobody answered."""
    asks: int
    tokens_in: int = 0
    """Those of the model that answered, cached ones included; where none did, those that one
    would have been sent."""
    tokens_out: int = 0
    tokens_cached: int = 0
    modelled: bool = False
    """A model answered: the tokens are what happened, not estimates."""
    nano_usd: int = 0
    """What these asks did cost, answered or not."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A price at which a tier can be had."""

    name: str
    tier: Tier
    prices: Prices | None
    """None: it costs nothing."""
    typical_ms: int = 0
    """How long an answer takes, where the price is by the hour."""


POINTS: Final = (
    # The input prices are those that this project compares at. Output prices as published:
    # DeepSeek's price list for V3.2 (0.28 in, 0.42 out), Anthropic's for Claude Sonnet 4.5
    # (3 in, 15 out), OpenAI's for GPT-5 (1.25 in, 10 out); the latter two also in genai-prices
    # 0.2.3. Read 2026-11-21.
    Offer("DeepSeek V3.2", "commodity",
          Prices.per_million("0.14", "0.42", version="what-if 2026-11-21")),
    Offer("Claude Sonnet", "premium", Prices.per_million(3, 15, version="what-if 2026-11-21")),
    Offer("GPT-5", "premium", Prices.per_million(10, 10, version="what-if 2026-11-21")),
)  # fmt: skip
"""Three named price points. A cached token costs what any other does there: what their caches
would have held is not known."""

_FREE: Final = Offer("", "edge", None)
# For a tier of which nothing is configured: what is known of it.
_INSTEAD: Final = {"edge": _FREE, "commodity": POINTS[0], "premium": POINTS[1]}


@dataclass(frozen=True, slots=True)
class Scenario:
    """What it would have come to."""

    name: str
    """A tier, or the name of a price point."""
    at: str
    """Whose prices were taken: a backend or a price point; "" for none."""
    answered: int
    answered_share: float
    """Of all asks, 0 to 1."""
    nano_usd: int
    prices: Prices | None


@dataclass(frozen=True, slots=True)
class WhatIf:
    """``asks`` is all there were; ``guessed`` of the ``answered`` had no model, so their tokens
    are estimates. ``nano_usd`` is what was spent in truth."""

    asks: int
    answered: int
    guessed: int
    nano_usd: int
    scenarios: tuple[Scenario, ...]


def what_if(traffic: Sequence[Traffic], offers: Iterable[Offer]) -> WhatIf:
    """``offers``: the configured backends that are models. Of a tier the one is taken at which
    this traffic would have been cheapest, or the price point of the tier where there is none."""
    asks = sum(part.asks for part in traffic)
    answered = sum(part.asks for part in traffic if part.tier)
    guessed = sum(part.asks for part in traffic if part.tier and not part.modelled)
    known = tuple(offers)
    scenarios = []
    for tier in _TIERS:
        kept = [p for p in traffic if p.tier and _RANK[p.tier] <= _RANK[tier]]
        choice = [offer for offer in known if offer.tier == tier] or [_INSTEAD[tier]]
        costs = [(_cost(kept, offer), offer.name, offer) for offer in choice]
        _, _, best = min(costs, key=lambda cost: cost[:2])
        scenarios.append(_scenario(tier, best, kept, asks))
    everything = [part for part in traffic if part.tier]
    scenarios += [_scenario(point.name, point, everything, asks) for point in POINTS]
    return WhatIf(asks, answered, guessed, sum(part.nano_usd for part in traffic), tuple(scenarios))


def _scenario(name: str, offer: Offer, kept: Sequence[Traffic], asks: int) -> Scenario:
    answered = sum(part.asks for part in kept)
    share = answered / asks if asks else 0.0
    return Scenario(name, offer.name, answered, share, _cost(kept, offer), offer.prices)


def _cost(kept: Sequence[Traffic], offer: Offer) -> int:
    if offer.prices is None:
        return 0
    asks = sum(part.asks for part in kept)
    by_tokens = cost_nano_usd(
        replace(offer.prices, request_nano=0),
        sum(part.tokens_in for part in kept),
        sum(part.tokens_out for part in kept),
        sum(part.tokens_cached for part in kept),
        busy_ms=asks * offer.typical_ms,
    )
    return by_tokens + asks * offer.prices.request_nano
