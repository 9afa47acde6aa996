"""The purse, on both databases: all slots or none, one bill an ask, nothing stays reserved."""

import asyncio
import time

import pytest

from companion.meter.purse import Elsewhere, Known, PurseError, Refused, Reserved
from companion.store import Store

from .conftest import Clock, MakeStore, claim, counter, slot


async def test_what_is_reserved_becomes_what_was_spent(store: Store) -> None:
    day, month = slot("house//day/2026-11-21", nano=1000), slot("house//month/2026-11")
    ask = claim("k1.1", day, month, nano=300, tokens=50)
    assert await store.ledger.reserve(ask) == Reserved()
    assert await counter(store, day.key) == (300, 0, 50, 0)
    assert await counter(store, month.key) == (300, 0, 50, 0)
    await store.ledger.settle("kitchen", "k1.1", 120, 20, b"the answer")
    assert await counter(store, day.key) == (0, 120, 0, 20)
    assert await counter(store, month.key) == (0, 120, 0, 20)


async def test_an_ask_that_comes_again_gets_the_same_bytes_and_no_second_bill(
    make: MakeStore,
) -> None:
    here, there = await make(), await make()
    assert await here.ledger.reserve(claim()) == Reserved()
    await here.ledger.settle("kitchen", "k1.1", 70, 7, b"the answer")
    assert await here.ledger.reserve(claim()) == Known(b"the answer")
    assert await there.ledger.reserve(claim()) == Known(b"the answer")
    # Said twice, as after a connection that broke while it was written, it counts once.
    await here.ledger.settle("kitchen", "k1.1", 70, 7, b"the answer")
    assert await counter(here) == (0, 70, 0, 7)


async def test_all_slots_or_none(store: Store) -> None:
    wide, narrow = slot("a", nano=1000), slot("b", nano=150)
    assert await store.ledger.reserve(claim("k1.1", wide, narrow)) == Reserved()
    assert await store.ledger.reserve(claim("k2.1", wide, narrow)) == Refused(narrow)
    assert await counter(store, "a") == (100, 0, 10, 0)
    few = slot("c", tokens=9)
    assert await store.ledger.reserve(claim("k3.1", wide, few)) == Refused(few)
    assert await counter(store, "c") is None
    # What was refused is no claim: with less it may come again.
    assert await store.ledger.reserve(claim("k2.1", wide, narrow, nano=50)) == Reserved()
    assert await counter(store, "b") == (150, 0, 20, 0)


async def test_a_refusal_fails_nobody_else_of_its_batch(store: Store) -> None:
    cap = slot(nano=500)
    asks = [claim(f"k{n}.1", cap, nano=90) for n in range(20)]
    granted = await asyncio.gather(*(store.ledger.reserve(ask) for ask in asks))
    assert [type(g) for g in granted] == [Reserved] * 5 + [Refused] * 15
    assert await counter(store) == (450, 0, 50, 0)


async def test_a_second_attempt_adds_to_the_first(store: Store) -> None:
    cap = slot(nano=250)
    assert await store.ledger.reserve(claim("k1.1", cap)) == Reserved()
    assert await store.ledger.reserve(claim("k1.1", cap)) == Reserved()
    assert await store.ledger.reserve(claim("k1.1", cap)) == Refused(cap)
    assert await counter(store) == (200, 0, 20, 0)
    await store.ledger.settle("kitchen", "k1.1", 130, 13, b"x")
    assert await counter(store) == (0, 130, 0, 13)


async def test_attempts_before_and_after_midnight_overspend_neither_day(store: Store) -> None:
    before, after = slot("day/21", nano=100), slot("day/22", nano=100)
    await store.ledger.reserve(claim("k1.1", before))
    await store.ledger.reserve(claim("k1.1", after))
    await store.ledger.settle("kitchen", "k1.1", 180, 18, b"x")
    assert await counter(store, "day/21") == (0, 100, 0, 10)
    assert await counter(store, "day/22") == (0, 100, 0, 10)


async def test_more_than_was_reserved_is_counted_too(store: Store) -> None:
    await store.ledger.reserve(claim("k1.1", slot(nano=100)))
    await store.ledger.settle("kitchen", "k1.1", 140, 0, b"x")
    assert await counter(store) == (0, 140, 0, 0)
    assert isinstance(await store.ledger.reserve(claim("k2.1", slot(nano=150))), Refused)


async def test_a_cap_that_shrinks_below_what_is_spent_refuses(store: Store) -> None:
    await store.ledger.reserve(claim("k1.1", slot(nano=1000), nano=900))
    tight = slot(nano=500)
    assert await store.ledger.reserve(claim("k2.1", tight, nano=1)) == Refused(tight)
    await store.ledger.settle("kitchen", "k1.1", 900, 0, b"x")
    assert await counter(store) == (0, 900, 0, 0)


async def test_a_live_companion_keeps_its_ask(make: MakeStore) -> None:
    here, there = await make(), await make()
    assert await here.ledger.reserve(claim()) == Reserved()
    assert await there.ledger.reserve(claim()) == Elsewhere()
    assert await counter(here) == (100, 0, 10, 0)


async def test_a_dead_companions_ask_is_taken_over_and_billed_once(
    make: MakeStore, clock: Clock
) -> None:
    here, there = await make(), await make()
    cap = slot(nano=150)
    assert await here.ledger.reserve(claim("k1.1", cap)) == Reserved()
    here.ledger._tending.cancel()  # Its heart stops.
    clock.ahead_s += 6
    # Both do not fit together: what the dead one had reserved goes first.
    assert await there.ledger.reserve(claim("k1.1", cap)) == Reserved()
    assert await counter(there) == (100, 0, 10, 0)
    await there.ledger.settle("kitchen", "k1.1", 60, 6, b"from there")
    assert await counter(there) == (0, 60, 0, 6)
    assert await there.ledger.reserve(claim("k1.1", cap)) == Known(b"from there")


