"""Schedules: set, list, delete, pause; and what they depend on, the time zone and the place."""

import gc

from micropython import const

from . import clock, lazy
from .tools import ToolError, check_call, page, warned

_PREFIX = "s:"
_MAX_SCHEDULES = const(32)


def call(kit, tool, args):
    store = kit.store
    if tool == "schedule_set":
        return _set(kit, args)
    if tool == "schedule_list":
        return _list(kit, args.get("after", ""))
    if tool == "set_timezone":
        return _timezone(kit, args["tz"])
    if tool == "set_place":
        store.set("c:place", [args["lat"], args["lon"]])
        _plan_anew(kit)
        return {"lat": args["lat"], "lon": args["lon"], "say": "I know where I am"}
    name = args["name"].lower()
    record = store.get(_PREFIX + name)
    if record is None:
        raise ToolError("not_found", "I have no schedule '%s'" % name)
    if tool == "schedule_delete":
        store.delete(_PREFIX + name)
        kit.engine("schedule").changed(name)
        return {"name": name}
    record["off"] = 1 if args["paused"] else 0
    if not args["paused"]:
        # What was due meanwhile was meant not to run.
        record["last"] = clock.now() or record["last"]
    store.set(_PREFIX + name, record)
    kit.engine("schedule").changed(name)
    return _told(kit, name, store.get(_PREFIX + name))


def _set(kit, args):
    store = kit.store
    name = " ".join(args["name"].lower().split())
    if not name:
        raise ToolError("bad_args", "the name is empty")
    if store.get(_PREFIX + name) is None and store.count(_PREFIX) >= _MAX_SCHEDULES:
        raise ToolError("full", "there are %d schedules already; delete one" % _MAX_SCHEDULES)
    if args["tool"].startswith(("schedule_", "set_")):
        raise ToolError("bad_args", "a schedule cannot run %s" % args["tool"])
    check_call(args["tool"], args["args"])
    now = clock.now()
    # What stays comes before what goes, and before anything is kept: it may find no room.
    engine = kit.engine("schedule")
    form = lazy.load("when_form")
    part = "when"
    try:
        rule = form.parse(args["when"], store, now)
        if rule[0] == "sun" and store.get("c:place") is None:
            raise ValueError("I do not know where I am: say it as 'I live at 52.5, 13.4'")
        until = 0
        part = "until"
        if "until" in args:
            until = form.parse("at " + args["until"], store, now)[1]
    except ValueError as e:
        raise ToolError("bad_args", "%s: %s" % (part, e.args[0])) from None
    finally:
        lazy.drop("when_form", "cron", "civil", "tz")
        form = None
    store.set(
        _PREFIX + name,
        {
            "when": rule,
            "text": args["when"],
            "do": [args["tool"], args["args"]],
            "miss": args.get("miss", "skip"),
            "late": args.get("late_min", 60),
            "until": until,
            "left": args.get("runs", -1),
            "off": 0,
            "last": now or 0,
        },
    )
    engine.changed(name)
    return _told(kit, name, store.get(_PREFIX + name))


def _due(kit, name, record):
    """When it runs next, as far as that can be known."""
    try:
        return None if record["off"] else kit.engine("schedule").due(name)
    except MemoryError:
        gc.collect()  # it is set all the same, and the engine tries again
        return None


def _told(kit, name, record):
    due = _due(kit, name, record)
    receipt = {"name": name, "when": record["text"], "do": record["do"]}
    if record["off"]:
        receipt["paused"] = True
        receipt["say"] = "%s is paused" % name
    elif due is None:
        receipt["say"] = "%s is set; I do not know yet when it is due" % name
    else:
        receipt["next"] = clock.iso(due)
        receipt["say"] = "%s is set, next at %s" % (name, _local(kit.store, due))
    return receipt if record["off"] else warned(kit, _PREFIX + name, receipt)


def _list(kit, after):
    rows = []
    said = []

    def add(name):
        record = kit.store.get(_PREFIX + name)
        due = _due(kit, name, record)
        row = [name, record["text"], record["do"][0]]
        row.append("paused" if record["off"] else due and clock.iso(due))
        rows.append(row)
        try:
            does = lazy.load("wording").words(record["do"])
        finally:
            lazy.drop("wording")
        paused = " (paused)" if record["off"] else ""
        said.append("%s: %s, I %s%s" % (name, record["text"], does, paused))

    receipt = {"schedules": rows}
    page(kit.store, _PREFIX, after, receipt, add)
    if "say" in receipt:
        said.append(receipt["say"])
    receipt["say"] = "; ".join(said) or "Nothing is scheduled"
    return receipt


def _timezone(kit, text):
    tz = lazy.load("tz")
    try:
        tz.parse(text)
    except ValueError as e:
        raise ToolError("bad_args", "tz: %s" % e.args[0]) from None
    finally:
        lazy.drop("tz", "civil")
    kit.store.set("c:tz", text)
    _plan_anew(kit)
    now = clock.now()
    local = "set" if now is None else _local(kit.store, now)
    return {"tz": kit.store.get("c:tz"), "local": local}


def _local(store, unix):
    tz = lazy.load("tz")
    try:
        zone = tz.parse(store.get("c:tz", "UTC0"))
        return "%04d-%02d-%02d %02d:%02d" % tuple(tz.local(zone, unix)[:5])
    finally:
        lazy.drop("tz", "civil")


def _plan_anew(kit):
    if "schedule" in kit.engines:
        kit.engine("schedule").changed()
