"""What is known of backends: over a restart, between companions, and to the operator."""

import logging

import pytest

from companion.backends.base import Answer, BackendError, Card
from companion.config.model import RouterConfig
from companion.router import Answered, Health, NoAnswer, Router
from companion.store import StoreError
from tests.companion.conftest import Model
from tests.companion.router.fakes import FakeHealthStore, carry_out, raises, request, says

T = 1_000_000.0
CARD = Card("m", typical_ms=1500)
DOWN = BackendError("connection", "it cannot be reached", sent=False)
REFUSED = BackendError("auth", "it refuses the key (401)")


async def test_a_companion_that_starts_again_knows_what_it_knew() -> None:
    store, before, after = FakeHealthStore(), Health(), Health()
    assert before.p95_ms(CARD, T) == (1500, False)
    for _ in range(25):
        before.took("m", 300, T)
    for _ in range(3):
        before.failed("m", T, "server", "it failed (500)")
    await before.share(store, T)
    await after.share(store, T + 1)
    assert after.p95_ms(CARD, T + 1) == before.p95_ms(CARD, T + 1)
    assert after.p95_ms(CARD, T)[1] and 300 <= after.p95_ms(CARD, T)[0] <= 360
    assert after.breaker("m").why(T + 1) == "it failed (500), left alone for 4 s more"


async def test_two_companions_come_to_agree() -> None:
    store, a, b = FakeHealthStore(), Health(), Health()
    for _ in range(40):
        a.took("m", 100, T)
        b.took("m", 1000, T)
    await a.share(store, T)
    await b.share(store, T + 0.1)
    await a.share(store, T + 1)
    # Both have seen all eighty, neither twice.
    assert a.p95_ms(CARD, T) == b.p95_ms(CARD, T)
    for _ in range(40):
        a.took("m", 100, T)
    await a.share(store, T + 2)
    await b.share(store, T + 2)
    assert b.p95_ms(CARD, T)[0] >= 1000

    for _ in range(3):
        a.failed("m", T + 3, "timeout", "no answer within 5 s")
    await a.share(store, T + 3)
    await b.share(store, T + 3)
    assert not b.breaker("m").may(T + 4)
    # What happened later holds, whoever writes last.
    b.succeeded("m", T + 10)
    await b.share(store, T + 10)
    await a.share(store, T + 11)
    assert a.breaker("m").may(T + 11)


async def test_nothing_new_writes_nothing() -> None:
    store, health = FakeHealthStore(), Health()
    health.took("m", 100, T)
    await health.share(store, T)
    store.rows.clear()
    await health.share(store, T + 1)
    assert store.rows == {}


async def test_what_could_not_be_written_is_written_later() -> None:
    store, health, other = FakeHealthStore(), Health(), Health()
    health.took("m", 100, T)
    store.error = StoreError("the database is away")
    with pytest.raises(StoreError):
        await health.share(store, T)
    store.error = None
    await health.share(store, T + 1)
    for _ in range(20):
        other.took("m", 100, T)
    await other.share(store, T + 2)
    assert other.p95_ms(CARD, T + 2)[1]


async def test_a_router_without_its_store_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    store = FakeHealthStore()
    store.error = StoreError("the database is away")
    router = Router([Model("m", says("hi"))], health=store)
    await router.open()
    assert isinstance(await carry_out(router, request()), Answered)
    assert "cannot be shared: the database is away" in caplog.text
    store.error = None
    await router.aclose()
    assert list(store.rows) == ["m"]


async def test_one_probe_for_all_companions() -> None:
    store, now = FakeHealthStore(), [T]
    model = Model("m", raises(DOWN))
    routers = [Router([model], health=store, clock=lambda: now[0]) for _ in range(2)]
    for router in routers:
        for _ in range(3):
            await carry_out(router, request())
    assert len(model.asked) == 6
    now[0] += 5
    first = await carry_out(routers[0], request())
    second = await carry_out(routers[1], request())
    assert isinstance(first, NoAnswer) and "it cannot be reached" in first.msg
    assert isinstance(second, NoAnswer) and "another companion is trying it now" in second.msg
    assert len(model.asked) == 7


async def test_a_refused_key_is_told_once_and_forgotten_with_a_new_configuration(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model, now = Model("m", raises(REFUSED)), [T]
    router = Router([model], clock=lambda: now[0])
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            await carry_out(router, request())
            now[0] += 600
    assert len(model.asked) == 3
    assert caplog.text.count("it refuses the key (401)") == 1
    assert router.problems == ["m: it refuses the key (401); check its key (see docs/backends.md)"]
    model.script = lambda request: Answer(say="hi")
    router.replace([model], RouterConfig())
    assert router.problems == []
    assert isinstance(await carry_out(router, request()), Answered)


async def test_a_rate_limit_is_waited_for() -> None:
    limited = Model("limited", raises(BackendError("rate_limit", "its rate limit", 7)))
    good, now = Model("good", says("hi"), quality=10), [T]
    router = Router([limited, good], clock=lambda: now[0])
    for later_s, asked in ((0, 1), (6.9, 1), (7.1, 2)):
        now[0] = T + later_s
        outcome = await carry_out(router, request())
        assert isinstance(outcome, Answered) and outcome.backend is good
        assert len(limited.asked) == asked
    why = {c.card.name: c.unfit for c in router.snapshot().candidates}
    assert why == {"limited": "its rate limit, left alone for 7 s more", "good": ""}
