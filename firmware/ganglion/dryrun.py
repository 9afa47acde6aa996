"""A routine tried out: what reads reads, what would act is noted. Loaded for a use."""

from micropython import const

from .tools import Tools, show

_MAX_LINES = const(24)
_MAX_LINE = const(60)
_MAX_STEPS = const(400)  # and rounds of a while

# What a pin is set to, by the name of the argument.
_LEVELS = ("value", "duty", "degrees", "colour")


def dry_run(kit, job_of, row, args, acts):
    """`(trace, final levels)`; `job_of` makes a runner.Job, `acts(tool)`
    says whether a tool changes anything."""
    return _Sim(kit, acts).run(job_of, row, args)


class _Sim:
    def __init__(self, kit, acts):
        self._kit = kit
        self._acts = acts
        self._tools = Tools(kit).run
        self._ms = 0
        self._levels = {}  # gpio -> (what it is called, level)
        self._lines = []
        self._left_out = 0

    def run(self, job_of, row, args):
        """What is too long is left off, its `finally` is not."""
        job = job_of(row, args, self._act, self._read, self._tell, self._ask)
        steps = 0
        for ms in job.go():
            steps += 1
            if steps > _MAX_STEPS:
                self._line("and so on: only the first %d steps were tried" % _MAX_STEPS)
                for ms in job.last():
                    self._ms += ms
                break
            self._ms += ms
        if job.failed:
            self._line("FAILS: " + job.failed[1])
        if self._left_out:
            self._lines.append("%d more lines" % self._left_out)
        levels = {}
        for name, level in self._levels.values():
            levels[str(name)] = level
        return self._lines, levels

    def _tell(self, text):
        self._line("tell: " + text)

    def _ask(self, text, ms):
        """As if somebody had answered, at once and for nothing."""
        self._line("ask: " + text)
        yield 0
        return "(an answer)"

    def _line(self, text):
        if len(self._lines) < _MAX_LINES:
            self._lines.append(("+%ds %s" % (self._ms // 1000, text))[:_MAX_LINE])
        else:
            self._left_out += 1

    def _read(self, ref):
        gpio = self._kit.resolve(ref)[0]
        known = self._levels.get(gpio)
        return known[1] if known else self._kit.guard.read(gpio)

    def _act(self, tool, args):
        if tool == "gpio_read":
            receipt = {"level": self._read(args["pin"])}
            return receipt, "", False
        if not self._acts(tool):
            return self._tools(tool, args)
        for name in _LEVELS:
            if name in args and "pin" in args:
                level = args[name]
                ref = args["pin"]
                if level == "toggle":
                    level = 1 - self._read(ref)
                gpio = self._kit.resolve(ref)[0]
                self._levels[gpio] = (ref, level)
                label = ref if isinstance(ref, str) else "pin %d" % ref
                self._line("%s %s" % (label, show("level", level) if name == "value" else level))
                return {"level": level}, "", True
        words = ["%s %s" % (k, args[k]) for k in sorted(args)]
        self._line("%s: %s" % (tool, ", ".join(words)))
        return dict(args), "", True
