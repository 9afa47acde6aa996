"""The ROM loader's model, with esptool itself at the other end of a pseudo-terminal."""

import hashlib
import os
import pty
import subprocess
import sys
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.vboard.loader import CHIPS, RomLoader

MAC = bytes.fromhex("02a1b2c3d4e5")
# Compressible and not: a head, then noise of a fixed seed.
IMAGE = b"\xe9\x03\x02\x20" + b"".join(
    hashlib.sha256(n.to_bytes(4, "big")).digest() for n in range(1200)
)


class NorFlash:
    """In memory; a write clears bits and sets none, as on the chip."""

    def __init__(self, size: int) -> None:
        self.data = bytearray(b"\0" * size)  # whatever was there before: nothing is erased
        self.size = size

    def read(self, at: int, size: int) -> bytes:
        return bytes(self.data[at : at + size])

    def write(self, at: int, data: bytes) -> None:
        old = self.data[at : at + len(data)]
        self.data[at : at + len(data)] = bytes(a & b for a, b in zip(old, data, strict=True))

    def erase(self, at: int, size: int) -> None:
        assert at % 4096 == 0 and size % 4096 == 0
        self.data[at : at + size] = b"\xff" * size


class Chip:
    """A chip in download mode on a pseudo-terminal; a new stay for each run of esptool."""

    def __init__(self, name: str) -> None:
        self.flash = NorFlash(4 * 1024 * 1024)
        self._model = CHIPS[name]
        self._ours, self._theirs = pty.openpty()
        tty.setraw(self._theirs)
        self.port = os.ttyname(self._theirs)
        self.loader = RomLoader(self._model, self.flash, MAC)
        threading.Thread(target=self._pump, daemon=True).start()

    def _pump(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 65536)
                answer = self.loader.feed(data)
                while answer:
                    answer = answer[os.write(self._ours, answer[:2048]) :]
            except OSError:
                return

    def esptool(self, *args: str, fails: bool = False) -> str:
        self.loader = RomLoader(self._model, self.flash, MAC)
        done = subprocess.run(
            [sys.executable, "-m", "esptool", "--port", self.port, *args],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def close(self) -> None:
        os.close(self._theirs)
        os.close(self._ours)


@pytest.fixture
def chip(request: pytest.FixtureRequest) -> Iterator[Chip]:
    chip = Chip(request.param)
    yield chip
    chip.close()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "image.bin"
    path.write_bytes(IMAGE)
    return path


@pytest.mark.parametrize("chip", list(CHIPS), indirect=True)
def test_esptool_finds_the_chip_and_writes_with_its_stub(chip: Chip, image: Path) -> None:
    told = chip.esptool("write-flash", "0x10000", str(image))
    name = {"esp32": "ESP32-D0WDQ6"}.get(chip._model.name, f"ESP32-{chip._model.name[5:].upper()}")
    assert name in told and "02:a1:b2:c3:d4:e5" in told
    assert "Stub flasher running" in told and "Hash of data verified" in told
    assert chip.flash.read(0x10000, len(IMAGE)) == IMAGE


@pytest.mark.parametrize("chip", ["esp32", "esp32c3"], indirect=True)
def test_without_the_stub(chip: Chip, image: Path, tmp_path: Path) -> None:
    back = tmp_path / "back.bin"
    chip.esptool("--no-stub", "write-flash", "0x10000", str(image))
    assert chip.flash.read(0x10000, len(IMAGE)) == IMAGE
    chip.esptool("--no-stub", "write-flash", "--no-compress", "0x20000", str(image))
    chip.esptool("--no-stub", "verify-flash", "0x20000", str(image))
    if chip._model.name == "esp32":  # the only ROM of these that can read
        chip.esptool("--no-stub", "read-flash", "0x20000", "0x1000", str(back))
        assert back.read_bytes() == IMAGE[:4096]


@pytest.mark.parametrize("chip", ["esp32"], indirect=True)
def test_what_else_esptool_does(chip: Chip, image: Path, tmp_path: Path) -> None:
    back = tmp_path / "back.bin"
    assert "Detected flash size: 4MB" in chip.esptool("flash-id")
    chip.esptool("--baud", "921600", "write-flash", "--no-compress", "0x1000", str(image))
    chip.esptool("verify-flash", "0x1000", str(image))
    chip.esptool("read-flash", "0x1000", "0x6000", str(back))
    assert back.read_bytes() == IMAGE[:0x6000]
    assert "Verification failed" in chip.esptool("verify-flash", "0x3000", str(image), fails=True)
    chip.esptool("erase-region", "0x2000", "0x1000")
    assert chip.flash.read(0x1000, 0x1000) == IMAGE[:0x1000]
    assert chip.flash.read(0x2000, 0x1000) == b"\xff" * 0x1000
    chip.esptool("erase-flash")
    assert set(chip.flash.data) == {0xFF}


@pytest.mark.parametrize("chip", ["esp32"], indirect=True)
def test_a_write_past_the_end_is_refused(chip: Chip, image: Path) -> None:
    before = bytes(chip.flash.data)
    chip.esptool("write-flash", "0x3ff000", str(image), fails=True)
    assert bytes(chip.flash.data) == before
