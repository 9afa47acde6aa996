"""Second pass of the check: variables, types, bounds, the worst case of steps and time.

A value is known as `(kind, low, high)`: int and num with their bounds (a number beyond BIG is an
error at run time, so BIG stands for "no bound"), bool, text with its length, point, and any: a
receipt's field. `_env` is what is known of each variable at the point that the walk has reached.
"""

from micropython import const

from . import tools
from .routine import BIG, RoutineError, gpio_of, number, show, spec_of
from .tools import ToolError

_MAX_NESTED = const(4)
_MAX_STEPS = const(1000)
_MAX_MS = const(86400000)
_MAX_LAST_STEPS = const(100)
_MAX_LAST_WAIT_MS = const(5000)
_MAX_NOTIFIES = const(20)
_MAX_ASKS = const(4)
_WITHIN_S = const(20)
_ANSWER_BYTES = const(200)  # as question.py cuts it
_CALL_MS = const(500)
_STEP_MS = const(20)
_SPARE_MS = const(5000)  # for what else the chip does meanwhile


def check(program, kit, args, result):
    """Puts `steps`, `ms` and `last` into `result`."""
    _Flow(kit, program.get("params", {}), args).program(program, result)


class _Flow:
    def __init__(self, kit, params, args):
        self._kit = kit
        self._lines = {}  # tool -> its arguments
        self._params = {}
        for name in params:
            param = params[name]
            kind = param["type"]
            if kind == "text":
                self._params[name] = (kind, 0, param.get("max", 64))
            elif kind == "point":
                self._params[name] = (kind, args.get(name, param["default"]), None)
            else:
                self._params[name] = (kind, param.get("min", 0), param.get("max", 1))
        self._env = dict(self._params)
        self._spent = [0, 0, 0]  # ms of waits, notifies, asks

    def program(self, program, result):
        steps, ms = self._block(program["do"], "do")
        # finally sees parameters only: it may run when a cut has left nothing else.
        self._env = dict(self._params)
        self._spent[0] = 0
        last, last_ms = self._block(program.get("finally", ()), "finally")
        if last > _MAX_LAST_STEPS:
            raise RoutineError(
                "finally", "takes up to %d steps, %d may be" % (last, _MAX_LAST_STEPS)
            )
        if self._spent[0] > _MAX_LAST_WAIT_MS:
            raise RoutineError("finally", "may wait 5 seconds in all")
        if steps + last > _MAX_STEPS:
            raise RoutineError("do", "takes up to %d steps, %d may be" % (steps + last, _MAX_STEPS))
        ms += last_ms + _SPARE_MS
        if ms > _MAX_MS:
            raise RoutineError("do", "takes up to %d hours, 24 may be" % -(-ms // 3600000))
        if self._spent[1] > _MAX_NOTIFIES:
            raise RoutineError("do", "notifies up to %d times, 20 may be" % self._spent[1])
        if self._spent[2] > _MAX_ASKS:
            raise RoutineError("do", "asks a model up to %d times, 4 may be" % self._spent[2])
        result["steps"] = steps + last
        result["ms"] = ms
        result["last"] = [last, last_ms]
        if self._spent[2]:
            result["asks"] = self._spent[2]

    def _block(self, steps, path):
        """The worst case of a list of steps: `(steps, ms)`."""
        count = ms = 0
        for at, step in enumerate(steps):
            n, t = self._step(step, "%s[%d]." % (path, at))
            count += n
            ms += t
            if count > 10 * _MAX_STEPS or ms > 10 * _MAX_MS:
                raise RoutineError(path, "takes far too long: 1000 steps and 24 hours may be")
        return count, ms

    def _step(self, step, path):
        if "call" in step:
            self._call(step, path + "call")
            if "as" in step:
                self._define(step["as"], ("receipt", 0, 0), path + "as")
            return 1, _CALL_MS
        if "wait" in step:
            high = self._bounds(step["wait"], path + "wait", 86400)[1]
            ms = int(high * 1000) + 1
            self._spent[0] += ms
            return 1, ms + _STEP_MS
        if "if" in step:
            return self._if(step, path)
        if "repeat" in step:
            low, high = self._bounds(step["repeat"], path + "repeat", 1000)
            return self._loop(step["do"], path, int(low), int(high), None)
        if "while" in step:
            return self._loop(step["do"], path, 0, step["max"], step["while"])
        if "set" in step:
            known = self._value(step["set"][1], path + "set")
            if known[0] == "point":
                known = ("text", 0, 24)
            self._define(step["set"][0], known, path + "set")
            return 1, _STEP_MS
        if "ask" in step:
            return self._ask(step, path)
        self._spent[1] += 1
        self._text(step["notify"], path + "notify")
        return 1, _CALL_MS

    def _if(self, step, path):
        self._condition(step["if"], path + "if")
        before = self._fork()
        n, ms = self._block(step["then"], path + "then")
        before = self._fork(before)
        n_else, ms_else = self._block(step.get("else", ()), path + "else")
        self._meet(before)
        return 1 + max(n, n_else), _STEP_MS + max(ms, ms_else)

    def _ask(self, step, path):
        self._text(step["ask"], path + "ask")
        self._spent[2] += 1
        before = self._fork()
        self._define(step["as"], ("text", 0, _ANSWER_BYTES), path + "as")
        before = self._fork(before)
        n, ms = self._block(step["offline"], path + "offline")
        self._meet(before)
        # The worst is to wait to the end, and then to do without.
        return 1 + n, int(step.get("within", _WITHIN_S) * 1000) + _CALL_MS + ms

    def _fork(self, before=None):
        """What is known here, for a branch to change a copy of it; with `before`, the other
        branch begins there, and what the first made of it is returned."""
        known = self._env, self._spent
        self._env, self._spent = before or known
        self._env = dict(self._env)
        self._spent = list(self._spent)
        return known

    def _meet(self, other):
        """Behind two branches: this one's end, and `other` of the first."""
        env, spent = other
        self._spent = [max(n, self._spent[at]) for at, n in enumerate(spent)]
        both = {}
        for name, known in self._env.items():
            if name in env:
                both[name] = _join(known, env[name])
        self._env = both

    def _loop(self, steps, path, low, high, condition):
        """The body runs `low` to `high` times."""
        changed = []
        _assigned(steps, changed)
        for name in changed:
            if name in self._env and self._env[name][0] != "receipt":
                self._env[name] = ("any", -BIG, BIG)
        if condition is not None:
            self._condition(condition, path + "while")
        before = dict(self._env)
        spent = list(self._spent)
        n, ms = self._block(steps, path + "do")
        self._spent = [n + (self._spent[at] - n) * high for at, n in enumerate(spent)]
        if low < 1:
            self._env = before
        # A while looks at its condition once more than it runs.
        return 1 + high * n, _STEP_MS * (1 + high) + high * ms

    def _define(self, name, known, path):
        if name in self._params:
            raise RoutineError(path, "%s is a parameter, which stays as it is" % name)
        if name not in self._env and len(self._env) - len(self._params) >= 16:
            raise RoutineError(path, "16 variables may be")
        self._env[name] = known

    # ---- calls

    def _call(self, step, path):
        call = step["call"]
        tool = call[0]
        args = call[1] if len(call) > 1 else {}
        line = self._lines.get(tool) if isinstance(tool, str) else None
        if line is None:
            line = spec_of(tool, path)[0]
            self._lines[tool] = line
        rest = len(args)
        for part in line.split():
            name, kind = part.split(":", 1)
            if name[-1] == "?":
                name = name[:-1]
                if name not in args:
                    continue
            elif name not in args:
                raise RoutineError(path + ".args", '"%s" is missing' % name)
            rest -= 1
            self._argument(name, kind, args[name], "%s.args.%s" % (path, name))
        if rest:
            for name in args:
                if " %s:" % name not in " " + line.replace("?", ""):
                    raise RoutineError(path + ".args." + name, "%s takes no such argument" % tool)

    def _argument(self, name, kind, value, path):
        values = (value,)
        if isinstance(value, str) and value[:1] == "$":
            known, low, high = self._variable(value, path)
            if known == "any":
                if kind in ("point", "gpio"):
                    raise RoutineError(path, "a pin is written out, or a parameter of type point")
                return  # the tool itself looks at it
            if known == "text":
                if "|" in kind:
                    return
                if kind[:3] != "str":
                    raise RoutineError(path, "takes no text")
                values = ("x" * high,)
            elif known == "bool":
                values = (True,)
            else:
                values = (low, high) if known != "point" else (low,)
        for v in values:
            try:
                tools.check_args(name + ":" + kind, {name: v})
            except ToolError as e:
                raise RoutineError(path, e.args[1]) from None

    # ---- values

    def _variable(self, ref, path):
        name, dot, field = ref[1:].partition(".")
        known = self._env.get(name)
        if known is None:
            raise RoutineError(path, "%s is not defined on every way to here" % ref)
        if dot:
            if known[0] != "receipt" or not field:
                raise RoutineError(path, "%s is no field of a receipt" % ref)
            return ("bool", 0, 1) if field == "ok" else ("any", -BIG, BIG)
        if known[0] == "receipt":
            raise RoutineError(path, 'say which field: "%s.ok"' % ref)
        return known

    def _value(self, v, path, depth=1):
        """What is known of an expression's value."""
        if v is True or v is False:
            return "bool", 0, 1
        if number(v):
            if not -BIG <= v <= BIG:
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
                        inner = self._variable(inner, where)[1]
                    elif not isinstance(inner, str) and type(inner) is not int:
                        raise RoutineError(where, "must be a point's name or a pin number")
                    gpio_of(self._kit, inner, where)
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
        raise RoutineError(path, "%s is no value" % show(v))

    def _condition(self, v, path, depth=1):
        if self._value(v, path, depth)[0] == "text" and not (isinstance(v, str) and v[:1] == "$"):
            raise RoutineError(path, 'text is no condition; a variable is "$name"')

    def _operation(self, v, path, depth):
        op = v[1]
        if not isinstance(op, str) or " %s " % op not in " + - * / % min max == != < <= > >= ":
            raise RoutineError(path, "%s is no operator" % show(op))
        a = self._value(v[0], path, depth + 1)
        b = self._value(v[2], path, depth + 1)
        if op in ("==", "!="):
            return "bool", 0, 1
        for known, side in ((a, v[0]), (b, v[2])):
            if known[0] not in ("int", "num", "any") and not (
                op[0] in "<>" and a[0] in ("text", "any") and b[0] in ("text", "any")
            ):
                hint = '; a variable is "$%s"' % side if isinstance(side, str) else ""
                raise RoutineError(path, "%s needs numbers, %s is none%s" % (op, show(side), hint))
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
            return kind, -BIG, BIG
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
        if high >= BIG:
            raise RoutineError(path, 'needs an upper bound, as ["$x", "min", 60]')
        if high > most or (low < 0 and number(v)):
            raise RoutineError(path, "may be from 0 to %d, this can be %s" % (most, high))
        return max(0, low), max(0, high)

    def _text(self, text, path):
        for part in text.split("{")[1:]:
            name, close, _ = part.partition("}")
            if not close:
                raise RoutineError(path, "a { without its }")
            if name.split(".")[0] in self._env:
                self._variable("$" + name, path)
            else:
                gpio_of(self._kit, name, path)


def _assigned(steps, out):
    """The names that steps give a value to."""
    for step in steps:
        pair = step.get("set")
        if isinstance(pair, list) and pair:
            out.append(pair[0])
        if "as" in step:
            out.append(step["as"])
        for word in ("then", "else", "do", "offline"):
            if word in step:
                _assigned(step[word], out)


def _clamp(value):
    return max(-BIG, min(BIG, value))


def _join(a, b):
    if a == b:
        return a
    if a[0] == b[0] or (a[0] in ("int", "num") and b[0] in ("int", "num")):
        if a[0] in ("int", "num", "text"):
            kind = a[0] if a[0] == b[0] else "num"
            return kind, min(a[1], b[1]), max(a[2], b[2])
    return "any", -BIG, BIG
