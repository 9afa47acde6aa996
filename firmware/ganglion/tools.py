"""The tools: what the agent can do, checked and with a receipt each.

A family is a file `tool_<family>.py` with `SPECS`, a tuple of
`(name, description, arguments, acts, sentence)`, and one function `call(kit, name, args)` that
returns a receipt (a dict), or else that is in `do_<family>.py`. `arguments` is a line of
`name:type` parted by spaces, `?` behind a name that may be left out:

    point          a GPIO number or the name of a point
    gpio           a GPIO number, 0..63
    level          0, 1 or "toggle"
    str<n>         1 to n bytes of UTF-8
    int<a>..<b>    a whole number, a and b included
    num<a>..<b>    a number, a and b included
    bool, obj, list
    a|b            one of these words

`acts` says whether the tool changes anything; `sentence` is what its receipt says to a person,
with {fields} of receipt and arguments; a receipt's own `say` comes first and does not travel.
The build makes JSON Schema of the same lines (tools/specs.py), so `SPECS` must be a literal.

Only the GPIO family stays in the heap. The others are loaded for a call and dropped after it:
1 to 2 KB each, and what is rare must not cost what every turn needs.
"""

import asyncio
import gc
import sys

from . import lazy
from .guard import Refused
from .store import StoreFull

FAMILIES = (
    "gpio",
    "points",
    "memory",
    "system",
    "device",
    "schedule",
    "rule",
    "routine",
    "teach",
    "pulse",
    "pwm",
    "adc",
    "i2c",
    "sensor",
    "neopixel",
    "counter",
    "limit",
)

_STAYS = "gpio"
# The tools of each family, in the same order; a test holds it against the families' SPECS. One
# string, because a row more in it costs its letters and no object.
_WHERE = (
    " gpio_write gpio_read gpio_read_all |"
    " point_set point_list point_delete |"
    " memory_set memory_get memory_list memory_delete |"
    " get_time get_health get_diagnostics persona_get persona_set persona_reset |"
    " get_version rename_device reboot |"
    " schedule_set schedule_list schedule_delete schedule_pause set_timezone set_place |"
    " rule_set rule_list rule_delete rule_pause |"
    " routine_run routine_cancel routine_list routine_delete |"
    " routine_define routine_approve routine_check |"
    " gpio_pulse |"
    " pwm_set servo_set pwm_stop |"
    " adc_read |"
    " i2c_scan i2c_read i2c_write i2c_write_read |"
    " ds18x20_read dht_read |"
    " neopixel_set |"
    " counter_start counter_read counter_stop |"
    " limit_set limit_get limit_list limit_delete |"
)


_JSON_KINDS = {
    "bool": (bool, "true or false"),
    "obj": (dict, "an object"),
    "list": (list, "a list"),
}


class ToolError(Exception):
    """`args` are a code of docs/protocol.md and a sentence."""


class Kit:
    """What tools work with: `guard`, `points`, `store`, `health()` of the main program, and the
    `agent` (set by start.py)."""

    def __init__(self, guard, points, store, health):
        self.guard = guard
        self.points = points
        self.store = store
        self.health = health
        self.agent = None
        self.engines = {}
        self.routines = None  # routines.py, where there is one

    def engine(self, name):
        """`schedule` or `rules`, started when it is first wanted: a board that has no rule has
        no room for them either. It is the object that `make(kit)` of that module returns."""
        if name not in self.engines:
            engine = self.engines[name] = lazy.load(name).make(self)
            asyncio.create_task(engine.loop())
        return self.engines[name]

    def resolve(self, ref):
        """`(gpio, name or None)` of a GPIO number or a point's name."""
        if isinstance(ref, int):
            return ref, self.points.name_of(ref)
        point = self.points.get(ref) or self.points.get(ref.lower())
        if point is None:
            if ref.isdigit():
                return int(ref), self.points.name_of(int(ref))
            lazy.load("group").unknown(self, ref)  # raises: a group, or nothing
        return point[0], self.points.name_of(point[0]) and ref


def load(family):
    """The module of a tool family."""
    return lazy.load("tool_" + family)


def drop(family):
    """Let a family's memory go, unless it is one that stays."""
    if family != _STAYS:
        lazy.drop("tool_" + family)


def family_of(tool):
    """The family that has this tool, or None."""
    if isinstance(tool, str) and " " not in tool:
        at = _WHERE.find(" %s " % tool)
        if at >= 0 and tool != "|":
            return FAMILIES[_WHERE.count("|", 0, at)]
    return None


