"""The interpreter of routines (docs/routines.md). In the heap while one runs, and for a dry run.

`Job` is a generator that yields the milliseconds to wait, 0 between two steps. It knows neither
time nor tasks, so a dry run drives it with a simulator in place of the tools.
"""

from micropython import const

from .tools import fill, show

_BIG = const(1000000000)
_MAX_TEXT_BYTES = const(200)
_MAX_ASK_BYTES = const(512)
_MAX_TOLD = const(8)
_WITHIN_S = const(20)  # as in routine_flow.py
# Phases of a job.
DO = 0
LAST = 1
OVER = 2


class RunError(Exception):
    """`args` are a code of docs/protocol.md and a sentence."""


class Job:
    """One run: `go` yields until all is done, `last` is its `finally` alone.

    `act(tool, args)` → (receipt, sentence, acted); `read(ref)` → level; `tell(text)`;
    `ask(text, ms)` → a generator of ms to wait that returns a model's text, or None.
    """

    def __init__(self, row, args, act, read, tell, ask=None):
        self.program = row["r"]
        self.steps, self.ms, self.acts, self._last_steps, self.last_ms = row["s"]
        self.args = args
        self.failed = None  # (code, sentence)
        self.phase = DO
        self.told = []
        self._act = act
        self._read = read
        self._tell = tell
        self._ask = ask
        self._vars = dict(args)
        self._left = self.steps - self._last_steps

    def go(self):
        try:
            yield from self._block(self.program["do"])
        except RunError as e:
            self.failed = e.args
        yield from self.last()

    def last(self):
        self.phase = LAST
        self._vars = dict(self.args)
        self._left = self._last_steps
        yield from self._block(self.program.get("finally", ()))
        self.phase = OVER

    def _block(self, steps):
        for step in steps:
            yield 0
            try:
                self._left -= 1
                if self._left < 0:
                    raise RunError("internal", "it took more steps than it may")
                yield from self._step(step)
            except (TypeError, ValueError, LookupError, ArithmeticError) as e:
                self._fault("bad_args", "a value does not fit: %r" % e)
            except RunError as e:
                self._fault(e.args[0], e.args[1])

    def _fault(self, code, msg):
        if self.phase == DO:
            raise RunError(code, msg)
        # finally goes on; what happened first is what is told.
        if self.failed is None:
            self.failed = (code, msg)

    def _step(self, step):
        if "call" in step:
            self._call(step)
        elif "wait" in step:
            seconds = _number(self._value(step["wait"]))
            yield int(max(0, min(86400, seconds)) * 1000)
        elif "if" in step:
            yield from self._block(
                step["then"] if self._value(step["if"]) else step.get("else", ())
            )
        elif "repeat" in step:
            for _ in range(_number(self._value(step["repeat"]))):
                yield from self._block(step["do"])
        elif "while" in step:
            most = step["max"]
            while most > 0 and self._value(step["while"]):
                most -= 1
                yield 0
                yield from self._block(step["do"])
        elif "set" in step:
            self._vars[step["set"][0]] = self._value(step["set"][1])
        elif "notify" in step:
            self._tell(self._text(step["notify"], _MAX_TEXT_BYTES))
        elif "ask" in step:
            text = self._text(step["ask"], _MAX_ASK_BYTES)
            said = yield from self._ask(text, int(step.get("within", _WITHIN_S) * 1000))
            if said is None:
                yield from self._block(step["offline"])
            else:
                self._vars[step["as"]] = said

    def _text(self, text, most):
        text = fill(text, self._shown)
        while len(text.encode()) > most:
            text = text[:-1]
        return text

    def _call(self, step):
        call = step["call"]
        args = {}
        if len(call) > 1:
            for key, value in call[1].items():
                if isinstance(value, str) and value[:1] == "$":
                    value = self._variable(value)
                args[key] = value
        receipt, sentence, _ = self._act(call[0], args)
        if self.told is not None and len(self.told) < _MAX_TOLD:
            self.told.append(sentence)
        ok = "err" not in receipt
        if "as" in step:
            receipt["ok"] = ok
            self._vars[step["as"]] = receipt
        if not ok and not step.get("try"):
            raise RunError(receipt["err"], receipt["msg"])

    def _variable(self, ref):
        name, dot, field = ref[1:].partition(".")
        value = self._vars[name]
        if dot:
            if not isinstance(value, dict) or field not in value:
                raise RunError("bad_args", "%s: the receipt has no such field" % ref)
            return value[field]
        return value

    def _value(self, v):
        if isinstance(v, str):
            return self._variable(v) if v[:1] == "$" else v
        if isinstance(v, list):
            return self._operation(v[0], v[1], v[2])
        if isinstance(v, dict):
            if "read" in v:
                ref = v["read"]
                if isinstance(ref, str) and ref[:1] == "$":
                    ref = self._variable(ref)
                return self._read(ref)
            if "not" in v:
                return not self._value(v["not"])
            for word in v:
                for part in v[word]:
                    if bool(self._value(part)) == (word == "or"):
                        return word == "or"
                return word == "and"
        return v

    def _operation(self, a, op, b):
        a = self._value(a)
        b = self._value(b)
        if op == "==":
            return a == b
        if op == "!=":
            return a != b
        if op[0] in "<>":
            if not (isinstance(a, str) and isinstance(b, str)):
                _number(a)
                _number(b)
            if op == "<":
                return a < b
            if op == "<=":
                return a <= b
            if op == ">":
                return a > b
            return a >= b
        _number(a)
        _number(b)
        if op == "+":
            a = a + b
        elif op == "-":
            a = a - b
        elif op == "*":
            a = a * b
        elif op == "/":
            a = a / b
        elif op == "%":
            a = a % b
        else:
            a = min(a, b) if op == "min" else max(a, b)
        return _number(a)

    def _shown(self, name):
        key = name.split(".")[-1]
        if name.split(".")[0] in self._vars:
            value = self._variable("$" + name)
            return ("yes" if value else "no") if type(value) is bool else show(key, value)
        return show("level", self._read(name))


def _number(v):
    if (type(v) is int or type(v) is float) and -_BIG <= v <= _BIG:
        return v
    raise RunError("bad_args", "%s is no number, or too great" % str(v)[:24])
