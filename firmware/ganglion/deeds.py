"""What schedules and rules do to outputs, and which of them get in each other's way
(docs/automation.md). Loaded when one is made, then dropped.

Two of them conflict when they do different things to one pin and it is not plain that this is
meant. Plain is: two schedules at different minutes; two rules whose conditions exclude each other.
"""

from micropython import const

from . import lazy, tools

_MOST = const(4)
_DAY_S = const(86400)
_VERBS = {0: "turns %s off", 1: "turns %s on", "toggle": "toggles %s", "pulse": "pulses %s"}
_FAR = 1e9


def warn(kit, key, receipt):
    """`receipt`, with whom the entry `key` ("s:" or "r:" and its name) gets in the way of, in
    `conflicts` and in `say`."""
    record = kit.store.get(key)
    mine = _deeds(kit, record["do"])
    found = []
    more = 0
    for prefix, kind in (("s:", "schedule"), ("r:", "rule")) if mine else ():
        for name, other in kit.store.items(prefix):
            if prefix + name == key or other.get("off") or other["do"] == record["do"]:
                continue
            theirs = _deeds(kit, other["do"])
            for gpio in mine:
                if gpio in theirs and _differ(mine[gpio], theirs[gpio]):
                    how = _meet(kit, record, other)
                    if how is None:
                        continue
                    if len(found) < _MOST:
                        found.append("%s %s %s%s" % (kind, name, _words(kit, gpio, theirs), how))
                    else:
                        more += 1
                    break
    if found:
        found.sort()
        if more:
            found.append("%d more" % more)
        receipt["conflicts"] = found
        receipt["say"] += ". But " + ", ".join(found)
    return receipt


# ---- what is done


def _deeds(kit, do):
    """GPIO → what `do` does to it: 0, 1, "toggle", "pulse", or else `[tool, arguments]`."""
    out = {}
    tool, args = do
    if tool == "routine_run":
        row = kit.store.get("t:" + " ".join(str(args.get("name")).lower().split()))
        if row:
            given = dict((n, row["r"]["params"][n]["default"]) for n in row["r"].get("params", ()))
            given.update(args.get("args") or {})
            for part in ("do", "finally"):
                _steps(kit, row["r"].get(part, ()), given, out)
    else:
        _deed(kit, tool, args, out)
    return out


def _steps(kit, steps, given, out):
    for step in steps:
        if "call" in step:
            args = dict(step["call"][1]) if len(step["call"]) > 1 else {}
            for name in args:
                value = args[name]
                if isinstance(value, str) and value[:1] == "$":
                    args[name] = given.get(value[1:], value)
            _deed(kit, step["call"][0], args, out)
        for part in ("do", "then", "else", "offline"):
            if isinstance(step.get(part), list):
                _steps(kit, step[part], given, out)


def _deed(kit, tool, args, out):
    if "pin" not in args or tool.startswith(("counter_", "point_", "limit_")):
        return
    if tool.endswith(("_read", "_get")):
        return
    try:
        pins = [kit.resolve(args["pin"])[0]]
    except tools.ToolError:
        pins = _group(kit.points, args["pin"])  # empty: a name that is gone, or that the run gives
    deed = [tool, args]
    if tool == "gpio_write":
        deed = args.get("value")
    elif tool == "gpio_pulse":
        deed = "pulse"
    elif tool.endswith("_stop"):
        deed = 0
    for gpio in pins:
        if gpio not in out:
            out[gpio] = []
        if deed not in out[gpio]:
            out[gpio].append(deed)


def _group(points, name):
    """Pins of the points in a group."""
    name = " ".join(name.lower().split())
    if name[:4] == "all ":
        name = name[4:]
    return [v[0] for _, v in points.items() if len(v) > 2 and v[2].get("group") == name]


def _differ(mine, theirs):
    return any(d not in theirs for d in mine) or any(d not in mine for d in theirs)


