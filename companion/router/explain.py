"""A plan for people: who would be asked, and what is said for and against each."""

from typing import Any

from companion.meter import usd
from companion.router.decide import Plan, Signal, Snapshot, expected_nano


def explained(signal: Signal, snapshot: Snapshot, plan: Plan) -> dict[str, Any]:
    """As ``GET /devices/{d}/explain`` returns it, in the order in which they would be asked, then
    those that would not be. ``usd`` is expected, ``p95_ms`` measured or said."""
    by_name = {candidate.card.name: candidate for candidate in snapshot.candidates}
    rows = []
    for rank, verdict in enumerate(plan.verdicts, 1):
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
