"""A configuration that changes while it is in force."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from companion.config import BrokerConfig, Config, ConfigError, HttpConfig, StoreConfig, load, read
from companion.config.reload import Reloader, in_force, needs_restart
from tests.companion.conftest import until

BACKEND = '[[backend]]\nname = "m"\nurl = "http://h/v1"\nmodel = "x"\n'


class Running:
    """What runs: takes every configuration, or none."""

    def __init__(self, tmp_path: Path, text: str = "") -> None:
        self.path = tmp_path / "ganglion.toml"
        self.path.write_text(text)
        said = load(self.path)
        # As `serve` has it: its own broker, its own port.
        self.config = in_force(
            Config(
                broker=BrokerConfig("mqtt://127.0.0.1:4444"),
                http=HttpConfig(port=8080),
                store=StoreConfig("sqlite:////tmp/x.db"),
                token="test-token",
            ),
            said,
        )
        self.applied: list[tuple[Config, Config]] = []
        self.refusal: Exception | None = None
        self.left: list[str] = []
        self.reloader = Reloader(
            self.path, lambda: read(self.path), said, self.config, self.apply, poll_s=0.02
        )

    def apply(self, old: Config, new: Config) -> list[str]:
        if self.refusal is not None:
            raise self.refusal
        self.applied.append((old, new))
        self.config = new
        return self.left


@contextlib.asynccontextmanager
async def watching(running: Running) -> AsyncIterator[None]:
    task = asyncio.create_task(running.reloader.run())
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_changed_file_is_in_force_soon(tmp_path: Path) -> None:
    running = Running(tmp_path)
    before = running.config
    async with watching(running):
        running.path.write_text(BACKEND + "[limits]\nconcurrent_asks = 3\n")
        await until("the new configuration", lambda: running.applied)
    ((old, new),) = running.applied
    assert old == before
    assert [b.name for b in new.backends] == ["m"] and new.limits.concurrent_asks == 3
    # What the start has decided stays.
    assert (new.broker, new.http, new.store, new.token) == (
        before.broker,
        before.http,
        before.store,
        "test-token",
    )


async def test_an_editor_that_replaces_the_file_is_noticed(tmp_path: Path) -> None:
    running = Running(tmp_path)
    async with watching(running):
        fresh = tmp_path / "fresh"
        fresh.write_text(BACKEND)
        running.path.unlink()
        fresh.rename(running.path)
        await until("the new configuration", lambda: running.applied)
    assert running.reloader.problem() == ""


async def test_what_is_wrong_leaves_the_old_one_and_says_where(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    running = Running(tmp_path)
    async with watching(running):
        running.path.write_text("[limits]\nconcurrent_asks = 0\nrequest_bytes = 1\n")
        await until("the problem", running.reloader.problem)
        assert running.applied == []
        assert f"{running.path}, line 2: limits.concurrent_asks" in running.reloader.problem()
        assert "and 1 more" in running.reloader.problem()
        told = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
        assert [("line 2" in t, "line 3" in t) for t in told] == [(True, False), (False, True)]
        running.path.write_text("[limits]\nconcurrent_asks = 5\n")
        await until("the new configuration", lambda: running.applied)
        assert running.reloader.problem() == ""


async def test_a_file_that_vanishes_leaves_the_old_one(tmp_path: Path) -> None:
    running = Running(tmp_path, BACKEND)
    async with watching(running):
        running.path.unlink()
        await until("the problem", running.reloader.problem)
        assert "there is no such file any more" in running.reloader.problem()
        running.path.write_text(BACKEND)
        await until("it to be well", lambda: not running.reloader.problem())
    assert running.applied == []


async def test_what_the_companion_refuses_leaves_the_old_one(tmp_path: Path) -> None:
    running = Running(tmp_path)
    before = running.config
    running.refusal = ConfigError("backend m: the environment variable K is not set")
    running.path.write_text(BACKEND)
    await running.reloader.reload()
    assert running.config is before
    assert "the environment variable K is not set" in running.reloader.problem()
    running.refusal = RuntimeError("a fault")
    await running.reloader.reload()
    assert "a fault of the companion; see its log" in running.reloader.problem()
    # The next try begins from what is in force, not from what was refused.
    running.refusal = None
    await running.reloader.reload()
    assert running.applied[0][0] == before and running.reloader.problem() == ""


async def test_the_same_text_is_applied_only_when_somebody_asks(tmp_path: Path) -> None:
    running = Running(tmp_path, BACKEND)
    os.utime(running.path, (1, 1))
    await running.reloader.reload()
    assert running.applied == []
    async with watching(running):
        # A key in another file may have changed.
        running.reloader.ask()
        await until("the configuration", lambda: running.applied)


async def test_what_needs_a_restart_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    running = Running(tmp_path)
    running.left = ["[[backend]]"]
    running.path.write_text('[broker]\nurl = "mqtt://elsewhere"\n[log]\nlevel = "error"\n')
    await running.reloader.reload()
    assert running.config.broker.url == "mqtt://127.0.0.1:4444"
    assert running.config.log.level == "error"
    told = [r.getMessage() for r in caplog.records if "needs a restart" in r.getMessage()]
    assert [t.split(": ", 1)[1].split(" needs")[0] for t in told] == ["[broker]", "[[backend]]"]


def test_each_table_that_only_a_start_reads() -> None:
    old = Config(store=StoreConfig("sqlite:///a", keep_days=3))
    assert needs_restart(old, Config(store=StoreConfig("sqlite:///a", keep_days=9))) == []
    assert needs_restart(old, Config(store=StoreConfig("sqlite:///b"))) == ["[store]"]
    new = Config(http=HttpConfig(port=1), store=old.store, otlp_url="http://h")
    assert needs_restart(old, new) == ["[http]", "[telemetry]"]
    assert in_force(old, Config(store=StoreConfig("x", keep_days=9))).store == StoreConfig(
        "sqlite:///a", keep_days=9
    )
