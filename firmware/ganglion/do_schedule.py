"""Schedules: set, list, delete, pause; and what they depend on, the time zone and the place."""

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
        return _tell("told", kit, name, store.get(_PREFIX + name))
    if tool == "schedule_list":
        return _tell("listed", kit, args.get("after", ""))
    if tool == "set_timezone":
        return _tell("timezone", kit, args["tz"])
    if tool == "set_place":
        store.set("c:place", [args["lat"], args["lon"]])
        if "schedule" in kit.engines:
            kit.engine("schedule").changed()
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
    return _tell("told", kit, name, store.get(_PREFIX + name))


def _tell(what, *args):
    """`schedule_told.<what>`; what was needed to set one is gone by then."""
    try:
        return getattr(lazy.load("schedule_told"), what)(*args)
    except MemoryError:
        if what != "told":
            raise
        # It is kept: to say that it failed would be wrong.
        return {"name": args[1], "say": "%s is set; there is no memory to tell more" % args[1]}
    finally:
        lazy.drop("schedule_told")
