"""`ganglion provision`, with mpremote itself, over the line of a virtual board that has Ganglion
and no settings, at the TLS listener of a real companion's broker."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.tools.system import GANGLION, Serving, environment, ganglion
from tools.ports import free_port
from tools.state import Home
from tools.vboard import VirtualBoard
from tools.vboard.line import Line


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A companion whose broker boards reach by TLS, as `localhost`."""
    home = tmp_path_factory.mktemp("house")
    assert ganglion("ca", "init", home=home).returncode == 0
    running = Serving(home, "--lan", "--lan-host", "localhost", "--lan-port", str(free_port()))
    yield running
    assert running.stop() == 0


class Bench:
    """A board on a cable, and somebody who types."""

    def __init__(self, serving: Serving, board: VirtualBoard, port: str) -> None:
        self.serving = serving
        self.board = board
        self.port = port
        self.env = {"GANGLION_WIFI_SSID": "house", "GANGLION_WIFI_PASSWORD": "a good password"}

    async def provision(self, *args: str, fails: bool = False, **env: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *GANGLION, "provision", "--port", self.port, *args,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment(self.serving.home, **{**self.env, **env}),
        )  # fmt: skip
        out, _ = await asyncio.wait_for(process.communicate(), 100)
        assert (process.returncode != 0) is fails, out.decode()
        return out.decode()

    async def config(self) -> dict[str, object]:
        """What is on the board's flash, by mpremote."""
        process = await asyncio.create_subprocess_exec(
            GANGLION[0], "-m", "mpremote", "connect", self.port, "resume", "cat", ":/config.json",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate()
        return dict(json.loads(out))


@pytest_asyncio.fixture
async def bench(house: Serving, tmp_path: Path) -> AsyncIterator[Bench]:
    board = VirtualBoard(tmp_path, "bag", ap=("house", "a good password"))
    async with board, Line(board).open() as port:
        yield Bench(house, board, port)


async def test_from_no_settings_to_the_first_sentence(bench: Bench) -> None:
    told = await bench.provision("--device", "shelf")
    assert "shelf is online" in told and "(TLS)" in told
    assert "a good password" not in told
    lan = Home(bench.serving.home).running().lan
    assert lan is not None and lan.tls
    log = (bench.serving.home / "broker" / "mosquitto.log").read_text()
    assert f"on port {lan.port}." in log  # the board's way; the companion's is the other
    turn = await asyncio.to_thread(bench.serving.client.say, "shelf", "turn on pin 2")
    assert turn["answered"] and bench.board.level(2) == 1

    # Another name. The board keeps the rest, and the old name is good for nothing.
    before = await bench.config()
    told = await bench.provision("--change", "name", "--device", "attic")
    assert "attic is online" in told and "'shelf' may not log in any more" in told
    after = await bench.config()
    assert {k for k in after if after[k] != before[k]} == {"device", "secret"}
    passwords = (bench.serving.home / "broker" / "passwords").read_text()
    assert "attic:" in passwords and "shelf:" not in passwords
