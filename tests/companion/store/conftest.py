"""Stores on both databases, a clock that tests turn, and what claims are made of."""

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from companion.config import StoreConfig
from companion.meter.purse import Claim, Slot
from companion.store import Store


class Clock:
    """The real time and what a test adds to it."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'companion.db'}"
    found: str = request.getfixturevalue("postgres_url")
    return found


MakeStore = Callable[..., Any]


@pytest_asyncio.fixture
async def make(url: str, clock: Clock) -> AsyncIterator[MakeStore]:
    """``await make()`` opens one more companion's store on the database; closed at the end."""
    async with contextlib.AsyncExitStack() as stack:

        async def one(**config: Any) -> Store:
            store = Store(StoreConfig(url, **config), clock=clock)
            await store.open()
            assert store.problem == ""
            stack.push_async_callback(store.aclose)
            return store

        yield one


@pytest_asyncio.fixture
async def store(make: MakeStore) -> Store:
    opened: Store = await make()
    return opened


def slot(key: str = "house//day/2026-11-21", nano: int | None = None, tokens: int | None = None):
    return Slot(key, "today's budget of the house", time.time() + 86_400, nano, tokens)


def claim(ask: str = "k1.1", *slots: Slot, nano: int = 100, tokens: int = 10, **fields: Any):
    base = Claim("kitchen", ask, slots or (slot(),), nano, tokens, time.time() + 30)
    return Claim(**{**{name: getattr(base, name) for name in Claim.__dataclass_fields__}, **fields})


async def counter(store: Store, key: str = "house//day/2026-11-21") -> tuple[int, ...] | None:
    """Nano-dollars reserved and spent, tokens reserved and spent."""
    found = await store._driver.fetch(
        "SELECT nano_reserved, nano_spent, tokens_reserved, tokens_spent FROM counters"
        " WHERE key = $1",
        key,
    )
    return found[0] if found else None
