"""`ganglion flash`, with esptool and mpremote themselves, against a blank virtual board on a
pseudo-terminal, a stand-in for the stock image served on loopback, and a real companion."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
import serial
from serial.tools import list_ports_common

from tests.tools.system import GANGLION, Serving, environment, row_of
from tools.flash import command, cures, images, onboard, online, ports
from tools.flash.chip import Chip, device_id, read
from tools.flash.ports import Port
from tools.paths import FIRMWARE, ROOT
from tools.problem import Problem, Usage
from tools.state import Home
from tools.vboard import VirtualBoard
from tools.vboard.depot import Depot
from tools.vboard.line import Line
from tools.vboard.stockimage import stock_image

IMAGE = stock_image("esp32")


class Maker:
    """Somebody with a board, a cable and a companion."""

    def __init__(
        self, serving: Serving, board: VirtualBoard, port: str, depot: Depot, folder: Path
    ) -> None:
        self.serving = serving
        self.board = board
        self.port = port
        self.depot = depot
        self.folder = folder
        self.env = {
            **depot.environment(folder),
            "GANGLION_WIFI_SSID": "house",
            "GANGLION_WIFI_PASSWORD": "a good password",
        }

    async def start(self, *args: str, **env: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *GANGLION, "flash", "--port", self.port, *args,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment(self.serving.home, **{**self.env, **env}),
        )  # fmt: skip

    async def flash(self, *args: str, fails: bool = False, **env: str) -> str:
        process = await self.start(*args, **env)
        out, _ = await asyncio.wait_for(process.communicate(), 100)
        assert (process.returncode != 0) is fails, out.decode()
        return out.decode()


Desk = Callable[..., Awaitable[Maker]]


@pytest_asyncio.fixture
async def desk(serving: Serving, tmp_path: Path) -> AsyncIterator[Desk]:
    """Boards to plug in, by a name: with a chip that nothing was ever written to, or `flashed`,
    with MicroPython and Ganglion as the virtual board makes it, and no settings."""
    async with contextlib.AsyncExitStack() as stack:

        async def plug_in(name: str, *, flashed: bool = False) -> Maker:
            folder = tmp_path / name
            folder.mkdir()
            board = VirtualBoard(
                folder, name, blank=not flashed, ap=("house", "a good password")
            )  # its MAC comes of its name
            await stack.enter_async_context(board)
            port = await stack.enter_async_context(Line(board).open())
            depot = stack.enter_context(contextlib.closing(Depot()))
            return Maker(serving, board, port, depot, folder)

        yield plug_in


@pytest_asyncio.fixture
async def maker(desk: Desk) -> Maker:
    return await desk("bag")


async def test_three_boards_at_once(desk: Desk) -> None:
    """At once, since one of them waits 15 s for its access point."""
    async with asyncio.TaskGroup() as group:
        group.create_task(a_wrong_password(await desk("stray", flashed=True)))
        group.create_task(from_the_bag_to_the_first_sentence(await desk("shelf")))
        group.create_task(interrupted_at_every_step(await desk("cut")))


async def from_the_bag_to_the_first_sentence(maker: Maker) -> None:
    told = await maker.flash("--device", "shelf")
    assert "esptool" in told and "mpremote" in told  # people can go on by hand
    assert "a good password" not in told
    assert row_of(maker.serving, "shelf")["online"]
    turn = await asyncio.to_thread(maker.serving.client.say, "shelf", "turn on pin 2")
    assert turn["answered"] and maker.board.level(2) == 1
    # Again: nothing is written, and what the board knows survives.
    await asyncio.to_thread(maker.serving.client.say, "shelf", "call pin 2 lamp")
    lower = (maker.board.folder / "chip.img").read_bytes()
    told = await maker.flash()
    assert "byte for byte" in told and "; 0 bytes to copy" in told and "as they were" in told
    assert (maker.board.folder / "chip.img").read_bytes() == lower
    turn = await asyncio.to_thread(maker.serving.client.say, "shelf", "turn off the lamp")
    assert turn["answered"] and maker.board.level(2) == 0
    # Only when it is told to does it forget.
    await maker.flash("--erase", "--device", "shelf")
    turn = await asyncio.to_thread(maker.serving.client.say, "shelf", "turn on the lamp")
    assert not turn["calls"]


async def on_board(maker: Maker, source: str) -> str:
    """What MicroPython prints when it runs that, at its prompt."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mpremote", "connect", maker.port, "resume", "exec", source,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    return out.decode()


