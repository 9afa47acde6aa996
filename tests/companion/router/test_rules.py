"""Which policy holds for whom, and when."""

import pytest

from companion.config.model import Policy, RouterConfig, Rule
from companion.router import Settings, minutes_in, settings_for

GROUPS = {"children": ("nursery", "playroom")}
NIGHT = Rule(begins=22 * 60, ends=6 * 60, policy="private")
CONFIG = RouterConfig(
    policy="cheapest",
    rules=(
        Rule(devices=("office",), policy="best", deny=("cheap",)),
        Rule(groups=("children",), allow=("edge",)),
        NIGHT,
        Rule(deny=("premium",)),
    ),
)


@pytest.mark.parametrize(
    ("device", "minutes", "want"),
    [
        ("kitchen", 720, Settings("cheapest", None, ("premium",))),
        # The first that says something decides that thing.
        ("office", 720, Settings("best", None, ("cheap",))),
        ("office", 23 * 60, Settings("best", None, ("cheap",))),
        ("nursery", 720, Settings("cheapest", ("edge",), ("premium",))),
        # Over midnight: the first minute is in, the last is not.
        ("kitchen", 22 * 60, Settings("private", None, ("premium",))),
        ("kitchen", 0, Settings("private", None, ("premium",))),
        ("kitchen", 6 * 60 - 1, Settings("private", None, ("premium",))),
        ("kitchen", 6 * 60, Settings("cheapest", None, ("premium",))),
        ("nursery", 22 * 60 + 1, Settings("private", ("edge",), ("premium",))),
    ],
)
def test_rules(device: str, minutes: int, want: Settings) -> None:
    assert settings_for(CONFIG, GROUPS, device, minutes) == want


@pytest.mark.parametrize(
    ("configured", "asked", "want"),
    [
        ("auto", None, Settings("auto")),
        ("auto", "best", Settings("best")),
        ("cheapest", "fastest", Settings("fastest")),
        ("best", "private", Settings("private")),
        ("private", "best", Settings("private")),
        ("private", "auto", Settings("private")),
        ("order", None, Settings("order", order=("a", "b"))),
        ("order", "best", Settings("best", order=("a", "b"))),
        ("order", "private", Settings("private", order=("a", "b"))),
        ("auto", "order", Settings("auto")),
    ],
)
def test_a_request_narrows_and_never_widens(
    configured: Policy, asked: Policy | None, want: Settings
) -> None:
    config = RouterConfig(policy=configured, order=("a", "b"))
    assert settings_for(config, {}, "kitchen", 0, asked) == want


def test_a_request_does_not_undo_what_a_rule_denies() -> None:
    assert settings_for(CONFIG, GROUPS, "nursery", 720, "best") == Settings(
        "best", ("edge",), ("premium",)
    )
    assert settings_for(CONFIG, GROUPS, "kitchen", 60, "best").policy == "private"


def test_the_minute_is_that_of_the_houses_zone() -> None:
    # 2026-07-01 12:00 UTC is 14:00 in Berlin's summer and 21:00 in Tokyo.
    now = 1_782_907_200.0
    assert minutes_in("Europe/Berlin")(now) == 14 * 60
    assert minutes_in("Asia/Tokyo")(now) == 21 * 60
    assert 0 <= minutes_in("")(now) < 24 * 60
