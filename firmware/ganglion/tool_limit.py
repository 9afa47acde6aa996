"""Limits of pins: what an output may do, whoever asks. Kept over a restart."""

from . import lazy
from .tools import ToolError

_LIST_BYTES = 1400

SPECS = (
    (
        "limit_set",
        "Limit a pin, for good; what is not named stays, 0 or 'none' takes it away. Seconds it "
        "may be on; must be off between; switchings-on a minute; outputs of one interlock word "
        "are never on together; its safe level, taken at boot, on a crash and link_loss_s after "
        "the link is lost; its level after a restart; range of a driver's value.",
        "pin:point max_on_s?:int0..86400 min_off_s?:int0..86400 rate_per_min?:int0..60 "
        "interlock?:str16 safe?:int0..1 restore?:safe|last link_loss_s?:int0..86400 "
        "allow?:io|in|no min?:num-65536..65536 max?:num-65536..65536",
        True,
        "{name} is limited: {limit}",
    ),
    ("limit_get", "The limits of a pin.", "pin:point", False, "{name}: {limit}"),
    ("limit_list", "All pins with limits.", "", False, "{limits}"),
    ("limit_delete", "Take all limits of a pin away.", "pin:point", True, "{name} has no limits"),
)


def call(kit, tool, args):
    try:
        return _call(kit, tool, args, lazy.load("guard_set"))
    finally:
        lazy.drop("guard_set")


def _call(kit, tool, args, guard_set):
    if tool == "limit_list":
        return _list(kit, guard_set)
    gpio, name = kit.resolve(args["pin"])
    label = name or "pin %d" % gpio
    if tool == "limit_delete":
        if not guard_set.delete(kit.guard, kit.store, gpio):
            raise ToolError("not_found", "%s has no limits" % label)
        return {"pin": gpio}
    if tool == "limit_get":
        limit = guard_set.get(kit.store, gpio)
        if not limit:
            raise ToolError("not_found", "%s has no limits" % label)
        return {"pin": gpio, "limit": limit, "say": "%s: %s" % (label, words(limit))}
    given = dict(args)
    del given["pin"]
    if not given:
        raise ToolError("bad_args", "which limit? max_on_s, min_off_s, interlock, safe, …")
    try:
        limit, ended = guard_set.change(kit.guard, kit.store, gpio, given)
    except ValueError as e:
        raise ToolError("bad_args", e.args[0]) from None
    say = "%s is limited: %s" % (label, words(limit)) if limit else "%s has no limits" % label
    if ended:
        say += "; it was on and is off now"
    return {"pin": gpio, "limit": limit, "off": 1 if ended else 0, "say": say}


def words(limit):
    """max_on_s 60, safe 0"""
    return ", ".join(["%s %s" % (key, limit[key]) for key in sorted(limit)])


def _list(kit, guard_set):
    limits = {}
    size = 0
    more = 0
    for key in kit.store.keys("g:"):
        label = kit.points.name_of(int(key)) or "pin " + key
        text = words(guard_set.get(kit.store, int(key)))
        size += len(label) + len(text) + 6
        if size > _LIST_BYTES:
            more += 1
        else:
            limits[label] = text
    receipt = {"limits": limits}
    if more:
        receipt["more"] = more
    if not limits:
        receipt["say"] = "no pin has limits"
    return receipt
