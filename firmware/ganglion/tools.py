"""The tools: what the agent can do, checked and with a receipt each.

A family is a file `tool_<family>.py` with `SPECS`, a tuple of
`(name, description, arguments, acts, sentence)`, and one function `call(kit, name, args)` that
returns a receipt (a dict). `arguments` is a line of `name:type` parted by spaces, `?` behind a
name that may be left out:

    point          a GPIO number or the name of a point
    gpio           a GPIO number, 0..63
    level          0, 1 or "toggle"
    str<n>         1 to n bytes of UTF-8
    a|b            one of these words

`acts` says whether the tool changes anything; `sentence` is what its receipt says to a person,
with {fields} of receipt and arguments. `specs.py` turns the same lines into JSON Schema.
"""

import gc

from .guard import Refused
from .store import StoreFull

_FAMILIES = ("gpio", "points", "memory", "system")


class ToolError(Exception):
    """`args` are a code of docs/protocol.md and a sentence."""


class Kit:
    """What tools work with: `guard`, `points`, `store`, and `health()` of the main program."""

    def __init__(self, guard, points, store, health):
        self.guard = guard
        self.points = points
        self.store = store
        self.health = health

    def resolve(self, ref):
        """`(gpio, name or None)` of a GPIO number or a point's name."""
        if isinstance(ref, int):
            return ref, self.points.name_of(ref)
        point = self.points.get(ref) or self.points.get(ref.lower())
        if point is None:
            if ref.isdigit():
                return int(ref), self.points.name_of(int(ref))
            raise ToolError("unknown_point", "I know no point called '%s'" % ref)
        return point[0], self.points.name_of(point[0]) and ref


def family(name):
    """The module of a tool family."""
    return __import__("ganglion.tool_" + name, None, None, ("SPECS",))


def families():
    return _FAMILIES


def _check(kind, value):
    """None when `value` fits, else what would."""
    if kind == "point":
        if type(value) is int and 0 <= value < 64:
            return None
        if isinstance(value, str) and 1 <= len(value.encode()) <= 24:
            return None
        return "a pin number or a point's name"
    if kind == "gpio":
        return None if type(value) is int and 0 <= value < 64 else "a pin number"
    if kind == "level":
        if (type(value) is int and 0 <= value <= 1) or value == "toggle":
            return None
        return '0, 1 or "toggle"'
    if kind.startswith("str"):
        if isinstance(value, str) and 1 <= len(value.encode()) <= int(kind[3:]):
            return None
        return "text of 1 to %s bytes" % kind[3:]
    if value in kind.split("|"):
        return None
    return "one of " + kind.replace("|", ", ")


def check_args(line, args):
    """Raises `ToolError` unless `args` is what `line` describes: nothing missing, nothing more."""
    if not isinstance(args, dict):
        raise ToolError("bad_args", "arguments must be an object")
    known = 0
    for part in line.split():
        name, kind = part.split(":", 1)
        optional = name.endswith("?")
        if optional:
            name = name[:-1]
        if name in args:
            known += 1
            want = _check(kind, args[name])
            if want:
                raise ToolError("bad_args", "%s must be %s" % (name, want))
        elif not optional:
            raise ToolError("bad_args", "%s is missing" % name)
    if known < len(args):
        for name in args:
            if " " + name + ":" not in " " + line.replace("?", ""):
                raise ToolError("bad_args", "there is no argument '%s'" % name)


class Tools:
    def __init__(self, kit):
        self.kit = kit
        self._where = {}  # tool -> family
        for fam in _FAMILIES:
            for spec in family(fam).SPECS:
                self._where[spec[0]] = fam

    def spec(self, name):
        fam = self._where.get(name)
        if fam is None:
            return None
        for spec in family(fam).SPECS:
            if spec[0] == name:
                return spec
        return None

    def call(self, name, args):
        """Run one tool; returns its receipt. Never raises: a failure is `err` and `msg` in it."""
        try:
            spec = self.spec(name) if isinstance(name, str) else None
            if spec is None:
                raise ToolError("unknown_tool", "I have no tool '%s'" % name)
            check_args(spec[2], args)
            return family(self._where[name]).call(self.kit, name, args)
        except ToolError as e:
            return {"err": e.args[0], "msg": e.args[1]}
        except Refused as e:
            return {"err": "refused", "msg": e.args[0]}
        except StoreFull as e:
            return {"err": "full", "msg": "%s; nothing was changed" % e.args[0]}
        except MemoryError:
            gc.collect()
            return {"err": "internal", "msg": "not enough memory for %s" % name}
        except Exception as e:
            return {"err": "internal", "msg": "%s failed: %r" % (name, e)}

    def acts(self, name):
        spec = self.spec(name)
        return spec is not None and spec[3]

    def sentence(self, name, args, receipt):
        """What a receipt says to a person; to be asked once, it takes `say` out."""
        if "err" in receipt:
            return _sentence(receipt.get("msg", receipt["err"]))
        spec = self.spec(name)
        text = receipt.pop("say", None)  # for people only: it does not travel
        if text is None:
            text = fill(spec[4], lambda key: self._field(key, args, receipt))
        return _sentence(text)

    def _field(self, key, args, receipt):
        if key == "name":
            ref = args.get("pin")
            return ref if isinstance(ref, str) else self._pin_name(ref)
        if key in receipt:
            return show(key, receipt[key])
        return args.get(key)

    def _pin_name(self, gpio):
        return self.kit.points.name_of(gpio) or "pin %d" % gpio


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
