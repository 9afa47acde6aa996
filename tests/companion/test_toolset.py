"""Calls are checked against the device's specs; the fast check agrees with jsonschema."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.toolset import BadSpec, ToolSpec, _by_jsonschema, _compile, build, compile_args

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "pin": {"type": ["integer", "string"], "x-point": True},
        "level": {"type": "integer", "enum": [0, 1]},
        "duty": {"type": "number", "minimum": 0, "maximum": 1.5},
        "name": {"type": "string", "minLength": 1, "maxLength": 5},
        "mode": {"type": "string", "enum": ["up", "down"]},
        "value": {"enum": [0, 1, "toggle"]},
        "keep": {"type": "boolean"},
        "nested": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
    },
    "required": ["pin"],
}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"pin": 5}, None),
        ({"pin": "lamp", "level": 1}, None),
        ({"pin": 5, "duty": 0.5, "keep": True, "name": "x", "mode": "up"}, None),
        ({"pin": 5.0}, None),
        ({}, "'pin' is missing"),
        ({"pin": 5.5}, "'pin' must be a whole number or a string"),
        ({"pin": True}, "'pin'"),
        ({"pin": None}, "'pin'"),
        ({"pin": 5, "level": 2}, "one of 0, 1"),
        ({"pin": 5, "level": "1"}, "'level' must be a whole number"),
        ({"pin": 5, "level": True}, "'level'"),
        ({"pin": 5, "duty": 2}, "from 0 to 1.5"),
        ({"pin": 5, "duty": float("nan")}, "'duty'"),
        ({"pin": 5, "name": ""}, "1 to 5 characters"),
        ({"pin": 5, "name": "toolong"}, "1 to 5 characters"),
        ({"pin": 5, "mode": "left"}, "one of up, down"),
        ({"pin": 5, "value": "toggle"}, None),
        ({"pin": 5, "value": True}, "'value' must be one of 0, 1, toggle"),
        ({"pin": 5, "value": "1"}, "'value' must be one of 0, 1, toggle"),
        ({"pin": 5, "value": [1]}, "'value'"),
        ({"pin": 5, "keep": 1}, "true or false"),
        ({"pin": 5, "nested": {}}, "'a' is missing"),
        ({"pin": 5, "extra": 1}, "'extra' is not an argument"),
        ([], "object"),
        ("pin", "object"),
    ],
)
def test_arguments(args: Any, words: str | None) -> None:
    reason = compile_args(SCHEMA)(args)
    if words is None:
        assert reason is None
    else:
        assert reason is not None
        assert words in reason


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(-2, 2, allow_nan=False)
    | st.sampled_from(["", "up", "lamp", "toolong", "toggle"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["a", "pin"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(st.sampled_from([*SCHEMA["properties"], "extra"]), values, max_size=4))
def test_the_fast_check_and_jsonschema_agree(args: dict[str, Any]) -> None:
    schema = {"additionalProperties": False, **SCHEMA}
    fast = _compile(schema)
    assert fast is not None, "this schema is what devices use; it must be fast"
    assert (fast(args) is None) == (_by_jsonschema(schema)(args) is None)


def test_a_keyword_beyond_the_fast_ones_is_still_checked() -> None:
    check = compile_args(
        {"type": "object", "properties": {"n": {"type": "integer", "multipleOf": 5}}}
    )
    assert check({"n": 10}) is None
    assert "'n'" in (check({"n": 7}) or "")
    assert check({"m": 5}) is not None


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "no object"),
        ({"properties": {"a": {"$ref": "http://127.0.0.1:1/x"}}}, r"\$ref"),
        ({"properties": {"a": {"type": "string", "pattern": "(a+)+$"}}}, "pattern"),
        ({"properties": {"a": {"anyOf": [{"$ref": "#"}]}}}, r"\$ref"),
        ({"properties": {"a": {"type": "nonsense"}}}, "malformed"),
        ({"properties": 5}, "malformed"),
        ({"required": 7}, "malformed"),
        ({"properties": {"a": {"type": "integer", "minimum": "x"}}}, "malformed"),
    ],
)
def test_a_spec_that_cannot_be_used_is_refused(schema: dict[str, Any], words: str) -> None:
    with pytest.raises(BadSpec, match=words):
        compile_args(schema)


def test_an_argument_may_be_called_like_a_keyword() -> None:
    check = compile_args({"properties": {"pattern": {"type": "string"}}, "required": ["pattern"]})
    assert check({"pattern": "x"}) is None


def test_a_bad_spec_costs_only_itself(caplog: pytest.LogCaptureFixture) -> None:
    good = ToolSpec("good", "", {"type": "object"}, False)
    toolset = build("h", [good, ToolSpec("bad", "", {"type": "array"}, True), good], "kitchen")
    assert [spec.name for spec in toolset.specs] == ["good"]
    assert "kitchen: tool 'bad' is left out" in caplog.text
    assert toolset.wrong("good", {}) is None
    assert toolset.wrong("bad", {}) == "there is no tool 'bad'"
