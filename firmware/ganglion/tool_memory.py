"""Facts: short things a person wants remembered, on flash.

A record is the fact's text; that of one which is pinned stands in a list. Pinned facts are the
first that a companion is told where not all find room (facts.py).
"""

from micropython import const

from .tools import ToolError

_MAX_FACTS = const(64)
PREFIX = "m:"
# What one listing may hold, so that it fits a message, and a heap with every table full.
_LIST_BYTES = const(800)

SPECS = (
    (
        "memory_set",
        "Remember a fact under a short key; pinned: always keep it in mind.",
        "key:str32 value:str200 pinned?:bool",
        True,
        "I will remember: {value}",
    ),
    ("memory_get", "Recall the fact under a key.", "key:str32", False, "{value}"),
    ("memory_list", "List remembered facts.", "after?:str32", False, "{facts}"),
    ("memory_delete", "Forget the fact under a key.", "key:str32", True, "I forgot {key}"),
)


def call(kit, name, args):
    store = kit.store
    if name == "memory_list":
        return _list(store, args.get("after", ""))
    key = args["key"]
    if name == "memory_set":
        old = store.get(PREFIX + key)
        if old is None and store.count(PREFIX) >= _MAX_FACTS:
            raise ToolError("full", "I remember %d facts already; delete one" % _MAX_FACTS)
        # A new text alone does not unpin.
        pinned = args.get("pinned", isinstance(old, list))
        store.set(PREFIX + key, [args["value"]] if pinned else args["value"])
        return _told(key, store.get(PREFIX + key))
    value = store.get(PREFIX + key)
    if value is None:
        raise ToolError("not_found", "I remember nothing about '%s'" % key)
    if name == "memory_get":
        return _told(key, value)
    store.delete(PREFIX + key)
    return {"key": key}


def _told(key, value):
    if isinstance(value, list):
        return {"key": key, "value": value[0], "pinned": True}
    return {"key": key, "value": value}


def _list(store, after):
    facts = {}
    size = 0
    left = 0
    for key in store.keys(PREFIX):
        if key <= after:
            continue
        value = _told(key, store.get(PREFIX + key))["value"]
        size += len(key) + len(value) + 8
        if size > _LIST_BYTES:
            left += 1
        else:
            facts[key] = value
            last = key
    receipt = {"facts": facts}
    if left:
        receipt["more"] = left
    if facts:
        say = "; ".join([facts[key] for key in sorted(facts)])
        receipt["say"] = say + ("; and %d more, after %s" % (left, last) if left else "")
    else:
        receipt["say"] = "I remember nothing yet"
    return receipt
