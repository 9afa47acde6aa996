"""The virtual board's control socket, from a command that waits for each answer."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from tools.problem import Problem

_ANSWER_S = 10.0


class Control:
    """One request a connection, so that a board that was started again is found again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """The answer to ``op`` (docs/architecture.md). Problem when it says no or is not there."""
        request = json.dumps({"op": op, **fields}).encode() + b"\n"
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(_ANSWER_S)
                connection.connect(str(self._path))
                connection.sendall(request)
                with connection.makefile("rb") as answers:
                    answer = json.loads(answers.readline())
        except (OSError, ValueError) as error:
            raise Problem(
                f"the virtual board does not answer at its control socket ({error}). "
                "Does it still run?"
            ) from error
        if not answer.get("ok"):
            raise Problem(f"the virtual board says: {answer.get('error', 'no')}")
        return dict(answer)
