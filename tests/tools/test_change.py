"""`ganglion change` as a user types it, with a companion, its broker and a virtual board."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_settings import HASTY
from tests.e2e.test_update import sources
from tests.tools.system import Serving, ganglion, row_of, wait_for
from tools.broker import EmbeddedBroker
from tools.ports import free_port
from tools.state import Home
from tools.vboard import BoardConfig, VirtualBoard


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    home = tmp_path_factory.mktemp("house")
    assert ganglion("ca", "init", home=home).returncode == 0
    running = Serving(home, "--lan", "--lan-host", "localhost", "--lan-port", str(free_port()))
    yield running
    assert running.stop() == 0


async def change(house: Serving, *args: str) -> tuple[int, str]:
    done = await asyncio.to_thread(ganglion, "change", *args, home=house.home)
    return done.returncode, done.stdout + done.stderr


async def test_ganglion_change(house: Serving, tmp_path: Path) -> None:
    secret = house.client.register("porch")["secret"]
    Home(house.home).remember("porch", secret)
    config = BoardConfig(secret, house.running.broker.host, house.running.broker.port)
    firmware = sources(tmp_path / "firmware", "1.0.0", HASTY)
    async with VirtualBoard(tmp_path, "porch", config, firmware=firmware):
        await asyncio.to_thread(wait_for, lambda: row_of(house, "porch").get("clock"), 20)
        code, told = await change(house, "porch", "--name", "hall")
        assert code == 0 and "porch: 'hall' answers (" in told, told
        assert row_of(house, "hall")["online"]
        assert not [row for row in house.client.devices() if row["device"] == "porch"]
        # What this machine knows of it is what it logs in with now.
        known = json.loads((house.home / "devices.json").read_text())
        assert len(known["hall"]) == 64 and known["hall"] not in told

        # To the listener with TLS, whose authority is the companion's.
        lan = Home(house.home).running().lan
        assert lan is not None
        code, told = await change(house, "hall", "--broker", f"mqtts://localhost:{lan.port}")
        assert code == 0 and "hall: 'hall' answers" in told, told

        # Nobody listens there.
        code, told = await change(house, "hall", "--broker", f"mqtt://127.0.0.1:{free_port()}")
        assert code == 1 and "hall: FAILED (back): it could not connect" in told, told
        assert "hall tries it" in told and row_of(house, "hall")["online"]

        # Another broker: whoever has a login there sees it come.
        with EmbeddedBroker(tmp_path / "second") as second:
            second.admit("hall", known["hall"])
            user, password = second.add_service("me")
            wrong = f"mqtt://{user}:no@127.0.0.1:{second.port}"
            code, told = await change(house, "hall", "--broker", wrong)
            assert code == 1 and "does not let this login look there" in told, told
            url = f"mqtt://{user}:{password}@127.0.0.1:{second.port}"
            code, told = await change(house, "hall", "--broker", url)
            assert code == 0 and f"hall: it is at 127.0.0.1:{second.port}, and" in told, told
            assert password not in told
    code, told = await change(house, "hall", "--name", "attic")
    assert code == 1 and "is not online" in told, told


@pytest.mark.parametrize(
    "args, code, words",
    [
        ((), 2, "say what to change"),
        (("--name", "Not An Id"), 2, "is not a device id"),
        (("--name", "x", "--broker", "mqtts://h"), 2, "one after the other"),
        (("--broker", "http://h"), 2, "starts with mqtt://"),
        (("--broker", "mqtt://192.0.2.1"), 2, "--insecure"),
        (("--broker", "mqtt://192.0.2.1", "--insecure", "--ca", "x.pem"), 2, "mqtts://"),
        (("--ca", "no-such.pem"), 1, "no PEM file"),
        (("--name", "another"), 1, "'nobody' has not been heard of"),
    ],
)
async def test_what_cannot_be_changed_is_said_before_anything_is_sent(
    house: Serving, args: tuple[str, ...], code: int, words: str
) -> None:
    got, told = await change(house, "nobody", *args)
    assert got == code and words in told, told
