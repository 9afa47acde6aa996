"""When a batch begins. The database is a fake that takes all and grants all; a wait is one that
would not end within the test."""

import asyncio
import time
from typing import Any

import pytest

from companion.meter.purse import Claim, Reserved
from companion.store import Row, batch
from companion.store.account import Entries, Settlement, Work
from companion.store.batch import ROWS_MAX, Batches


class FakeDriver:
    """Writes nothing down."""

    name = "fake"

    def __init__(self) -> None:
        self.works: list[Work] = []

    async def post(self, work: Work) -> Entries:
        self.works.append(work)
        await asyncio.sleep(0)
        return Entries(granted=[Reserved() for _ in work.reserves])

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} is none of a batch's business")


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    monkeypatch.setattr(batch, "FLUSH_S", 60.0)
    monkeypatch.setattr(batch, "GATHER_S", 60.0)
    return FakeDriver()


def claim(n: int) -> Claim:
    return Claim("kitchen", f"a{n}.1", (), 1, 1, time.time() + 60)


async def soon() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_rows_wait_until_there_are_many(driver: FakeDriver) -> None:
    batches = Batches(driver, "me", time.time)
    for n in range(ROWS_MAX - 1):
        batches.add(Row(0.0, "kitchen", f"a{n}.1", f"a{n}"))
    await soon()
    assert driver.works == []
    batches.add(Row(0.0, "kitchen", "b.1", "b"))
    await soon()
    assert [len(work.rows) for work in driver.works] == [ROWS_MAX] and batches.rows == []
    await batches.aclose()


async def test_who_is_alone_never_waits_and_who_has_company_gathers(driver: FakeDriver) -> None:
    batches = Batches(driver, "me", time.time)
    async with asyncio.timeout(5):
        for n in range(3):
            await batches.reserve(claim(n))
            await batches.settle(Settlement("kitchen", f"a{n}.1", 1, 1, b""))
        # The first goes at once; those that came while it was written are the next batch.
        await asyncio.gather(*(batches.reserve(claim(n)) for n in range(10, 20)))
    assert [len(work.reserves) for work in driver.works][-1] == 10
    late = asyncio.ensure_future(batches.reserve(claim(30)))
    await soon()
    assert not late.done()
    await batches.flush()
    assert await late == Reserved()
    # Nobody was with that one.
    async with asyncio.timeout(5):
        await batches.reserve(claim(31))
    await batches.aclose()
