"""Resets, power, watchdog, clock, and the flash under all of them."""

import asyncio
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tools.paths import ROOT
from tools.runtime import micropython
from tools.vboard import (
    BoardBusy,
    BoardConfig,
    BoardControl,
    BoardError,
    SyncBoardControl,
    VirtualBoard,
)
from tools.vboard.flash import prepare

MACHINE = "from machine import RTC, WDT, Pin, reset, reset_cause, soft_reset\nimport os, time\n"


async def test_rtc_memory_outlives_resets_but_not_power(make):
    board = await make(MACHINE)
    assert await board.ask("(reset_cause(), RTC().memory())") == (1, b"")
    await board.do("RTC().memory(b'kept')")
    board.send("reset()\n")
    await board.ready(2)
    assert await board.ask("(reset_cause(), RTC().memory())") == (2, b"kept")
    board.send("soft_reset()\n")
    await board.ready(3)
    assert await board.ask("(reset_cause(), RTC().memory())") == (5, b"kept")
    await board.reset()
    await board.ready(4)
    assert await board.ask("(reset_cause(), RTC().memory())") == (2, b"kept")
    await board.power(False)
    assert not board.running and board.stats()["pid"] is None
    await board.power(True)
    await board.ready(5)
    assert await board.ask("(reset_cause(), RTC().memory())") == (1, b"")


async def test_a_hard_reset_lets_go_of_the_pads_and_a_soft_one_does_not(make):
    board = await make(MACHINE + "if reset_cause() == 1: Pin(5, Pin.OUT, value=1)\n")
    board.send("soft_reset()\n")
    await board.ready(2)
    assert board.level(5) == 1
    board.drive(4, 1)
    board.send("reset()\n")
    await board.ready(3)
    assert board.level(5) == 0 and board.level(4) == 1


async def test_the_watchdog_bites_a_hanging_board(make):
    board = await make(MACHINE + "RTC().memory(b'k')\n")
    await board.do("w = WDT(timeout=200)")
    for _ in range(4):
        await asyncio.sleep(0.1)
        await board.do("w.feed()")
    assert board.boots == 1
    began = time.monotonic()
    board.send("exec('while True: pass')\n")
    await board.ready(2)
    assert 0.15 < time.monotonic() - began < 1
    assert await board.ask("(reset_cause(), RTC().memory())") == (3, b"k")
    await asyncio.sleep(0.3)
    assert board.boots == 2  # off after a reset, until it is started again


async def test_a_clock_is_lost_and_found(make):
    main = MACHINE + (
        "import network, ntptime\n"
        "w = network.WLAN(0)\nw.active(True)\nw.connect('virtual', 'virtual-password')\n"
        "while not w.isconnected(): time.sleep_ms(5)\n"
        "def sync():\n"
        "  try: ntptime.settime()\n"
        "  except OSError as e: return e.errno\n"
    )
    board = await make(main)
    assert await board.ask("(time.gmtime()[0], len(time.gmtime()))") == (2000, 8)
    assert await board.ask("sync()") is None
    assert abs(await board.ask("time.time()") - time.time()) < 3
    board.send("reset()\n")
    await board.ready(2)
    assert abs(await board.ask("time.time()") - time.time()) < 3
    board.clock(False)
    assert await board.ask("(time.gmtime()[0], sync())") == (2000, 116)
    await board.do("RTC().datetime((2031, 2, 3, 0, 4, 5, 6, 0))")
    assert await board.ask("time.gmtime()[:5]") == (2031, 2, 3, 4, 5)
    assert (await board.ask("RTC().datetime()"))[:6] == (2031, 2, 3, 0, 4, 5)
    board.clock(True)
    assert await board.ask("sync()") is None
    assert abs(await board.ask("time.time()") - time.time()) < 3


