"""Settings by message: real brokers, a companion, a virtual board. What the companion would never
send is sent by the test in its place."""

import contextlib
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from companion import wire
from companion.app import Companion
from companion.config import BrokerConfig, Config
from companion.settings import Order
from tests.e2e.rig import Tap
from tests.e2e.test_update import sources, until
from tools import runtime
from tools.accounts import update_key
from tools.broker import EmbeddedBroker
from tools.build import build_firmware
from tools.certificates import Authority
from tools.listeners import Lan
from tools.ports import free_port
from tools.vboard import BoardConfig, VirtualBoard
from tools.vboard.flash import prepare

FULL = bool(os.environ.get("GANGLION_FULL"))
PORCH = Order(name="porch")

# Times of a trial, so short that a test can wait for them.
HASTY = {
    "ganglion/board.py": ("_HEALTHY_AFTER_S = const(10)", "_HEALTHY_AFTER_S = const(1)"),
    "ganglion/settings.py": ("_HEALTHY_AFTER_S = const(10)", "_HEALTHY_AFTER_S = const(1)"),
    "ganglion/settings_trial.py": ("_PROVE_S = const(120)", "_PROVE_S = const(3)"),
}


class House:
    """One board, its broker and its companion."""

    def __init__(self, folder: Path, broker: EmbeddedBroker, first: Path) -> None:
        self.broker = broker
        self.tap = tap(broker)
        user, password = broker.add_service("companion")
        url = f"mqtt://{user}:{password}@127.0.0.1:{broker.port}"
        self.companion = Companion(Config(broker=BrokerConfig(url)), broker)
        self.secret = broker.add("demo")
        config = BoardConfig(self.secret, "127.0.0.1", broker.port)
        shutil.copytree(first / "build", folder / "boards" / "demo" / "build")
        shutil.copy(first / "flash.img", folder / "boards" / "demo")
        self.board = VirtualBoard(folder, "demo", config, firmware=first / "firmware")

    async def online(self, device: str = "demo", after: int = 0) -> dict[str, Any]:
        """The status of a boot later than ``after``, once it knows the time."""
        return await online(self.tap, device, after)

    @property
    def boot(self) -> int:
        return int(self.tap.of("status")[-1]["boot"])

    async def do(self, tool: str, /, device: str = "demo", **args: Any) -> dict[str, Any]:
        return (await self.companion.dispatch.do(device, tool, args))["receipt"]

    async def change(self, order: Order, device: str = "demo") -> dict[str, Any]:
        """How it ended."""
        key = self.broker.update_key(device)
        assert key is not None
        await self.companion.settings.start(device, order, key)
        return await self.ended(device)

    async def ended(self, device: str = "demo") -> dict[str, Any]:
        def told() -> dict[str, Any] | None:
            change = self.companion.settings.change(device)
            return change if change["ended"] else None

        return await until(told, 60)

    # ---- in the companion's place

    def send(self, v: int, to: wire.Changes, *, key: bytes | None = None, **how: Any) -> bytes:
        payload = wire.encode_settings(key or update_key(self.secret), "demo", v, to)
        self.tap.send("gn/demo/down/config", payload, **how)
        return payload

    async def event(self, v: int, end: str, after: int = 0) -> dict[str, Any]:
        """What the device tells of settings ``v``, in a boot later than ``after``."""
        return await until(
            lambda: next(
                (
                    e
                    for e in self.tap.of("event")
                    if (e["kind"], e.get("v"), e.get("end")) == ("settings", v, end)
                    and e["boot"] > after
                ),
                None,
            ),
            30,
        )


def tap(broker: EmbeddedBroker) -> Tap:
    user, password = broker.add_service("tap")
    return Tap("127.0.0.1", broker.port, user, password)


async def online(tap: Tap, device: str, after: int = 0) -> dict[str, Any]:
    def last() -> dict[str, Any] | None:
        topic = f"gn/{device}/up/status"
        seen = [json.loads(p) for t, p in list(tap.messages) if t == topic and p]
        good = seen and seen[-1]["online"] and seen[-1]["clock"] and seen[-1]["boot"] > after
        return seen[-1] if good else None

    return await until(last, 30)


def retained(broker: EmbeddedBroker, name: str) -> dict[str, bytes]:
    """All that the broker retains below ``gn/<name>/``, as who comes now is told."""
    now = tap(broker)
    try:
        now.send("gn/all/down/event/fence", b"1")
        now.wait_for_topic("gn/all/down/event/fence")
        return {t: p for t, p in now.messages if t.startswith(f"gn/{name}/") and p}
    finally:
        now.close()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the boards begin with, built."""
    folder = tmp_path_factory.mktemp("first")
    build = build_firmware(sources(folder / "firmware", "1.0.0", HASTY), folder / "build")
    prepare(folder / "flash.img", build, {}, runtime.micropython())
    return folder


@pytest_asyncio.fixture
async def house(tmp_path: Path, first: Path) -> AsyncIterator[House]:
    for path in (tmp_path, *(p for p in tmp_path.parents if p.name.startswith("pytest-"))):
        path.chmod(0o711)  # the broker runs as another user when we are root
    authority = Authority(tmp_path / "ca")
    authority.make(["localhost"])
    lan = Lan(
        free_port(), authority.broker_pem.read_text(), authority.broker_key.read_text(),
        address="127.0.0.1",
    )  # fmt: skip
    async with contextlib.AsyncExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker(tmp_path / "broker", lan=lan))
        house = House(tmp_path, broker, first)
        stack.callback(house.tap.close)
        await house.companion.start(http=False)
        stack.push_async_callback(house.companion.stop)
        await stack.enter_async_context(house.board)
        await house.online()
        yield house


async def test_another_name_keeps_all_else(house: House) -> None:
    await house.do("memory_set", key="owner", value="Ann")
    await house.do("point_set", name="lamp", pin=5)
    act = {"tool": "gpio_write", "args": {"pin": "lamp", "value": 1}}
    await house.do("schedule_set", name="wake", when="0 7 * * *", **act)
    boot = house.boot
    ended = await house.change(PORCH)
    assert (ended["state"], ended["name"]) == ("done", "porch"), ended
    assert (await house.online("porch"))["boot"] == boot + 1
    assert (await house.do("memory_get", device="porch", key="owner"))["value"] == "Ann"
    assert "wake" in str(await house.do("schedule_list", device="porch"))
    assert "lamp" in str(await house.do("point_list", device="porch"))
    # The old name is nobody's: no login, nothing that says it were there.
    assert house.broker.devices() == {"porch"}
    assert house.companion.fleet.get("demo") is None
    # It is kept over a power cut, and its update key is the new one's.
    await house.board.power(False)
    await house.board.power(True)
    await house.online("porch", after=boot + 1)
    ended = await house.change(Order(name="demo"), "porch")
    assert ended["state"] == "done", ended
    assert not house.broker.is_valid("demo", house.secret)
