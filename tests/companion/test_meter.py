"""Money, to the nano-dollar."""

import pytest

from companion.meter import Prices, cost_nano_usd, usd


@pytest.mark.parametrize(
    ("prices", "tokens", "want_usd"),
    [
        (Prices.per_million("3", "15"), (1_000_000, 0, 0), 3.0),
        (Prices.per_million("3", "15"), (0, 1_000_000, 0), 15.0),
        # A cached token costs the cached price, or the whole one where none is published.
        (Prices.per_million("0.14", "0.28", "0.0028"), (1000, 100, 600), 0.00008568),
        (Prices.per_million("0.14", "0.28"), (1000, 100, 600), 0.000168),
        # A provider that counts more cached than input tokens is not paid twice.
        (Prices.per_million("1", "1", "0.1"), (100, 0, 500), 0.00001),
        (None, (10_000, 10_000, 0), 0.0),
    ],
)
def test_what_an_answer_costs(
    prices: Prices | None, tokens: tuple[int, int, int], want_usd: float
) -> None:
    assert usd(cost_nano_usd(prices, *tokens)) == pytest.approx(want_usd, abs=1e-12)


def test_many_small_answers_add_up_exactly() -> None:
    prices = Prices.per_million(0.1, 0.2)
    one = cost_nano_usd(prices, 7, 3)
    assert one == 1300
    assert usd(one * 1_000_000) == 1.3


def test_a_cost_is_never_rounded_down() -> None:
    assert cost_nano_usd(Prices.per_million("0.0001", "0"), 1, 0) == 1


@pytest.mark.parametrize("bad", ["-1", "nan", "inf"])
def test_a_price_that_is_none_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="price"):
        Prices.per_million(bad, "1")
