"""A device to talk to: its tool specs as the firmware publishes them, its points, and calls
written short.

Short form of calls: ``on heater``, ``off 5``, ``flip pump``, ``read door``, ``read all``,
``name 5 kitchen light``, ``name in 4 door``, ``unname heater``, ``set plants = my plants …``,
``get plants``, ``list``, ``drop plants``, ``time``, ``health``; several joined with ``; ``.

Of planning: ``pulse pump 5000``, ``plan heater off, in 10 min: off heater``, ``plan … once: …``
(runs 1), ``rule door on siren on, door on 300 s: on siren``; ``plans``, ``unplan heater off``,
``pause heater off``, ``resume heater off``, ``rules``, ``unrule …``, ``pause rule …``, ``resume
rule …``, ``zone UTC0``, ``place 52.5 13.4``.
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

_NAME = _text(24)
_LASTING = ("on", "off", "above", "below", "between", "equals")
_DO = {"tool": _text(24), "args": {"type": "object"}}

PLANNING = (
    *TOOLS,
    _spec(
        "gpio_pulse",
        True,
        "pin ms",
        pin=_POINT,
        ms={"type": "integer", "minimum": 1, "maximum": 600_000},
    ),
    _spec(
        "schedule_set",
        True,
        "name when tool args",
        name=_NAME,
        when=_text(64),
        **_DO,
        miss={"enum": ["skip", "late", "expire"]},
        late_min={"type": "integer", "minimum": 1, "maximum": 1440},
        until=_text(16),
        runs={"type": "integer", "minimum": 1, "maximum": 10_000},
    ),
    _spec("schedule_list", False),
    _spec("schedule_delete", True, "name", name=_NAME),
    _spec("schedule_pause", True, "name paused", name=_NAME, paused={"type": "boolean"}),
    _spec("set_timezone", True, "tz", tz=_text(64)),
    _spec(
        "set_place",
        True,
        "lat lon",
        lat={"type": "number", "minimum": -90, "maximum": 90},
        lon={"type": "number", "minimum": -180, "maximum": 180},
    ),
    _spec(
        "rule_set",
        True,
        "name is tool args",
        name=_NAME,
        read=_POINT,
        sensor={"type": "object"},
        event=_text(24),
        **{"is": {"enum": [*_LASTING, "changes", "silent", "arrives"]}},
        value={"type": "number"},
        text=_text(32),
        for_s={"type": "number", "minimum": 0, "maximum": 86_400},
        cool_s={"type": "integer", "minimum": 0, "maximum": 86_400},
        hours=_text(11),
        **_DO,
    ),
    _spec("rule_list", False),
    _spec("rule_delete", True, "name", name=_NAME),
    _spec("rule_pause", True, "name paused", name=_NAME, paused={"type": "boolean"}),
)
"""The tools of a device that can also wait and watch."""

POINTS = (
    Point("kitchen light", 5, "out", 0),
    Point("heater", 6, "out", 1),
    Point("desk light", 7, "out", 0),
    Point("pump", 8, "out", None),
    Point("valve", 9, "out", 0),
    Point("door", 4, "in", 1),
)

HOUSE = (
    *POINTS,
    Point("hall light", 13, "out", 0),
    Point("siren", 14, "out", 0),
    Point("garden light", 15, "out", 0),
    Point("door relay", 16, "in", 0),
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


def reason(text: str, points: Sequence[Point] = POINTS, tools: Sequence[ToolSpec] = TOOLS) -> str:
    """Why ``text`` is declined."""
    try:
        CommandsBackend().answer_now(request(text, points, tools=tools))
    except Declined as declined:
        return declined.reason
    raise AssertionError(f"{text!r} was not declined")


_BARE = {
    "gpio_read_all": "read all",
    "memory_list": "list",
    "get_time": "time",
    "get_health": "health",
    "schedule_list": "plans",
    "rule_list": "rules",
}
_ONE = {
    "gpio_read": "read {pin}",
    "point_delete": "unname {name}",
    "memory_set": "set {key} = {value}",
    "memory_get": "get {key}",
    "memory_delete": "drop {key}",
    "gpio_pulse": "pulse {pin} {ms}",
    "schedule_delete": "unplan {name}",
    "rule_delete": "unrule {name}",
    "set_timezone": "zone {tz}",
    "set_place": "place {lat} {lon}",
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
    if call.tool in ("schedule_set", "rule_set"):
        return _planned(args)
    if call.tool in ("schedule_pause", "rule_pause"):
        kind = "rule " if call.tool == "rule_pause" else ""
        return f"{'pause' if args['paused'] else 'resume'} {kind}{args['name']}"
    if call.tool in _BARE:
        assert not args
        return _BARE[call.tool]
    return _ONE[call.tool].format(**args)


def _planned(args: dict[str, Any]) -> str:
    args = dict(args)
    does = short(Call(args.pop("tool"), args.pop("args")))
    head = f"{'plan' if 'when' in args else 'rule'} {args.pop('name')}, "
    if "when" in args:
        cause = args.pop("when") + (" once" if args.pop("runs", 0) == 1 else "")
    else:
        of = args.pop("read") if "read" in args else f"event {args.pop('event')}"
        cause = f"{of} {args.pop('is')}"
        for key in ("value", "text"):
            cause += f" {args.pop(key)}" if key in args else ""
        if "for_s" in args:
            cause += f" {args.pop('for_s')} s"
    assert not args
    return f"{head}{cause}: {does}"


def table(name: str) -> list[tuple[str, str]]:
    """The rows ``sentence -> calls`` of a file beside this one."""
    path = Path(__file__).with_name("tables") / f"{name}.txt"
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("# "):
            said, _, wanted = line.rpartition(" -> ")
            rows.append((said.strip(), wanted.strip()))
    return rows
