"""Console: `points`, `rules`, `schedules`, `routines`: what is set, a line each, from flash."""

import json

from . import clock, lazy

_NONE = {
    "points": "no points: say 'call pin 5 kitchen light'",
    "rules": "no rules",
    "schedules": "no schedules",
    "routines": "no routines",
}


def lines(board, what):
    if board.kit is None:
        yield "flash could not be read; 'status' says more"
        return
    store = board.kit.store
    prefix = "t:" if what == "routines" else what[0] + ":"
    shown = {"points": _point, "rules": _rule, "schedules": _schedule, "routines": _routine}[what]
    names = store.keys(prefix)
    for name in names:
        record = store.get(prefix + name)
        if record is not None:  # deleted meanwhile
            try:
                text = shown(board, name, record)
            except (KeyError, IndexError, TypeError, AttributeError) as e:
                text = "of another version (%r)" % e
            yield "%s: %s" % (name, text)
    if not names:
        yield _NONE[what]
    elif what != "points" and board.agent is None:
        yield "(safe mode: none of them runs)"


def _point(board, name, record):
    more = record[2] if len(record) > 2 else {}
    text = "pin %d, %s" % (record[0], "output" if record[1] else "input")
    for key in ("group", "unit"):
        if key in more:
            text += ", %s %s" % (key, more[key])
    if "unit" not in more:
        try:
            text += ", on" if board.kit.guard.read(record[0]) else ", off"
        except Exception as e:  # another board's file, a limit, a driver
            text += " (%s)" % e
    return text


def _action(record):
    tool, args = record["do"]
    return "%s %s" % (tool, json.dumps(args))


def _rule(board, name, record):
    if "read" in record:
        what = record["read"]
        what = "pin %d" % what if isinstance(what, int) else what
    elif "event" in record:
        what = "event " + record["event"]
    else:
        tool, args, field = record["sensor"]
        what = "%s of %s %s" % (field, tool, json.dumps(args))
    text = "%s %s" % (what, record["is"])
    if "text" in record:
        text += " '%s'" % record["text"]
    elif "value" in record or record["is"] in ("above", "below", "between", "equals"):
        text += " %s" % record.get("value", 0)  # 0 is not kept
    if record["is"] == "between":
        text += " and %s" % record.get("to", 0)
    if "for" in record:
        text += " for %s s" % record["for"]
    if "hours" in record:
        first, end = record["hours"]
        text += ", %02d:%02d-%02d:%02d" % (first // 60, first % 60, end // 60, end % 60)
    text += " -> " + _action(record)
    if record.get("off"):
        text += "; paused"
    return text + _last("fired %s " % name)


def _schedule(board, name, record):
    text = "%s -> %s" % (record["text"], _action(record))
    if record["off"]:
        text += "; paused"
    elif "schedule" in board.kit.engines:
        due = board.kit.engine("schedule").due(name)
        text += "; next " + ("not known yet" if due is None else _local(board.kit.store, due))
    if record["left"] >= 0:
        text += "; %d more" % record["left"]
    return text + _last("fired %s " % name)


def _routine(board, name, record):
    phrases = record["r"].get("phrases", ())
    routines = board.kit.routines
    text = (routines.running() if routines else {}).get(name, "idle")
    if phrases:
        text += "; say '%s'" % "' or '".join(phrases)
    return text + _last("routine %s " % name)


def _last(what):
    """From the log, as far as that goes back."""
    try:
        found = lazy.load("log").last(what)
    finally:
        lazy.drop("log")
    return "; last " + found if found else ""


def _local(store, unix):
    zone = store.get("c:tz")
    if not zone:
        return clock.iso(unix)
    tz = lazy.load("tz")
    try:
        return "%04d-%02d-%02d %02d:%02d" % tuple(tz.local(tz.parse(zone), unix)[:5])
    finally:
        lazy.drop("tz", "civil")
