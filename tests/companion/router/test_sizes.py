"""About how long a prompt is, without making it."""

from dataclasses import replace
from typing import Any

import pytest

from companion.backends import fit, prompt
from companion.backends.base import Point, Request
from companion.router.sizes import Sizes
from tests.companion.router.fakes import request
from tests.companion.test_openai import ALL_TOOLS

BARE = replace(request(text="turn on the kitchen light, please"), tools=tuple(ALL_TOOLS))
RAN = ("gpio_write", {"pin": 5, "value": 1}, {"level": 1})
TALK: tuple[Any, ...] = (
    ("u", "is it dark outside?"),
    ("d", (RAN, RAN)),
    ("a", "Yes. [pin 5 is on]"),
    ("u", "then turn it off again, and tell me when it is morning"),
)


@pytest.mark.parametrize(
    "req",
    [
        BARE,
        replace(BARE, tools=()),
        replace(BARE, tools=(), wants_text=True),
        replace(BARE, messages=TALK * 5),
        replace(BARE, facts={f"fact {n}": "something that was told " * 3 for n in range(20)}),
        replace(BARE, points=tuple(Point(f"lamp {n}", n, "out", 1) for n in range(30))),
    ],
)
def test_it_is_about_right(req: Request) -> None:
    exact = prompt.measure(req).tokens
    assert Sizes().tokens(req) == pytest.approx(exact, rel=0.15)
    whole, least = Sizes().rounded(req)
    assert exact * 0.85 <= whole <= exact * 1.3
    # What is needed at least fits into that much, as the backends trim it.
    shorter = fit.fit(req, round(least * 1.15))
    assert shorter.messages[-1] == req.messages[-1]


def test_the_same_tools_for_a_text_and_a_turn_are_two_things() -> None:
    sizes, bare = Sizes(), replace(BARE, tools=())
    turn, text = sizes.tokens(bare), sizes.tokens(replace(bare, wants_text=True))
    assert text < turn == sizes.tokens(bare)
