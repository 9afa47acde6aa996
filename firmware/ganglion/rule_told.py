"""What is told of rules: what one does, all of them."""

from . import lazy

_PREFIX = "r:"


def told(kit, name, receipt, record=None):
    """`receipt` of a rule that acts from now on; with what it does where that is `record`."""
    if record:
        receipt["say"] = _said(name, record)
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
        condition += " and %s" % record.get("to", 0)
    if "for" in record:
        condition += " for %s s" % record["for"]
    try:
        does = lazy.load("wording").words(record["do"])
    finally:
        lazy.drop("wording")
    return "%s: when %s %s, I %s" % (name, what, condition, does)


def listed(store, after):
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
