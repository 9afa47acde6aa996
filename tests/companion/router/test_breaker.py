"""When a backend is left alone, for how long, and how it comes back."""

import pytest

from companion.router.breaker import Breaker

T = 1_000_000.0


def broken(*codes: str, at: float = T) -> Breaker:
    breaker = Breaker()
    for code in codes:
        breaker.failed(at, code, "it failed")
    return breaker


@pytest.mark.parametrize(
    ("codes", "open_s"),
    [
        (["server"] * 2, 0),
        (["server"] * 3, 5),
        (["timeout", "connection", "bad_response"], 5),
        (["auth"], 600),
        (["rate_limit"], 5),
        (["invalid"] * 4, 0),
        (["invalid"] * 5, 5),
        # It was reached: what could not be used is no failure to answer.
        (["server", "server", "invalid", "server", "server"], 0),
        (["declined"] * 50, 0),
        (["canceled"] * 50, 0),
    ],
)
def test_what_opens_it(codes: list[str], open_s: float) -> None:
    breaker = broken(*codes)
    assert (breaker.state(T) == "open") is (open_s > 0)
    if open_s:
        assert breaker.until == T + open_s
        assert breaker.state(T + open_s) == "half-open"


def test_more_than_half_of_the_last_twenty() -> None:
    breaker = Breaker()
    for n in range(20):
        # Ten of twenty, never three in a row.
        assert breaker.state(T) == "closed", n
        breaker.failed(T, "server", "it failed") if n % 2 else breaker.succeeded(T)
    assert breaker.state(T) == "closed"
    breaker.failed(T, "server", "it failed")
    assert breaker.state(T) == "open"


@pytest.mark.parametrize(("asked", "open_s"), [(7.5, 7.5), (0, 0), (86_400, 3600)])
def test_a_rate_limit_says_itself_for_how_long(asked: float, open_s: float) -> None:
    breaker = Breaker()
    breaker.failed(T, "rate_limit", "its rate limit is reached (429)", asked)
    assert breaker.until == T + open_s


def test_half_open_lets_one_through_and_its_end_decides() -> None:
    breaker = broken("server", "server", "server")
    assert not breaker.take(T + 4.9)
    assert breaker.take(T + 5)
    assert not breaker.take(T + 5)
    assert "another ask is trying it" in breaker.why(T + 5)
    assert breaker.succeeded(T + 6)
    assert breaker.state(T + 6) == "closed" and breaker.take(T + 6) and breaker.take(T + 6)
    # All is forgiven: it takes three again.
    breaker.failed(T + 7, "server", "it failed")
    assert breaker.state(T + 7) == "closed"


def test_each_failed_probe_doubles_the_time() -> None:
    breaker, now = broken("server", "server", "server"), T
    for open_s in (10, 20, 40, 80, 160, 300, 300):
        now = breaker.until
        assert breaker.take(now)
        breaker.failed(now, "timeout", "no answer within 5 s")
        assert breaker.until == now + open_s
    assert breaker.why(now) == "no answer within 5 s, left alone for 300 s more"


def test_many_that_fail_at_once_are_one_failure() -> None:
    breaker = broken(*["connection"] * 64)
    assert breaker.until == T + 5


def test_a_probe_that_was_reached_closes_it_whatever_it_said() -> None:
    breaker = broken("server", "server", "server")
    breaker.take(T + 5)
    breaker.failed(T + 5, "invalid", "its answers cannot be used")
    assert breaker.state(T + 5) == "closed"


@pytest.mark.parametrize("code", ["declined", "canceled"])
def test_a_probe_that_came_to_nothing_leaves_it_to_the_next(code: str) -> None:
    breaker = broken("server", "server", "server")
    breaker.take(T + 5)
    breaker.failed(T + 5, code, "")
    assert breaker.state(T + 5) == "half-open" and breaker.take(T + 5)


def test_a_probe_that_was_lost_does_not_block_for_ever() -> None:
    breaker = broken("server", "server", "server")
    assert breaker.take(T + 5)
    assert not breaker.take(T + 64)
    assert breaker.take(T + 65)


def test_a_clock_that_was_set_back_does_not_keep_it_open() -> None:
    breaker = broken("auth")
    assert breaker.take(T - 86_400)


def test_it_survives_a_restart() -> None:
    breaker = broken("server", "server", "server")
    again = Breaker.from_json(breaker.to_json())
    assert again.why(T + 1) == breaker.why(T + 1) == "it failed, left alone for 4 s more"
    again.take(T + 5)
    again.failed(T + 5, "server", "it failed")
    assert again.until == T + 15


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"until":"x"}', '{"until":1}'])
def test_what_cannot_be_read_begins_anew(text: str) -> None:
    assert Breaker.from_json(text).state(T) == "closed"
