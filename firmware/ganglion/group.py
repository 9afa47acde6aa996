"""Groups: points that share a word, read or set together. Loaded for a use.

A member is a point whose record has the group's name. Each pin once, in the order of the names;
so a group has as many members as the board has pins, at most.
"""

from . import lazy, tool_gpio
from .guard import Refused
from .tools import ToolError, show

_MAX_WHY = 4  # members whose reason is told; the others' codes are in the receipt


def word(text):
    """A group's name as it is kept: "All  Lights" is lights."""
    text = " ".join(text.lower().split())
    return text[4:] if text.startswith("all ") else text


def members(points, ref):
    """Names of the points in a group, sorted, each pin once; empty where there is no such group."""
    group = word(ref)
    found = []
    for name, value in points.items():
        if _grouped(value) and value[2]["group"] == group:
            found.append((name, value[0]))
    names = []
    seen = 0
    for name, gpio in sorted(found):
        if not seen >> gpio & 1:
            seen |= 1 << gpio
            names.append(name)
    return names


def names(points):
    """All groups' names."""
    return sorted({value[2]["group"] for _, value in points.items() if _grouped(value)})


def _grouped(value):
    return len(value) > 2 and "group" in value[2]


def unknown(kit, ref):
    """Raises ToolError: a point was wanted, and `ref` is none."""
    lazy.drop("group")
    if members(kit.points, ref):
        msg = "'%s' is a group: name one point. Groups are for gpio_write and gpio_read" % ref
    else:
        msg = "I know no point called '%s'" % ref
    raise ToolError("unknown_point", msg)


def call(kit, tool, args):
    """`gpio_write` or `gpio_read` of each member. Raises ToolError where there is no such group."""
    ref = args["pin"]
    levels = {}
    failed = {}
    why = []
    for name in members(kit.points, ref) or unknown(kit, ref):
        given = dict(args)
        given["pin"] = name
        try:
            receipt = tool_gpio.call(kit, tool, given)
        except ToolError as e:
            receipt = {"err": e.args[0], "msg": e.args[1]}
        except Refused as e:
            receipt = {"err": "refused", "msg": e.args[0]}
        except Exception as e:
            # What the others did must be told.
            receipt = {"err": "internal", "msg": repr(e)}
        if "err" in receipt:
            failed[name] = receipt["err"]
            why.append("%s: %s" % (name, receipt["msg"]))
        else:
            levels[name] = receipt["level"]
    group = word(ref)
    receipt = {"levels": levels}
    if not failed:
        said = "%s: %s" % (group, show("levels", levels))
        if min(levels.values()) == max(levels.values()):
            receipt["level"] = max(levels.values())
            said = "%s are %s: %s" % (
                group,
                show("level", receipt["level"]),
                ", ".join(sorted(levels)),
            )
        receipt["say"] = said
        return receipt
    if len(why) > _MAX_WHY:
        why[_MAX_WHY:] = ["and %d more" % (len(why) - _MAX_WHY)]
    codes = sorted(set(failed.values()))
    receipt["failed"] = failed
    receipt["err"] = codes[0] if not levels and len(codes) == 1 else "partial"
    receipt["msg"] = "%s, %s; failed: %s" % (
        group,
        "only in part: " + show("levels", levels) if levels else "none of them",
        "; ".join(why),
    )
    if receipt["err"] == "partial" and "refused" in codes and kit.agent:
        # Where all are refused the agent tells it, as of one pin.
        kit.agent.event("refused", {"tool": tool, "code": "refused", "msg": receipt["msg"]})
    return receipt
