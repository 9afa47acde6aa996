"""A companion that does nothing but spend, until it is killed: ``spender.py URL CAP_NANO NAME``.

200 asks at a time reserve, wait a moment and settle; the cap lets half of them. It says on stdout
what came of each."""

import asyncio
import itertools
import random
import sys
import time

from companion.config import StoreConfig
from companion.meter.purse import Claim, Reserved, Slot
from companion.store import Store


async def main(url: str, cap_nano: int, name: str) -> None:
    store = Store(StoreConfig(url))
    await store.open()
    numbers = itertools.count()

    async def spend() -> None:
        for n in numbers:
            slots = (
                Slot("house", "", time.time() + 3600, cap_nano),
                Slot(f"device/{n % 5}", "", time.time() + 3600, cap_nano // 4),
            )
            claim = Claim(name, f"k{n}.1", slots, 1000, 100, time.time() + 1)
            granted = await store.ledger.reserve(claim)
            await asyncio.sleep(random.random() / 50)
            if isinstance(granted, Reserved):
                await store.ledger.settle(name, claim.ask, random.randint(1, 20), 10, b"x")
            print(type(granted).__name__, flush=True)

    await asyncio.gather(*(spend() for _ in range(200)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
