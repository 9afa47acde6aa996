"""Points: give a pin a name, once, and keep it over a reboot."""

from micropython import const

from .points import MAX_POINTS
from .tools import ToolError

# What one listing may hold, so that its reply fits a message.
_LIST_BYTES = const(1200)

SPECS = (
    (
        "point_set",
        "Name a pin, so that people can say 'kitchen light'. dir: out (default) or in. group: as "
        "'lights'. An analog reading is mV * scale + offset, in unit.",
        "name:str24 pin:gpio dir?:out|in unit?:str8 scale?:num-1000000..1000000 "
        "offset?:num-1000000..1000000 group?:str24",
        True,
        "pin {pin} is now called {name}",
    ),
    ("point_list", "List named pins, all or those of a group.", "group?:str24", False, ""),
    ("point_delete", "Forget the name of a pin.", "name:str24", True, "I forgot {name}"),
)


def _tidy(text):
    return " ".join(text.lower().split())


def call(kit, tool, args):
    points = kit.points
    if tool == "point_list":
        return _list(points, _tidy(args.get("group", "")))
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
    # What can only be read is an input, said or not.
    direction = args.get("dir") or ("in" if gpio in kit.guard.board.IN else "out")
    kit.guard.check(gpio, direction == "out")
    if points.full(name):
        raise ToolError("full", "there are %d points already; delete one" % MAX_POINTS)
    old = points.name_of(gpio)
    known = points.get(name)
    # What is not said again stays, as long as it is the same pin.
    more = points.more(name) if known and known[0] == gpio else {}
    for key in ("unit", "scale", "offset", "group"):
        if key in args:
            more[key] = _tidy(args[key]) if key == "group" else args[key]
    gpio, output = points.set(name, gpio, direction == "out", more)
    direction = "out" if output else "in"
    say = "pin %d is now called %s" % (gpio, name)
    if not output:
        say += " (an input)"
    if old and old != name:
        say += " as well as %s" % old
    receipt = {"name": name, "pin": gpio, "dir": direction, "say": say}
    receipt.update(points.more(name))
    return receipt


def _list(points, group):
    shown = {}
    size = left = 0
    for name, value in points.items():
        more = value[2] if len(value) > 2 else {}
        if group and more.get("group") != group:
            continue
        size += len(name) + 32
        for key in more:
            size += len(key) + len(str(more[key])) + 6
        if size > _LIST_BYTES:
            left += 1
            continue
        entry = {"pin": value[0], "dir": "out" if value[1] else "in"}
        entry.update(more)
        shown[name] = entry
    receipt = {"points": shown}
    if left:
        receipt["more"] = left
    if shown:
        say = ", ".join(["%s is pin %d" % (n, shown[n]["pin"]) for n in sorted(shown)])
        receipt["say"] = say + (", and %d more" % left if left else "")
    else:
        receipt["say"] = "no points are named" + (" in %s" % group if group else " yet")
    return receipt
