"""The static check of a routine (docs/routines.md). Loaded for a use, dropped after it.

It walks the program once and keeps, for the point it has reached: `env`, what is known of each
variable; `_states`, the sets of pins (as bit masks) that the ways to here may have left on; and
the worst case of steps and time. A loop's body is walked again until no new state comes of it.

A value is known as `(kind, low, high)`: int and num with their bounds (a number beyond _BIG is an
error at run time, so _BIG stands for "no bound"), bool, text with its length, point, and any: a
receipt's field.
"""

import json

from micropython import const

from . import tools
from .guard import Refused
from .tools import ToolError

_BIG = const(1000000000)
MAX_RECORD_BYTES = 1024  # as store.py has it
_MAX_WRITTEN = const(64)
_MAX_NESTED = const(4)
_MAX_STEPS = const(1000)
_MAX_MS = const(86400000)
_MAX_LAST_STEPS = const(100)
_MAX_LAST_WAIT_MS = const(5000)
_MAX_NOTIFIES = const(20)
_CALL_MS = const(500)
_STEP_MS = const(20)
_SPARE_MS = const(5000)  # for what else the chip does meanwhile
_MAX_WORK = const(1500)  # steps looked at: bounds the time of the check
_MAX_STATES = const(32)

# The words of each step: the first names it, "?" marks what may be absent.
_STEPS = (
    "call as? try?",
    "wait",
    "if then else?",
    "repeat do",
    "while max do",
    "set",
    "notify",
    "ask offline?",
)
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
# An argument of one of these names says what a pin is set to.
_LEVELS = ("value", "level", "duty", "percent", "on", "angle", "freq", "color", "colors")


class RoutineError(Exception):
    """`args` are the place in the program and what is wrong there."""


def check(program, kit, args=None):
    """`{"steps", "ms", "last", "acts", "pins", "left_on", "on_if_cut"}`, or raises RoutineError.

    `args` take the place of the parameters' defaults. `last` is what of steps and ms is
    `finally`'s; pins are what the program calls them.
    """
    return _Check(kit).program(program, args or {})


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


def _show(value):
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _is_name(text):
    if not isinstance(text, str) or not 1 <= len(text) <= 16 or not "a" <= text[0] <= "z":
        return False
    for c in text:
        if not ("a" <= c <= "z" or "0" <= c <= "9" or c == "_"):
            return False
    return True


def _number(value):
    return type(value) is int or type(value) is float


def _clamp(value):
    return max(-_BIG, min(_BIG, value))


def _fields(obj, words, path):
    """`obj` has the fields that `words` names, and no other."""
    if not isinstance(obj, dict):
        raise RoutineError(path, "must be an object, not " + _show(obj))
    words = words.split()
    for word in words:
        if word[-1] != "?" and word not in obj:
            raise RoutineError(path, '"%s" is missing' % word)
    for key in obj:
        if key not in words and key + "?" not in words:
            raise RoutineError(path, 'there is no "%s" here' % key)


