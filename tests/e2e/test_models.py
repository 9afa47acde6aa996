"""Backends behind the wire: a real llama.cpp server, and a scripted upstream for faults."""

import pytest

from tests.companion.random_gguf import random_llama_server, write_random_gguf
from tests.companion.scripted_upstream import ScriptedUpstream
from tests.e2e.rig import wait_for


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


def test_a_gguf_file_answers_in_the_companion_itself(fresh, tmp_path) -> None:
    """``kind = "llama"``: no server, no price, nothing that leaves the process. The grammar has
    its nonsense be calls of the device's tools or a text, which the guard then judges."""
    path = write_random_gguf(tmp_path / "random.gguf")
    system = fresh(f"""
[[backend]]
kind = "llama"
name = "mine"
path = "{path}"
context_tokens = 65536
output_tokens = 4000
watts = 20
extra = {{temperature = 40, top_k = 0, top_p = 1, min_p = 0, seed = 1}}
""")
    system.board()
    turn = system.say("tell me a story about a lighthouse")
    assert (turn["backend"], turn["tier"], turn["usd"]) == ("mine", "edge", 0), turn
    assert turn["tokens_in"] > 1000 and turn["tokens_out"] > 0 and not turn["estimated"], turn
    assert turn["why"].startswith("the cheapest within 4 s: free"), turn
    assert turn["energy_how"] == "estimated" and turn["energy_j"] > 0, turn


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


def asked_text(upstream: ScriptedUpstream) -> str:
    return str(upstream.requests[-1]["messages"])


def test_a_conversation_goes_on_after_the_board_restarts(fresh) -> None:
    with ScriptedUpstream() as upstream:
        system = fresh(toml(upstream.url))
        board = system.board()
        upstream.script([{"text": "Nice to meet you."}, {"text": "Hello."}, {"text": "Again."}])
        system.say("hello there my friend")
        wait_for("it on flash", lambda: _kept(board) == 1)
        boot = board.boot
        board.control.call("power", on=False)
        board.control.call("power", on=True)
        board.online(after=boot)
        before = len(system.tap.of("answer"))
        assert system.say("what did I just say to you?")["answered"]
        assert "hello there my friend" in asked_text(upstream)
        # The companion knew it by the turn's id: nothing was sent twice.
        assert not any("resend" in a for a in system.tap.of("answer")[before:])
        assert system.tap.of("ask")[-1]["n"] == 1
        # Neither side remembers but on flash.
        wait_for("it on flash", lambda: _kept(board) == 2)
        system.companion.kill()
        board.control.call("power", on=False)
        board.control.call("power", on=True)
        system.start_companion()
        board.online(after=boot + 1)
        assert system.say("and before that?")["answered"]
        texts = asked_text(upstream)
        assert "hello there my friend" in texts and "what did I just say" in texts


def _kept(board) -> int:
    """How many turns the board has written, by what it says of its flash."""
    return board.do("get_diagnostics", {"scope": "store"})["store"]["keys"]


def test_facts_that_do_not_all_fit_are_chosen_for_what_is_said(fresh) -> None:
    with ScriptedUpstream() as upstream:
        system = fresh(toml(upstream.url))
        board = system.board()
        board.do("memory_set", {"key": "owner", "value": "is called Ann", "pinned": True})
        board.do("memory_set", {"key": "greenhouse", "value": "its plants like mornings"})
        for n in range(20):
            board.do("memory_set", {"key": f"filler {n}", "value": f"{n}" + "." * 170})
        upstream.script([{"text": "ok"}] * 4)
        assert system.say("compose a poem for the greenhouse")["answered"]
        told = asked_text(upstream)
        assert "is called Ann" in told and "like mornings" in told
        assert "filler 19" in told and "filler 0" not in told
        # The same facts are known to the companion by their token from then on.
        before = len(system.tap.of("answer"))
        assert system.say("compose another poem for that greenhouse")["answered"]
        assert not any("resend" in a for a in system.tap.of("answer")[before:])
        # A selection that names other facts is not mistaken for it.
        board.do("memory_set", {"key": "greenhouse", "value": "its plants like evenings"})
        assert system.say("compose a longer poem for the greenhouse")["answered"]
        assert "like evenings" in asked_text(upstream)


def test_a_persona_is_chosen_by_a_sentence_and_survives(fresh) -> None:
    with ScriptedUpstream() as upstream:
        system = fresh(toml(upstream.url))
        board = system.board()
        assert system.say("what is your persona?")["reply"] == "My persona is neutral."
        assert system.say("be witty")["reply"] == "My persona is witty from now on."
        boot = board.boot
        board.control.call("power", on=False)
        board.control.call("power", on=True)
        board.online(after=boot)
        upstream.script([{"text": "Ha."}, {"text": "Yes."}])
        assert system.say("tell me a story about a lighthouse")["answered"]
        assert "dry wit" in asked_text(upstream)
        assert system.say("reset your persona")["reply"] == "My persona is neutral again."
        assert system.say("tell me a story about a lighthouse")["answered"]
        assert "dry wit" not in asked_text(upstream)


def test_a_routine_asks_a_model_and_does_without_when_nobody_is_there(fresh) -> None:
    program = {
        "name": "good night",
        "do": [
            {
                "ask": "A good night wish; the door is {4}.",
                "as": "wish",
                "within": 3,
                "offline": [{"set": ["wish", "Good night."]}],
            },
            {"notify": "{wish}"},
        ],
    }

    words = "Sleep tight! [a model's words]"

    def told() -> list[str]:
        return [e["text"] for e in system.tap.of("event") if e["kind"] == "notify"]

    with ScriptedUpstream() as upstream:
        system = fresh(toml(upstream.url))
        board = system.board()
        shown = board.do("routine_define", {"program": program})
        assert shown["asks"] == 1 and not upstream.requests, shown
        board.do("routine_approve", {"token": shown["token"]})
        upstream.script([{"text": "Sleep tight!"}, {"status": 500}])
        assert board.do("routine_run", {"name": "good night"})["state"] == "running"
        wait_for("its words", lambda: told() == [words])
        assert "the door is off" in asked_text(upstream)
        assert "tools" not in upstream.requests[-1]
        # A model that fails.
        board.do("routine_run", {"name": "good night"})
        wait_for("the other words", lambda: told() == [words, "Good night."])
        # Nobody there at all: it waits as long as it says.
        system.companion.kill()
        board.do("routine_run", {"name": "good night"})
        wait_for("the other words", lambda: told()[1:] == ["Good night."] * 2)
        assert not [e for e in system.tap.of("event") if e["kind"] == "error"]
