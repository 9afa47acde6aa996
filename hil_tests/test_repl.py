"""MicroPython's own prompt, and the file system, by mpremote as it is."""

import hashlib
import json
from pathlib import Path

from tools.hil.board import Board

# Of what is on every board that was flashed (docs/flashing.md).
EXPECTED = {"main.py", "choose.mpy", "deadline.mpy", "config.json", "boot"}


def test_the_console_answers(board: Board) -> None:
    """`status` typed at the console says who it is"""
    position = board.line.position
    board.line.type("status\r")
    printed = board.line.wait("bench", 10, position)
    assert "boot" in printed


def test_a_program_runs(board: Board) -> None:
    """mpremote exec and eval, and a fault that is told"""
    with board.prompt() as line:
        assert line.tool("mpremote", "exec", "print(6 * 7)").strip() == "42"
        assert "ZeroDivisionError" in line.tool("mpremote", "resume", "exec", "1 / 0", fails=True)


def test_files(board: Board, tmp_path: Path) -> None:
    """A file goes there and back, byte for byte; what the firmware keeps is there"""
    data = hashlib.sha256(b"bench").digest() * 200
    (tmp_path / "data").write_bytes(data)
    with board.prompt() as line:
        line.tool("mpremote", "fs", "cp", str(tmp_path / "data"), ":/bench.tmp")
        line.tool("mpremote", "resume", "fs", "cp", ":/bench.tmp", str(tmp_path / "back"))
        line.tool("mpremote", "resume", "fs", "rm", ":/bench.tmp")
        listed = line.tool(
            "mpremote", "resume", "exec", "import json, os; print(json.dumps(os.listdir('/')))"
        )
    assert (tmp_path / "back").read_bytes() == data
    there = set(json.loads(listed))
    assert there >= EXPECTED and "bench.tmp" not in there, there


def test_soft_reset(board: Board) -> None:
    """A soft reset at the prompt starts the agent again"""
    boot = board.boot
    board.line.tool("mpremote", "soft-reset")
    board.press()
    assert board.online(after=boot) > boot
