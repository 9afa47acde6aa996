"""The static check of a routine (docs/routines.md). Loaded for a use, dropped after it.

Three passes, one in the heap at a time, for together they are 14 KB: `routine_form` (is it the
language?), `routine_flow` (variables, types, bounds, steps and time), `routine_pins` (what may be
on, where). This file has what they share.
"""

import gc
import json

from micropython import const

from . import lazy, tools
from .guard import Refused
from .tools import ToolError

MAX_RECORD_BYTES = 1024  # as store.py has it
BIG = 1000000000
_MAX_SHOWN = const(40)

# What defines things is not for a routine.
_DENIED = (
    "point_",
    "routine_",
    "guard_",
    "limit_",
    "set_",
    "rule_set",
    "rule_delete",
    "schedule_set",
    "schedule_delete",
    "persona_",
    "rename",
    "reboot",
)


class RoutineError(Exception):
    """`args` are the place in the program and what is wrong there."""


def check(program, kit, args=None):
    """`{"steps", "ms", "last", "acts", "pins", "left_on", "on_if_cut"}`, or raises RoutineError.

    `args` take the place of the parameters' defaults. `last` is what of steps and ms is
    `finally`'s; pins are what the program calls them.
    """
    args = args or {}
    result = {}
    for name in ("routine_form", "routine_flow", "routine_pins"):
        gc.collect()
        try:
            lazy.load(name).check(program, kit, args, result)
        finally:
            lazy.drop(name)
    return result


def size(name, program, result):
    """Bytes of the record of a routine, which must fit into one."""
    return len(json.dumps(["t:" + name, record(program, result)]).encode())


def record(program, result):
    """What is stored of a routine: program, summary, pins, bytes that a run takes about."""
    return {
        "r": program,
        "s": [result["steps"], result["ms"], 1 if result["acts"] else 0] + result["last"],
        "p": result["pins"],
        "n": len(json.dumps(program)),
    }


def show(value):
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


def spec_of(tool, path):
    """`(arguments, does it act, family)` of a tool that a routine may call."""
    family = tools.family_of(tool)
    if family is None:
        raise RoutineError(path, "there is no tool %s" % show(tool))
    for start in _DENIED:
        if tool.startswith(start):
            raise RoutineError(path, "%s is not for a routine" % tool)
    for row in tools.load(family).SPECS:
        if row[0] == tool:
            spec = (row[2], row[3], family)
    tools.drop(family)
    return spec


def gpio_of(kit, ref, path, output=False, listens=False):
    """The GPIO that a point or number stands for, if the guard lets it be used so."""
    try:
        gpio, name = kit.resolve(ref)
        if not listens:
            kit.guard.check(gpio, output)
    except ToolError as e:
        why = e.args[1]
        if " is a group" in why:
            # Who is in it may change, and a routine acts on no pin that was not checked.
            why = "'%s' is a group: a routine names each of its points" % ref
        raise RoutineError(path, why) from None
    except Refused as e:
        raise RoutineError(path, e.args[0]) from None
    if output and name is not None:
        point = kit.points.get(name)
        if point and not point[1]:
            raise RoutineError(path, "%s is an input" % name)
    return gpio


def number(value):
    return type(value) is int or type(value) is float
