"""A device to talk to: its tool specs as the firmware publishes them, its points, and calls
written short.

Short form of calls: ``on heater``, ``off 5``, ``flip pump``, ``read door``, ``read all``,
``name 5 kitchen light``, ``name in 4 door``, ``unname heater``, ``set plants = my plants …``,
``get plants``, ``list``, ``drop plants``, ``time``, ``health``; several joined with ``; ``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from companion.backends.base import Call, Declined, Point, Request, ToolSpec
from companion.backends.commands import CommandsBackend


def _spec(tool: str, acts: bool, required: str = "", /, **properties: Any) -> ToolSpec:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    if required:
        schema["required"] = required.split()
    return ToolSpec(tool, tool, schema, acts)


def _text(most: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": most}


_POINT = {"type": ["integer", "string"], "x-point": True}
_PIN = {"type": "integer", "minimum": 0, "maximum": 63}
_DIR = {"enum": ["out", "in"]}

TOOLS = (
    _spec("gpio_write", True, "pin value", pin=_POINT, value={"enum": [0, 1, "toggle"]}),
    _spec("gpio_read", False, "pin", pin=_POINT),
    _spec("gpio_read_all", False),
    _spec("point_set", True, "name pin", name=_text(24), pin=_PIN, dir=_DIR),
    _spec("point_delete", True, "name", name=_text(24)),
    _spec("memory_set", True, "key value", key=_text(32), value=_text(200)),
    _spec("memory_get", False, "key", key=_text(32)),
    _spec("memory_list", False),
    _spec("memory_delete", True, "key", key=_text(32)),
    _spec("get_time", False),
    _spec("get_health", False),
)

POINTS = (
    Point("kitchen light", 5, "out", 0),
    Point("heater", 6, "out", 1),
    Point("desk light", 7, "out", 0),
    Point("pump", 8, "out", None),
    Point("valve", 9, "out", 0),
    Point("door", 4, "in", 1),
)


def points(*names: str) -> tuple[Point, ...]:
    """Outputs with these names on pins from 20."""
    return tuple(Point(name, pin, "out", 0) for pin, name in enumerate(names, 20))


def request(
    text: str,
    points: Sequence[Point] = POINTS,
    facts: Mapping[str, str] | None = None,
    tools: Sequence[ToolSpec] = TOOLS,
) -> Request:
    return Request(
        device="demo",
        turn_id="t1",
        text=text,
        messages=(("u", text),),
        tools=tuple(tools),
        points=tuple(points),
        facts=facts or {},
        deadline=1e12,
        now=1.8e9,
    )


def ask(
    text: str,
    points: Sequence[Point] = POINTS,
    facts: Mapping[str, str] | None = None,
    tools: Sequence[ToolSpec] = TOOLS,
) -> str:
    """What the backend makes of ``text``, in short form; "declined" when it declines."""
    try:
        answer = CommandsBackend().answer_now(request(text, points, facts, tools))
    except Declined:
        return "declined"
    assert answer.say is None and answer.more == 0
    return "; ".join(short(call) for call in answer.calls)


def reason(text: str, points: Sequence[Point] = POINTS) -> str:
    """Why ``text`` is declined."""
    try:
        CommandsBackend().answer_now(request(text, points))
    except Declined as declined:
        return declined.reason
    raise AssertionError(f"{text!r} was not declined")


_BARE = {
    "gpio_read_all": "read all",
    "memory_list": "list",
    "get_time": "time",
    "get_health": "health",
}
_ONE = {
    "gpio_read": "read {pin}",
    "point_delete": "unname {name}",
    "memory_set": "set {key} = {value}",
    "memory_get": "get {key}",
    "memory_delete": "drop {key}",
}
_LEVEL = {1: "on", 0: "off", "toggle": "flip"}


def short(call: Call) -> str:
    """One call in the short form."""
    args = call.args
    if call.tool == "gpio_write":
        assert set(args) == {"pin", "value"} and not isinstance(args["value"], bool)
        return f"{_LEVEL[args['value']]} {args['pin']}"
    if call.tool == "point_set":
        where = f"{args['dir']} " if "dir" in args else ""
        return f"name {where}{args['pin']} {args['name']}"
    if call.tool in _BARE:
        assert not args
        return _BARE[call.tool]
    return _ONE[call.tool].format(**args)


def table(name: str) -> list[tuple[str, str]]:
    """The rows ``sentence -> calls`` of a file beside this one."""
    path = Path(__file__).with_name("tables") / f"{name}.txt"
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("# "):
            said, _, wanted = line.rpartition(" -> ")
            rows.append((said.strip(), wanted.strip()))
    return rows
