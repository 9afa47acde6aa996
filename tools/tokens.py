"""``ganglion token``: who else may talk to the companion."""

from __future__ import annotations

import time
from typing import Any

from tools.render import Paint, clean, table

SCOPES = ("read", "act", "admin")


def added_lines(made: dict[str, Any]) -> list[str]:
    """A new token, on a line of its own."""
    return [
        f"token {clean(made['name'])}, good for {made['scope']}. It is not shown again:",
        str(made["token"]),
    ]


def list_lines(rows: list[dict[str, Any]]) -> list[str]:
    """All tokens as a table."""
    if not rows:
        return ["no tokens; make one with `ganglion token add NAME --scope act`"]
    head = ["name", "scope", "created", "last used"]
    cells = [
        [clean(r["name"]), r["scope"], _when(r["created"]), _when(r["last_used"])] for r in rows
    ]
    return table(head, cells, Paint())


def _when(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
