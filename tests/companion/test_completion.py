"""What is believed of an answer: where its usage is told, and how much of it can be true."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion

from companion.backends import completion as reading
from companion.backends.base import BackendError, Usage
from companion.backends.completion import Sent
from companion.backends.profile import PLAIN, Quirks
from companion.backends.prompt import Size
from tests.companion.scripted_upstream import USAGE, completion

SENT = Sent(Size.of(4000, 3), output_tokens=300, model="small")
BOUND = 4000 + 3 * 16 + 512


def usage_of(usage: Any, quirks: Quirks = PLAIN, **top: Any) -> Usage:
    return reading.read({**completion("Hello.", usage=usage), **top}, (), SENT, quirks).usage


def told(into: Any = 100, out: Any = 20, cached: Any = None, reasoning: Any = None) -> Any:
    return {
        "prompt_tokens": into,
        "completion_tokens": out,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def test_the_fixture_is_what_the_sdk_reads() -> None:
    for body in (completion("Hi."), completion(None, [("f", {"x": 1})]), completion(usage=None)):
        ChatCompletion.model_validate(body)
    usage = ChatCompletion.model_validate(completion("Hi.")).usage
    assert usage is not None and usage.completion_tokens_details is not None
    mine = usage_of(USAGE)
    assert (mine.input, mine.output) == (usage.prompt_tokens, usage.completion_tokens)
    assert mine.reasoning == usage.completion_tokens_details.reasoning_tokens


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        (told(), Usage(100, 20)),
        (told(100, 20, 64, 8), Usage(100, 20, 64, 8)),
        (told(BOUND, 300, BOUND, 300), Usage(BOUND, 300, BOUND, 300)),
        (told(BOUND + 1), Usage(BOUND, 20, suspect=True)),
        (told(10**30, 10**30), Usage(BOUND, 300, suspect=True)),
        (told(100, 301), Usage(100, 300, suspect=True)),
        (told(100, 20, 101), Usage(100, 20, cached=100, suspect=True)),
        (told(100, 20, 0, 21), Usage(100, 20, reasoning=20, suspect=True)),
        (told(10**9, 20, 10**9), Usage(BOUND, 20, cached=BOUND, suspect=True)),
        (told(100, 20, -5, True), Usage(100, 20)),
        (told(100, 20, "many", [8]), Usage(100, 20)),
    ],
)
def test_usage_is_held_to_what_can_be_true(reported: Any, expected: Usage) -> None:
    assert usage_of(reported) == expected


@pytest.mark.parametrize("missing", [None, 0, -1, "many", 20.0, True, []])
def test_a_count_that_is_missing_is_guessed_and_marked(missing: Any) -> None:
    of_input, of_output = usage_of(told(into=missing)), usage_of(told(out=missing))
    assert of_input.estimated and (of_input.input, of_input.output) == (1000, 20)
    assert of_output.estimated and of_output.input == 100 and 5 < of_output.output < 30
    long = reading.read(completion("x" * 100_000, usage=None), (), SENT).usage
    assert (long.input, long.output, long.estimated, long.suspect) == (1000, 300, True, False)


@pytest.mark.parametrize(
    ("quirks", "usage", "top", "expected"),
    [
        (
            Quirks(usage_at=("/x_groq.usage", "/usage")),
            None,
            {"x_groq": {"usage": told()}},
            Usage(100, 20),
        ),
        (Quirks(usage_at=("/x_groq.usage", "/usage")), told(), {}, Usage(100, 20)),
        (
            Quirks(usage_at=("/choices.0.usage",)),
            None,
            {"choices": [{**completion("Hi.")["choices"][0], "usage": told()}]},
            Usage(100, 20),
        ),
        (
            Quirks(cached_at=("/timings.cache_n",)),
            told(),
            {"timings": {"cache_n": 64}},
            Usage(100, 20, 64),
        ),
        (
            Quirks(cached_at=("a.b", "hit", "prompt_tokens_details.cached_tokens")),
            {**told(cached=7), "hit": 64},
            {},
            Usage(100, 20, 64),
        ),
        (PLAIN, {**told(), "prompt_cache_hit_tokens": 64}, {}, Usage(100, 20, 64)),
        (Quirks(reasoning_at=("thought",)), {**told(), "thought": 8}, {}, Usage(100, 20, 0, 8)),
        (
            Quirks(reasoning_apart=True),
            told(100, 20, 0, 50),
            {},
            Usage(100, 70, 0, 50),
        ),
        # Even tokens apart are no more than the answer may have, which is what was reserved.
        (
            Quirks(reasoning_apart=True),
            told(100, 20, 0, 5000),
            {},
            Usage(100, 300, 0, 300, suspect=True),
        ),
        (Quirks(usage_at=("/choices.7.usage", "/choices.x", "/id.x")), told(), {}, None),
    ],
)
def test_usage_is_found_where_a_provider_tells_it(
    quirks: Quirks, usage: Any, top: Any, expected: Usage | None
) -> None:
    found = usage_of(usage, quirks, **top)
    assert found == expected if expected is not None else found.estimated


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.data())
def test_anything_at_any_place_is_an_answer_or_a_backend_error(data: st.DataObject) -> None:
    body = copy.deepcopy(completion("Hello.", [("gpio_read", {"pin": 5})]))
    node: Any = body
    while isinstance(node, dict | list) and node:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(node[key], dict | list) or data.draw(st.booleans()):
            node[key] = data.draw(ANYTHING)
            break
        node = node[key]
    try:
        answer = reading.read(body, (), SENT)
    except BackendError as error:
        assert error.code in ("bad_response", "refused", "server", "rate_limit", "auth")
        return
    usage = answer.usage
    assert 0 <= usage.cached <= usage.input <= BOUND
    assert 0 <= usage.reasoning <= usage.output <= 300


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({"error": {"code": 429, "message": "secret"}}, "rate_limit", "(429)"),
        ({"error": {"code": "503"}}, "server", "(503)"),
        ({"error": "secret"}, "server", "error"),
        ({"choices": [{"error": {"code": 402}, "finish_reason": "error"}]}, "auth", "credit"),
        (
            {"choices": [{**completion("Hal")["choices"][0], "error": {"code": 502}}]},
            "server",
            "(502)",
        ),
        (completion("x", finish_reason=None) | {"choices": [{"message": {}}]}, "bad_response", ""),
    ],
)
def test_an_error_with_status_200_is_an_error(body: Any, code: str, words: str) -> None:
    with pytest.raises(BackendError) as caught:
        reading.read(body, (), SENT)
    assert caught.value.code == code
    assert words in caught.value.msg and "secret" not in caught.value.msg
