"""Quantiles of what was measured lately."""

import random

import pytest

from companion.router.latency import ENOUGH, HALF_S, HALF_SAMPLES, Histogram

T = 1_000_000.0


def of(*values: float, at: float = T) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.add(value, at)
    return histogram


@pytest.mark.parametrize("q", [0.1, 0.5, 0.9, 0.95, 0.99])
def test_a_quantile_is_right_within_a_bucket(q: float) -> None:
    rng = random.Random(4)
    values = [rng.lognormvariate(6, 0.8) for _ in range(40)]
    exact = sorted(values)[min(round(q * 40), 39)]
    # Samples weigh differently, which shifts the rank by a few of the forty.
    near = sorted(values)[max(round(q * 40) - 5, 0)], sorted(values)[min(round(q * 40) + 5, 39)]
    assert near[0] <= of(*values).quantile(q) <= near[1] * 1.2, exact


@pytest.mark.parametrize("ms", [0, 0.2, 1, 1.2, 7, 431, 99_999, 120_000, 10_000_000])
def test_one_value(ms: float) -> None:
    found = of(ms).quantile(0.95)
    assert min(max(ms, 1), 120_000) <= found + 1e-6
    assert found <= max(min(ms * 1.2001, 120_000), 1)


def test_twenty_answers_are_enough() -> None:
    assert of(*[100.0] * 19).count(T) < ENOUGH <= of(*[100.0] * 20).count(T)


def test_nothing_is_nothing() -> None:
    assert (Histogram().quantile(0.95), Histogram().count(T)) == (0, 0)


def test_the_old_weighs_less_by_samples() -> None:
    histogram = of(*[100.0] * 500)
    for _ in range(HALF_SAMPLES):
        histogram.add(1000.0, T)
    # Half of the weight is of the last hundred.
    assert histogram.quantile(0.49) < 121 and histogram.quantile(0.52) > 999
    assert histogram.count(T) < 2 * HALF_SAMPLES


def test_the_old_weighs_less_by_time() -> None:
    histogram = of(*[100.0] * 60)
    many = histogram.count(T)
    assert many > 2 * ENOUGH
    assert histogram.count(T + HALF_S) == pytest.approx(many / 2)
    assert histogram.count(T + 4 * HALF_S) < ENOUGH
    for _ in range(8):
        histogram.add(1000.0, T + 4 * HALF_S)
    assert histogram.quantile(0.5) > 999


def test_ten_years_and_a_million_answers_are_no_overflow() -> None:
    histogram = Histogram()
    for n in range(20_000):
        histogram.add(100.0 + n % 7, T + n * 20_000)
    assert 99 < histogram.quantile(0.95) < 130
    assert 0 < histogram.count(T + 20_000 * 20_000) <= 2 * HALF_SAMPLES


def test_it_survives_a_restart() -> None:
    histogram = of(*[100.0] * 50, *[3000.0] * 5)
    again = Histogram.from_json(histogram.to_json())
    assert again.quantile(0.95) == histogram.quantile(0.95)
    assert again.count(T + 5) == pytest.approx(histogram.count(T + 5), rel=0.01)
    assert len(histogram.to_json()) < 200


def test_two_companions_add_up() -> None:
    a, b = of(*[100.0] * 30), of(*[1000.0] * 30, at=T + 10)
    a.merge(b)
    assert a.count(T + 10) == pytest.approx(2 * b.count(T + 10), rel=0.01)
    assert a.quantile(0.45) < 121 and a.quantile(0.55) > 999


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"at":1,"weights":[]}', '{"at":1,"weights":{"1":-5}}']
)
def test_what_cannot_be_read_begins_anew(text: str) -> None:
    assert Histogram.from_json(text).count(T) == 0