async def test_a_firmware_goes_to_the_slot_that_is_not_in_use(maker: Maker) -> None:
    await maker.flash("--device", "slots")
    slot = "print(open('/slot').read())"
    assert (await on_board(maker, slot)).split()[0] == "/a"
    # One file is not what it was: the rest is copied on the board, and only that by cable.
    await on_board(maker, "f = open('/a/g/tz.mpy', 'a'); f.write('x'); f.close()")
    told = await maker.flash()
    assert "(1)" in told and "slots is online" in told
    assert (await on_board(maker, slot)).split()[0] == "/b"
    # A firmware in the root, as it was before there were slots, starts; and gives way to a slot.
    move = "import os; os.rename('/b/g', '/g'); os.rename('/b/boards', '/boards')"
    await on_board(maker, f"{move}; os.remove('/slot')")
    await maker.flash()
    assert (await on_board(maker, slot)).split()[0] == "/a"
    left = await on_board(maker, "import os; print(os.listdir('/'), os.listdir('/g'))")
    assert "'main.py'" in left and left.split("]")[1].strip(" [\r\n") == ""


async def test_a_wrong_hash_writes_nothing(maker: Maker) -> None:
    maker.depot.image = IMAGE[:-1] + b"x"
    told = await maker.flash("--device", "wrong", fails=True)
    assert "expected sha256" in told and "nothing was written" in told
    assert set((maker.board.folder / "chip.img").read_bytes()) == {0xFF}


async def interrupted_at_every_step(maker: Maker) -> None:
    """Killed as soon as a step begins; the last run ends where the first would have."""
    maker.depot.cut_at = 1000
    told = await maker.flash("--device", "cut", fails=True)
    assert "cut off at 1,000" in told
    maker.depot.cut_at = None
    maker.depot.asked.clear()
    for step, inside_s in (("write", 0.5), ("firmware", 0.7), ("settings", 0.1)):
        process = await maker.start("--device", "cut")
        assert process.stdout
        async with asyncio.timeout(60):
            while f"] {step}" not in (line := (await process.stdout.readline()).decode()):
                assert line
        await asyncio.sleep(inside_s)
        process.kill()
        await process.communicate()
    told = await maker.flash("--device", "cut")
    assert "cut is online" in told
    assert maker.depot.asked == ["bytes=1000-"]  # the download went on, and was the last


async def a_wrong_password(maker: Maker) -> None:
    """Seen in the board's own log. With an image of one's own, and from a board that has
    MicroPython and Ganglion already."""
    own = maker.folder / "own.bin"
    own.write_bytes(IMAGE + b"mine")
    told = await maker.flash(
        "--device", "stray", fails=True, GANGLION_WIFI_PASSWORD="not this one", IMAGE=str(own)
    )
    assert "the Wi-Fi password is wrong, the board says" in told
    assert "not this one" not in told and f"yours: {own}" in told
    chip = (maker.board.folder / "chip.img").read_bytes()
    assert chip[0x1000 : 0x1000 + len(IMAGE) + 4] == IMAGE + b"mine"
    # The next run has only to put that right.
    told = await maker.flash("--wifi", "house", IMAGE=str(own))
    assert "byte for byte" in told
    assert "; 0 bytes to copy" in told and "stray is online" in told


async def test_an_image_of_another_chip_is_refused(maker: Maker) -> None:
    image = maker.folder / "c3.bin"
    image.write_bytes(stock_image("esp32c3"))
    told = await maker.flash("--image", str(image), "--device", "other", fails=True)
    assert "the image is for another chip" in told
    assert set((maker.board.folder / "chip.img").read_bytes()) == {0xFF}


async def test_a_port_that_another_program_has_open(maker: Maker) -> None:
    with serial.Serial(maker.port, exclusive=True):  # as a serial monitor does
        told = await maker.flash(fails=True)
    assert "another program has the port open" in told and "'Port busy'" in told


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open every port")
async def test_a_port_that_one_may_not_open(maker: Maker) -> None:
    closed = maker.folder / "port"
    closed.touch(mode=0)
    maker.port = str(closed)
    assert "you may not open the port" in await maker.flash(fails=True)


async def test_a_port_that_is_not_there(maker: Maker) -> None:
    maker.port = "/dev/ttyNoSuchBoard"
    assert "there is no such port" in await maker.flash(fails=True)


def test_several_ports_and_nobody_to_ask(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """As pyserial lists them: two boards, and a modem that is none."""
    found = []
    for device, vid in (("/dev/ttyUSB1", 0x10C4), ("/dev/ttyUSB0", 0x1A86), ("/dev/ttyS0", None)):
        info = list_ports_common.ListPortInfo(device)
        info.vid = vid
        found.append(info)
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: found)
    with pytest.raises(Problem, match=r"PORT=(.|\n)*ttyUSB0(.|\n)*ttyUSB1") as error:
        command.flash(command.Options(Home(serving.home)))
    assert "ttyS0" not in str(error.value)


