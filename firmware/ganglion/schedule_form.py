"""Setting a schedule: what its arguments may be, and the record they become. Apart from
tool_schedule.py, which tells the next time when this is not needed any more.
"""

from micropython import const

from . import clock, lazy
from .tools import ToolError, check_call

_PREFIX = "s:"
_MAX_SCHEDULES = const(32)


def keep(kit, args):
    """Check what a schedule_set says, keep it, and return its name."""
    store = kit.store
    name = " ".join(args["name"].lower().split())
    if not name:
        raise ToolError("bad_args", "the name is empty")
    if store.get(_PREFIX + name) is None and store.count(_PREFIX) >= _MAX_SCHEDULES:
        raise ToolError("full", "there are %d schedules already; delete one" % _MAX_SCHEDULES)
    if args["tool"].startswith(("schedule_", "set_")):
        raise ToolError("bad_args", "a schedule cannot run %s" % args["tool"])
    check_call(args["tool"], args["args"])
    now = clock.now()
    # What stays comes before what goes, and before anything is kept: it may find no room.
    engine = kit.engine("schedule")
    part = "when"
    form = None
    try:
        form = lazy.load("when_form")
        rule = form.parse(args["when"], store, now)
        if rule[0] == "sun" and store.get("c:place") is None:
            raise ValueError("I do not know where I am: say it as 'I live at 52.5, 13.4'")
        until = 0
        part = "until"
        if "until" in args:
            until = form.parse("at " + args["until"], store, now)[1]
    except ValueError as e:
        raise ToolError("bad_args", "%s: %s" % (part, e.args[0])) from None
    finally:
        lazy.drop("when_form", "cron", "civil", "tz")
        form = None
    store.set(
        _PREFIX + name,
        {
            "when": rule,
            "text": args["when"],
            "do": [args["tool"], args["args"]],
            "miss": args.get("miss", "skip"),
            "late": args.get("late_min", 60),
            "until": until,
            "left": args.get("runs", -1),
            "off": 0,
            "last": now or 0,
        },
    )
    engine.changed(name)
    return name
