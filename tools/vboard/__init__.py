"""The virtual board: the real firmware on a 32-bit MicroPython, over a model of the hardware.

    async with VirtualBoard(home, "lamp", BoardConfig(secret, host, port)) as board:
        board.hold(5, 0)

`python -m tools.vboard` is the same as a process; `control` talks to it over a Unix socket.
"""

from tools.vboard.board import BoardBusy, VirtualBoard
from tools.vboard.config import BoardConfig
from tools.vboard.control import BoardControl, BoardError, SyncBoardControl
from tools.vboard.hardware import BadOperation
from tools.vboard.wire import wired

__all__ = [
    "BadOperation",
    "BoardBusy",
    "BoardConfig",
    "BoardControl",
    "BoardError",
    "SyncBoardControl",
    "VirtualBoard",
    "wired",
]
