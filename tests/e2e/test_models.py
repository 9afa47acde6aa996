"""Backends behind the wire: a real llama.cpp server, and a scripted upstream for faults."""

import pytest

from tests.companion.random_gguf import random_llama_server
from tests.companion.scripted_upstream import ScriptedUpstream


def toml(url: str, timeout_s: float = 10) -> str:
    return f"""
[[backend]]
kind = "openai"
name = "upstream"
url = "{url}"
model = "m"
tier = "premium"
timeout_s = {timeout_s}
input_usd_per_mtok = 1.0
output_usd_per_mtok = 2.0
"""


def test_a_real_llama_server_answers(fresh, tmp_path) -> None:
    """Random weights talk nonsense; that a nonsense reply is marked as such is the point."""
    with random_llama_server(tmp_path) as url:
        system = fresh(toml(url, 60))
        system.board()
        turn = system.say("tell me a story about a lighthouse")
        assert turn["answered"], turn
        assert (turn["backend"], turn["tier"]) == ("upstream", "premium")
        assert turn["tokens"] > 0 and turn["usd"] > 0
        assert turn["reply"].endswith("[nothing was changed]"), turn


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ({"status": 401}, "key"),
        ({"status": 429, "retry_after_s": 30}, "rate"),
        ({"status": 500}, "500"),
        ({"cut": True}, ""),
        ({"body": "<html>nope</html>"}, ""),
        ({"body": '{"choices": []}'}, ""),
        ({"calls": [("gpio_wite", {"pin": 5})]}, "gpio_wite"),
        ({"calls": [("gpio_write", {"pin": 5})]}, "value"),
        ({"calls": [("gpio_write", '{"pin": 5, "val')]}, ""),
    ],
    ids=["401", "429", "500", "cut", "html", "empty", "no such tool", "bad args", "cut JSON"],
)
def test_a_failing_upstream_is_named_and_nothing_acts(fresh, behaviour, words) -> None:
    with ScriptedUpstream() as upstream:
        system = fresh(toml(upstream.url))
        board = system.board()
        upstream.script([behaviour] * 5)
        turn = system.say("be a dear and flip the fifth one")
        assert not turn["answered"] and turn["err"] == "no_answer"
        assert "upstream" in turn["reply"] and words in turn["reply"], turn["reply"]
        assert board.level(5) == 0 and not turn["calls"]
        # What needs no model still works, at once.
        assert system.say("turn on pin 5")["reply"] == "Pin 5 is on."


def test_a_hanging_upstream_ends_within_the_deadline(fresh) -> None:
    with ScriptedUpstream() as upstream:
        system = fresh(toml(upstream.url, 60))
        system.board()
        upstream.script([{"hang_s": 60}] * 5)
        turn = system.say("be a dear and flip the fifth one")
        assert not turn["answered"] and turn["ms"] < 21_000, turn


def test_the_conversation_reaches_a_new_companion_by_resend(fresh) -> None:
    with ScriptedUpstream() as upstream:
        system = fresh(toml(upstream.url))
        system.board()
        upstream.script([{"text": "Nice to meet you."}, {"text": "You said hello."}])
        system.say("hello there my friend")
        system.companion.kill()
        system.start_companion()
        turn = system.say("what did I just say to you?")
        assert turn["answered"], turn
        texts = str(upstream.requests[-1])
        assert "hello there my friend" in texts and "Nice to meet you." in texts
        assert any("resend" in a for a in system.tap.of("answer"))