def test_ports_are_chosen_or_named() -> None:
    a, b = Port("/dev/ttyUSB0", "CP2102"), Port("/dev/ttyACM0", "Espressif")
    assert ports.choose("/dev/x", [a, b]) == "/dev/x"
    assert ports.choose("", [a]) == "/dev/ttyUSB0"
    with pytest.raises(Problem, match="many only charge"):
        ports.choose("", [])
    with pytest.raises(Usage, match=r"ttyUSB0(.|\n)*ttyACM0"):
        ports.choose("", [a, b])  # nobody to ask


@pytest.mark.parametrize(
    "printed, name",
    [
        ("[Errno 13] could not open port /dev/ttyUSB0: [Errno 13] Permission denied", "No perm"),
        ("could not open port: [Errno 16] Device or resource busy: '/dev/ttyUSB0'", "Port busy"),
        ("[Errno 2] No such file or directory: '/dev/ttyUSB9'", "No such port"),
        ("'x.bin' is not an ESP32-S3 image. Use the force argument", "Wrong chip image"),
        ("Wrong boot mode detected (0x13)! The chip needs to be in", "Not in download mode"),
        ("Failed to connect to ESP32: No serial data received.", "The chip does not answer"),
        ("rst:0xc (SW_CPU_RESET)\r\nBrownout detector was triggered", "Brown-out"),
        ("mpremote: could not enter raw repl", "MicroPython does not answer"),
    ],
)
def test_what_tools_say_has_a_cure(printed: str, name: str) -> None:
    found = cures.cure(printed)
    assert found is not None and found.name.startswith(name)


def test_each_trouble_has_its_heading() -> None:
    """What is printed as "docs/troubleshooting.md, '…'" is there."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    for name in (*cures.names(), *online.names()):
        assert f"\n### {name}\n" in page, name


@pytest.mark.parametrize(
    "printed, name",
    [
        ("Wi-Fi house: wrong password", "Wrong Wi-Fi password"),
        ("Wi-Fi house: no access point of that name", "No such Wi-Fi network"),
        ("Wi-Fi house: the network is open", "The Wi-Fi network is open"),
        ("broker a:1: refused: not authorised", "The broker refuses the login"),
        ("broker a:1: refused: wrong user name or password", "The broker refuses the login"),
        ("broker a:1: TLS: The certificate validity has expired", "The broker's certificate is"),
        ("broker a:1: (-9984, 'MBEDTLS_ERR_X509_CERT_VERIFY_FAILED')", "The broker's certificate"),
        ("broker a:1: /ca.der is missing: provision this board", "The board has no authority"),
        ("ganglion: SAFE MODE. 3 boots failed.", "Safe mode"),
        ("broker a:1: TLS needs the time, and NTP does not answer", "The board does not know"),
        ("broker 192.0.2.2:8883: [Errno 113] EHOSTUNREACH", "The broker is not reached"),
        ("broker a:1: the broker closed the connection", "The broker is not reached"),
        ("Brownout detector was triggered", "Brown-out"),
    ],
)
def test_what_a_board_says_of_itself_has_a_cure(printed: str, name: str) -> None:
    found = online.trouble(printed) or online.doubt(printed)
    assert found is not None and found.name.startswith(name)


def test_each_stock_image_has_its_hash_or_none() -> None:
    table = images.table()
    assert set(table) == {"esp32", "esp32s2", "esp32s3", "esp32c3", "esp32c6"}
    boards = {path.stem for path in (FIRMWARE / "boards").glob("esp32*.py")}
    assert boards == set(table)  # a chip whose pins nobody knows gets no firmware
    for image in table.values():
        assert image.url.startswith("https://") and image.url.endswith(f"-v{image.version}.bin")
        assert image.sha256 == "" or len(bytes.fromhex(image.sha256)) == 32
    with pytest.raises(Problem, match="IMAGE=path"):
        images.of("esp32s2")
    with pytest.raises(Usage, match="there is no file"):
        images.own(Path("none.bin"), "esp32")


def test_readers() -> None:
    told = "Connected to ESP32-C3 on /dev/x:\nMAC:                02:03:04:05:06:07\n"
    told += "Detected flash size: 4MB\n"
    assert read(told) == Chip("esp32c3", "02:03:04:05:06:07", 4 << 20)
    assert device_id("02:03:04:05:06:07") == "board-050607"
    found = onboard.found(
        'noise\nganglion:[1, 28, 0]\nganglion:null\nganglion:{"a": "b"}\nganglion:"/a"\n'
    )
    assert (found.version, found.runs_ganglion) == ((1, 28, 0), False)
    found = onboard.found(
        'ganglion:[1, 28, 0]\nganglion:{"device": cut\nganglion:null\nganglion:""\n'
    )
    assert found.config is None and found.installed == {}
    with pytest.raises(Problem):
        onboard.found("ganglion: boot 3 of kitchen")
