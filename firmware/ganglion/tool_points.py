"""Points: give a pin a name, once, and keep it over a reboot."""

from micropython import const

from . import lazy
from .points import MAX_POINTS
from .tools import ToolError

# What one listing may hold, so that it fits a message, and a heap with every table full.
_LIST_BYTES = const(700)
_MAX_GROUPS = const(16)

SPECS = (
    (
        "point_set",
        "Name a pin, so that people can say 'kitchen light'. dir: out (default) or in. group: as "
        "'lights', or none. An analog reading is mV * scale + offset, in unit.",
        "name:str24 pin:gpio dir?:out|in unit?:str8 scale?:num-1000000..1000000 "
        "offset?:num-1000000..1000000 group?:str24",
        True,
        "pin {pin} is now called {name}",
    ),
    ("point_list", "List named pins, or those of a group.", "group?:str24 after?:str24", False, ""),
    ("point_delete", "Forget the name of a pin.", "name:str24", True, "I forgot {name}"),
)


def _tidy(text):
    return " ".join(text.lower().split())


def call(kit, tool, args):
    try:
        return _call(kit.points, kit.guard, tool, args, lazy.load("group"))
    finally:
        lazy.drop("group")


def _call(points, guard, tool, args, groups):
    if tool == "point_list":
        return _list(points, groups.word(args.get("group", "")), args.get("after", ""), groups)
    name = _tidy(args["name"])
    if not name:
        raise ToolError("bad_args", "the name is empty")
    if tool == "point_delete":
        if not points.delete(name):
            raise ToolError("not_found", "I know no point called '%s'" % name)
        return {"name": name, "say": "I forgot the name %s" % name}
    if name.isdigit():
        raise ToolError("bad_args", "a name that is only a number would be taken for a pin")
    gpio = args["pin"]
    known = points.get(name)
    if known and known[0] != gpio:
        known = None  # another pin: it begins anew
    # What can only be read is an input, said or not.
    direction = args.get("dir")
    if direction is None:
        inward = not known[1] if known else gpio in guard.board.IN
        direction = "in" if inward else "out"
    guard.check(gpio, direction == "out")
    group = _group(points, name, args.get("group", ""), groups)
    if points.full(name):
        raise ToolError("full", "there are %d points already; delete one" % MAX_POINTS)
    old = points.name_of(gpio)
    # What is not said again stays, as long as it is the same pin.
    more = points.more(name) if known else {}
    for key in ("unit", "scale", "offset"):
        if key in args:
            more[key] = args[key]
    if group == "none":
        more.pop("group", None)
    elif group:
        more["group"] = group
    gpio, output = points.set(name, gpio, direction == "out", more)
    direction = "out" if output else "in"
    say = "pin %d is now called %s" % (gpio, name)
    if not output:
        say += " (an input)"
    if old and old != name:
        say += " as well as %s" % old
    if group:
        say += ", in no group" if group == "none" else ", in %s" % group
    receipt = {"name": name, "pin": gpio, "dir": direction, "say": say}
    receipt.update(points.more(name))
    return receipt


def _group(points, name, text, groups):
    """The group that a point is put in, as it is kept; raises ToolError where it cannot be."""
    if points.get(name) is None and groups.members(points, name):
        raise ToolError("bad_args", "'%s' is a group: take another name" % name)
    group = groups.word(text)
    if not group or group == "none":
        if text and not group:
            raise ToolError("bad_args", "the group is empty")
        return group
    if group == name or points.get(group):
        raise ToolError("bad_args", "'%s' is a point: a group needs another name" % group)
    if group == "all" or group.isdigit():
        raise ToolError("bad_args", "'%s' cannot be a group: it means other things" % group)
    there = groups.names(points)
    if group not in there and len(there) >= _MAX_GROUPS:
        raise ToolError("full", "there are %d groups already" % _MAX_GROUPS)
    return group


def _list(points, group, after, groups):
    shown = {}
    said = []
    size = left = 0
    for name in points.names():
        if name <= after:
            continue
        gpio, output = points.get(name)[:2]
        more = points.more(name)
        if group and more.get("group") != group:
            continue
        size += len(name) + 32
        for key in more:
            size += len(key) + len(str(more[key])) + 6
        if size > _LIST_BYTES:
            left += 1
            continue
        more["pin"] = gpio
        more["dir"] = "out" if output else "in"
        shown[name] = more
        kept = " in " + more["group"] if "group" in more else ""
        said.append("%s is pin %d%s" % (name, gpio, kept))
        last = name
    receipt = {"points": shown}
    if left:
        receipt["more"] = left
        said.append("and %d more, after %s" % (left, last))
    if shown:
        receipt["say"] = ", ".join(said)
    else:
        say = "no points are named" + (" in %s" % group if group else " yet")
        there = groups.names(points)
        if there:
            say += "; there are " + ", ".join(there)
        receipt["say"] = say
    return receipt
