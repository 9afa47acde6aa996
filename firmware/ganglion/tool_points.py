"""Points: give a pin a name, once, and keep it over a reboot."""

from .points import MAX_POINTS
from .tools import ToolError

SPECS = (
    (
        "point_set",
        "Name a pin, so that people can say 'kitchen light'. dir: out (default) or in.",
        "name:str24 pin:gpio dir?:out|in",
        True,
        "pin {pin} is now called {name}",
    ),
    ("point_delete", "Forget the name of a pin.", "name:str24", True, "I forgot {name}"),
)


def call(kit, tool, args):
    name = " ".join(args["name"].lower().split())
    if not name:
        raise ToolError("bad_args", "the name is empty")
    points = kit.points
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
    gpio, output = points.set(name, gpio, direction == "out")
    direction = "out" if output else "in"
    say = "pin %d is now called %s" % (gpio, name)
    if not output:
        say += " (an input)"
    if old and old != name:
        say += " as well as %s" % old
    return {"name": name, "pin": gpio, "dir": direction, "say": say}
