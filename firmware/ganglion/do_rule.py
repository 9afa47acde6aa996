"""Rules: set, list, delete, pause."""

from . import lazy
from .tools import ToolError

_PREFIX = "r:"


def call(kit, tool, args):
    store = kit.store
    if tool == "rule_set":
        try:
            name = lazy.load("rule_form").keep(kit, args)
        finally:
            lazy.drop("rule_form")
        record = store.get(_PREFIX + name)
        return _told(kit, name, {"name": name, "rule": record, "say": _said(name, record)})
    if tool == "rule_list":
        return _list(store, args.get("after", ""))
    name = args["name"].lower()
    record = store.get(_PREFIX + name)
    if record is None:
        raise ToolError("not_found", "I have no rule '%s'" % name)
    if tool == "rule_delete":
        store.delete(_PREFIX + name)
        kit.engine("rules").changed(name)
        return {"name": name}
    record["off"] = 1 if args["paused"] else 0
    store.set(_PREFIX + name, record)
    kit.engine("rules").changed(name)
    state = "paused" if args["paused"] else "on"
    receipt = {"name": name, "state": state, "say": "the rule %s is %s" % (name, state)}
    return receipt if args["paused"] else _told(kit, name, receipt)


def _told(kit, name, receipt):
    try:
        return lazy.load("wording").warned(kit, _PREFIX + name, receipt)
    finally:
        lazy.drop("wording")


def _said(name, record):
    if "event" in record:
        what = "event " + record["event"]
    else:
        what = record["read"] if "read" in record else record["sensor"][0]
    if isinstance(what, int):
        what = "pin %d" % what
    kind = record["is"]
    if kind in ("arrives", "changes", "equals"):
        condition = kind
    elif kind == "silent":
        condition = "is silent for %s s" % record["value"]
    else:
        condition = "is " + kind
    if "text" in record:
        condition += " '%s'" % record["text"]
    elif kind not in ("on", "off", "changes", "arrives", "silent"):
        condition += " %s" % record.get("value", 0)
    if kind == "between":
        condition += " and %s" % record["to"]
    if "for" in record:
        condition += " for %s s" % record["for"]
    try:
        does = lazy.load("wording").words(record["do"])
    finally:
        lazy.drop("wording")
    return "%s: when %s %s, I %s" % (name, what, condition, does)


def _list(store, after):
    rows = []
    said = []

    def add(name):
        record = store.get(_PREFIX + name)
        rows.append([name, record["is"], record["do"][0], "paused" if record["off"] else "on"])
        said.append(_said(name, record) + (" (paused)" if record["off"] else ""))

    receipt = {"rules": rows}
    try:
        lazy.load("wording").page(store, _PREFIX, after, receipt, add)
    finally:
        lazy.drop("wording")
    if "say" in receipt:
        said.append(receipt["say"])
    receipt["say"] = "; ".join(said) or "There are no rules"
    return receipt
