"""kill -9 in the middle of 200 reservations: nothing stays reserved, no cap is passed."""

import asyncio
import random
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from companion.store import Store

from .conftest import Clock, MakeStore

SPENDER = Path(__file__).with_name("spender.py")
CAP = 100_000


async def _sums(store: Store) -> dict[str, tuple[int, int]]:
    """Each counter's nano-dollars reserved and spent, held to the claims they come from."""
    from companion.store.account import load_slots

    counters = await store._driver.fetch("SELECT key, nano_reserved, nano_spent FROM counters")
    from_claims = {key: [0, 0] for key, _, _ in counters}
    for state, slots in await store._driver.fetch("SELECT state, slots FROM claims"):
        for key, (nano, _) in load_slots(slots).items():
            from_claims[key][state != "open"] += nano
    found = {key: (reserved, spent) for key, reserved, spent in counters}
    assert found == {key: tuple(sums) for key, sums in from_claims.items()}
    return found


async def test_killed_in_the_middle_of_200_reservations(
    url: str, make: MakeStore, clock: Clock
) -> None:
    await make()
    spenders = [
        await asyncio.create_subprocess_exec(
            sys.executable, SPENDER, url, str(CAP), name, stdout=PIPE, limit=1 << 24
        )
        for name in ("one", "two")
    ]
    said = set()
    try:
        for spender in spenders:
            assert spender.stdout is not None
            for _ in range(random.randint(300, 900)):
                said.add(await asyncio.wait_for(spender.stdout.readline(), 15))
    finally:
        for spender in spenders:
            spender.kill()
            await spender.communicate()
    assert said == {b"Reserved\n", b"Refused\n"}, "the cap was no obstacle, or nobody passed it"

    after = await make()
    at_once = await _sums(after)
    assert at_once["house"][0] > 0, "nobody had reserved anything when it was killed"
    clock.ahead_s += 60
    await after.ledger.sweep()
    for key, (reserved, spent) in (await _sums(after)).items():
        assert reserved == 0
        assert spent <= (CAP if key == "house" else CAP // 4)
        assert spent == sum(at_once[key])
    open_ = await after._driver.fetch("SELECT count(*) FROM claims WHERE state = 'open'")
    assert open_ == [(0,)]
