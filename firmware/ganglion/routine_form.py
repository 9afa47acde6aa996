"""First pass of the check: is it the language? Fields, words of steps, names, parameters."""

from micropython import const

from .routine import BIG, RoutineError, gpio_of, number, show

_MAX_WRITTEN = const(64)
_MAX_NESTED = const(4)

# The words of each step: the first names it, "?" marks what may be absent.
_STEPS = (
    "call as? try?",
    "wait",
    "if then else?",
    "repeat do",
    "while max do",
    "set",
    "notify",
    "ask as offline within?",
)


def check(program, kit, args, result):
    _fields(program, "name do finally? params? phrases? on_conflict?", "")
    name = program["name"]
    if not isinstance(name, str) or not 1 <= len(name.encode()) <= 24:
        raise RoutineError("name", "must be text of 1 to 24 bytes")
    if name != " ".join(name.lower().split()):
        raise RoutineError("name", "must be in small letters, with single spaces")
    if program.get("on_conflict", "refuse") not in ("refuse", "queue"):
        raise RoutineError("on_conflict", 'must be "refuse" or "queue"')
    phrases = program.get("phrases", [])
    if not isinstance(phrases, list) or len(phrases) > 4:
        raise RoutineError("phrases", "must be a list of 4 texts at most")
    for at, phrase in enumerate(phrases):
        if not isinstance(phrase, str) or not 3 <= len(phrase.strip().encode()) <= 48:
            raise RoutineError("phrases[%d]" % at, "must be text of 3 to 48 bytes")
    _params(program.get("params", {}), args, kit)
    written = _written(program["do"], "do", 1)
    written += _written(program.get("finally", []), "finally", 1)
    if written > _MAX_WRITTEN:
        raise RoutineError("do", "%d steps are written, %d may be" % (written, _MAX_WRITTEN))


def _params(params, args, kit):
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
            good = number(low) and number(high) and -BIG <= low <= high <= BIG
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
        problem = _misfit(kind, low, high, value)
        if problem:
            raise RoutineError(path + ".default", "must be " + problem)
        if kind == "point":
            gpio_of(kit, value, path + ".default")


def _is_name(text):
    if not isinstance(text, str) or not 1 <= len(text) <= 16 or not "a" <= text[0] <= "z":
        return False
    for c in text:
        if not ("a" <= c <= "z" or "0" <= c <= "9" or c == "_"):
            return False
    return True


def _name(text, path):
    if not _is_name(text):
        raise RoutineError(path, "is no name: a-z, 0-9 and _, 16 at most")


def _fields(obj, words, path):
    """`obj` has the fields that `words` names, and no other."""
    if not isinstance(obj, dict):
        raise RoutineError(path, "must be an object, not " + show(obj))
    words = words.split()
    for word in words:
        if word[-1] != "?" and word not in obj:
            raise RoutineError(path, '"%s" is missing' % word)
    for key in obj:
        if key not in words and key + "?" not in words:
            raise RoutineError(path, 'there is no "%s" here' % key)


def _misfit(kind, low, high, value):
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
        path, "must be a step: call, wait, if, repeat, while, set, notify or ask, not " + show(step)
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
        _shape(step, _word(step, where), where)
        for word in ("then", "else", "do", "offline"):
            if word in step:
                n += _written(step[word], "%s.%s" % (where, word), depth + 1)
    return n


def _shape(step, word, path):
    """The parts of a step that are no values."""
    where = path + "." + word
    part = step[word]
    if word == "call":
        if not isinstance(part, list) or not 1 <= len(part) <= 2:
            raise RoutineError(where, "must be [tool, {arguments}]")
        if len(part) > 1 and not isinstance(part[1], dict):
            raise RoutineError(where + ".args", "must be an object")
        if type(step.get("try", False)) is not bool:
            raise RoutineError(path + ".try", "must be true or false")
        if "as" in step:
            _name(step["as"], path + ".as")
    elif word == "while":
        most = step["max"]
        if type(most) is not int or not 1 <= most <= 1000:
            raise RoutineError(path + ".max", "must be a whole number from 1 to 1000")
    elif word == "set":
        if not isinstance(part, list) or len(part) != 2:
            raise RoutineError(where, "must be [name, value]")
        if not _is_name(part[0]):
            raise RoutineError(where, "%s is no name: a-z, 0-9 and _, 16 at most" % show(part[0]))
    elif word == "notify":
        if not isinstance(part, str) or not 1 <= len(part.encode()) <= 160:
            raise RoutineError(where, "must be text of 1 to 160 bytes")
    elif word == "ask":
        if path[:7] == "finally":
            raise RoutineError(where, "has no place in finally, which may run with no network")
        if not isinstance(part, str) or not 1 <= len(part.encode()) <= 240:
            raise RoutineError(where, "must be text of 1 to 240 bytes")
        most = step.get("within", 20)
        if not number(most) or not 1 <= most <= 120:
            raise RoutineError(path + ".within", "must be a number from 1 to 120, in seconds")
        _name(step["as"], path + ".as")
