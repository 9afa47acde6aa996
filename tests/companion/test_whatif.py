"""The same traffic elsewhere: what is kept, whose prices are taken, what it comes to."""

from companion.meter import Prices
from companion.meter.whatif import POINTS, Offer, Traffic, what_if

USD = 1_000_000_000
TRAFFIC = (
    Traffic("", 5),
    Traffic("edge", 60, 600_000, 6_000),  # by commands: tokens that a model would have been sent
    Traffic("edge", 20, 200_000, 2_000, modelled=True),
    Traffic("commodity", 10, 150_000, 5_000, 50_000, modelled=True, nano_usd=30_000),
    Traffic("premium", 5, 50_000, 7_000, modelled=True, nano_usd=USD),
)


def test_each_tier_keeps_what_it_and_the_cheaper_ones_answered() -> None:
    result = what_if(TRAFFIC, ())
    assert (result.asks, result.answered, result.guessed) == (100, 95, 60)
    assert result.nano_usd == USD + 30_000
    assert [(s.name, s.answered, s.answered_share) for s in result.scenarios] == [
        ("edge", 80, 0.8),
        ("commodity", 90, 0.9),
        ("premium", 95, 0.95),
        ("DeepSeek V3.2", 95, 0.95),
        ("Claude Sonnet", 95, 0.95),
        ("GPT-5", 95, 0.95),
    ]


def test_what_a_million_tokens_cost_at_the_named_prices() -> None:
    million = what_if((Traffic("edge", 1, 1_000_000, 0),), ()).scenarios[3:]
    assert [s.nano_usd for s in million] == [140_000_000, 3 * USD, 10 * USD]
    answers = what_if((Traffic("edge", 1, 0, 1_000_000),), ()).scenarios[3:]
    assert [s.nano_usd for s in answers] == [420_000_000, 15 * USD, 10 * USD]


def test_a_tier_of_which_nothing_is_configured_has_a_named_price() -> None:
    edge, commodity, premium = what_if(TRAFFIC, ()).scenarios[:3]
    assert (edge.at, edge.nano_usd) == ("", 0)
    assert (commodity.at, premium.at) == ("DeepSeek V3.2", "Claude Sonnet")
    # 950,000 tokens in at 0.14, 13,000 out at 0.42 USD a million.
    assert commodity.nano_usd == 133_000_000 + 5_460_000
    # All of it, 1,000,000 in at 3 and 20,000 out at 15.
    assert premium.nano_usd == 3 * USD + 300_000_000


def test_the_cheapest_of_a_tier_is_the_cheapest_for_this_traffic() -> None:
    offers = (
        Offer("talks cheaply", "commodity", Prices.per_million(5, "0.1")),
        Offer("reads cheaply", "commodity", Prices.per_million("0.1", 5)),
    )
    reads = what_if((Traffic("edge", 1, 10_000, 10),), offers).scenarios[1]
    talks = what_if((Traffic("edge", 1, 10, 10_000),), offers).scenarios[1]
    assert (reads.at, talks.at) == ("reads cheaply", "talks cheaply")


def test_cached_tokens_requests_and_hours_have_their_prices() -> None:
    traffic = (Traffic("edge", 4, 1_000, 0, 600, modelled=True),)

    def at(prices: Prices) -> int:
        return (
            what_if(traffic, [Offer("own", "premium", prices, typical_ms=900_000)])
            .scenarios[2]
            .nano_usd
        )

    assert at(Prices.per_million(1, 1, "0.1")) == 400_000 + 60_000
    assert at(Prices.per_million(0, 0, request_usd="0.01")) == 40_000_000
    assert at(Prices.per_million(0, 0, hour_usd=2)) == 2 * USD


def test_without_traffic_nothing_is_shared_or_spent() -> None:
    result = what_if((), ())
    assert {(s.answered_share, s.nano_usd) for s in result.scenarios} == {(0.0, 0)}


def test_named_prices_say_of_when_they_are() -> None:
    assert all(p.prices is not None and "2026-11-21" in p.prices.version for p in POINTS)
