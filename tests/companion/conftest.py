"""A real broker on a free port of loopback, a companion on it, and devices that speak the wire."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from companion import wire
from companion.app import Companion
from companion.backends.base import Answer, Call, Card, Declined, Prices, Request, Tier
from companion.config import BrokerConfig, Config, LimitsConfig, StoreConfig
from companion.link import PahoLink
from companion.store import Store
from tools.postgres import Cluster

SPECS = [
    {
        "name": "gpio_write",
        "desc": "Set a pin.",
        "args": {
            "type": "object",
            "properties": {
                "pin": {"type": ["integer", "string"], "x-point": True},
                "level": {"type": "integer", "enum": [0, 1]},
            },
            "required": ["pin", "level"],
        },
        "acts": True,
    },
    {
        "name": "gpio_read",
        "desc": "Read a pin.",
        "args": {
            "type": "object",
            "properties": {"pin": {"type": ["integer", "string"], "x-point": True}},
            "required": ["pin"],
        },
        "acts": False,
    },
]
TOOLS = json.dumps({"hash": "tools1", "specs": SPECS}).encode()


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Broker:
    """mosquitto with an open door, so that tests of the companion need no passwords."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.port = free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._conf = folder / "mosquitto.conf"
        # As root it would change user, and then not read what the test's user wrote.
        user = "user root\n" if os.geteuid() == 0 else ""
        self._conf.write_text(
            f"{user}listener {self.port} 127.0.0.1\nallow_anonymous true\n"
            f"set_tcp_nodelay true\nmax_inflight_messages 0\n{more}"
        )
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        from tools import runtime

        self._child = subprocess.Popen(
            [*runtime.mosquitto(), "-c", str(self._conf)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), 1),
            ):
                return
            time.sleep(0.01)
        raise AssertionError("mosquitto did not start")

    def kill(self) -> None:
        """Ended by its own pid, as a crash would."""
        if self._child is not None:
            os.kill(self._child.pid, signal.SIGKILL)
            self._child.wait()
            self._child = None


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    b = Broker(tmp_path_factory.mktemp("broker"))
    b.start()
    yield b
    b.kill()


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    """For tests that kill it."""
    b = Broker(tmp_path)
    b.start()
    yield b
    b.kill()


class Phrases:
    """A stand-in for `commands`: two sentences, fast, no model."""

    card = Card("commands", tier="edge", needs_context=False, local=True)

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def answer_now(self, request: Request) -> Answer:
        self.asked.append(request)
        if request.text == "turn on pin 5":
            return Answer((Call("gpio_write", {"pin": 5, "level": 1}),))
        raise Declined("I know no such request")

    async def answer(self, request: Request) -> Answer:
        return self.answer_now(request)

    async def aclose(self) -> None:
        """Nothing to give back."""


Script = Callable[[Request], Answer]


PRICES = Prices.per_million(1, 2)


class Model:
    """A model of the test's own: ``script`` answers or raises; waits ``delay_s`` before."""

    def __init__(
        self,
        name: str,
        script: Script,
        delay_s: float = 0,
        *,
        tier: Tier = "premium",
        prices: Prices | None = PRICES,
        **more: Any,
    ) -> None:
        """``more``: further fields of its card."""
        self.card = Card(name, tier=tier, prices=prices, **more)
        self.script = script
        self.delay_s = delay_s
        self.asked: list[Request] = []
        self.canceled = 0

    async def answer(self, request: Request) -> Answer:
        self.asked.append(request)
        try:
            await asyncio.sleep(self.delay_s)
        except asyncio.CancelledError:
            self.canceled += 1
            raise
        return self.script(request)

    async def aclose(self) -> None:
        """Nothing to give back."""


