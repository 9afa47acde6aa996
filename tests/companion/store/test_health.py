"""Breakers and histograms between companions, and API tokens."""

import asyncio
import time

from companion.store import HealthRow, Store, TokenRow

from .conftest import Clock, MakeStore


async def test_health_is_shared_and_the_later_word_holds(make: MakeStore) -> None:
    here, there = await make(), await make()
    assert await here.health.load() == {}
    late = HealthRow("groq", '{"p95":900}', '{"open":true}', 200.0)
    await here.health.save(late)
    await there.health.save(HealthRow("groq", "{}", "{}", 100.0))
    await there.health.save(HealthRow("cerebras", "{}", "{}", 50.0))
    found = await there.health.load()
    assert found == {"groq": late, "cerebras": HealthRow("cerebras", "{}", "{}", 50.0)}


async def test_one_companion_probes(make: MakeStore, clock: Clock) -> None:
    stores = [await make() for _ in range(3)]
    until = time.time() + 10
    won = await asyncio.gather(*(s.health.claim_probe("groq", until) for s in stores))
    assert sorted(won) == [False, False, True]
    # What becomes of the breaker takes the probe from nobody.
    await stores[0].health.save(HealthRow("groq", "{}", "{}", time.time()))
    assert not await stores[1].health.claim_probe("groq", until)
    clock.ahead_s += 11
    assert await stores[1].health.claim_probe("groq", until + 20)


async def test_tokens(store: Store) -> None:
    token = TokenRow("grafana", "made-up-hash", "read", 100.0)
    assert await store.tokens.add(token)
    assert not await store.tokens.add(TokenRow("grafana", "another", "admin", 1.0))
    await store.tokens.used("grafana", 150.0)
    await store.tokens.used("grafana", 120.0)
    assert await store.tokens.load() == {
        "grafana": TokenRow("grafana", "made-up-hash", "read", 100.0, 150.0)
    }
    assert await store.tokens.remove("grafana")
    assert not await store.tokens.remove("grafana")
