"""What goes wrong in front of a user: one sentence what, one sentence what to do."""

from __future__ import annotations

from pathlib import Path

FAILED = 1
USAGE = 2


class Problem(Exception):
    """Ends a command with ``exit_code``. The text names the cure; no traceback is shown."""

    def __init__(self, text: str, exit_code: int = FAILED) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class Usage(Problem):
    """The command line itself is at fault."""

    def __init__(self, text: str) -> None:
        super().__init__(text, USAGE)


def shown(path: Path) -> str:
    """``path`` as a person writes it: with ~ for their home."""
    try:
        return f"~/{path.relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return str(path)
