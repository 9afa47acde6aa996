"""Who may be asked, in which order, and what is said for and against each."""

from dataclasses import replace

import pytest

from companion.backends.base import Card, Prices
from companion.router import Candidate, Plan, Signal, Snapshot, Step, decide, rounded

COMMANDS = Card("commands", tier="edge", needs_context=False, local=True, quality=100)
HOUSE = Card("house", tier="edge", local=True, quality=30)
CHEAP = Card("cheap", prices=Prices.per_million("0.14", "0.28"), quality=55)
QUICK = Card("quick", tier="premium", prices=Prices.per_million(1, 3), quality=60)
ABLE = Card("able", tier="premium", prices=Prices.per_million(3, 15), quality=95)
P95 = {"commands": 1, "house": 9000, "cheap": 2500, "quick": 400, "able": 3900}
ALL = (COMMANDS, HOUSE, CHEAP, QUICK, ABLE)
TEXT = Signal(True, prompt_tokens=4096, prompt_min_tokens=1024)


def snapshot(
    *cards: Card, unfit: str = "", target_ms: int = 4000, min_quality: int = 0
) -> Snapshot:
    """``unfit``: the name of one whose breaker is open."""
    candidates = tuple(
        Candidate(c, P95.get(c.name, 2000), True, "it failed (500)" if c.name == unfit else "")
        for c in cards or ALL
    )
    return Snapshot(candidates, target_ms, min_quality)


def order(plan: Plan) -> str:
    return " ".join(step.name for step in plan.steps)


def against(plan: Plan) -> dict[str, str]:
    return {v.name: v.reason for v in plan.verdicts if not v.chosen}


@pytest.mark.parametrize(
    ("signal", "snap", "want"),
    [
        # auto: the cheapest within the target, then the ablest first.
        (TEXT, snapshot(), "commands cheap able quick house"),
        (TEXT, snapshot(min_quality=60), "commands quick able cheap house"),
        (TEXT, snapshot(target_ms=1000), "commands quick able cheap house"),
        (TEXT, snapshot(target_ms=10_000), "commands house able quick cheap"),
        # Nobody meets it: the ablest.
        (TEXT, snapshot(target_ms=100), "commands able quick cheap house"),
        (TEXT._replace(policy="cheapest"), snapshot(), "commands house cheap quick able"),
        (TEXT._replace(policy="fastest"), snapshot(), "commands quick cheap able house"),
        (TEXT._replace(policy="best"), snapshot(), "commands able quick cheap house"),
        (TEXT._replace(policy="private"), snapshot(), "commands house"),
        # The order is the owner's, and what is left out of it is never asked.
        (
            TEXT._replace(policy="order", order=("able", "commands", "cheap")),
            snapshot(),
            "able commands cheap",
        ),
        (TEXT._replace(policy="order"), snapshot(ABLE, COMMANDS), "able commands"),
        # Another policy within that order.
        (TEXT._replace(policy="cheapest", order=("able", "cheap")), snapshot(), "cheap able"),
        # A prompt whose tools must be trimmed comes after one that fits whole.
        (
            TEXT._replace(policy="cheapest"),
            snapshot(replace(HOUSE, context_tokens=4096), CHEAP, ABLE),
            "cheap able house",
        ),
    ],
)
def test_in_which_order(signal: Signal, snap: Snapshot, want: str) -> None:
    assert order(decide(signal, snap)) == want


@pytest.mark.parametrize(
    ("signal", "snap", "want"),
    [
        (
            TEXT._replace(policy="private"),
            snapshot(HOUSE, CHEAP),
            {"cheap": "it is outside the house, and this stays in it"},
        ),
        (TEXT._replace(deny=("premium",)), snapshot(CHEAP, QUICK), {"quick": "a rule denies it"}),
        (TEXT._replace(deny=("cheap",)), snapshot(CHEAP, QUICK), {"cheap": "a rule denies it"}),
        (
            TEXT._replace(allow=("edge", "quick")),
            snapshot(),
            {"cheap": "no rule allows it", "able": "no rule allows it"},
        ),
        # Receipts mean something only to who knows what was asked for.
        (
            TEXT._replace(has_text=False),
            snapshot(COMMANDS, HOUSE),
            {"commands": "it takes sentences, not receipts"},
        ),
        # A text is for who can write one, with tools or without.
        (
            TEXT._replace(wants_text=True),
            snapshot(COMMANDS, replace(HOUSE, tools=False)),
            {"commands": "it makes calls of sentences, not texts"},
        ),
        (TEXT, snapshot(replace(HOUSE, tools=False)), {"house": "it cannot call tools"}),
        # A prompt whose tools can be trimmed fits; below that none does.
        (TEXT, snapshot(replace(HOUSE, context_tokens=2048)), {}),
        (
            TEXT,
            snapshot(replace(HOUSE, context_tokens=2000)),
            {"house": "this needs about 2,048 tokens and it takes 2,000"},
        ),
        # A budget concerns only who has a price.
        (
            TEXT._replace(spent="today's budget of kitchen has too little left"),
            snapshot(COMMANDS, HOUSE, CHEAP),
            {"cheap": "today's budget of kitchen has too little left"},
        ),
        (TEXT, snapshot(CHEAP, ABLE, unfit="cheap"), {"cheap": "it failed (500)"}),
        # What people decided is said first: it is what they can change.
        (
            TEXT._replace(policy="private", spent="the budget has too little left"),
            snapshot(CHEAP, unfit="cheap"),
            {"cheap": "it is outside the house, and this stays in it"},
        ),
    ],
)
def test_who_is_left_out_and_why(signal: Signal, snap: Snapshot, want: dict[str, str]) -> None:
    assert against(decide(signal, snap)) == want


def test_a_missing_conversation_concerns_models_alone() -> None:
    plan = decide(TEXT._replace(missing=("ctx", "mem")), snapshot(COMMANDS, CHEAP))
    assert plan.steps == (Step("commands"), Step("cheap", ("ctx", "mem")))
    assert plan.verdicts[1].reason.endswith("; needs the conversation and the facts first")


@pytest.mark.parametrize(
    ("policy", "want"),
    [
        ("auto", "the cheapest within 4 s: about $0.00061, 95 % within 2.5 s measured"),
        ("cheapest", "by cost: about $0.00061"),
        ("fastest", "by speed: 95 % within 2.5 s measured"),
        ("best", "by quality: 55 of 100"),
        ("order", "first in the order"),
    ],
)
def test_the_first_says_why_it_is_first(policy: str, want: str) -> None:
    # 4096 tokens at 0.14 and 120 at 0.28 USD per million.
    plan = decide(TEXT._replace(policy=policy), snapshot(CHEAP))
    assert [v.reason for v in plan.verdicts] == [want]


def test_a_machine_paid_by_the_hour_costs_its_time() -> None:
    hired = Card("hired", prices=Prices(0, 0, 0, hour_nano=3_600_000_000_000))  # 2 s: 2 USD
    plan = decide(TEXT._replace(policy="cheapest"), snapshot(hired, ABLE))
    assert order(plan) == "able hired"


def test_nobody_is_a_plan_too() -> None:
    assert decide(TEXT, Snapshot(())) == Plan((), ())


def test_tokens_are_rounded_up_by_an_eighth_at_most() -> None:
    for tokens in range(1, 40_000, 37):
        assert tokens <= rounded(tokens) <= tokens * 1.125
    assert rounded(0) == 0
    assert len({rounded(tokens) for tokens in range(100_000)}) < 130
