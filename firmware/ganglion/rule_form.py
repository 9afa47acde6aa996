"""Setting a rule: what its arguments may be, and the record they become. Apart from tool_rule.py,
which tells of it when this is not needed any more.
"""

from micropython import const

from .tools import ToolError, check_call

_PREFIX = "r:"
_MAX_RULES = const(32)


def keep(kit, args):
    """Check what a rule_set says, keep it, and return its name."""
    store = kit.store
    name = " ".join(args["name"].lower().split())
    if not name:
        raise ToolError("bad_args", "the name is empty")
    if store.get(_PREFIX + name) is None and store.count(_PREFIX) >= _MAX_RULES:
        raise ToolError("full", "there are %d rules already; delete one" % _MAX_RULES)
    if args["tool"].startswith(("rule_", "schedule_", "set_")):
        raise ToolError("bad_args", "a rule cannot run %s" % args["tool"])
    check_call(args["tool"], args["args"])
    record = {"is": args["is"], "do": [args["tool"], args["args"]], "off": 0}
    _source(kit, args, record)
    if args["is"] in ("above", "below", "between", "silent", "equals") and "value" not in args:
        if "text" not in args or args["is"] != "equals":
            raise ToolError("bad_args", "value is missing")
    if "text" in args:
        if args["is"] != "equals" or "value" in args:
            raise ToolError("bad_args", "text is for equals, in the place of value")
        record["text"] = args["text"].strip().lower()
        record["value"] = 1
    if args["is"] == "between" and not args.get("to", -1e9) > args["value"]:
        raise ToolError("bad_args", "to must be more than value")
    if args["is"] == "silent" and not 0 < args["value"] <= 86400:
        raise ToolError("bad_args", "value must be 1 to 86400 seconds")
    for theirs, ours in (("value", "value"), ("to", "to"), ("hyst", "hyst"), ("for_s", "for")):
        if args.get(theirs):
            record[ours] = args[theirs]
    if args.get("cool_s"):
        record["cool"] = args["cool_s"]
    if "hours" in args:
        record["hours"] = _hours(args["hours"])
    engine = kit.engine("rules")  # before anything is kept: it may find no room
    store.set(_PREFIX + name, record)
    engine.changed(name)
    return name


def _source(kit, args, record):
    kind = args["is"]
    if ("read" in args) + ("sensor" in args) + ("event" in args) != 1:
        raise ToolError("bad_args", "say read, sensor or event, one of the three")
    if "event" in args:
        event = "-".join(args["event"].lower().split())
        if not event or any(c in "/+#" or ord(c) < 33 for c in event):
            raise ToolError("bad_args", "event must be a name without / + #, as front-door")
        if args.get("for_s") and kind in ("arrives", "changes", "silent"):
            raise ToolError("bad_args", "for_s is for what can last; %s does not" % kind)
        record["event"] = event
        return
    if kind in ("arrives", "equals"):
        raise ToolError("bad_args", "%s is for an event: say event and its name" % kind)
    if "read" in args:
        if kind not in ("on", "off", "changes"):
            raise ToolError("bad_args", "a pin is on or off: to be %s, say sensor" % kind)
        kit.guard.check(kit.resolve(args["read"])[0], False)
        record["read"] = args["read"]
        return
    sensor = args["sensor"]
    if kind in ("on", "off"):
        raise ToolError("bad_args", "a sensor is above, below, between, changes or silent")
    if not isinstance(sensor.get("tool"), str) or not isinstance(sensor.get("field"), str):
        raise ToolError("bad_args", "sensor needs tool, args and field")
    inner = sensor.get("args", {})
    check_call(sensor["tool"], inner)
    record["sensor"] = [sensor["tool"], inner, sensor["field"]]


def _hours(text):
    try:
        first, end = [part.split(":") for part in text.split("-")]
        minutes = [int(first[0]) * 60 + int(first[1]), int(end[0]) * 60 + int(end[1])]
    except (ValueError, IndexError):
        minutes = [-1]
    if min(minutes) < 0 or max(minutes) > 1440:
        raise ToolError("bad_args", "hours must be as 22:00-06:00")
    return minutes
