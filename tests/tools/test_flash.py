"""`ganglion flash`, with esptool and mpremote themselves, against a blank virtual board on a
pseudo-terminal, a stand-in for the stock image served on loopback, and a real companion."""

import asyncio
import contextlib
import hashlib
import http.server
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.tools.system import GANGLION, Serving, environment, row_of
from tools.flash import cures, images, onboard, ports
from tools.flash.chip import Chip, device_id, read
from tools.flash.ports import Port
from tools.problem import Problem, Usage
from tools.vboard import VirtualBoard
from tools.vboard.line import Line
from tools.vboard.stockimage import stock_image

IMAGE = stock_image("esp32")


class Depot:
    """A server of images on loopback; `cut_at` ends an answer early."""

    def __init__(self) -> None:
        self.files = {"ESP32.bin": IMAGE}
        self.cut_at: int | None = None
        self.asked: list[str | None] = []
        depot = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                depot.asked.append(self.headers.get("Range"))
                data = depot.files.get(self.path[1:])
                if data is None:
                    self.send_error(404)
                    return
                at = 0
                if span := self.headers.get("Range"):
                    at = int(span.removeprefix("bytes=").removesuffix("-"))
                self.send_response(206 if at else 200)
                self.send_header("Content-Length", str(len(data) - at))
                self.end_headers()
                self.wfile.write(data[at : depot.cut_at])

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def table(self, folder: Path, sha256: str | None = None) -> Path:
        sha256 = sha256 or hashlib.sha256(IMAGE).hexdigest()
        path = folder / "images.toml"
        path.write_text(
            f'version = "0"\nbase = "{self.url}"\n'
            f'[esp32]\nfile = "ESP32.bin"\nsha256 = "{sha256}"\noffset = 0x1000\n'
        )
        return path

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def depot() -> Iterator[Depot]:
    depot = Depot()
    yield depot
    depot.close()


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
            "GANGLION_IMAGES": str(depot.table(folder)),
            "GANGLION_IMAGE_CACHE": str(folder / "images"),
            "GANGLION_WIFI_SSID": "house",
            "GANGLION_WIFI_PASSWORD": "a good password",
        }

    async def flash(self, *args: str, fails: bool = False, **env: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *GANGLION, "flash", "--port", self.port, *args,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment(self.serving.home, **{**self.env, **env}),
        )  # fmt: skip
        self.process = process
        out, _ = await asyncio.wait_for(process.communicate(), 100)
        assert (process.returncode != 0) is fails, out.decode()
        return out.decode()


@pytest_asyncio.fixture
async def maker(serving: Serving, depot: Depot, tmp_path: Path) -> AsyncIterator[Maker]:
    board = VirtualBoard(tmp_path, "bag", blank=True, ap=("house", "a good password"))
    async with board, Line(board).open() as port:
        yield Maker(serving, board, port, depot, tmp_path)


async def test_from_the_bag_to_the_first_sentence(maker: Maker) -> None:
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
    maker.depot.files["ESP32.bin"] = IMAGE[:-1] + b"x"
    told = await maker.flash("--device", "wrong", fails=True)
    assert "expected sha256" in told and "nothing was written" in told
    assert set((maker.board.folder / "chip.img").read_bytes()) == {0xFF}


async def test_a_download_that_was_cut_goes_on(maker: Maker) -> None:
    maker.depot.cut_at = 1000
    told = await maker.flash("--device", "cut", fails=True)
    assert "cut off at 1,000" in told
    maker.depot.cut_at = None
    maker.depot.asked.clear()
    await maker.flash("--device", "cut")
    assert maker.depot.asked == ["bytes=1000-"]


async def test_a_wrong_password_is_seen_in_the_boards_own_log(maker: Maker) -> None:
    told = await maker.flash("--device", "stray", fails=True, GANGLION_WIFI_PASSWORD="not this one")
    assert "the Wi-Fi password is wrong, the board says" in told
    assert "not this one" not in told
    # The next run has only to put that right.
    told = await maker.flash("--wifi", "house")
    assert "; 0 bytes to copy" in told and "stray is online" in told


async def test_an_image_of_another_chip_is_refused(maker: Maker) -> None:
    image = maker.folder / "c3.bin"
    image.write_bytes(stock_image("esp32c3"))
    told = await maker.flash("--image", str(image), "--device", "other", fails=True)
    assert "the image is for another chip" in told
    assert set((maker.board.folder / "chip.img").read_bytes()) == {0xFF}


@pytest.mark.parametrize("step", ["write", "firmware", "settings"])
async def test_interrupted_and_run_again(maker: Maker, step: str) -> None:
    """Killed as soon as a step begins; the next run ends where the first would have."""
    device = f"cut-{step}"
    process = await asyncio.create_subprocess_exec(
        *GANGLION, "flash", "--port", maker.port, "--device", device,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment(maker.serving.home, **maker.env),
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout
    async with asyncio.timeout(60):
        while step not in (line := (await process.stdout.readline()).decode()):
            assert line
    await asyncio.sleep(0.7)  # somewhere inside it
    with contextlib.suppress(ProcessLookupError):  # it was quicker
        process.kill()
    await process.communicate()
    told = await maker.flash("--device", device)
    assert f"{device} is online" in told


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


def test_each_stock_image_has_its_hash_or_none() -> None:
    table = images.table()
    assert set(table) == {"esp32", "esp32s2", "esp32s3", "esp32c3", "esp32c6"}
    for image in table.values():
        assert image.url.startswith("https://") and image.url.endswith(f"-v{image.version}.bin")
        assert image.sha256 == "" or len(bytes.fromhex(image.sha256)) == 32
    with pytest.raises(Problem, match="IMAGE=path"):
        images.of("esp32s2")


def test_readers() -> None:
    told = "Connected to ESP32-C3 on /dev/x:\nMAC:                02:03:04:05:06:07\n"
    told += "Detected flash size: 4MB\n"
    assert read(told) == Chip("esp32c3", "02:03:04:05:06:07", 4 << 20)
    assert device_id("02:03:04:05:06:07") == "board-050607"
    found = onboard.found('noise\nganglion:[[1, 28, 0], null, {"a": "b"}, "/a"]\n')
    assert (found.version, found.runs_ganglion) == ((1, 28, 0), False)
    with pytest.raises(Problem):
        onboard.found("ganglion: boot 3 of kitchen")