class _Check:
    def __init__(self, kit):
        self._kit = kit
        self._specs = {}  # tool -> (line, acts, family)
        self._params = {}
        self._env = {}
        self._states = {0}
        self._seen = {0}
        self._groups = {}  # number of an interlock -> mask of its pins
        self._names = {}  # gpio -> what the program calls it
        self._acts = False
        self._wait_ms = 0
        self._notifies = 0
        self._work = 0

    def program(self, program, args):
        _fields(program, "name do finally? params? phrases? on_conflict?", "")
        name = program["name"]
        if not isinstance(name, str) or not 1 <= len(name.encode()) <= 24:
            raise RoutineError("name", "must be text of 1 to 24 bytes")
        if name != " ".join(name.lower().split()):
            raise RoutineError("name", "must be in small letters, with single spaces")
        if program.get("on_conflict", "refuse") not in ("refuse", "queue"):
            raise RoutineError("on_conflict", 'must be "refuse" or "queue"')
        self._check_phrases(program.get("phrases", []))
        self._check_params(program.get("params", {}), args)
        written = _written(program["do"], "do", 1) + _written(
            program.get("finally", []), "finally", 1
        )
        if written > _MAX_WRITTEN:
            raise RoutineError("do", "%d steps are written, %d may be" % (written, _MAX_WRITTEN))
        steps, ms = self._block(program["do"], "do")
        notifies = self._notifies
        ended = self._states
        # finally sees parameters only, and whatever a cut at any place has left.
        last = last_ms = 0
        left = _union(ended)
        cut = _union(self._seen)
        if "finally" in program:
            everywhere = self._seen
            self._states = ended
            last, last_ms = self._last(program["finally"])
            notifies += self._notifies
            left = _union(self._states)
            self._states = set(everywhere)
            self._last(program["finally"])
            cut = _union(self._states)
            if last > _MAX_LAST_STEPS:
                raise RoutineError(
                    "finally", "takes up to %d steps, %d may be" % (last, _MAX_LAST_STEPS)
                )
            if self._wait_ms > _MAX_LAST_WAIT_MS:
                raise RoutineError("finally", "may wait 5 seconds in all")
        if steps + last > _MAX_STEPS:
            raise RoutineError("do", "takes up to %d steps, %d may be" % (steps + last, _MAX_STEPS))
        ms += last_ms + _SPARE_MS
        if ms > _MAX_MS:
            raise RoutineError("do", "takes up to %d hours, 24 may be" % -(-ms // 3600000))
        if notifies > _MAX_NOTIFIES:
            raise RoutineError("do", "notifies up to %d times, 20 may be" % notifies)
        return {
            "steps": steps + last,
            "ms": ms,
            "last": [last, last_ms],
            "acts": self._acts,
            "pins": [self._names[gpio] for gpio in sorted(self._names)],
            "left_on": self._called(left),
            "on_if_cut": self._called(cut & ~left),
        }

    def _last(self, steps):
        self._env = dict(self._params)
        self._notifies = self._wait_ms = 0
        return self._block(steps, "finally")

    def _called(self, mask):
        return [self._names[gpio] for gpio in sorted(self._names) if mask >> gpio & 1]

    def _check_phrases(self, phrases):
        if not isinstance(phrases, list) or len(phrases) > 4:
            raise RoutineError("phrases", "must be a list of 4 texts at most")
        for at, phrase in enumerate(phrases):
            if not isinstance(phrase, str) or not 3 <= len(phrase.strip().encode()) <= 48:
                raise RoutineError("phrases[%d]" % at, "must be text of 3 to 48 bytes")

    def _check_params(self, params, args):
        if not isinstance(params, dict) or len(params) > 8:
            raise RoutineError("params", "must be an object of 8 at most")
        for name in params:
            path = "params." + name
            if not _is_name(name):
                raise RoutineError(path, "a name is a-z, 0-9 and _, 16 at most")
            param = params[name]
            _fields(param, "type default min? max?", path)
            kind = param["type"]
            if kind in ("int", "num"):
                low = param.get("min")
                high = param.get("max")
                good = _number(low) and _number(high) and -_BIG <= low <= high <= _BIG
                if not good or (kind == "int" and type(low + high) is not int):
                    raise RoutineError(path, "needs min and max, numbers of its type")
            elif kind in ("bool", "text", "point"):
                low = 0
                high = param.get("max", 64) if kind == "text" else 1
                if type(high) is not int or not 1 <= high <= 200 or "min" in param:
                    raise RoutineError(path, "text has a max from 1 to 200, and no min")
                if kind != "text" and "max" in param:
                    raise RoutineError(path, "%s has no max" % kind)
            else:
                raise RoutineError(path + ".type", "must be int, num, bool, text or point")
            value = args.get(name, param["default"])
            problem = misfit(kind, low, high, value)
            if problem:
                raise RoutineError(path + ".default", "must be " + problem)
            if kind == "point":
                self._gpio(value, path + ".default")
                low = value
            self._params[name] = (kind, low, high)
        self._env = dict(self._params)

    # ---- steps

    def _block(self, steps, path):
        """The worst case of a list of steps: `(steps, ms)`."""
        count = ms = 0
        for at, step in enumerate(steps):
            n, t = self._step(step, "%s[%d]" % (path, at))
            count += n
            ms += t
            if count > 10 * _MAX_STEPS or ms > 10 * _MAX_MS:
                raise RoutineError(path, "takes far too long: 1000 steps and 24 hours may be")
        return count, ms

    def _step(self, step, path):
        self._work += 1
        if self._work > _MAX_WORK:
            raise RoutineError(path, "too many loops in one another")
        word = _word(step, path)
        path += "." + word
        if word == "call":
            self._call(step, path)
            return 1, _CALL_MS
        if word == "wait":
            low, high = self._bounds(step["wait"], path, 86400)
            ms = int(high * 1000) + 1
            self._wait_ms += ms
            return 1, ms + _STEP_MS
        if word == "if":
            return self._if(step, path)
        if word == "repeat":
            low, high = self._bounds(step["repeat"], path, 1000)
            return self._loop(step["do"], path, int(low), int(high), None)
        if word == "while":
            most = step["max"]
            if type(most) is not int or not 1 <= most <= 1000:
                raise RoutineError(path[:-5] + "max", "must be a whole number from 1 to 1000")
            return self._loop(step["do"], path, 0, most, step["while"])
        if word == "set":
            pair = step["set"]
            if not isinstance(pair, list) or len(pair) != 2:
                raise RoutineError(path, "must be [name, value]")
            known = self._value(pair[1], path)
            if known[0] == "point":
                known = ("text", 0, 24)
            self._define(pair[0], known, path)
            return 1, _STEP_MS
        if word == "notify":
            self._notifies += 1
            self._text(step["notify"], path)
            return 1, _CALL_MS
        raise RoutineError(path, "asking a model is not built yet; use notify, and leave it out")

    def _if(self, step, path):
        self._condition(step["if"], path)
        env = dict(self._env)
        states = self._states
        path = path[:-2]
        n, ms = self._block(step["then"], path + "then")
        env_then = self._env
        states_then = self._states
        self._env = env
        self._states = states
        n_else, ms_else = self._block(step.get("else", []), path + "else")
        self._states = self._states | states_then
        both = {}
        for name, known in self._env.items():
            if name in env_then:
                both[name] = _join(known, env_then[name])
        self._env = both
        return 1 + max(n, n_else), _STEP_MS + max(ms, ms_else)

    def _loop(self, steps, path, low, high, condition):
        """The body runs `low` to `high` times."""
        changed = []
        _assigned(steps, changed)
        for name in changed:
            if name in self._env and self._env[name][0] != "receipt":
                self._env[name] = ("any", -_BIG, _BIG)
        if condition is not None:
            self._condition(condition, path)
        before = dict(self._env)
        states = self._states
        waited = self._wait_ms
        told = self._notifies
        path = path[: path.rfind(".") + 1] + "do"
        n, ms = self._block(steps, path)
        waited = (self._wait_ms - waited) * high - (self._wait_ms - waited)
        told = (self._notifies - told) * high - (self._notifies - told)
        after = self._env
        out = self._states
        while high > 1:
            self._env = dict(before)
            wait_ms = self._wait_ms
            notifies = self._notifies
            self._block(steps, path)
            self._wait_ms = wait_ms
            self._notifies = notifies
            if not self._states - out:
                break
            out = out | self._states
            self._states = out
        self._wait_ms += waited
        self._notifies += told
        if low < 1:
            out = out | states
        self._states = out
        self._env = after if low > 0 else before
        # A while looks at its condition once more than it runs.
        return 1 + high * n, _STEP_MS * (1 + high) + high * ms

    def _define(self, name, known, path):
        if not _is_name(name):
            raise RoutineError(path, "%s is no name: a-z, 0-9 and _, 16 at most" % _show(name))
        if name in self._params:
            raise RoutineError(path, "%s is a parameter, which stays as it is" % name)
        if name not in self._env and len(self._env) - len(self._params) >= 16:
            raise RoutineError(path, "16 variables may be")
        self._env[name] = known

    # ---- calls

    def _spec(self, tool, path):
        spec = self._specs.get(tool)
        if spec is None:
            family = tools.family_of(tool)
            if family is None:
                raise RoutineError(path, "there is no tool %s" % _show(tool))
            for start in _DENIED:
                if tool.startswith(start):
                    raise RoutineError(path, "%s is not for a routine" % tool)
            for row in tools.load(family).SPECS:
                if row[0] == tool:
                    # A copy of what is needed, so that the family can go.
                    spec = (row[2], row[3], family)
            tools.drop(family)
            self._specs[tool] = spec
        return spec

    def _call(self, step, path):
        call = step["call"]
        if not isinstance(call, list) or not 1 <= len(call) <= 2:
            raise RoutineError(path, "must be [tool, {arguments}]")
        tool = call[0]
        args = call[1] if len(call) > 1 else {}
        if not isinstance(args, dict):
            raise RoutineError(path + ".args", "must be an object")
        if type(step.get("try", False)) is not bool:
            raise RoutineError(path[:-4] + "try", "must be true or false")
        line, acts, family = self._spec(tool, path)
        drives = False
        pins = []
        rest = len(args)
        for part in line.split():
            name, kind = part.split(":", 1)
            if name in _LEVELS:
                drives = acts
            if name[-1] == "?":
                name = name[:-1]
                if name not in args:
                    continue
            elif name not in args:
                raise RoutineError(path + ".args", '"%s" is missing' % name)
            rest -= 1
            where = path + ".args." + name
            self._argument(name + ":" + kind, name, args[name], where)
            if kind in ("point", "gpio"):
                pins.append((args[name], where))
        if rest:
            for name in args:
                if " %s:" % name not in " " + line.replace("?", ""):
                    raise RoutineError(path + ".args." + name, "%s takes no such argument" % tool)
        for ref, where in pins:
            gpio = self._gpio(self._of(ref), where, drives, acts and not drives)
            if drives:
                self._names.setdefault(gpio, ref)
                self._drive(gpio, tool, args, step.get("try", False), where)
        if acts and family != "memory":
            self._acts = True
        if "as" in step:
            self._define(step["as"], ("receipt", 0, 0), path[:-4] + "as")

    def _of(self, ref):
        """A parameter's value where `ref` names one."""
        if isinstance(ref, str) and ref[:1] == "$":
            return self._env[ref[1:]][1]
        return ref

    def _argument(self, line, name, value, path):
        values = (value,)
        if isinstance(value, str) and value[:1] == "$":
            kind, low, high = self._variable(value, path)
            if kind in ("any", "receipt"):
                if "point" in line or "gpio" in line:
                    raise RoutineError(path, "a pin is written out, or a parameter of type point")
                return  # the tool itself looks at it
            if kind == "text":
                if ":str" not in line:
                    return self._no_text(line, path)
                values = ("x" * high,)
            elif kind == "bool":
                values = (True,)
            else:
                values = (low, high) if kind != "point" else (low,)
        for v in values:
            try:
                tools.check_args(line, {name: v})
            except ToolError as e:
                raise RoutineError(path, e.args[1]) from None

    def _no_text(self, line, path):
        if "|" not in line:
            raise RoutineError(path, "takes no text")

    def _gpio(self, ref, path, output=False, either=False):
        try:
            gpio, name = self._kit.resolve(ref)
            if not either:
                self._kit.guard.check(gpio, output)
        except ToolError as e:
            raise RoutineError(path, e.args[1]) from None
        except Refused as e:
            raise RoutineError(path, e.args[0]) from None
        if output and name is not None:
            point = self._kit.points.get(name)
            if point and not point[1]:
                raise RoutineError(path, "%s is an input" % name)
        return gpio

    def _drive(self, gpio, tool, args, may_fail, path):
        """What this call makes of the states."""
        off = tool.endswith("_off") or tool.endswith("_stop")
        # Where 1 is a pin's safe level, that is what is off.
        zero = self._kit.guard.off(gpio) if tool == "gpio_write" else 0
        for name in _LEVELS:
            if name in args:
                value = args[name]
                off = value == zero
                on = not off
                if value == "toggle":
                    off = True
                elif isinstance(value, str) and value[:1] == "$":
                    known = self._variable(value, path)
                    on = off = True
                    if known[0] in ("int", "num") and known[1] == known[2] == zero:
                        on = False
                break
        else:
            on = not off
        bit = 1 << gpio
        out = set(self._states) if may_fail else set()
        if off:
            out |= {s & ~bit for s in self._states}
        if on:
            self._never_both(gpio, path)
            out |= {s | bit for s in self._states}
        if len(out) > _MAX_STATES:
            out = {0, _union(out)}
        self._states = out
        self._seen |= out
        if len(self._seen) > 4 * _MAX_STATES:
            self._seen = {0, _union(self._seen)}

    def _limit(self, gpio, n):
        """Word `n` of a pin's limits (guard.py): 2 is its interlock."""
        guard = self._kit.guard
        at = guard.row(gpio)
        return guard.limits[at + n] if at >= 0 else 0

    def _never_both(self, gpio, path):
        word = self._limit(gpio, 2)
        if not word:
            return
        group = self._groups.get(word, 0) & ~(1 << gpio)
        self._groups[word] = group | 1 << gpio
        for state in self._states:
            if state & group:
                raise RoutineError(
                    path,
                    "%s could be on already, and an interlock keeps them from being on together"
                    % self._called(state & group)[0],
                )

    # ---- values

    def _variable(self, ref, path):
        name, dot, field = ref[1:].partition(".")
        known = self._env.get(name)
        if known is None:
            raise RoutineError(path, "%s is not defined on every way to here" % ref)
        if dot:
            if known[0] != "receipt" or not field:
                raise RoutineError(path, "%s is no field of a receipt" % ref)
            return ("bool", 0, 1) if field == "ok" else ("any", -_BIG, _BIG)
        if known[0] == "receipt":
            raise RoutineError(path, 'say which field: "%s.ok"' % ref)
        return known

    def _value(self, v, path, depth=1):
        """What is known of an expression's value."""
        if v is True or v is False:
            return "bool", 0, 1
        if _number(v):
            if not -_BIG <= v <= _BIG:
                raise RoutineError(path, "numbers go to 1000000000")
            return "int" if type(v) is int else "num", v, v
        if isinstance(v, str):
            if v[:1] == "$":
                return self._variable(v, path)
            if v in self._env:
                raise RoutineError(path, '"%s" is text; the variable is "$%s"' % (v, v))
            return "text", 0, len(v.encode())
        if depth > _MAX_NESTED:
            raise RoutineError(path, "values may be nested %d deep" % _MAX_NESTED)
        if isinstance(v, list) and len(v) == 3:
            return self._operation(v, path, depth)
        if isinstance(v, dict) and len(v) == 1:
            for word, inner in v.items():
                where = path + "." + word
                if word == "read":
                    if isinstance(inner, str) and inner[:1] == "$":
                        if self._variable(inner, where)[0] != "point":
                            raise RoutineError(where, "must be a point")
                        inner = self._of(inner)
                    elif not isinstance(inner, str) and type(inner) is not int:
                        raise RoutineError(where, "must be a point's name or a pin number")
                    self._gpio(inner, where)
                    return "int", 0, 1
                if word == "not":
                    self._condition(inner, where, depth + 1)
                    return "bool", 0, 1
                if word in ("and", "or"):
                    if not isinstance(inner, list) or not inner:
                        raise RoutineError(where, "must be a list of conditions")
                    for at, part in enumerate(inner):
                        self._condition(part, "%s[%d]" % (where, at), depth + 1)
                    return "bool", 0, 1
        raise RoutineError(path, "%s is no value" % _show(v))

    def _condition(self, v, path, depth=1):
        if self._value(v, path, depth)[0] == "text" and not (isinstance(v, str) and v[:1] == "$"):
            raise RoutineError(path, 'text is no condition; a variable is "$name"')

    def _operation(self, v, path, depth):
        op = v[1]
        if not isinstance(op, str) or " %s " % op not in " + - * / % min max == != < <= > >= ":
            raise RoutineError(path, "%s is no operator" % _show(op))
        a = self._value(v[0], path, depth + 1)
        b = self._value(v[2], path, depth + 1)
        if op in ("==", "!="):
            return "bool", 0, 1
        for known, side in ((a, v[0]), (b, v[2])):
            if known[0] not in ("int", "num", "any") and not (
                op[0] in "<>" and a[0] in ("text", "any") and b[0] in ("text", "any")
            ):
                hint = '; a variable is "$%s"' % side if isinstance(side, str) else ""
                raise RoutineError(path, "%s needs numbers, %s is none%s" % (op, _show(side), hint))
        if op[0] in "<>":
            return "bool", 0, 1
        kind = "int" if a[0] == b[0] == "int" and op != "/" else "num"
        a0, a1 = a[1], a[2]
        b0, b1 = b[1], b[2]
        if op == "min":
            return kind, min(a0, b0), min(a1, b1)
        if op == "max":
            return kind, max(a0, b0), max(a1, b1)
        if op == "+":
            return kind, _clamp(a0 + b0), _clamp(a1 + b1)
        if op == "-":
            return kind, _clamp(a0 - b1), _clamp(a1 - b0)
        if op == "*":
            ends = (a0 * b0, a0 * b1, a1 * b0, a1 * b1)
        elif b0 <= 0 <= b1:
            if b0 == b1:
                raise RoutineError(path, "divides by zero")
            return kind, -_BIG, _BIG
        elif op == "%":
            ends = (0, b1 if b0 > 0 else b0)
        else:
            ends = (a0 / b0, a0 / b1, a1 / b0, a1 / b1)
        return kind, _clamp(min(ends)), _clamp(max(ends))

    def _bounds(self, v, path, most):
        """The least and greatest value of a count or a time."""
        kind, low, high = self._value(v, path)
        if kind not in ("int", "num", "any") or (most == 1000 and kind == "num"):
            raise RoutineError(path, "must be a %snumber" % ("whole " if most == 1000 else ""))
        if high >= _BIG:
            raise RoutineError(path, 'needs an upper bound, as ["$x", "min", 60]')
        if high > most or (low < 0 and _number(v)):
            raise RoutineError(path, "may be from 0 to %d, this can be %s" % (most, high))
        return max(0, low), max(0, high)

    def _text(self, text, path):
        if not isinstance(text, str) or not 1 <= len(text.encode()) <= 160:
            raise RoutineError(path, "must be text of 1 to 160 bytes")
        for part in text.split("{")[1:]:
            name, close, _ = part.partition("}")
            if not close:
                raise RoutineError(path, "a { without its }")
            if name.split(".")[0] in self._env:
                self._variable("$" + name, path)
            else:
                self._gpio(name, path)


def misfit(kind, low, high, value):
    """None when a value fits a parameter's type and bounds, else what would."""
    if kind == "int" or kind == "num":
        if type(value) is int or (kind == "num" and type(value) is float):
            if low <= value <= high:
                return None
        return "a %s from %s to %s" % ("whole number" if kind == "int" else "number", low, high)
    if kind == "bool":
        return None if type(value) is bool else "true or false"
    if kind == "text":
        if isinstance(value, str) and len(value.encode()) <= high:
            return None
        return "text of %d bytes at most" % high
    if (type(value) is int and 0 <= value < 64) or (
        isinstance(value, str) and 1 <= len(value.encode()) <= 24 and value[0] != "$"
    ):
        return None
    return "a point's name or a pin number"


def _word(step, path):
    """The word that names a step; raises unless it is one, with its fields."""
    if isinstance(step, dict):
        for words in _STEPS:
            word = words.split()[0]
            if word in step:
                _fields(step, words, path)
                return word
    raise RoutineError(
        path, "must be a step: call, wait, if, repeat, while, set or notify, not " + _show(step)
    )


def _written(steps, path, depth):
    """How many steps are written; raises where one is none, or too deep."""
    if not isinstance(steps, list) or (path == "do" and not steps):
        raise RoutineError(path, "must be a list of steps")
    if depth > _MAX_NESTED:
        raise RoutineError(path, "steps may be nested %d deep" % _MAX_NESTED)
    n = len(steps)
    for at, step in enumerate(steps):
        where = "%s[%d]" % (path, at)
        _word(step, where)
        for word in ("then", "else", "do"):
            if word in step:
                n += _written(step[word], "%s.%s" % (where, word), depth + 1)
    return n


def _assigned(steps, out):
    """The names that steps give a value to."""
    for step in steps:
        pair = step.get("set")
        if isinstance(pair, list) and pair:
            out.append(pair[0])
        if "as" in step:
            out.append(step["as"])
        for word in ("then", "else", "do"):
            if word in step:
                _assigned(step[word], out)


def _join(a, b):
    if a == b:
        return a
    if a[0] == b[0] or (a[0] in ("int", "num") and b[0] in ("int", "num")):
        if a[0] in ("int", "num", "text"):
            kind = a[0] if a[0] == b[0] else "num"
            return kind, min(a[1], b[1]), max(a[2], b[2])
    return "any", -_BIG, _BIG


def _union(states):
    mask = 0
    for state in states:
        mask |= state
    return mask