WRITER = MACHINE + (
    "def write(n):\n"
    "  for i in range(n):\n"
    "    with open('a.new', 'w') as f: f.write('%d' % i * 300)\n"
    "    os.rename('a.new', 'a')\n"
    "    print('wrote', i)\n"
)
READER = "(lambda s: s == s[:len(s)//300] * 300)(open('a').read())"


@pytest.mark.parametrize("torn", [True, False])
async def test_a_power_cut_at_any_write_leaves_a_file_system(make, torn):
    board = await make(WRITER)
    await board.do("write(1)")
    before = board.stats()["flash_writes"]
    await board.do("write(1)")
    a_round = board.stats()["flash_writes"] - before
    assert a_round > 3
    boots = 1
    for n in range(1, a_round + 1):
        count = board.stats()["flash_writes"]
        board.cut_at_write(n, torn)
        board.send("write(5)\n")
        await board.wait_off()
        assert board.stats()["flash_writes"] == count + n, "exactly at the n-th"
        await board.power(True)
        boots += 1
        await board.ready(boots)
        assert "Traceback" not in board.serial.since(board._boot_began)
        assert await board.ask(READER) is True


async def test_a_cut_board_stays_off_unless_told_otherwise(make):
    board = await make(WRITER)
    board.cut_at_write(2)
    board.send("write(1)\n")
    await board.wait_off()
    await asyncio.sleep(0.05)
    assert not board.running and board.boots == 1
    await board.power(True)
    await board.ready(2)
    board.cut_at_write(1, auto=True)
    board.send("write(1)\n")
    await board.ready(3)
    assert await board.ask("reset_cause()") == 1
    board.cut_at_write(1)
    board.cut_at_write(0)
    await board.do("write(1)")


async def test_flash_full_and_free_again(make):
    main = MACHINE + (
        "def fill(n):\n"
        "  try:\n"
        "    with open('x', 'w') as f: f.write('x' * n)\n"
        "  except OSError as e: return e.errno\n"
        "  finally: os.remove('x')\n"
    )
    board = await make(main)
    writes = board.stats()["flash_writes"]
    await board.flash_full(16384)
    assert board.stats()["flash_writes"] == writes
    assert await board.ask("fill(12000)") is None
    assert await board.ask("fill(20000)") == 28
    await board.flash_full(0)
    assert await board.ask("fill(4000)") == 28
    await board.flash_full(None)
    assert await board.ask("fill(20000)") is None
    assert [n for n in await board.ask("os.listdir('/')") if "filler" in n] == []


async def test_firmware_is_updated_and_user_data_kept(make, tmp_path):
    board = await make("print('one')\n", config=BoardConfig(secret="s1"))
    await board.do("f = open('/store', 'w');f.write('mine');f.close()")
    await board.do("import json;c = json.load(open('/config.json'));c['tz'] = 'CET'")
    await board.do("f = open('/config.json', 'w');json.dump(c, f);f.close()")
    await board.stop()
    board = await make("print('two')\n", config=BoardConfig(secret="s2", port=99))
    assert "two" in board.serial.since(0)
    assert await board.ask("open('/store').read()") == "mine"
    config = await board.ask("__import__('json').load(open('/config.json'))")
    assert config["secret"] == "s2" and config["port"] == 99 and config["tz"] == "CET"
    assert config["device"] == "bench" and config["wifi"]["ssid"] == "virtual"
    await board.stop()
    assert prepare(board.image, None, {"secret": "s2"}, micropython()) == []
    assert board.image.stat().st_mode & 0o077 == 0


async def test_nvs_outlives_power(make, tmp_path):
    board = await make("import esp32\nn = esp32.NVS('a')\n")
    await board.do("n.set_i32('k', -5)")
    await board.power(False)
    await board.power(True)
    await board.ready(2)
    assert await board.ask("n.get_i32('k')") == -5


