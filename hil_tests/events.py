"""What a board told while nobody could hear it, put in order."""

import time
from typing import Any

from tools.hil.board import Board
from tools.hil.wire import Heard


def in_order(told: list[Heard], boot: int) -> list[dict[str, Any]]:
    """The events of that boot, each once. AssertionError where they did not come in their order,
    or where others are missing between them than their `dropped` count."""
    seen: dict[int, dict[str, Any]] = {}
    for heard in told:
        if heard.body["boot"] == boot:
            seen.setdefault(heard.body["n"], heard.body)
    numbers = list(seen)
    assert numbers == sorted(numbers), f"told out of order: {numbers}"
    missing = numbers[-1] - numbers[0] + 1 - len(numbers) if numbers else 0
    dropped = sum(body.get("dropped", 0) for body in seen.values())
    assert missing == dropped, f"{missing} never came, {dropped} were told as dropped: {numbers}"
    return list(seen.values())


def runs(events: list[dict[str, Any]], by: str) -> list[dict[str, Any]]:
    """The receipts of what that schedule or rule did, in order."""
    return [e["receipt"] for e in events if e["kind"] == "fired" and e["by"] == by]


def caught_up(board: Board) -> None:
    """Wait until all that waited to be told has come: what is no message is told behind it."""
    at_s = time.monotonic()
    board.wire.send("do", b"{")
    board.wait_event("bad_message", since_s=at_s)
