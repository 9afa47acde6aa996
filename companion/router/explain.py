"""A plan for people: who would be asked, and what is said for and against each."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from companion.backends.base import Card
from companion.backends.prompt import Size
from companion.meter import usd
from companion.meter.purse import Cap, Slot
from companion.router.decide import TOO_LITTLE, Plan, Signal, Snapshot, Verdict, expected_nano
from companion.router.tab import Most, most_of
from companion.wire import ASK_MS_DEFAULT

TYPICAL_PROMPT: Final = Size.of(21_000, 2)
"""All tools of a board and a sentence."""


def too_small(cap: Cap, cards: Iterable[Card]) -> dict[str, Most]:
    """Backends that ``cap`` never lets answer a typical prompt, and the most that such an answer
    can come to, as it is reserved. None where the cap is 0: that is meant."""
    found = {}
    for card in cards:
        most = most_of(card, TYPICAL_PROMPT.bound_tokens, ASK_MS_DEFAULT)
        few_nano = cap.nano is not None and 0 < cap.nano < most.nano
        if few_nano or (cap.tokens is not None and 0 < cap.tokens < most.tokens):
            found[card.name] = most
    return found


def no_room(slots: Iterable[Slot], held: Mapping[str, tuple[int, int]], most: Most) -> str:
    """Which budget has no room for ``most``, for people; "" when all have. ``held``: nano-dollars
    and tokens that are spent or reserved, by the slots' keys."""
    for slot in slots:
        nano, tokens = held.get(slot.key, (0, 0))
        if slot.nano is not None and most.nano and nano + most.nano > slot.nano:
            left, needed = usd(max(slot.nano - nano, 0)), usd(most.nano)
            return f"{slot.what} {TOO_LITTLE}: ${left:.2g}, and this costs ${needed:.2g} at most"
        if slot.tokens is not None and most.tokens and tokens + most.tokens > slot.tokens:
            left_tokens = max(slot.tokens - tokens, 0)
            return (
                f"{slot.what} {TOO_LITTLE}: {left_tokens:,} tokens, and this takes "
                f"{most.tokens:,} at most"
            )
    return ""


def explained(
    signal: Signal, snapshot: Snapshot, plan: Plan, room: Callable[[Card], str]
) -> dict[str, Any]:
    """As ``GET /devices/{d}/explain`` returns it, in the order in which they would be asked, then
    those that would not be. ``usd`` is expected, ``p95_ms`` measured or said. ``room`` says which
    budget has none for a backend, "" when all have: the plan only knows budgets that refused."""
    by_name = {candidate.card.name: candidate for candidate in snapshot.candidates}
    tight = {v.name: room(by_name[v.name].card) for v in plan.verdicts if v.chosen}
    verdicts = [v for v in plan.verdicts if not tight.get(v.name)]
    verdicts += [Verdict(v.name, False, tight[v.name]) for v in plan.verdicts if tight.get(v.name)]
    rows = []
    for rank, verdict in enumerate(verdicts, 1):
        candidate = by_name[verdict.name]
        card = candidate.card
        rows.append(
            {
                "backend": card.name,
                "tier": card.tier,
                "rank": rank if verdict.chosen else None,
                "reason": verdict.reason,
                "usd": usd(expected_nano(signal, candidate)),
                "p95_ms": candidate.p95_ms,
                "measured": candidate.measured,
                "quality": card.quality,
                "local": card.local,
            }
        )
    return {
        "policy": signal.policy,
        "allow": None if signal.allow is None else list(signal.allow),
        "deny": list(signal.deny),
        "prompt_tokens": signal.prompt_tokens,
        "budget": signal.spent or None,
        "candidates": rows,
    }