async def test_a_crash_is_seen_and_ctrl_c_interrupts(make):
    board = await make("print('x')\nraise ValueError('broken')\n")
    assert 'File "main.py", line 2' in board.serial.since(0)
    assert "ValueError: broken" in board.serial.since(0)
    board.send("exec('while True: pass')\n")
    await asyncio.sleep(0.05)
    board.send("\x03")
    await board.wait_serial("KeyboardInterrupt")
    assert await board.ask("1 + 1") == 2


async def test_the_control_socket(make):
    board = await make(WRITER)
    async with await BoardControl.of(board.folder) as control:
        await control.call("hold", pin=5, level=1)
        pads = (await control.call("pads"))["pads"]
        assert pads["5"]["level"] == 1 and pads["5"]["hold"] == 1
        assert (await control.call("stats"))["running"] is True
        assert (await control.call("serial"))["text"]
        await control.call("serial", send="print(6 * 7)\n")
        assert "42" in await control.wait_serial("42")
        for bad in (
            {"op": "nonsense"},
            {"op": "hold", "pin": 99, "level": 1},
            {"op": "hold", "pin": 5, "level": 7},
            {"op": "hold", "pin": "5", "level": 1},
            {"op": "net"},
            {"op": "net", "up": 1},
            {"op": "adc", "pin": 36, "mv": 1 << 40},
            {"op": "i2c", "addr": 1, "regs": ""},
            {"op": "i2c", "addr": 80, "regs": "zz"},
            {"op": "cut_at_write", "n": -1},
        ):
            with pytest.raises(BoardError):
                await control.call(**bad)
        await control.call("power", on=False)
        assert (await control.call("stats"))["running"] is False
        with pytest.raises(BoardError, match="off"):
            await control.call("flash_full", bytes_left=0)
        await control.call("power", on=True)
        await board.ready(2)
        await control.call("reset")
        await board.ready(3)

    def sync():
        with SyncBoardControl.of(board.folder) as control:
            return control.call("stats")

    assert (await asyncio.to_thread(sync))["boots"] == 3


async def test_a_home_with_a_long_path(tmp_path):
    deep = tmp_path / ("x" * 100)
    async with VirtualBoard(deep, "lamp", BoardConfig(), firmware=tmp_path) as board:
        assert (board.folder / "control.path").exists()
        async with await BoardControl.of(board.folder) as control:
            assert (await control.call("stats"))["boots"] == 1
    assert not (board.folder / "control.path").exists()


async def test_two_boards_cannot_share_a_folder(make):
    await make(device="one")
    with pytest.raises(BoardBusy):
        await make(device="one")
    await make(device="two")


def _start(tmp_path):
    (tmp_path / "fw").mkdir()
    (tmp_path / "fw" / "main.py").write_text("print('up')\n")
    command = [sys.executable, "-m", "tools.vboard", "--firmware", str(tmp_path / "fw")]
    process = subprocess.Popen(
        [*command, "--home", str(tmp_path), "--device", "p"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout and process.stdout.readline() == "up\n"
    with SyncBoardControl.of(tmp_path / "boards" / "p") as control:
        return process, control.call("stats")["pid"]


def _gone(pid):
    """Ended; whoever inherited it may not have read its status yet."""
    until = time.monotonic() + 3
    while time.monotonic() < until:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_launcher_leaves_no_child(tmp_path, number):
    process, pid = _start(tmp_path)
    process.send_signal(number)
    status = process.wait(5)
    assert status == (0 if number != signal.SIGKILL else -9)
    assert _gone(pid)
    process.communicate()
    if number != signal.SIGKILL:
        assert not (tmp_path / "boards" / "p" / "control.sock").exists()


def test_the_terminal_is_the_serial_line(tmp_path):
    process, _ = _start(tmp_path)
    assert process.stdin and process.stdout
    process.stdin.write("print(6 * 7)\n")
    process.stdin.flush()
    lines = iter(process.stdout.readline, "")
    assert next(line for line in lines if "print(6 * 7)" in line)  # the board echoes
    assert next(lines).strip() == "42"
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 0
    process.communicate()
