"""What each other backend would have cost for an answer, shown beside what it did cost."""

from collections.abc import Iterable
from dataclasses import dataclass

from companion.backends.base import Card
from companion.meter import Tier, cost_nano_usd

__all__ = ["Other", "others"]


@dataclass(frozen=True, slots=True)
class Other:
    """A backend that was not the one, and what this answer would have cost there."""

    name: str
    tier: Tier
    nano_usd: int
    """0: it costs nothing. An estimate: its tokenizer and its words would have been its own."""


def others(
    tokens_in: int, tokens_out: int, tokens_cached: int, backend: str, cards: Iterable[Card]
) -> tuple[Other, ...]:
    """The cheapest first. ``backend`` is the name of whoever answered, "" for nobody; for an
    answer that no model gave, the tokens are those that a model would have needed.

    The same tokens are taken everywhere, and the same ones as cached: whoever is asked each time
    comes to have the stable prefix in its cache, too. A machine that is paid by the hour is taken
    at its typical time. Backends that are no models are left out: they had their chance before.
    """
    found = (
        Other(
            card.name,
            card.tier,
            cost_nano_usd(
                card.prices, tokens_in, tokens_out, tokens_cached, busy_ms=card.typical_ms
            ),
        )
        for card in cards
        if card.name != backend and card.needs_context
    )
    return tuple(sorted(found, key=lambda other: (other.nano_usd, other.name)))
