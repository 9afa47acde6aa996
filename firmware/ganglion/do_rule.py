"""Rules: set, list, delete, pause."""

from micropython import const

from . import lazy
from .tools import ToolError, check_call, page, warned

_PREFIX = "r:"
_MAX_RULES = const(32)


def call(kit, tool, args):
    store = kit.store
    if tool == "rule_set":
        return _set(kit, args)
    if tool == "rule_list":
        return _list(store, args.get("after", ""))
    name = args["name"].lower()
    record = store.get(_PREFIX + name)
    if record is None:
        raise ToolError("not_found", "I have no rule '%s'" % name)
    if tool == "rule_delete":
        store.delete(_PREFIX + name)
        kit.engine("rules").changed(name)
        return {"name": name}
    record["off"] = 1 if args["paused"] else 0
    store.set(_PREFIX + name, record)
    kit.engine("rules").changed(name)
    state = "paused" if args["paused"] else "on"
    receipt = {"name": name, "state": state, "say": "the rule %s is %s" % (name, state)}
    return receipt if args["paused"] else warned(kit, _PREFIX + name, receipt)


def _set(kit, args):
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
    receipt = {"name": name, "rule": store.get(_PREFIX + name), "say": _said(name, record)}
    return warned(kit, _PREFIX + name, receipt)


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


def _said(name, record):
    if "event" in record:
        what = "event " + record["event"]
    else:
        what = record["read"] if "read" in record else record["sensor"][0]
    if isinstance(what, int):
        what = "pin %d" % what
    kind = record["is"]
    if kind in ("arrives", "changes", "equals"):
        condition = kind
    elif kind == "silent":
        condition = "is silent for %s s" % record["value"]
    else:
        condition = "is " + kind
    if "text" in record:
        condition += " '%s'" % record["text"]
    elif kind not in ("on", "off", "changes", "arrives", "silent"):
        condition += " %s" % record.get("value", 0)
    if kind == "between":
        condition += " and %s" % record["to"]
    if "for" in record:
        condition += " for %s s" % record["for"]
    try:
        does = lazy.load("wording").words(record["do"])
    finally:
        lazy.drop("wording")
    return "%s: when %s %s, I %s" % (name, what, condition, does)


def _list(store, after):
    rows = []
    said = []

    def add(name):
        record = store.get(_PREFIX + name)
        rows.append([name, record["is"], record["do"][0], "paused" if record["off"] else "on"])
        said.append(_said(name, record) + (" (paused)" if record["off"] else ""))

    receipt = {"rules": rows}
    page(store, _PREFIX, after, receipt, add)
    if "say" in receipt:
        said.append(receipt["say"])
    receipt["say"] = "; ".join(said) or "There are no rules"
    return receipt
