"""What hangs is reset, and outputs do not wait for that: the real firmware, its times shortened."""

import asyncio
import shutil
from pathlib import Path

import pytest

from tools.paths import FIRMWARE
from tools.vboard import BoardConfig, VirtualBoard, layout

SHORTER = (
    ("_WATCHDOG_MS = const(30000)", "_WATCHDOG_MS = const(2000)"),
    ("_STUCK_S = const(25)", "_STUCK_S = const(3)"),
)
# What hangs does so once, after 3 s. By then pin 5 is on, and may be for 2 s; pin 13 is on, and its
# safe level is off.
HANGS = """
import asyncio, machine, time
from ganglion import lazy
import gc
for _name in lazy.load("start").ORDER:
    gc.collect()
    __import__("ganglion." + _name)
lazy.drop("start")
from ganglion import agent, link
def acts(self):
    for tool, args in (
        ("limit_set", {{"pin": 5, "max_on_s": 2}}),
        ("limit_set", {{"pin": 13, "safe": 0}}),
        ("gpio_write", {{"pin": 5, "value": 1}}),
        ("gpio_write", {{"pin": 13, "value": 1}}),
    ):
        print(self.tools.run(tool, args)[0])
def patch(cls):
    plain = cls.run
    async def run(self):
        if machine.reset_cause() != machine.PWRON_RESET:
            return await plain(self)
        try:
            await asyncio.wait_for(plain(self), 3)
        except asyncio.TimeoutError:
            if cls is agent.Agent:
                acts(self)
            print("it hangs now")
            {how}
    cls.run = run
patch({what})
"""
SLEEPS = "await asyncio.sleep(99)"
SPINS = "\n            while True: pass"


@pytest.fixture
def firmware(tmp_path: Path):
    def made(what: str, how: str) -> Path:
        folder = tmp_path / "firmware"
        shutil.copytree(FIRMWARE, folder)
        board = folder / "ganglion" / "board.py"
        text = board.read_text()
        for old, new in SHORTER:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        board.write_text(text)
        main = folder / "main.py"
        text = main.read_text()
        start = "    from ganglion import board\n"
        assert start in text
        patched = "".join(f"    {x}\n" for x in HANGS.format(what=what, how=how).splitlines())
        main.write_text(text.replace(start, patched + start))
        return folder

    return made


@pytest.mark.parametrize(
    "what, how", [("agent.Agent", SLEEPS), ("link.Link", SLEEPS), ("agent.Agent", SPINS)]
)
async def test_a_task_that_hangs_ends_in_a_reset(tmp_path: Path, firmware, what, how) -> None:
    made = firmware(what, how)
    async with VirtualBoard(tmp_path, "demo", BoardConfig(), firmware=made) as board:
        printed = await board.wait_serial("it hangs now", 20)
        assert "Traceback" not in printed, printed
        if what == "agent.Agent":
            assert (board.level(5), board.level(13)) == (1, 1), printed
        await board.wait_boots(2, 15)
        printed = board.serial.since(0)
        assert "the watchdog was not fed" in printed
        assert board.hardware[layout.CAUSE] == layout.WDT_RESET
        # Its limits hold from the first moment of the next boot.
        at = board.serial.end
        await board.wait_serial("what you want", 15, at)
        assert board.level(13) == 0 and board.level(5) == 0
        board.send("log\r")
        log = await board.wait_serial("boot watchdog", 5, at)
        if how == SLEEPS:
            stuck = "agent 3 s" if what == "agent.Agent" else "link 3 s"
            assert "fault:" in log and stuck in log, log
        # It works, and stays up.
        board.send("status\r")
        await board.wait_serial("(watchdog)", 5, at)
        assert board.boots == 2


async def test_max_on_holds_while_everything_hangs(tmp_path: Path, firmware) -> None:
    made = firmware("agent.Agent", SPINS)
    board_py = made / "ganglion" / "board.py"
    # The watchdog is not what switches it off.
    board_py.write_text(board_py.read_text().replace("const(2000)", "const(30000)"))
    async with VirtualBoard(tmp_path, "demo", BoardConfig(), firmware=made) as board:
        await board.wait_serial("it hangs now", 20)
        assert board.level(5) == 1
        async with asyncio.timeout(3):
            while board.level(5):  # noqa: ASYNC110 (another process changes it)
                await asyncio.sleep(0.01)
        assert board.boots == 1
