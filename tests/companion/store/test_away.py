"""The database goes away and comes back; URLs and passwords; what is said to people."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from companion.config import StoreConfig
from companion.meter.purse import Elsewhere, PurseError, Reserved
from companion.store import Row, Store, StoreError
from companion.store.driver import LOCK_LEDGER
from companion.store.engine import place
from tools.postgres import Cluster

from ..conftest import until
from .conftest import Clock, claim, counter


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """A server that a test may stop, and starts again."""
    with Cluster() as cluster:
        yield cluster


async def quiet(url: str) -> Store:
    """A store that writes nothing by itself."""
    store = Store(StoreConfig(url))
    await store.open()
    for task in (store.ledger._tending, store._retiring):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await store._driver.open()
    return store


async def test_a_server_goes_away_and_comes_back(own: Cluster) -> None:
    store = Store(StoreConfig(own.url()))
    await store.open()
    await store.ledger.reserve(claim("k1.1"))
    own.stop()
    with pytest.raises(PurseError, match="postgresql://"):
        await store.ledger.settle("kitchen", "k1.1", 60, 6, b"x")
    assert own.password not in store.problem and "127.0.0.1" in store.problem
    with pytest.raises(PurseError):
        await store.ledger.reserve(claim("k2.1"))
    store.add(Row(5.0, "kitchen", "k1.1", "k1"))
    with pytest.raises(StoreError, match=r"postgresql://ganglion@127\.0\.0\.1"):
        await store.by_turn("kitchen", "k1")
    own.start()
    await until("the store is well", lambda: not store.problem, 10)
    # What could not be settled was kept, and is written now; as is the row.
    assert await counter(store) == (0, 60, 0, 6)
    assert len(await store.by_turn("kitchen", "k1")) == 1
    assert await store.ledger.reserve(claim("k2.1")) == Reserved()
    assert store.dropped == 0
    await store.aclose()


async def test_a_server_that_comes_late_is_noticed_without_anybody_asking(
    own: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("companion.store.ledger.SWEEP_S", 0.1)
    monkeypatch.setattr("companion.store.ledger.BEAT_S", 0.05)
    own.stop()
    store = Store(StoreConfig(own.url()))
    await store.open()
    assert "cannot be reached" in store.problem
    own.start()
    await until("the store is well", lambda: not store.problem, 10)
    await store.aclose()


async def test_after_an_outage_nobody_is_taken_for_dead_at_once(own: Cluster, clock: Clock) -> None:
    here, there = [Store(StoreConfig(own.url()), clock=clock) for _ in range(2)]
    await here.open()
    await there.open()
    await here.ledger.reserve(claim("k9.1"))
    here.ledger._tending.cancel()
    own.stop()
    own.start()
    clock.ahead_s += 6
    await until("it is noticed", there._driver._db.is_closed)
    assert await there.ledger.reserve(claim("k9.1")) == Elsewhere()
    await there.aclose()
    await here.aclose()


async def test_a_companion_that_freezes_in_a_transaction_holds_nobody_for_long(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("companion.store.engine.ANSWER_S", 0.3)
    here = await quiet(postgres_url)
    monkeypatch.undo()
    there = await quiet(postgres_url)
    await here._driver._db.execute(f"BEGIN; SELECT pg_advisory_xact_lock({LOCK_LEDGER})")
    waiting = asyncio.create_task(there.ledger.reserve(claim()))
    # Nothing more comes from here; the server ends its transaction.
    assert await asyncio.wait_for(waiting, 5) == Reserved()
    await here.aclose()
    await there.aclose()


async def test_a_server_that_hangs_is_away(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("companion.store.engine.ANSWER_S", 0.3)
    store = await quiet(postgres_url)
    ((pid,),) = await store._driver.fetch("SELECT pg_backend_pid()")
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(PurseError, match="does not answer"):
            await store.ledger.reserve(claim())
    finally:
        os.kill(pid, signal.SIGCONT)
    store.add(Row(5.0, "kitchen", "k1.1", "k1"))
    await until("it is well again", lambda: not store.problem, 5)
    assert await store.ledger.reserve(claim("k2.1")) == Reserved()
    await store.aclose()


async def test_the_password_comes_from_a_variable_or_a_file(
    postgres: Cluster, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres_url.replace(f":{postgres.password}@", "@")
    monkeypatch.setenv("HOUSE_DB", postgres.password)
    file = tmp_path / "password"
    file.write_text(postgres.password + "\n")
    for config in (
        StoreConfig(url, password_env="HOUSE_DB"),
        StoreConfig(url, password_file=file),
    ):
        store = Store(config)
        await store.open()
        assert store.problem == ""
        await store.totals()
        assert postgres.password not in repr(store._place)
        await store.aclose()
    file.write_text("wrong-and-secret")
    monkeypatch.delenv("HOUSE_DB")
    for config, told in (
        (StoreConfig(url, password_env="HOUSE_DB"), "the variable HOUSE_DB"),
        (StoreConfig(url, password_file=tmp_path / "none"), "store.password_file"),
        (StoreConfig(url, password_file=file), "does not let us in"),
    ):
        store = Store(config)
        await store.open()
        assert told in store.problem and "wrong-and-secret" not in store.problem
        await store.aclose()


async def test_a_database_that_is_not_there_is_named(postgres: Cluster) -> None:
    store = Store(StoreConfig(postgres.url("nowhere")))
    await store.open()
    assert 'database "nowhere" does not exist' in store.problem and "createdb" in store.problem
    await store.aclose()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("sqlite:///companion.db", "companion.db"),
        ("sqlite:////srv/g/companion.db", "/srv/g/companion.db"),
        ("postgresql://u@host/db", "postgresql://u@host/db"),
        ("postgresql://u:made-up@host:5433/db?sslmode=require", "postgresql://u@host:5433/db"),
        ("postgresql+asyncpg://u@host/db", "postgresql://u@host/db"),
    ],
)
def test_places(url: str, name: str) -> None:
    found = place(StoreConfig(url))
    assert found.name == name
    assert "made-up" not in repr(found)


@pytest.mark.parametrize("url", ["", "sqlite://", "sqlite:///", "mysql://h/db", "postgresql://h"])
def test_a_url_of_no_known_form_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match=r"sqlite:///companion\.db or postgresql://"):
        Store(StoreConfig(url))
