"""Teaching routines: define, check, approve (docs/routines.md)."""

import gc
import hashlib
import json

from micropython import const

from . import lazy, tools
from .tools import ToolError

_MAX_ROUTINES = const(24)
_CHARS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def call(kit, tool, args):
    if kit.routines is None:
        kit.routines = lazy.load("routines").Routines(kit)
    routines = kit.routines
    if tool == "routine_define":
        return _define(kit, routines, args["program"])
    if tool == "routine_approve":
        return _approve(kit, routines, args["token"])
    program = args.get("program")
    if program is None:
        if "name" not in args:
            raise ToolError("bad_args", "program or name is missing")
        program = routines.known(args["name"])[1]["r"]
    return _told(_check(kit, program))


def _check(kit, program):
    """routine.py for one use; its RoutineError as a ToolError."""
    module = None
    try:
        module = lazy.load("routine")
        return module.check(program, kit)
    except Exception as e:
        if module is None or not isinstance(e, module.RoutineError):
            raise
        where, what = e.args
        raise ToolError("bad_args", "%s: %s" % (where, what) if where else what) from None
    finally:
        module = None
        lazy.drop("routine")


def _told(result):
    """What a person is told of a check."""
    result["s"] = -(-result.pop("ms") // 1000)
    result.pop("last")
    say = "takes %d steps and %d s at most" % (result["steps"], result["s"])
    if result["left_on"]:
        say += "; leaves %s on" % _and(result["left_on"])
    if result["on_if_cut"]:
        say += "; stopped midway it leaves %s on" % _and(result["on_if_cut"])
    if "asks" in result:
        say += "; asks a model %d times at most" % result["asks"]
    result["say"] = say
    return result


def _and(names):
    return " and ".join([n if isinstance(n, str) else "pin %d" % n for n in names])


def _define(kit, routines, program):
    result = _check(kit, program)
    gc.collect()
    name = program["name"]
    for at, phrase in enumerate(program.get("phrases", ())):
        other = routines.match(phrase)
        if other not in (None, name):
            raise ToolError("bad_args", "phrases[%d]: it runs '%s'" % (at, other))
    old = routines.row(name) is not None
    if not old and len(routines.names()) >= _MAX_ROUTINES:
        raise ToolError("full", "I know %d routines already; delete one" % _MAX_ROUTINES)
    module = lazy.load("routine")
    row = module.record(program, result)
    size = module.size(name, program, result)
    most = module.MAX_RECORD_BYTES
    module = None
    lazy.drop("routine")
    if size > most:
        raise ToolError("full", "it takes %d bytes, %d may be: make two of it" % (size, most))
    gc.collect()
    trace, levels = _try(kit, routines, row)
    # To ask costs money, so a person says yes to that as well.
    auto = not (result["acts"] or program.get("phrases") or "asks" in result)
    receipt = _told(result)
    receipt["routine"] = name
    receipt["trace"] = trace
    receipt["ends"] = levels
    if auto:
        _store(kit, routines, name, row)
        receipt["stored"] = True
        receipt["say"] = "I have learned '%s'; it " % name + receipt["say"]
        return receipt
    text = json.dumps(row)
    digest = hashlib.sha256(text.encode()).digest()
    token = "".join([_CHARS[b & 31] for b in digest[:4]])
    routines.wait(name, text, token)
    receipt["token"] = token
    receipt["say"] = "%s '%s' %s. Tried out: %s. Say yes to keep it (%s)" % (
        "The new" if old else "The routine",
        name,
        receipt["say"],
        "; ".join(trace[:8]) or "nothing happens",
        token,
    )
    return receipt


def _try(kit, routines, row):
    dry = job_of = None
    try:
        dry = lazy.load("dryrun")
        # When one runs, it is in the heap already, and stays.
        job_of = lazy.load("job").Job
        return dry.dry_run(kit, job_of, row, routines.arguments(row["r"], {}), _acts)
    finally:
        dry = job_of = None
        lazy.drop("dryrun")
        if routines.runner is None:
            lazy.drop("job")


def _acts(tool):
    """Does this tool change anything?"""
    family = tools.family_of(tool)
    for spec in tools.load(family).SPECS:
        if spec[0] == tool:
            acts = spec[3]
    tools.drop(family)
    return acts


def _approve(kit, routines, token):
    waiting = routines.waiting()
    if waiting is None or (
        token.upper() != waiting[0] and " ".join(token.lower().split()) != waiting[1]
    ):
        raise ToolError("not_found", "nothing of that name waits for a yes; define it again")
    name = waiting[1]
    if waiting[3]:
        raise ToolError("refused", "a person must say yes to '%s' first" % name)
    if name in routines.running():
        raise ToolError("busy", "'%s' runs; stop it first" % name)
    _store(kit, routines, name, json.loads(waiting[2]))
    routines.forget()
    return {"routine": name}


def _store(kit, routines, name, row):
    if routines.row(name) is None and len(routines.names()) >= _MAX_ROUTINES:
        raise ToolError("full", "I know %d routines already; delete one" % _MAX_ROUTINES)
    kit.store.set("t:" + name, row)
    routines.refresh()
