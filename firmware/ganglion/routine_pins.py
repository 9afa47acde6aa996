"""Third pass of the check: what may be on, where; what it leaves on; interlocks.

`_states` are the sets of pins (as bit masks) that the ways to the point that the walk has reached
may have left on. A loop's body is walked again until no new state comes of it.
"""

from micropython import const

from .routine import RoutineError, gpio_of, spec_of

_MAX_WORK = const(1500)  # steps looked at: bounds the time of the check
_MAX_STATES = const(32)

# An argument of one of these names says whether an output is on. Without one it is, but for _stop.
_LEVELS = ("value", "duty", "brightness")


def check(program, kit, args, result):
    """Puts `acts`, `pins`, `left_on` and `on_if_cut` into `result`."""
    params = program.get("params", {})
    _Pins(kit, params, args).program(program, result)


class _Pins:
    def __init__(self, kit, params, args):
        self._kit = kit
        self._params = params
        self._args = args
        self._specs = {}
        self._states = {0}
        self._seen = {0}
        self._pulsed = 0  # what pulses may still hold on
        self._groups = {}  # number of an interlock -> mask of its pins
        self._names = {}  # gpio -> what the program calls it
        self._acts = False
        self._last = False  # in `finally`, where a fault does not stop what follows
        self._work = 0

    def program(self, program, result):
        self._block(program["do"], "do")
        left = _union(self._states)
        cut = _union(self._seen)
        if "finally" in program:
            # After the end, and after a cut at any place.
            everywhere = self._seen
            self._last = True
            self._block(program["finally"], "finally")
            left = _union(self._states)
            self._states = set(everywhere)
            self._block(program["finally"], "finally")
            cut = _union(self._states)
        result["acts"] = self._acts
        result["pins"] = [self._names[gpio] for gpio in sorted(self._names)]
        result["left_on"] = self._called(left)
        result["on_if_cut"] = self._called(cut & ~left)

    def _called(self, mask):
        return [self._names[gpio] for gpio in sorted(self._names) if mask >> gpio & 1]

    def _block(self, steps, path):
        for at, step in enumerate(steps):
            self._step(step, "%s[%d]." % (path, at))

    def _step(self, step, path):
        self._work += 1
        if self._work > _MAX_WORK:
            raise RoutineError(path[:-1], "too many loops in one another")
        if "call" in step:
            self._call(step, path + "call")
        elif "then" in step:
            states = self._states
            self._block(step["then"], path + "then")
            then = self._states
            self._states = states
            self._block(step.get("else", ()), path + "else")
            self._states = self._states | then
            if self._last:
                self._states = self._states | states  # its condition may fail
        elif "offline" in step:
            states = self._states
            self._block(step["offline"], path + "offline")
            self._states = self._states | states
        elif "do" in step:
            states = out = self._states
            path += "do"
            once = type(step.get("repeat")) is int and step["repeat"] > 0
            self._block(step["do"], path)
            out = self._states
            while step.get("repeat") != 1:
                self._block(step["do"], path)
                if not self._states - out:
                    break
                out = out | self._states
                self._states = out
            self._states = out if once else out | states

    def _call(self, step, path):
        tool = step["call"][0]
        args = step["call"][1] if len(step["call"]) > 1 else {}
        spec = self._specs.get(tool)
        if spec is None:
            spec = self._specs[tool] = spec_of(tool, path)
        line, acts, family = spec
        if acts and family != "memory":
            self._acts = True
        # What acts on a `pin` drives it; a counter only listens.
        drives = acts and " pin:" in " " + line and not tool.startswith("counter_")
        may_fail = step.get("try", False)
        if self._last:
            for value in args.values():
                if isinstance(value, str) and value[:1] == "$" and value[1:] not in self._params:
                    may_fail = True
        for part in line.split():
            name, kind = part.split(":", 1)
            if kind not in ("point", "gpio") or name not in args:
                continue
            where = "%s.args.%s" % (path, name)
            ref = args[name]
            if isinstance(ref, str) and ref[:1] == "$":
                name = ref[1:]
                ref = self._args.get(name, self._params[name]["default"])
            gpio = gpio_of(self._kit, ref, where, drives, acts and not drives)
            if drives:
                self._names.setdefault(gpio, args["pin"])
                self._drive(gpio, tool, args, may_fail, where)

    def _drive(self, gpio, tool, args, may_fail, path):
        """What this call makes of the states."""
        bit = 1 << gpio
        if tool == "gpio_pulse":  # it ends by itself, some time later
            self._never_both(gpio, path)
            self._pulsed |= bit
            return
        off = tool.endswith("_stop") or args.get("colour") in ("off", "black")
        # Where 1 is a pin's safe level, that is what is off.
        zero = {"gpio_write": 1, "pwm_set": 100}.get(tool, 0) * self._kit.guard.off(gpio)
        for name in _LEVELS:
            if name in args:
                value = args[name]
                off = value == zero
                on = not off
                if value == "toggle":
                    off = True
                elif isinstance(value, str) and value[:1] == "$":
                    on = off = True
                break
        else:
            on = not off
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
            state |= self._pulsed
            if state & group:
                raise RoutineError(
                    path,
                    "%s could be on already, and an interlock keeps them from being on together"
                    % self._called(state & group)[0],
                )


def _union(states):
    mask = 0
    for state in states:
        mask |= state
    return mask
