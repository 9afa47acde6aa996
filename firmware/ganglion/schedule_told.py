"""What is told of schedules: when one is due, all of them, the local time."""

import gc

from . import clock, lazy
from .tools import ToolError

_PREFIX = "s:"


def _due(kit, name, record):
    """When it runs next, as far as that can be known."""
    try:
        return None if record["off"] else kit.engine("schedule").due(name)
    except MemoryError:
        gc.collect()  # it is set all the same, and the engine tries again
        return None


def told(kit, name, record):
    """The receipt of a schedule that was set, paused or goes on."""
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


def listed(kit, after):
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


def timezone(kit, text):
    """Set the time zone."""
    try:
        tz = lazy.load("tz")
        tz.parse(text)
    except ValueError as e:
        raise ToolError("bad_args", "tz: %s" % e.args[0]) from None
    finally:
        lazy.drop("tz", "civil")
    kit.store.set("c:tz", text)
    if "schedule" in kit.engines:
        kit.engine("schedule").changed()
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
