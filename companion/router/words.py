"""What a person is told about an answer besides the answer; pure. Why it was this backend is in
``outcome.why``."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from companion.backends.base import Answer, Card
from companion.router.decide import Verdict
from companion.wire import TEXT_BYTES_MAX


def left_alone(verdicts: Sequence[Verdict], shut: Callable[[str], str]) -> list[str]:
    """Who was left out for how it fares, and why. ``shut``: why a backend's breaker is open, ""
    when it is not. What a rule or a policy left out is no news."""
    found = []
    for verdict in verdicts:
        msg = "" if verdict.chosen else shut(verdict.name)
        if msg and verdict.reason.startswith(msg):
            found.append(f"{verdict.name}: {verdict.reason}")
    return found


def beside(name: str, waited_s: float, has_price: bool) -> str:
    """Of one that was asked, too, and was not the first: it may be most of what the answer cost."""
    said = f"{name} asked, too: no answer within {waited_s:.1f} s"
    return f"{said}, counted at the most" if has_price else said


def with_budget(answer: Answer, card: Card, turned: str) -> Answer:
    """The answer with the word about a budget that has turned the plan to this backend, "" where
    none has. Not where that has a price itself, nor where there is no room for it."""
    if not turned or card.prices is not None or not card.needs_context or not answer.say:
        return answer
    say = f"{answer.say} ({turned[0].upper()}{turned[1:]}, so {card.name} answered.)"
    fits = len(say.encode(errors="replace")) <= TEXT_BYTES_MAX
    return replace(answer, say=say) if fits else answer
