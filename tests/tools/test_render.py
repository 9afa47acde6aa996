"""What a person reads below an answer."""

from __future__ import annotations

from typing import Any

import pytest

from tools.render import Paint, footing, plan_lines, turn_lines

PAINT = Paint(on=False)
PAINT.unicode = True

TURN: dict[str, Any] = {
    "reply": "It is warm.",
    "calls": [],
    "tier": "commodity",
    "backend": "cheap",
    "why": "the cheapest within 4 s: about $0.0018",
    "others": [
        {"backend": "house", "tier": "edge", "usd": 0},
        {"backend": "dear", "tier": "premium", "usd": 0.0004},
    ],
    "ms": 712.4,
    "usd": 0.0000367,
    "tokens": 120,
    "tokens_in": 100,
    "tokens_out": 20,
    "tokens_cached": 64,
    "tokens_reasoning": 8,
    "bytes_up": 300,
    "bytes_down": 63,
    "answered": True,
}


def test_who_why_at_what_cost_and_what_the_others_would_have_cost() -> None:
    tokens = "100 tokens in (64 cached), 20 out (8 reasoning)"
    assert turn_lines(TURN, PAINT) == [
        "It is warm.",
        f"  commodity/cheap · 712 ms · $0.0000367 · {tokens} · 363 bytes",
        "  why: the cheapest within 4 s: about $0.0018",
        "  elsewhere: house free, dear $0.0004",
    ]


@pytest.mark.parametrize("how", ["measured", "estimated"])
def test_joules_say_how_they_are_known(how: str) -> None:
    line = footing({**TURN, "energy_j": 4.123, "energy_how": how}, PAINT)[0]
    assert f" · 4.1 J {how} · " in line
    line = footing({**TURN, "energy_j": 1234.5, "energy_how": how}, PAINT)[0]
    assert f" · 1,234 J {how} · " in line


def test_an_estimate_is_marked_and_free_is_not() -> None:
    assert " · ~$0.0000367 · ~100 tokens in" in footing({**TURN, "estimated": True}, PAINT)[0]
    free = footing({**TURN, "estimated": True, "usd": 0}, PAINT)[0]
    assert " · free · ~100 tokens in" in free


def test_without_a_model_there_is_nothing_to_compare() -> None:
    turn = {"reply": "ok", "tier": "edge", "backend": "chip", "ms": 7, "answered": True}
    assert footing(turn, PAINT) == ["edge/chip · 7.0 ms · free"]


def test_what_backends_write_cannot_steer_a_terminal() -> None:
    assert "\x1b" not in "".join(footing({**TURN, "why": "\x1b[2J"}, PAINT))


def candidate(name: str, rank: int | None) -> dict[str, Any]:
    return {
        "backend": name, "tier": "edge", "rank": rank, "reason": "so", "usd": 0, "p95_ms": 1,
        "measured": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("ranked", "taken", "last"),
    [
        (["commands", "m"], "commands", "commands understands this; nobody else would be asked."),
        (["commands", "m"], None, "commands does not understand this; m would be asked."),
        (["commands"], None, "commands does not understand this; nobody is left to ask."),
        (["m", "n"], None, "m would be asked."),
        ([], None, "nobody is left to ask."),
    ],
)
def test_a_plan_ends_with_who_it_comes_to(ranked: list[str], taken: str | None, last: str) -> None:
    rows = [candidate(name, n) for n, name in enumerate(ranked, 1)] + [candidate("out", None)]
    plan = {"policy": "auto", "prompt_tokens": 512, "candidates": rows, "taken_by": taken}
    assert plan_lines(plan, PAINT)[-1] == last
