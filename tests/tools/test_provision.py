"""`ganglion provision`, with mpremote itself, over the line of a virtual board that has Ganglion
and no settings, at the TLS listener of a real companion's broker."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from tests.tools.system import GANGLION, Serving, environment, ganglion, row_of
from tests.tools.terminal import Terminal
from tools.broker import EmbeddedBroker
from tools.certificates import Authority
from tools.flash.settings import Said, place
from tools.ports import free_port
from tools.problem import Problem, Usage
from tools.state import Broker, Home, Running
from tools.vboard import BoardConfig, VirtualBoard, layout
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

    async def start(self, *args: str, **env: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *GANGLION, "provision", "--port", self.port, *args,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment(self.serving.home, **{**self.env, **env}),
        )  # fmt: skip

    async def provision(self, *args: str, fails: bool = False, **env: str) -> str:
        process = await self.start(*args, **env)
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


@pytest.fixture
def settings() -> BoardConfig | None:
    """What is on the board already."""
    return None


@pytest_asyncio.fixture
async def bench(
    house: Serving, tmp_path: Path, settings: BoardConfig | None
) -> AsyncIterator[Bench]:
    board = VirtualBoard(tmp_path, "bag", settings, ap=("house", "a good password"))
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


MOVED = BoardConfig(secret="of another house", host="old.lan", port=1, ssid="cottage", password="")


def changed(before: dict[str, object], after: dict[str, object]) -> set[str]:
    return {key for key in {**before, **after} if before.get(key) != after.get(key)}


@pytest.mark.parametrize("settings", [MOVED])
async def test_a_change_touches_that_alone(bench: Bench) -> None:
    """A board of another house: neither its Wi-Fi nor its broker is there."""
    first = await bench.config()
    board, house = bench.board, bench.serving
    board.hardware.set_text(layout.SSID, "cottage", 32)
    board.hardware.set_text(layout.PASSWORD, "", 63)
    await bench.provision("--change", "broker")
    assert row_of(house, "bag")["online"]
    second = await bench.config()
    assert changed(first, second) == {"host", "port", "ca", "secret"}

    # The broker knows it now: said once more it keeps what it has.
    assert "as they were" in await bench.provision("--change", "broker")

    board.hardware.set_text(layout.SSID, "house", 32)
    board.hardware.set_text(layout.PASSWORD, "a new password", 63)
    told = await bench.provision("--change", "wifi", GANGLION_WIFI_PASSWORD="a new password")
    assert "a new password" not in told
    third = await bench.config()
    assert changed(second, third) == {"wifi"}
    assert third["wifi"] == {"ssid": "house", "password": "a new password"}

    # A new secret where somebody has the old one.
    bench.env["GANGLION_WIFI_PASSWORD"] = "a new password"
    assert "bag is online" in await bench.provision("--change", "wifi", "--renew")
    assert changed(third, await bench.config()) == {"secret"}


BROKEN = BoardConfig(ssid="house", password="a good password", more={"host": 7})


@pytest.mark.parametrize("settings", [BROKEN])
async def test_settings_that_led_to_safe_mode(bench: Bench) -> None:
    """Put right, they are tried at once: the starts that failed are forgotten."""
    await bench.board.wait_serial("SAFE MODE")
    assert "bag is online" in await bench.provision("--change", "broker", "--renew")


async def test_interrupted_and_run_again(bench: Bench) -> None:
    """Killed as soon as it is about to write, or while it waits: the next run ends well, and as
    the same device."""
    for step in ("settings", "online"):
        process = await bench.start("--device", "cut")
        assert process.stdout
        async with asyncio.timeout(30):
            while f"] {step}" not in (line := (await process.stdout.readline()).decode()):
                assert line
        process.kill()
        await process.communicate()
    assert "cut is online" in await bench.provision("--device", "cut")


async def test_at_a_broker_of_ones_own(bench: Bench, home: Path, broker: EmbeddedBroker) -> None:
    """A mosquitto whose logins the companion does not manage: the user gives the password."""
    user, password = broker.add_service("companion")
    own = home / "own"
    own.mkdir()
    url = f"mqtt://{user}:{password}@{broker.host}:{broker.port}"
    bench.serving = await asyncio.to_thread(Serving, own, "--broker", url)
    try:
        told = await bench.provision("--device", "porch", fails=True)
        assert "GANGLION_SECRET" in told and "broker.register" not in told
        secret = broker.add("porch")
        told = await bench.provision("--device", "porch", GANGLION_SECRET=secret)
        assert "porch is online" in told and "(plain)" in told and secret not in told
        broker.add("porch")  # and now it has another
        told = await bench.provision("--change", "broker", fails=True)
        assert "the broker refuses the board's login" in told
    finally:
        assert await asyncio.to_thread(bench.serving.stop) == 0


async def test_somebody_at_a_terminal_is_asked_and_asked_again(bench: Bench) -> None:
    """Name, network, and password, which is never shown; and once more where the board says that
    the network is not there. It says so after 15 s."""
    env = environment(bench.serving.home)
    told, status = await asyncio.to_thread(_typed, bench.port, env)
    assert status == 0 and "porch is online" in told
    assert "a good password" not in told and "something else" not in told
    assert (await bench.config())["wifi"] == {"ssid": "house", "password": "a good password"}


def _typed(port: str, env: dict[str, str]) -> tuple[str, int]:
    terminal = Terminal([*GANGLION, "provision", "--port", port], env)
    at = terminal.shows("Name of the board [board-", 30)
    terminal.say("porch")
    at = terminal.shows("Wi-Fi network", after=at)
    terminal.say("hous")
    at = terminal.shows("Password of 'hous'", after=at)
    terminal.say("something else")
    at = terminal.shows("no Wi-Fi network of that name", 60, after=at)
    at = terminal.shows("Wi-Fi network (2.4 GHz)", after=at)
    terminal.say("house")
    at = terminal.shows("Password of 'house'", after=at)
    terminal.say("a good password")
    terminal.shows("is online", 60, after=at)
    return terminal.text, terminal.ends()


def test_what_is_said_wrongly(house: Serving, tmp_path: Path) -> None:
    for arguments, word in (
        (["--change", "colour"], "wifi, broker or name"),
        (["--change", "wifi", "--device", "attic"], "stays as it is"),
        (["--device", "No!"], "is not a device id"),
    ):
        result = ganglion("provision", *arguments, home=house.home)
        assert result.returncode == 2 and word in result.stderr
    result = ganglion("provision", "--port", "/dev/ttyNoSuchBoard", home=house.home)
    assert result.returncode == 1 and "no such port" in result.stderr
    result = ganglion("provision", "--port", "/dev/x", home=tmp_path)
    assert result.returncode == 1 and "ganglion serve" in result.stderr


def test_where_a_board_is_sent(tmp_path: Path) -> None:
    """Never to a loopback that is not its own, never in the clear unless that is meant."""
    said = Said(Home(tmp_path))
    here = Broker("127.0.0.1", 1883)
    alone = Running("http://127.0.0.1:1", "t", 1, here)
    with pytest.raises(Problem, match=r"serve.* --lan"):
        place(said, alone, "/dev/ttyUSB0")
    assert place(said, alone, "/dev/pts/7").entries() == {"host": "127.0.0.1", "port": 1883}

    plain = replace(alone, lan=Broker("192.0.2.2", 1883))
    with pytest.raises(Usage, match="--insecure"):
        place(said, plain, "/dev/ttyUSB0")
    assert place(replace(said, insecure=True), plain, "/dev/ttyUSB0").port == 1883

    # Of the system's authorities a chip knows none.
    cloud = Running("http://127.0.0.1:1", "t", 1, Broker("broker.test", 8883, True))
    with pytest.raises(Problem, match="--ca"):
        place(said, cloud, "/dev/ttyUSB0")
    authority = Authority(tmp_path / "ca")
    authority.make(["broker.test"])
    found = place(replace(said, ca=authority.ca_pem), cloud, "/dev/ttyUSB0")
    assert found.ca == authority.ca_der.read_bytes() and found.entries()["ca"] == "/ca.der"
    with pytest.raises(Problem, match="no PEM file of one certificate"):
        place(replace(said, ca=authority.ca_der), cloud, "/dev/ttyUSB0")
