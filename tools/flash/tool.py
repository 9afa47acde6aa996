"""esptool and mpremote, run as the commands that a person could type."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import IO, Final, Literal

from tools.flash.cures import cure
from tools.problem import Problem

_QUOTED_LINES: Final = 6

Tool = Literal["esptool", "mpremote"]


def run(tool: Tool, *args: str, show: bool = True, told: Sequence[str] | None = None) -> str:
    """What it printed. It is shown as it comes, with the command in front; ``told`` replaces the
    command where it would show what nobody should read. Problem, with a cure, where it fails."""
    if show:
        print(f"         $ {tool} {' '.join(told if told is not None else args)}", flush=True)
    code, printed = attempt(tool, *args, show=show)
    if code:
        raise failed(tool, printed)
    return printed


def attempt(tool: Tool, *args: str, show: bool = False) -> tuple[int, str]:
    """Its exit status and what it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", tool, *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # Its bars are as wide as this says; ours stand under the step.
        env={**os.environ, "COLUMNS": "90", "NO_COLOR": "1"},
    )
    assert process.stdout
    try:
        printed = _follow(process.stdout, show)
    except BaseException:
        process.kill()
        raise
    finally:
        process.wait()
    return process.returncode, printed


def _follow(stream: IO[bytes], show: bool) -> str:
    whole = bytearray()
    while chunk := os.read(stream.fileno(), 4096):
        whole += chunk
        if show and sys.stdout.isatty():
            sys.stdout.write(chunk.decode(errors="replace"))
            sys.stdout.flush()
    return whole.decode(errors="replace").replace("\r\n", "\n")


def failed(tool: Tool, printed: str) -> Problem:
    """The failure of a tool in a sentence, with what to do."""
    found = cure(printed)
    last = [line for line in printed.splitlines() if line.strip()][-_QUOTED_LINES:]
    quoted = "\n".join(f"    {line}" for line in last)
    if found is None:
        return Problem(f"{tool} failed. What it said:\n{quoted}")
    return Problem(
        f"{found.what}. {found.todo[0].upper()}{found.todo[1:]}. (docs/troubleshooting.md, "
        f"'{found.name}'.) {tool} said:\n{quoted}"
    )
