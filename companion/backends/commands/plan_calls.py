"""One switching at a time, for a time or on a condition → calls of ``schedule_set``, ``rule_set``
or ``gpio_pulse``, with names made of what was said."""

import hashlib
from typing import NamedTuple

from companion.backends.base import Declined, Json
from companion.backends.commands.lexicon import name_words
from companion.backends.commands.phrases import Timing, span
from companion.backends.commands.sentence import Arg, Level, Sentence

NAME_BYTES = 24
PULSE_MS = 600_000
"""Bounds of the tools; the specs of the device are checked besides."""
SCHEDULE, RULE, PULSE = "schedule_set", "rule_set", "gpio_pulse"
_VERB: dict[Level, str] = {0: "off", 1: "on", "toggle": "flip"}


class Condition(NamedTuple):
    """What a rule waits for, as arguments of ``rule_set`` and as words for its name; ``first`` and
    ``end`` are its tokens. ``read`` is None for an event."""

    read: Arg | None
    cause: Json
    spoken: str
    input: bool
    first: int
    end: int


def add(s: Sentence, pin: Arg, value: Level, timing: Timing, rule: Condition | None) -> None:
    """The calls of one switching at a time, for a time or on a condition."""
    args: Json = {"pin": pin, "value": value}
    tool = "gpio_write"
    what = f"{spoken_pin(pin)} {_VERB[value]}"
    if timing.for_ms is not None:
        if value != 1:
            raise Declined("only on can be for a time: what it was before is not known")
        several = s.lexicon.is_group(pin)
        if several and timing.for_ms % 1000:
            raise Declined("a group is on for whole seconds: a pulse is for one point")
        if timing.for_ms <= PULSE_MS and not several:
            tool, args = PULSE, {"pin": pin, "ms": timing.for_ms}
        elif rule is not None or timing.plans():
            what = f"'{pin}', which is a group," if several else "over 10 minutes"
            raise Declined(f"on for {what} goes only at once: say two schedules, on and off")
    if rule is not None:
        if timing.plans():
            raise Declined("a rule acts at once: say only the condition")
        if (
            rule.read is not None
            and _gpio(s, rule.read) == _gpio(s, pin)
            and "for_s" not in rule.cause
        ):
            raise Declined(
                f"a rule of {spoken_pin(pin)} that switches {spoken_pin(pin)} may never rest"
            )
        if (
            rule.read is not None
            and s.lexicon.is_group(pin)
            and not rule.input
            and "for_s" not in rule.cause
        ):
            raise Declined(
                f"{spoken_pin(rule.read)} may be one of {pin}: the rule might never rest"
            )
        name = _name(s, rule.spoken, what)
        s.call(RULE, {"name": name, **rule.cause, "tool": tool, "args": args})
    elif timing.plans():
        when = timing.when()
        more = {"runs": 1} if when.once else {}
        if _single(when.text, more) and any(
            call.tool == SCHEDULE
            and _single(call.args["when"], call.args)
            and _gpio(s, call.args["args"]["pin"]) == _gpio(s, pin)
            for call in s.calls
        ):
            # Said between the two times, "on at 6, off at 8" would be off today, on tomorrow.
            raise Declined("on and off once could come in the wrong order: say 'every day at …'")
        name = _name(s, what, when.label)
        s.call(SCHEDULE, {"name": name, "when": when.text, "tool": tool, "args": args, **more})
    elif tool == PULSE:
        s.call(tool, args)
    else:
        assert timing.for_ms is not None  # a piece without any time is no piece
        off = {"pin": pin, "value": 0}
        # What ends it comes first: it is set or the receipt says why not.
        name = _name(s, f"{spoken_pin(pin)} off", "")
        s.call(
            SCHEDULE,
            {"name": name, "when": f"in {span(timing.for_ms)}", "tool": tool, "args": off},
        )
        s.call(tool, args)


def _single(when: str, args: Json) -> bool:
    """Whether it is once, at a time of day."""
    return when.startswith("at ") or "runs" in args


def _gpio(s: Sentence, pin: Arg) -> Arg:
    point = s.lexicon.exact(name_words(pin)) if isinstance(pin, str) else None
    return pin if point is None else point.pin


def spoken_pin(pin: Arg) -> str:
    return f"pin {pin}" if isinstance(pin, int) else pin


def _name(s: Sentence, *parts: str) -> str:
    """A name from what was said, always the same: its words, or as many as there is room for
    and four digits of their digest."""
    whole = " ".join(" ".join(p for p in parts if p).lower().split())
    name = whole
    if len(whole.encode()) > NAME_BYTES:
        digest = hashlib.sha256(whole.encode()).hexdigest()[:4]
        name = parts[0].lower()
        while len(name.encode()) > NAME_BYTES - 5:
            name = name[:-1].rstrip()
        name = f"{name} {digest}"
    if any(c.args.get("name") == name for c in s.calls):
        raise Declined(f"that would be two plans called '{name}': say it in two sentences")
    return name
