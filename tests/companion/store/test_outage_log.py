"""What the log says of an outage of the database: a line a cause, and not one a request."""

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from companion.app import Companion
from companion.backends.base import Answer, Request
from companion.config import BrokerConfig, Config, StoreConfig
from companion.meter.purse import Cap
from tests.companion.conftest import Broker, House, Model, until
from tools.postgres import Cluster


@pytest.fixture
def own() -> Iterator[Cluster]:
    """A server that a test may stop."""
    with Cluster() as cluster:
        yield cluster


def sing(request: Request) -> Answer:
    return Answer(say="La.")


@pytest_asyncio.fixture
async def house(
    own: Cluster, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[House]:
    """With a model that has a price, a budget, and that server as its database, which it looks at
    twenty times as often as else."""
    monkeypatch.setattr("companion.store.ledger.SWEEP_S", 0.1)
    monkeypatch.setattr("companion.store.ledger.BEAT_S", 0.05)
    monkeypatch.setattr("companion.router.router.SHARE_S", 0.05)
    config = Config(
        broker=BrokerConfig(broker.url),
        store=StoreConfig(own.url()),
        caps=(Cap("house", "day", nano=10**12),),
        token="test-token",
    )
    companion = Companion(config, None, backends=[Model("cheap", sing, delay_s=0.1)])
    await companion.start(http=False)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(companion.stop)
        await asyncio.wait_for(companion.link.connected.wait(), 5)
        yield House(companion, broker, stack)


async def test_an_outage_is_told_once_and_so_is_its_end(
    house: House, own: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    device = await house.device("kitchen")
    store = house.companion.store
    assert store is not None

    async def ask(id_: str) -> dict[str, object]:
        device.ask(id_, ["u", f"sing {id_}"])
        return await device.answer(id_, 10)

    def said() -> list[str]:
        gc.collect()  # a future whose exception nobody took complains when it goes
        return [
            record.getMessage()
            for record in caplog.records
            if record.levelno >= logging.INFO and record.name != "ganglion.answers"
        ]

    assert (await ask("a1.1"))["say"] == "La."
    caplog.clear()
    # Ten are reserved and with the model when the server goes; they cannot be settled.
    asked = [asyncio.create_task(ask(f"b{n}.1")) for n in range(10)]
    await asyncio.sleep(0.05)
    await asyncio.to_thread(own.stop)
    await asyncio.gather(*asked)
    await until("it is noticed", lambda: store.problem)
    for n in range(10):
        assert "err" in await ask(f"c{n}.1")  # no money without a budget
        await asyncio.sleep(0.05)
    (away,) = said()  # and no line of asyncio's about a future that nobody looked at
    assert away.startswith("answers cannot be recorded in postgresql://") and "reached" in away

    caplog.clear()
    await asyncio.to_thread(own.start)
    await until("it is back", lambda: not store.problem, 10)
    assert (await ask("d1.1"))["say"] == "La."
    assert said() == [f"answers are recorded again in {store.name}"]


async def test_an_outage_that_only_reading_meets_is_told_too(
    house: House, own: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody asks anything; the health of backends is read, and claims are looked for."""
    await asyncio.to_thread(own.stop)
    store = house.companion.store
    assert store is not None
    await until("it is told", lambda: store.problem)
    await asyncio.sleep(0.5)  # and looked at again and again
    (told,) = [r for r in caplog.records if r.levelno > logging.INFO]
    assert told.getMessage().startswith(store.problem.partition(" (")[0])
