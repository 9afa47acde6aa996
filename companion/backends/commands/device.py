"""Sentences about the device itself (a restart, its versions, its name), about groups, and for
tools that need more than a level (a voltage, a servo, a counter, a pulse)."""

from collections.abc import Callable

from companion.backends.base import Declined, Json, Point
from companion.backends.commands import naming
from companion.backends.commands.device_intents import ABOUT, GAP, HANDLER_OF, TABLE
from companion.backends.commands.lexicon import name_words
from companion.backends.commands.phrases import length_at
from companion.backends.commands.scan import Scanner
from companion.backends.commands.sentence import Arg, Clause, Sentence, acts, targets_of
from companion.backends.commands.templates import NUMBER
from companion.backends.commands.tokens import Kind

_SLOTS = [name for name in TABLE.groupindex if name.startswith("n")]


def settle(s: Sentence, scanner: Scanner) -> bool:
    """A whole sentence about the device or a group. True when it was one. Raises Declined."""
    if ABOUT.isdisjoint(t.norm for t in s.tokens):
        return False
    scanned = scanner.scan(s.tokens)
    gap = GAP.match(scanned.codes)
    at = gap.end() if gap is not None else 0
    m = TABLE.match(scanned.codes, at)
    if m is None:
        return False
    slot = next((m.span(n) for n in _SLOTS if m.start(n) >= 0), None)
    clause = Clause(
        m.group(),
        scanned.items[at : m.end()],
        None if slot is None else (slot[0] - at, slot[1] - at),
        "?" in scanned.codes,
        bool(scanned.polite),
    )
    tool, handler = _HANDLERS[HANDLER_OF[m.lastgroup or ""]]
    return tool in s.tools and handler(s, clause, tool)


# --- the device --------------------------------------------------------------------------------


def _plain(s: Sentence, c: Clause, tool: str) -> bool:
    s.call(tool, {})
    return True


def _act(s: Sentence, c: Clause, tool: str) -> bool:
    acts(c)
    return _plain(s, c, tool)


def _scope(scope: str) -> Callable[[Sentence, Clause, str], bool]:
    def handler(s: Sentence, c: Clause, tool: str) -> bool:
        s.call(tool, {"scope": scope})
        return True

    return handler


def _declines(reason: str) -> Callable[[Sentence, Clause, str], bool]:
    def handler(s: Sentence, c: Clause, tool: str) -> bool:
        raise Declined(reason)

    return handler


def _name(s: Sentence, c: Clause, tool: str) -> bool:
    """A name to show, spelled as it was written."""
    acts(c)
    first, last = _slot(c)
    plain = naming.label_of(s, first, last)  # its bounds and what it must not be hold here, too
    if s.tokens[first].kind == Kind.QUOTE and first == last:
        name = " ".join(s.tokens[first].norm.split())
    else:
        name = " ".join(s.spoken(first, last).split())[-len(plain) :]
    s.call(tool, {"name": name})
    return True


# --- tools of one pin --------------------------------------------------------------------------


def _one(s: Sentence, c: Clause, acting: bool) -> Arg:
    end = c.slot[0] if c.slot is not None else len(c.codes)
    part = Clause(c.codes[:end], c.items[:end], None, c.question, c.polite)
    targets = targets_of(s, part, acting) or []
    if len(targets) != 1 or s.lexicon.is_group(targets[0]):
        raise Declined("that takes one pin or point: say which")
    return targets[0]


def _ask_pin(s: Sentence, c: Clause, tool: str) -> bool:
    s.call(tool, {"pin": _one(s, c, False)})
    return True


def _listen_pin(s: Sentence, c: Clause, tool: str) -> bool:
    acts(c)
    return _ask_pin(s, c, tool)


def _servo(s: Sentence, c: Clause, tool: str) -> bool:
    """Only for a name that says so: "set the boiler to 60 degrees" means no servo."""
    pin = _one(s, c, True)
    if "servo" not in {t.norm for t in s.tokens} | set(name_words(str(pin))):
        raise Declined("degrees are for a servo: say 'the servo on …', or name it so")
    acts(c)
    number = next(i.payload for code, i in zip(c.codes, c.items, strict=True) if code == NUMBER)
    s.call(tool, {"pin": pin, "degrees": number})
    return True