async def until(what: str, probe: Callable[[], Any], seconds: float = 5) -> Any:
    """The first true value of ``probe``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = probe()
        if value:
            return value
        await asyncio.sleep(0.005)
    raise AssertionError(f"{what} did not come within {seconds:g} s")


class Device:
    """What a board says on the wire, and everything it hears."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self.heard: list[tuple[str, dict[str, Any], bytes]] = []
        self.link = PahoLink(url)
        self.on_say: Callable[[dict[str, Any]], None] = lambda message: None
        self.on_do: Callable[[dict[str, Any]], None] = lambda message: None
        self.on_answer: Callable[[dict[str, Any]], None] = lambda message: None
        self.link.subscribe(f"gn/{name}/down/#", self._hear)

    def _hear(self, topic: str, payload: bytes, retained: bool) -> None:
        kind = topic.rsplit("/", 1)[1]
        message = json.loads(payload)
        wire.parse(wire.MODELS[kind], payload)
        self.heard.append((kind, message, payload))
        {"say": self.on_say, "do": self.on_do, "answer": self.on_answer}[kind](message)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [m for k, m, _ in self.heard if k == kind]

    def send(self, kind: str, message: dict[str, Any] | bytes, retain: bool = False) -> None:
        payload = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.link.publish(f"gn/{self.name}/up/{kind}", payload, 1, retain)

    def online(self, boot: int = 3) -> None:
        self.send("status", {"online": True, "boot": boot, "tools": "tools1"}, True)

    def ask(self, id_: str, *new: Any, **fields: Any) -> None:
        self.send("ask", {"id": id_, "tools": "tools1", "new": list(new), **fields})

    async def answer(self, id_: str, seconds: float = 5, n: int = 1) -> dict[str, Any]:
        """The ``n``-th answer to an ask."""

        def probe() -> dict[str, Any] | None:
            found = [m for m in self.of("answer") if m["id"] == id_]
            return found[n - 1] if len(found) >= n else None

        result: dict[str, Any] = await until(f"answer {n} to {id_}", probe, seconds)
        return result


class House:
    """A companion and its devices on one broker."""

    def __init__(self, companion: Companion, broker: Broker, stack: contextlib.AsyncExitStack):
        self.companion = companion
        self._broker = broker
        self._stack = stack

    async def device(self, name: str, *, tools: bool = True, boot: int = 3) -> Device:
        """A device that is online and known to the companion."""
        device = Device(self._broker.url, name)
        task = asyncio.create_task(device.link.run())

        async def end() -> None:
            for kind in ("status", "tools", "state"):
                device.send(kind, b"", True)
            await asyncio.sleep(0.02)
            await device.link.close()
            await task

        self._stack.push_async_callback(end)
        await asyncio.wait_for(device.link.connected.wait(), 5)
        device.online(boot)
        if tools:
            device.send("tools", TOOLS, True)
        fleet = self.companion.fleet
        await until(f"{name} in the fleet", lambda: (d := fleet.get(name)) and d.online)
        if tools:
            await until(f"{name}'s tools", lambda: fleet.toolset(name, "tools1"))
        return device


MakeHouse = Callable[..., Any]


@pytest_asyncio.fixture
async def house(broker: Broker, tmp_path: Path) -> AsyncIterator[MakeHouse]:
    """``await house(*backends)`` makes one; closed at the end."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(
            *backends: Any,
            on: Broker = broker,
            concurrent: int = 64,
            http: bool = False,
            credentials: Any = None,
            store: Path | None = tmp_path / "companion.db",
        ) -> House:
            config = Config(
                broker=BrokerConfig(on.url),
                limits=LimitsConfig(concurrent_asks=concurrent),
                store=None if store is None else StoreConfig(f"sqlite:///{store}"),
                token="test-token",
            )
            companion = Companion(config, credentials, backends=backends or [Phrases()])
            await companion.start(http=http)
            stack.push_async_callback(companion.stop)
            await asyncio.wait_for(companion.link.connected.wait(), 5)
            return House(companion, on, stack)

        yield make


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A real PostgreSQL server of our own."""
    with Cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgres_template(postgres: Cluster) -> str:
    """The name of a database with all tables and nothing in them."""

    async def make() -> None:
        admin = await asyncpg.connect(postgres.url())
        await admin.execute("CREATE DATABASE template")
        await admin.close()
        store = Store(StoreConfig(postgres.url("template")))
        await store.open()
        assert store.problem == ""
        await store.aclose()

    asyncio.run(make())
    return "template"


@pytest_asyncio.fixture
async def postgres_url(postgres: Cluster, postgres_template: str) -> AsyncIterator[str]:
    """A database of one's own on it, with the companion's tables; the password is in the URL."""
    name = f"test_{secrets.token_hex(6)}"
    admin = await asyncpg.connect(postgres.url())
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {postgres_template}")
        yield postgres.url(name)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()
