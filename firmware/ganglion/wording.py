"""What schedules and rules have in common when they are told: what one runs, in a person's words,
lists of them a part at a time, what gets in each other's way. Loaded for a use.
"""

import gc

from micropython import const

from . import lazy

_PAGE = const(8)
_LIST_ROOM = const(5000)

_LEVELS = {0: "turn %s off", 1: "turn %s on", "toggle": "toggle %s"}


def words(do):
    """`["gpio_write", {"pin": 5, "value": 1}]` is "turn pin 5 on"."""
    tool, args = do
    pin = args.get("pin")
    if isinstance(pin, int):
        pin = "pin %d" % pin
    if tool == "gpio_write":
        return _LEVELS[args["value"]] % pin
    if tool == "gpio_pulse":
        return "pulse " + pin
    if tool == "routine_run":
        return "run " + args["name"]
    return "run " + tool + (" on " + pin if pin else "")


def page(store, prefix, after, receipt, add):
    """Some names of a listing, which as a whole would be more than a message and more than the
    heap: `add(name)` for those after `after`. What is left is told in `receipt`."""
    n = 0
    for name in store.keys(prefix):
        if name <= after:
            continue
        if n % 4 == 0:
            gc.collect()
        if n >= _PAGE or (n >= 4 and n % 4 == 0 and gc.mem_free() < _LIST_ROOM):
            receipt["more"] = receipt.get("more", 0) + 1
            continue
        n += 1
        add(name)
        last = name
    if "more" in receipt:
        receipt["say"] = "%d more, after %s" % (receipt["more"], last)


def warned(kit, key, receipt):
    """`receipt` of a rule or schedule, with whom it gets in the way of."""
    try:
        return lazy.load("deeds").warn(kit, key, receipt)
    except MemoryError:
        gc.collect()
        receipt["conflicts"] = ["not looked for: not enough memory"]
        return receipt
    finally:
        lazy.drop("deeds", "cron", "tz", "civil")
