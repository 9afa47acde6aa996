"""From a board in its bag to a board that is online, over its serial line.

The commands themselves, from their start to their end, with esptool and mpremote, against a virtual
board on a pseudo-terminal and a companion that boards reach by TLS:

``flash_s``: a chip that nothing was ever written to; the image is downloaded, too.
``flash_again_s``: the same once more, when nothing is new.
``provision_s``: Wi-Fi, broker, another name and a login for it.

The image is a small stand-in from loopback, or the file that ``IMAGE`` names. The line has no baud
rate and the chip's flash is a file, so a real board takes longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tools.bench.report import Figures, median
from tools.bench.turn import serving
from tools.ports import free_port
from tools.problem import Problem
from tools.state import Home
from tools.vboard import VirtualBoard
from tools.vboard.depot import Depot
from tools.vboard.line import Line

BOARDS: Final = 3
_SSID: Final = "house"
_PASSWORD: Final = "a good password"


async def _seconds(env: Mapping[str, str], *words: str) -> float:
    """`ganglion WORDS`, from its start to its end. Raises Problem where it fails."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tools.cli", *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **env},
    )  # fmt: skip
    told, _ = await process.communicate()
    took = time.perf_counter() - began
    if process.returncode:
        raise Problem(f"{words[0]} failed:\n{told.decode()[-2000:]}")
    return took


async def _board(folder: Path, name: str, env: Mapping[str, str]) -> Figures:
    """The way of one board."""
    board = VirtualBoard(folder, name, blank=True, ap=(_SSID, _PASSWORD))
    with contextlib.closing(Depot()) as depot:
        env = {**env, **depot.environment(folder)}
        async with board, Line(board).open() as port:
            return {
                "flash_s": await _seconds(env, "flash", "--port", port, "--device", name),
                "flash_again_s": await _seconds(env, "flash", "--port", port),
                "provision_s": await _seconds(
                    env, "provision", "--port", port, "--device", f"{name}-again"
                ),
            }


async def _boards(folders: Sequence[Path], env: Mapping[str, str]) -> Figures:
    took = [await _board(folder, folder.name, env) for folder in folders]  # one after the other
    return {key: median([row[key] for row in took]) for key in took[0]}


def run() -> Figures:
    """Seconds, each the median of three boards."""
    with tempfile.TemporaryDirectory(prefix="gn-flash-") as name:
        folders = [Path(name) / f"bag-{n}" for n in range(BOARDS)]
        for folder in folders:
            folder.mkdir()
        home = Home(Path(name) / "home")
        env = {
            "GANGLION_HOME": str(home.folder),
            "GANGLION_WIFI_SSID": _SSID,
            "GANGLION_WIFI_PASSWORD": _PASSWORD,
        }
        asyncio.run(_seconds(env, "ca", "init"))
        lan = ("--lan", "--lan-host", "localhost", "--lan-port", str(free_port()))
        with serving(home, *lan):
            return asyncio.run(_boards(folders, env))
