"""A request as the router would send it, for tests of backends."""

import time
from typing import Any

from companion.backends.base import Request
from companion.toolset import ToolSpec

GPIO_WRITE = ToolSpec(
    "gpio_write",
    "Set an output pin.",
    {
        "type": "object",
        "properties": {
            "pin": {"type": "integer", "minimum": 0, "maximum": 39},
            "value": {"type": "integer", "enum": [0, 1]},
        },
        "required": ["pin", "value"],
    },
    True,
)


def request(text: str = "Turn the lamp on.", **other: Any) -> Request:
    """``other``: fields of ``Request`` that are to differ."""
    fields: dict[str, Any] = {
        "device": "board",
        "turn_id": "t1",
        "text": text,
        "messages": (("u", text),),
        "tools": (),
        "points": (),
        "facts": {},
        "deadline": time.monotonic() + 10,
        "now": 1_795_000_000.0,
    }
    return Request(**{**fields, **other})
