"""Routines: run, stop, list, forget (docs/routines.md). do_teach.py makes them."""

from . import lazy
from .tools import ToolError

SPECS = (
    ("routine_run", "Run a stored routine.", "name:str24 args?:obj", True, ""),
    ("routine_cancel", "Stop a running routine.", "name:str24", True, "{routine} is stopped"),
    ("routine_list", "List the stored routines.", "", False, ""),
    ("routine_delete", "Forget a routine.", "name:str24", True, "I forgot '{routine}'"),
)


def call(kit, tool, args):
    if kit.routines is None:
        kit.routines = lazy.load("routines").Routines(kit)
    routines = kit.routines
    if tool == "routine_list":
        return _list(routines)
    if tool == "routine_cancel":
        name = routines.plain_name(args["name"])
        if not routines.cancel(name):
            raise ToolError("not_found", "'%s' does not run" % name)
        return {"routine": name}
    name, row = routines.known(args["name"])
    if tool == "routine_run":
        given = args.get("args", {})
        arguments = routines.arguments(row["r"], given)
        summary = _check_again(kit, row["r"], arguments) if given else None
        row = None
        return routines.run(name, arguments, summary)
    if name in routines.running():
        raise ToolError("busy", "'%s' runs; stop it first" % name)
    kit.store.delete("t:" + name)
    routines.refresh()
    return {"routine": name}


def _check_again(kit, program, args):
    """The summary with these arguments: with another point it is another program."""
    module = None
    try:
        module = lazy.load("routine")
        return module.record(program, module.check(program, kit, args))["s"]
    except Exception as e:
        if module is None or not isinstance(e, module.RoutineError):
            raise
        raise ToolError("bad_args", "%s: %s" % e.args) from None
    finally:
        module = None
        lazy.drop("routine")


def _list(routines):
    states = routines.running()
    out = {}
    for name in routines.names():
        out[name] = states.get(name, "idle")
    receipt = {"routines": out}
    names = sorted(out)
    if names:
        receipt["say"] = ", ".join(
            [n if out[n] == "idle" else n + " (" + out[n] + ")" for n in names]
        )
    else:
        receipt["say"] = "I know no routines yet"
    return receipt
