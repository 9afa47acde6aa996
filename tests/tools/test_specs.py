"""Tool specs, made at build time from the families' one-line arguments."""

import ast
import json

import jsonschema
import pytest

from tools.build import FIRMWARE
from tools.specs import Spec, SpecError, messages, read, schema

SPECS = read(FIRMWARE)


def test_every_tool_is_there_once_and_where_the_index_says() -> None:
    names = [s.name for s in SPECS]
    assert len(set(names)) == len(names)
    tree = ast.parse((FIRMWARE / "ganglion" / "tools.py").read_text())
    values = {ast.unparse(n.targets[0]): n.value for n in tree.body if isinstance(n, ast.Assign)}
    families = ast.literal_eval(values["FAMILIES"])
    where = ast.literal_eval(values["_WHERE"]).split("|")[:-1]
    index = {name: f for f, row in zip(families, where, strict=True) for name in row.split()}
    assert index == {s.name: s.family for s in SPECS}


def test_messages_hold_all_specs_within_their_bound() -> None:
    parts = [json.loads(m) for m in messages(SPECS)]
    assert all(len(m) <= 4096 for m in messages(SPECS))
    assert [s["name"] for p in parts for s in p["specs"]] == [s.name for s in SPECS]
    assert len({p["hash"] for p in parts}) == 1 and len(parts[0]["hash"]) == 6
    # The firmware reads the hash at this place.
    assert messages(SPECS)[0][9:15].decode() == parts[0]["hash"]
    if len(parts) > 1:
        assert [(p["part"], p["of"]) for p in parts] == [
            (n + 1, len(parts)) for n in range(len(parts))
        ]
    other = [*SPECS[:-1], Spec("x", SPECS[-1].name, "something else", "", False)]
    assert json.loads(messages(other)[0])["hash"] != parts[0]["hash"]
    assert json.loads(messages(SPECS[:1])[0]).keys() == {"hash", "specs"}


@pytest.mark.parametrize(
    ("line", "good", "bad"),
    [
        ("a:point", [0, 63, "lamp"], [None, 1.5]),
        ("a:gpio", [0, 63], [64, -1, "5"]),
        ("a:level", [0, 1, "toggle"], [2, "on"]),
        ("a:str3", ["x", "abc"], ["", "abcd", 5]),
        ("a:int1..5", [1, 5], [0, 6, "3"]),
        ("a:int-3..5", [-3, 5], [-4]),
        ("a:num0..1.5", [0, 0.25, 1.5], [-0.1, 2, "1"]),
        ("a:bool", [True, False], [0, "true"]),
        ("a:obj", [{}, {"x": 1}], [[], 1]),
        ("a:list", [[], [1]], [{}, "ab"]),
        ("a:red|green", ["red", "green"], ["blue", 1]),
    ],
)
def test_what_a_line_takes(line: str, good: list[object], bad: list[object]) -> None:
    """The same table as tests/firmware/units/test_tools.py holds the chip's own check to."""
    for value in good:
        jsonschema.validate({"a": value}, schema(line))
    for args in [{"a": value} for value in bad] + [{}, {"a": good[0], "b": 1}]:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(args, schema(line))
    jsonschema.validate({}, schema(line.replace(":", "?:", 1)))


def test_specs_that_are_no_literal_are_named(tmp_path) -> None:
    folder = tmp_path / "ganglion"
    folder.mkdir()
    (folder / "tools.py").write_text('FAMILIES = ("x",)\n')
    (folder / "tool_x.py").write_text("SPECS = make()\n")
    with pytest.raises(SpecError, match=r"tool_x\.py: SPECS must be a literal"):
        read(tmp_path)
    (folder / "tool_x.py").write_text("SPEC = ()\n")
    with pytest.raises(SpecError, match=r"tool_x\.py has no SPECS"):
        read(tmp_path)