async def test_who_was_only_silent_and_settles_late_counts_what_it_spent(
    make: MakeStore, clock: Clock
) -> None:
    here, there = await make(), await make()
    await here.ledger.reserve(claim())
    here.ledger._tending.cancel()
    clock.ahead_s += 6
    await there.ledger.reserve(claim())
    await here.ledger.settle("kitchen", "k1.1", 30, 3, b"from here")
    await there.ledger.settle("kitchen", "k1.1", 50, 5, b"from there")
    assert await counter(here) == (0, 80, 0, 8)
    assert await here.ledger.reserve(claim()) == Known(b"from there")


async def test_a_companion_that_leaves_in_order_is_dead_at_once(make: MakeStore) -> None:
    here, there = await make(), await make()
    await here.ledger.reserve(claim())
    await here.ledger.aclose()
    assert await there.ledger.reserve(claim()) == Reserved()
    assert await counter(there) == (100, 0, 10, 0)


async def test_what_nobody_settles_is_lost_and_counts_whole(make: MakeStore, clock: Clock) -> None:
    here, there = await make(), await make()
    await here.ledger.reserve(claim(ask="k1.1"))
    here.ledger._tending.cancel()
    clock.ahead_s += 50
    await there.ledger.sweep()
    assert await counter(there) == (100, 0, 10, 0)  # Its time and 30 s are not over.
    clock.ahead_s += 15
    await there.ledger.sweep()
    assert await counter(there) == (0, 100, 0, 10)
    (row,) = await there.by_turn("kitchen", "k1")
    assert (row.outcome, row.nano_usd, row.estimated) == ("lost", 100, 1)
    # Found again, it counts what it cost, once, and has one row.
    await here.ledger.settle("kitchen", "k1.1", 40, 4, b"x")
    here.add(row._replace(outcome="answered", nano_usd=40))
    await here.flush()
    assert await counter(there) == (0, 40, 0, 4)
    assert [r.outcome for r in await there.by_turn("kitchen", "k1")] == ["answered"]


async def test_a_live_companions_claim_is_not_swept_by_others(
    make: MakeStore, clock: Clock
) -> None:
    here, there = await make(), await make()
    await here.ledger.reserve(claim())
    clock.ahead_s += 65
    here._batches._beaten = 0
    here._batches.beat()
    await here.flush()
    await there.ledger.sweep()
    assert await counter(there) == (100, 0, 10, 0)
    await here.ledger.sweep()  # Its own is one that it forgot.
    assert await counter(there) == (0, 100, 0, 10)


async def test_what_is_old_is_forgotten(store: Store, clock: Clock) -> None:
    await store.ledger.reserve(claim("k1.1", slot("old")))
    await store.ledger.settle("kitchen", "k1.1", 10, 1, b"the answer")
    clock.ahead_s += 3700
    await store.ledger.clean()
    # Still one bill, though the bytes are gone.
    assert await store.ledger.reserve(claim("k1.1", slot("old"))) == Known(b"")
    clock.ahead_s += 86_400
    await store.ledger.clean()
    assert await store._driver.fetch("SELECT ask FROM claims") == []
    clock.ahead_s += 39 * 86_400
    await store.ledger.clean()
    assert await counter(store, "old") == (0, 10, 0, 1)
    clock.ahead_s += 2 * 86_400
    await store.ledger.clean()
    assert await counter(store, "old") is None


async def test_one_that_cannot_be_stored_fails_alone(store: Store) -> None:
    bad = claim("k\ud800.1")
    good = claim("k1.1")
    settled, refused, granted = await asyncio.gather(
        store.ledger.settle("kitchen", "k0.1", 0, 0, b"x"),
        store.ledger.reserve(bad),
        store.ledger.reserve(good),
        return_exceptions=True,
    )
    assert settled is None and granted == Reserved()
    assert isinstance(refused, PurseError)
    assert store.problem == ""


async def test_one_that_was_given_up_reserves_nothing(store: Store) -> None:
    task = asyncio.create_task(store.ledger.reserve(claim()))
    await asyncio.sleep(0)
    store._batches._reserving[0].done.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await store.ledger.reserve(claim("k2.1")) == Reserved()
    assert await counter(store) == (100, 0, 10, 0)


async def test_200_at_once_from_two_companions_overspend_nothing(make: MakeStore) -> None:
    """Each pays less than it reserved, so that there is room again and again."""
    stores = [await make(), await make()]
    cap = slot(nano=20_000)
    spent = 0
    refused = 0

    async def one(n: int) -> None:
        nonlocal spent, refused
        store = stores[n % 2]
        ask = claim(f"k{n}.1", slot(f"device/{n % 7}", nano=5_000), cap, nano=900, tokens=0)
        granted = await store.ledger.reserve(ask)
        if isinstance(granted, Refused):
            refused += 1
            return
        assert granted == Reserved()
        cost = 100 + n % 50
        await asyncio.sleep(0)
        await store.ledger.settle("kitchen", ask.ask, cost, 0, b"x")
        spent += cost

    began = time.perf_counter()
    await asyncio.gather(*(one(n) for n in range(200)))
    assert time.perf_counter() - began < 10
    assert refused > 0
    assert await counter(stores[0]) == (0, spent, 0, 0)
    assert spent <= 20_000
