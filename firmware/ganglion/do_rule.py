"""Rules: set, list, delete, pause."""

from . import lazy
from .tools import ToolError

_PREFIX = "r:"


def call(kit, tool, args):
    store = kit.store
    if tool == "rule_set":
        try:
            name = lazy.load("rule_form").keep(kit, args)
        finally:
            lazy.drop("rule_form")
        record = store.get(_PREFIX + name)
        return _tell("told", kit, name, {"name": name, "rule": record}, record)
    if tool == "rule_list":
        return _tell("listed", store, args.get("after", ""))
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
    return receipt if args["paused"] else _tell("told", kit, name, receipt)


def _tell(what, *args):
    """`rule_told.<what>`; what was needed to set one is gone by then."""
    try:
        return getattr(lazy.load("rule_told"), what)(*args)
    except MemoryError:
        if what != "told":
            raise
        # It is kept: to say that it failed would be wrong.
        return {"name": args[1], "say": "%s is set; there is no memory to tell more" % args[1]}
    finally:
        lazy.drop("rule_told")