def _words(kit, gpio, deeds):
    name = kit.points.name_of(gpio) or "pin %d" % gpio
    deed = deeds[gpio][0]
    if len(deeds[gpio]) > 1:
        return "acts on " + name
    return _VERBS.get(deed if isinstance(deed, (int, str)) else None, "sets %s") % name


# ---- whether they meet


def _meet(kit, a, b):
    """How two entries may meet unmeant, in words; None when they do not, or it is plainly meant."""
    if "when" in a and "when" in b:
        return _minute(kit, a["when"], b["when"])
    if "is" in a and "is" in b:
        if _hours_apart(a.get("hours"), b.get("hours")):
            return None
        if _source(kit, a) == _source(kit, b) and _apart(a, b):
            return None
    return ""


def _source(kit, rule):
    if "event" in rule:
        return rule["event"]
    try:
        return kit.resolve(rule["read"])[0] if "read" in rule else rule["sensor"]
    except tools.ToolError:
        return None


def _apart(a, b):
    """Can the conditions of two rules on one reading not hold together?"""
    if (a["is"] == "silent") != (b["is"] == "silent"):
        return True  # what says nothing says no level
    if "text" in a and "text" in b:
        return a["text"] != b["text"]
    low_a, high_a = _range(a)
    low_b, high_b = _range(b)
    return high_a < low_b or high_b < low_a


def _range(rule):
    """The least and the greatest reading at which its condition holds."""
    kind = rule["is"]
    value = rule.get("value", 0)
    little = max(abs(value), 1) * 1e-5  # above and below do not hold at the value itself
    if kind == "on":
        return little, _FAR
    if kind == "off":
        return 0, 0
    if kind == "above":
        return value + little, _FAR
    if kind == "below":
        return -_FAR, value - little
    if kind == "between":
        return value, rule.get("to", 0)
    if kind == "equals" and "text" not in rule:
        return value, value
    return -_FAR, _FAR


def _hours_apart(a, b):
    if not a or not b:
        return False
    for first, (begin, end) in ((a[0], b), (b[0], a)):
        inside = begin <= first < end if begin <= end else first >= begin or first < end
        if inside:
            return False
    return True


def _minute(kit, a, b):
    for rule in (a, b):
        if rule[0] == "every" and rule[2] is None:
            return ", at times of its own"  # whatever the other does, this comes soon after
    meet = False
    if "sun" in (a[0], b[0]):
        meet = a == b
    elif a[0] == "once" and b[0] == "once":
        meet = a[1] // 60 == b[1] // 60
    else:
        cron = lazy.load("cron")
        try:
            meet = _together(kit, cron, a, b)
        finally:
            lazy.drop("cron", "civil")
    return " in the same minute" if meet else None


def _together(kit, cron, a, b):
    order = ("once", "every", "cron")
    if order.index(a[0]) > order.index(b[0]):
        a, b = b, a
    masks = cron.parse(b[1]) if b[0] == "cron" else None
    if a[0] == "once":
        tz = lazy.load("tz")
        try:
            zone = tz.parse(kit.store.get("c:tz", "UTC0"))
            at = tz.local(zone, a[1])[:5]
            before = tz.local(zone, a[1] - 60)[:5]
        finally:
            lazy.drop("tz")
        if masks:
            return cron.after(masks, before) == at
        return _comes(b, masks, at[3] * 60 + at[4])
    if a[0] == "cron":
        other = cron.parse(a[1])
        if not (masks[0] & other[0] and masks[1] & other[1] and masks[3] & other[3]):
            return False
        # Where either of its fields of days is enough, some month has a day of both.
        return bool(masks[5] or other[5] or (masks[2] & other[2] and masks[4] & other[4]))
    at = 0
    while at < _DAY_S:
        if _comes(b, masks, (a[2] + at // 60) % 1440):
            return True
        at += max(a[1], 60)
    return False


def _comes(rule, masks, minute):
    """Is a cron line or an anchored `every` due at a minute of some day?"""
    if masks:
        return masks[1] >> minute // 60 & 1 and masks[0] >> minute % 60 & 1
    return (minute - rule[2]) % 1440 * 60 % rule[1] < 60
