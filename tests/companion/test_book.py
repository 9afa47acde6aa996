"""Prices by date: our own entries, then the package's."""

from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.metadata import version

import pytest

from companion.backends.profile import load
from companion.meter import Prices
from companion.meter.book import Dated, newest, prices_of

DAY = date(2026, 11, 21)


def dated(day: str, usd: str) -> Dated:
    return Dated(date.fromisoformat(day), Prices.per_million(usd, usd))


TABLE = (dated("2026-03-01", "2"), dated("2026-01-01", "1"), dated("2026-09-10", "3"))


@pytest.mark.parametrize(
    ("on", "usd"),
    [
        ("2025-12-31", None),
        ("2026-01-01", "1"),
        ("2026-02-28", "1"),
        ("2026-03-01", "2"),
        ("2026-11-21", "3"),
    ],
)
def test_the_newest_entry_that_has_begun_holds(on: str, usd: str | None) -> None:
    found = newest(TABLE, date.fromisoformat(on))
    assert (found and found.prices) == (usd and Prices.per_million(usd, usd))


def test_an_entry_of_ours_wins_and_says_so() -> None:
    ours = prices_of("deepseek", "deepseek-v3.2", DAY, TABLE)
    theirs = prices_of("deepseek", "deepseek-v3.2", DAY)
    assert ours is not None and theirs is not None and ours.input != theirs.input
    assert ours.version == "deepseek 2026-09-10"
    assert theirs.version == f"genai-prices {version('genai-prices')}"


def test_before_our_first_entry_the_package_holds() -> None:
    found = prices_of("deepseek", "deepseek-v3.2", date(2025, 12, 31), TABLE)
    assert found is not None and found.version.startswith("genai-prices ")


def test_what_nobody_knows_has_no_price() -> None:
    assert prices_of("deepseek", "no-such-model", DAY) is None
    assert prices_of("no-such-provider", "deepseek-v3.2", DAY) is None
    assert prices_of("deepseek", "deepseek-v3.2", DAY, table="") is None


def test_the_package_is_asked_under_its_own_name() -> None:
    mine = prices_of("mine", "deepseek-v3.2", DAY, table="deepseek")
    assert mine == prices_of("deepseek", "deepseek-v3.2", DAY)


def test_no_hour_of_the_day_is_dearer_than_what_is_said() -> None:
    from genai_prices import Usage, calc_price

    found = prices_of("deepseek", "deepseek-flash", DAY)
    assert found is not None
    mtok = Usage(input_tokens=1_000_000, output_tokens=0)
    for hour in range(24):
        at = datetime(DAY.year, DAY.month, DAY.day, hour, 15, tzinfo=UTC)
        real = calc_price(
            mtok, "deepseek-flash", provider_id="deepseek", genai_request_timestamp=at
        )
        assert Decimal(found.input) / 1_000_000 >= real.total_price


def test_a_dearer_rate_for_prompts_that_we_never_send_does_not_count() -> None:
    found = prices_of("anthropic", "claude-haiku-5-5", DAY)
    assert found is not None and found.input == 100_000 and found.cache_written == 125_000


def test_a_change_of_price_holds_from_its_day() -> None:
    this, next_ = (prices_of("google", "gemini-3.8-flash", day) for day in (DAY, date(2027, 1, 1)))
    assert this is not None and next_ is not None
    assert next_.input == 2 * this.input


def test_each_request_may_cost_something() -> None:
    found = prices_of("perplexity", "sonar", DAY)
    assert found is not None and found.request_nano == 12_000_000  # 12 USD a thousand


@pytest.mark.parametrize("name", ["anthropic", "cerebras", "groq", "mistral", "openai", "google"])
def test_each_model_of_a_cloud_that_ships_has_a_price(name: str) -> None:
    found = load(name)
    for model in found.models:
        assert prices_of(name, model.id, DAY, model.dated, found.prices_from), model.id
