"""`python -m tools.vboard`: one virtual board as a process, its serial line on the terminal."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from tools.build import BuildError
from tools.paths import FIRMWARE
from tools.runtime import RuntimeMissing
from tools.vboard.board import HEAP_KIB, BoardBusy, VirtualBoard
from tools.vboard.config import BoardConfig
from tools.vboard.flash import FlashError
from tools.vboard.terminal import run


def _options() -> argparse.Namespace:
    own = BoardConfig()
    parser = argparse.ArgumentParser(prog="python -m tools.vboard", description=__doc__)
    add = parser.add_argument
    add("--home", type=Path, help="state folder; default: $GANGLION_HOME, or below ~")
    add("--device", default="board", help="its id")
    add("--keep-config", action="store_true", help="leave /config.json on the flash as it is")
    add("--secret", default=own.secret, help="what it logs in to the broker with")
    add("--host", default=own.host, help="the broker's host")
    add("--port", type=int, default=own.port, help="the broker's port")
    add("--board", default=own.board, help="its kind, a file of firmware/boards")
    add("--firmware", type=Path, default=FIRMWARE, help="folder of sources to run")
    add("--heap-kib", type=int, default=HEAP_KIB, help="Python heap of the chip")
    add("--off", action="store_true", help="start with the power off")
    return parser.parse_args()


def main() -> int:
    """Run until Ctrl-C or SIGTERM. 1 when the board cannot start."""
    o = _options()
    config = None
    if not o.keep_config:
        config = BoardConfig(secret=o.secret, host=o.host, port=o.port, board=o.board)
    board = VirtualBoard(
        o.home,
        o.device,
        config,
        firmware=o.firmware.resolve(),
        heap_kib=o.heap_kib,
        powered=not o.off,
    )
    try:
        asyncio.run(run(board))
    except (BoardBusy, BuildError, FlashError, RuntimeMissing, OSError) as error:
        print(f"vboard: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