def _check(kind, value):
    """None when `value` fits, else what would."""
    if kind == "point":
        if type(value) is int and 0 <= value < 64:
            return None
        if isinstance(value, str) and 1 <= len(value.encode()) <= 24:
            return None
        return "a pin number (0 to 63) or a point's name"
    if kind == "gpio":
        return None if type(value) is int and 0 <= value < 64 else "a pin number (0 to 63)"
    if kind == "level":
        if (type(value) is int and 0 <= value <= 1) or value == "toggle":
            return None
        return '0, 1 or "toggle"'
    if kind.startswith("str"):
        if isinstance(value, str) and 1 <= len(value.encode()) <= int(kind[3:]):
            return None
        return "text of 1 to %s bytes" % kind[3:]
    if ".." in kind:
        low, high = kind[3:].split("..")
        whole = kind[:3] == "int"
        if type(value) is int or (not whole and type(value) is float):
            if float(low) <= value <= float(high):
                return None
        return "a %snumber from %s to %s" % ("whole " if whole else "", low, high)
    if kind in _JSON_KINDS:
        want, words = _JSON_KINDS[kind]
        return None if type(value) is want else words
    if value in kind.split("|"):
        return None
    return "one of " + kind.replace("|", ", ")


def check_args(line, args):
    """Raises `ToolError` unless `args` is what `line` describes: nothing missing, nothing more."""
    if not isinstance(args, dict):
        raise ToolError("bad_args", "arguments must be an object")
    names = " " + line.replace("?", "")
    for name in args:
        if ":" in name or " %s:" % name not in names:
            raise ToolError("bad_args", "there is no argument '%s'" % name)
    for part in line.split():
        name, kind = part.split(":", 1)
        optional = name.endswith("?")
        if optional:
            name = name[:-1]
        if name in args:
            want = _check(kind, args[name])
            if want:
                raise ToolError("bad_args", "%s must be %s" % (name, want))
        elif not optional:
            raise ToolError("bad_args", "%s is missing" % name)


def check_call(tool, args):
    """Raises `ToolError` unless there is such a tool and it takes these arguments."""
    family = family_of(tool)
    if family is None:
        raise ToolError("unknown_tool", "I have no tool '%s'" % tool)
    try:
        for spec in load(family).SPECS:
            if spec[0] == tool:
                check_args(spec[2], args)
    finally:
        drop(family)


class Tools:
    def __init__(self, kit):
        self.kit = kit

    def run(self, tool, args):
        """Run one tool: `(receipt, sentence for a person, did it act)`.

        Never raises: a failure is `err` and `msg` in the receipt, and nothing was changed.
        """
        family = family_of(tool)
        try:
            if family is None:
                raise ToolError("unknown_tool", "I have no tool '%s'" % tool)
            module = load(family)
            for spec in module.SPECS:
                if spec[0] == tool:
                    break
            check_args(spec[2], args)
            acts, said = spec[3:]
            if hasattr(module, "call"):
                receipt = module.call(self.kit, tool, args)
            else:
                # What such a tool takes is said in 1 KB, which its code cannot spare.
                module = spec = None
                drop(family)
                receipt = _apart(self.kit, "do_" + family, tool, args)
        except ToolError as e:
            return _failed(e.args[0], e.args[1])
        except Refused as e:
            return _failed("refused", e.args[0])
        except StoreFull as e:
            return _failed("full", "%s; nothing was changed" % e.args[0])
        except MemoryError as e:
            sys.print_exception(e)
            e = None  # it holds the frames it came through
            gc.collect()
            return _failed("internal", "not enough memory for %s" % tool)
        except Exception as e:
            return _failed("internal", "%s failed: %r" % (tool, e))
        finally:
            if family is not None:
                drop(family)
        if "err" in receipt:
            return receipt, _sentence(receipt["msg"]), False
        say = receipt.pop("say", None)
        if say is None:
            say = fill(said, lambda key: self._field(key, args, receipt))
        return receipt, _sentence(say), acts

    def _field(self, key, args, receipt):
        if key == "name" and "pin" in args:
            ref = args.get("pin")
            return ref if isinstance(ref, str) else self._pin_name(ref)
        if key in receipt:
            return show(key, receipt[key])
        return args.get(key)

    def _pin_name(self, gpio):
        return self.kit.points.name_of(gpio) or "pin %d" % gpio


def _apart(kit, module, tool, args):
    try:
        return lazy.load(module).call(kit, tool, args)
    finally:
        lazy.drop(module)


def _failed(code, msg):
    return {"err": code, "msg": msg}, _sentence(msg), False


def show(key, value):
    """A receipt's field in a person's words."""
    if key == "level":
        return "on" if value else "off"
    if isinstance(value, dict):
        return ", ".join(["%s %s" % (k, show(key[:-1], value[k])) for k in sorted(value)])
    return str(value)


def fill(text, field):
    """Put `field(name)` for each {name}; a name it does not know stays as it is."""
    out = []
    while True:
        a = text.find("{")
        b = text.find("}", a)
        if a < 0 or b < 0:
            out.append(text)
            return "".join(out)
        value = field(text[a + 1 : b])
        out.append(text[:a])
        out.append(text[a : b + 1] if value is None else str(value))
        text = text[b + 1 :]


def _sentence(text):
    """A capital at the front where a pin speaks; a point keeps its owner's spelling."""
    if text.startswith("pin "):
        text = "P" + text[1:]
    if text and text[-1] not in ".!?":
        text += "."
    return text
