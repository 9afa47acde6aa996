"""What the parts come to when they are put together by a configuration."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from companion.app import Companion
from companion.config import BackendConfig, BrokerConfig, Config, StoreConfig
from tests.companion.conftest import Broker, House, until
from tests.companion.scripted_upstream import ScriptedUpstream


class Spans:
    """A tracer that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def ask(self, device: str, ask: str, turn: str) -> "Span":
        return Span(self, f"ask {device} {ask}")

    def close(self) -> None:
        """Nothing waits."""


class Span:
    def __init__(self, spans: Spans, name: str) -> None:
        self._spans, self._name = spans, name

    def attempt(self, backend: str, tier: str = "", model: str = "") -> "Span":
        return Span(self._spans, f"attempt {backend} {tier} {model}")

    def end(self, error: str = "", **attributes: Any) -> None:
        self._spans.told.append((self._name, error))


@pytest_asyncio.fixture
async def upstreams() -> AsyncIterator[tuple[ScriptedUpstream, ScriptedUpstream]]:
    with ScriptedUpstream() as one, ScriptedUpstream() as two:
        yield one, two


def configured(broker: Broker, folder: Path, *urls: str, **more: Any) -> Config:
    backends = tuple(
        BackendConfig(f"m{n}", url=url, model=f"model-{n}", tier="edge")
        for n, url in enumerate(urls)
    )
    return Config(
        broker=BrokerConfig(broker.url),
        backends=backends,
        store=StoreConfig(f"sqlite:///{folder / 'companion.db'}"),
        token="test-token",
        **more,
    )


@pytest_asyncio.fixture
async def run(
    broker: Broker, tmp_path: Path, upstreams: Any
) -> AsyncIterator[tuple[Companion, House, Config]]:
    config = configured(broker, tmp_path, upstreams[0].url, timezone="Asia/Kolkata")
    async with contextlib.AsyncExitStack() as stack:
        companion = Companion(config)
        await companion.start(http=False)
        stack.push_async_callback(companion.stop)
        await asyncio.wait_for(companion.link.connected.wait(), 5)
        yield companion, House(companion, broker, stack), config


async def test_another_configuration_drops_no_request(run: Any, upstreams: Any) -> None:
    companion, house, config = run
    old, new = upstreams
    old.script([{"text": "From the old one.", "delay_s": 0.6}])
    new.script([{"text": "From the new one."}])
    kitchen = await house.device("kitchen")
    kitchen.ask("a1", ["u", "how are you today"])
    await until("the old one is asked", lambda: old.requests)
    changed = dataclasses.replace(
        config, backends=(dataclasses.replace(config.backends[0], url=new.url),)
    )
    assert companion.apply(config, changed) == []
    kitchen.ask("a2", ["u", "and how are you now"])
    assert (await kitchen.answer("a2"))["say"] == "From the new one."
    assert (await kitchen.answer("a1"))["say"] == "From the old one."
    rows = await companion.store.by_turn("kitchen", "a1")
    assert [row.outcome for row in rows] == ["answered"]


async def test_a_backend_that_is_the_same_stays(run: Any) -> None:
    companion, _, config = run
    before = companion.router.backends
    companion.apply(config, dataclasses.replace(config, timezone="UTC"))
    assert [a is b for a, b in zip(before, companion.router.backends, strict=True)] == [True, True]


async def test_asks_and_attempts_are_counted_and_traced(run: Any, upstreams: Any) -> None:
    companion, house, _ = run
    companion.turns.tracer = spans = Spans()
    upstreams[0].script([{"status": 500}, {"text": "Well."}])
    kitchen = await house.device("kitchen")
    kitchen.ask("a1", ["u", "how are you"])
    await kitchen.answer("a1")
    kitchen.ask("a2", ["u", "how are you"])
    await kitchen.answer("a2")
    assert spans.told == [
        ("attempt m0 edge model-0", "server"),
        ("ask kitchen a1", "no_answer"),
        ("attempt m0 edge model-0", ""),
        ("ask kitchen a2", ""),
    ]
    told = companion.metrics.render().decode()
    for line in (
        'ganglion_attempts_total{backend="commands",code="declined"} 2.0',
        'ganglion_attempts_total{backend="m0",code="server"} 1.0',
        'ganglion_attempts_total{backend="m0",code="answered"} 1.0',
        'ganglion_breaker_open{backend="m0"} 0.0',
    ):
        assert line in told, told


async def test_models_are_told_the_time_of_the_house(run: Any, upstreams: Any) -> None:
    _, house, _ = run
    upstreams[0].script([{"text": "Well."}])
    kitchen = await house.device("kitchen")
    kitchen.ask("a1", ["u", "what time is it"])
    await kitchen.answer("a1")
    (request,) = upstreams[0].requests
    # Half an hour off every full one: no machine of a test runs there by chance.
    assert "+05:30" in request["messages"][-1]["content"]
    assert "+05:30" not in request["messages"][0]["content"]
