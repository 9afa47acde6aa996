"""What the other backends would have cost."""

from companion.backends.base import Card, Prices
from companion.router.others import Other, others

CARDS = (
    Card("commands", tier="edge", needs_context=False, local=True),
    Card("home", tier="edge", local=True),
    Card("cheap", prices=Prices.per_million("0.14", "0.28", "0.014")),
    Card("dear", tier="premium", prices=Prices.per_million(3, 15)),
    Card("rented", prices=Prices(0, 0, 0, hour_nano=3_600_000_000), typical_ms=1500),
)


def test_the_cheapest_first_and_without_who_answered() -> None:
    assert others(1000, 100, 0, "cheap", CARDS) == (
        Other("home", "edge", 0),
        Other("rented", "commodity", 1_500_000),
        Other("dear", "premium", 4_500_000),
    )


def test_cached_tokens_are_cheaper_where_a_price_says_so() -> None:
    found = {other.name: other.nano_usd for other in others(1000, 0, 1000, "home", CARDS)}
    assert (found["cheap"], found["dear"]) == (14_000, 3_000_000)


def test_of_an_answer_without_a_model_all_are_others() -> None:
    names = [other.name for other in others(500, 20, 0, "commands", CARDS)]
    assert names == ["home", "cheap", "rented", "dear"]
