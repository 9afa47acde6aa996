"""Whatever stands in the file: a configuration, or errors with lines; never anything else."""

import contextlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from companion.config import ConfigErrors
from companion.config.read import interpret
from tests.companion.config.test_read import WHOLE
from tools.config import toml_lines

KEYS = sorted({line.split("=")[0].strip(" []") for line in WHOLE.splitlines() if line.strip()})
TEXTS = ["", "m", "auto", "http://[::1", "postgresql://[x", "mqtt://", "22:00", "a/b", "\x00", "ü"]
leaves = st.one_of(
    st.none().map(lambda _: "1979-05-27"),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(TEXTS),
    st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=8),
)
values: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda below: st.one_of(
        st.lists(below, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text("ab. ", max_size=3)), below),
    ),
    max_leaves=12,
)
documents = st.dictionaries(
    st.sampled_from([*KEYS, "backend", "router", "groups", "budget", "store", "http"]),
    values,
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(documents)
def test_any_document(document: dict[str, Any]) -> None:
    text = "\n".join(toml_lines(document))
    with contextlib.suppress(ConfigErrors):
        interpret(text, "f.toml")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_value_in_place_of_any_line_of_a_good_file(data: st.DataObject) -> None:
    lines = WHOLE.splitlines()
    at = data.draw(st.sampled_from([i for i, line in enumerate(lines) if "=" in line]))
    key = lines[at].split("=")[0]
    lines[at] = f"{key}= {next(iter(toml_lines({'v': data.draw(leaves)}))).split('= ', 1)[1]}"
    try:
        interpret("\n".join(lines), "f.toml")
    except ConfigErrors as errors:
        assert all(finding.origin == "f.toml" and finding.line for finding in errors.findings)
