"""mpremote, unmodified, at the virtual board's serial line."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tools.vboard import BoardConfig, VirtualBoard
from tools.vboard.line import Line


class Bench:
    """A board and the device that is its line."""

    def __init__(self, board: VirtualBoard, port: str) -> None:
        self.board = board
        self.port = port

    async def run(self, *command: str, fails: bool = False) -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *command,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await asyncio.wait_for(process.communicate(), 60)
        assert (process.returncode != 0) is fails, out.decode()
        return out.decode().replace("\r\n", "\n")

    async def mpremote(self, *args: str, fails: bool = False) -> str:
        return await self.run("mpremote", "connect", self.port, *args, fails=fails)

    async def esptool(self, *args: str, fails: bool = False) -> str:
        return await self.run("esptool", "--port", self.port, *args, fails=fails)


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    board = VirtualBoard(tmp_path, "bench", BoardConfig(port=1))
    async with board, Line(board).open() as port:
        await board.wait_serial("ganglion: boot")
        yield Bench(board, port)


async def test_exec_and_eval(bench: Bench) -> None:
    assert await bench.mpremote("exec", "print(6 * 7)") == "42\n"
    assert await bench.mpremote("eval", "[1, 'zwei']") == "[1, 'zwei']\n"
    told = await bench.mpremote("exec", "1 / 0", fails=True)
    assert "ZeroDivisionError" in told


async def test_a_long_program_goes_by_raw_paste(bench: Bench) -> None:
    lines = "\n".join(f"x{n} = {n}  # {'-' * 60}" for n in range(300))
    assert await bench.mpremote("exec", f"{lines}\nprint(x299)") == "299\n"


async def test_files_go_both_ways(bench: Bench, tmp_path: Path) -> None:
    data = bytes(range(256)) * 40
    (tmp_path / "data.bin").write_bytes(data)
    await bench.mpremote("fs", "cp", str(tmp_path / "data.bin"), ":data.bin")
    await bench.mpremote("fs", "cp", ":data.bin", str(tmp_path / "back.bin"))
    assert (tmp_path / "back.bin").read_bytes() == data
    assert "10240 data.bin" in await bench.mpremote("fs", "ls")
    await bench.mpremote("fs", "rm", ":data.bin")
    assert "data.bin" not in await bench.mpremote("fs", "ls")


async def test_a_soft_reset_starts_the_firmware_again(bench: Bench) -> None:
    await bench.mpremote("exec", "print(1)")
    at = bench.board.serial.end
    await bench.mpremote("reset")
    await bench.board.wait_serial("ganglion: boot", since=at)


async def test_soft_reset_clears_what_was_there(bench: Bench) -> None:
    told = await bench.mpremote("exec", "x = 1", "soft-reset", "exec", "print('x' in globals())")
    assert told == "False\n"


async def test_a_folder_of_the_host_is_mounted(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "there.py").write_text("def hello():\n    return 'from the host'\n")
    binary = bytes(range(256)) + b"\n\r\n" * 20
    (tmp_path / "b.bin").write_bytes(binary)
    told = await bench.mpremote(
        "mount",
        str(tmp_path),
        "exec",
        "import there; print(there.hello());"
        "f = open('/remote/b.bin', 'rb'); d = f.read(); f.close();"
        "g = open('/remote/c.bin', 'wb'); g.write(d); g.close(); print(len(d))",
    )
    assert "from the host\n" in told and f"{len(binary)}\n" in told
    assert (tmp_path / "c.bin").read_bytes() == binary


@pytest.mark.parametrize("stub", [[], ["--no-stub"]], ids=["stub", "rom"])
async def test_esptool_writes_the_boards_own_flash(
    bench: Bench, tmp_path: Path, stub: list[str]
) -> None:
    """What lies above 2 MiB is the file system that the board runs on."""
    image = bench.board.image.read_bytes()
    if not stub:
        await bench.esptool("read-flash", "0x200000", "0x8000", str(tmp_path / "back.bin"))
        assert (tmp_path / "back.bin").read_bytes() == image[:0x8000]
    mark = bytes(range(256)) * 16
    (tmp_path / "mark.bin").write_bytes(mark)
    boots = bench.board.boots
    await bench.esptool(*stub, "write-flash", "0x3ff000", str(tmp_path / "mark.bin"))
    await bench.board.wait_boots(boots + 1)
    assert bench.board.image.read_bytes()[-4096:] == mark
    await bench.board.wait_serial("ganglion: boot")


async def test_an_erased_chip_does_not_start(bench: Bench) -> None:
    boots = bench.board.boots
    await bench.esptool("erase-flash")
    await bench.board.wait_serial("there is no firmware on this chip")
    assert bench.board.boots == boots and not bench.board.running
