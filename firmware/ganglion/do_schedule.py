"""Schedules: set, list, delete, pause; and what they depend on, the time zone and the place."""

import gc

from . import clock, lazy
from .tools import ToolError

_PREFIX = "s:"


def call(kit, tool, args):
    store = kit.store
    if tool == "schedule_set":
        try:
            name = lazy.load("schedule_form").keep(kit, args)
        finally:
            lazy.drop("schedule_form")
        return _told(kit, name, store.get(_PREFIX + name))
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
    if record["off"]:
        return receipt
    try:
        return lazy.load("wording").warned(kit, _PREFIX + name, receipt)
    finally:
        lazy.drop("wording")


def _list(kit, after):
    rows = []
    said = []

    def add(name):
        record = kit.store.get(_PREFIX + name)
        due = _due(kit, name, record)
        row = [name, record["text"], record["do"][0]]
        row.append("paused" if record["off"] else due and clock.iso(due))
        rows.append(row)
        does = wording.words(record["do"])
        paused = " (paused)" if record["off"] else ""
        said.append("%s: %s, I %s%s" % (name, record["text"], does, paused))

    receipt = {"schedules": rows}
    try:
        wording = lazy.load("wording")
        wording.page(kit.store, _PREFIX, after, receipt, add)
    finally:
        lazy.drop("wording")
    if "say" in receipt:
        said.append(receipt["say"])
    receipt["say"] = "; ".join(said) or "Nothing is scheduled"
    return receipt


def _timezone(kit, text):
    try:
        tz = lazy.load("tz")
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
    try:
        tz = lazy.load("tz")
        zone = tz.parse(store.get("c:tz", "UTC0"))
        return "%04d-%02d-%02d %02d:%02d" % tuple(tz.local(zone, unix)[:5])
    finally:
        lazy.drop("tz", "civil")


def _plan_anew(kit):
    if "schedule" in kit.engines:
        kit.engine("schedule").changed()