def _pulse(s: Sentence, c: Clause, tool: str) -> bool:
    acts(c)
    first, last = _slot(c)
    words = [t.norm for t in s.tokens[first : last + 1]]
    length = length_at(words, 0)
    if length is None or length[1] != len(words):
        raise Declined("say how long: 'pulse … for 500 ms'")
    s.call(tool, {"pin": _one(s, c, True), "ms": length[0]})
    return True


# --- groups ------------------------------------------------------------------------------------


def _join(s: Sentence, c: Clause, tool: str) -> bool:
    acts(c)
    first, last = _slot(c)
    group = naming.label_of(s, first, last)
    if s.lexicon.exact(name_words(group)) is not None:
        raise Declined(f"'{group}' is a point: a group needs another name")
    for point in _points(s, c):
        s.call(tool, _point(point, group))
    return True


def _join_known(s: Sentence, c: Clause, tool: str) -> bool:
    """ "add the pump to the garden things", where there is such a group."""
    assert c.slot is not None
    first, last = c.items[c.slot[0]].first, c.items[c.slot[1] - 1].last
    group = s.lexicon.grouped(name_words(s.spoken(first, last)), plain=False)
    if group is None:
        return False
    acts(c)
    for point in _points(s, c):
        s.call(tool, _point(point, group))
    return True


def _leave(s: Sentence, c: Clause, tool: str) -> bool:
    acts(c)
    for point in _points(s, c):
        s.call(tool, _point(point, "none"))
    return True


def _members(s: Sentence, c: Clause, tool: str) -> bool:
    spoken = s.spoken(*_slot(c))
    group = s.lexicon.grouped(name_words(spoken))
    if group is None:
        known = ", ".join(s.lexicon.groups.values()) or "none yet"
        raise Declined(f"I know no group '{spoken[:40]}'; groups: {known}")
    s.call(tool, {"group": group})
    return True


def _point(point: Point, group: str) -> Json:
    return {"name": point.name, "pin": point.pin, "group": group}


def _points(s: Sentence, c: Clause) -> list[Point]:
    """The points named before the slot. Raises Declined for a pin without a name."""
    end = c.slot[0] if c.slot is not None else len(c.codes)
    part = Clause(c.codes[:end], c.items[:end], None, c.question, c.polite)
    targets = targets_of(s, part, acting=False)
    if targets is None:
        return list(s.lexicon.points)
    found = []
    for target in targets:
        if s.lexicon.is_group(target):
            raise Declined(f"'{target}' is a group: say which points")
        of = [p for p in s.lexicon.points if target in (p.pin, p.name)]
        if len(of) != 1:
            many = f"has several names ({', '.join(p.name for p in of)}): say which"
            none = f"has no name: say 'call pin {target} …' first"
            raise Declined(f"pin {target} {many if of else none}")
        found += of
    return found


def _slot(c: Clause) -> tuple[int, int]:
    assert c.slot is not None  # every row with such a handler has one
    return c.items[c.slot[0]].first, c.items[c.slot[1] - 1].last


_HANDLERS: dict[str, tuple[str, Callable[[Sentence, Clause, str], bool]]] = {
    "reboot": ("reboot", _act),
    "restart_what": ("reboot", _declines("say what to restart: 'restart the board'")),
    "reset_what": (
        "reboot",
        _declines("a reset may mean a restart or to forget everything: for a restart say 'reboot'"),
    ),
    "version": ("get_version", _plain),
    "name": ("rename_device", _name),
    "name_what": ("rename_device", _declines("say the name: 'call yourself Greenhouse'")),
    "unname": ("rename_device", _act),
    "join": ("point_set", _join),
    "join_known": ("point_set", _join_known),
    "leave": ("point_set", _leave),
    "leave_what": (
        "point_set",
        _declines("a point is in one group at most: say 'take … out of its group'"),
    ),
    "members": ("point_list", _members),
    "groups": ("point_list", _plain),
    "drop_group": (
        "point_set",
        _declines("a group ends with its last member: say 'take … out of its group'"),
    ),
    "voltage": ("adc_read", _ask_pin),
    "servo": ("servo_set", _servo),
    "count": ("counter_start", _listen_pin),
    "counted": ("counter_read", _ask_pin),
    "uncount": ("counter_stop", _listen_pin),
    "pulse": ("gpio_pulse", _pulse),
    "diagnostics": ("get_diagnostics", _plain),
    "diagnose_store": ("get_diagnostics", _scope("store")),
    "diagnose_wifi": ("get_diagnostics", _scope("wifi")),
}
