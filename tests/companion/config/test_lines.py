"""Where keys stand: every form that TOML has, and texts made of them at random."""

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from companion.config.lines import KeyPath, key_lines

FORMS = '''\
# a comment with [header] and x = 1
a.b = 1
"q.x" = {y = [1, 2], z = "}#"}
s = """
[[no]]
x = 1"""""
l = \'\'\'
k = "\'\'\'\'
[[r]]
n = 'a # b' # ]
[r.e]
t = 1979-05-27 07:32:00
[[r]]
[[ r . k ]]
m = [ # c
  {a = 1},

  {a = [[], [2]]},
]
[r.'x'."y\\u00e9"]
p = 1
[deep.er]
[deep]
'''

EXPECTED: dict[KeyPath, int] = {
    ("a", "b"): 2,
    ("q.x", "y"): 3,
    ("q.x", "z"): 3,
    ("s",): 4,
    ("l",): 7,
    ("r", 0): 9,
    ("r", 0, "n"): 10,
    ("r", 0, "e"): 11,
    ("r", 0, "e", "t"): 12,
    ("r", 1): 13,
    ("r", 1, "k", 0): 14,
    ("r", 1, "k", 0, "m"): 15,
    ("r", 1, "k", 0, "m", 0, "a"): 16,
    ("r", 1, "k", 0, "m", 1, "a"): 18,
    ("r", 1, "x", "yé"): 20,
    ("r", 1, "x", "yé", "p"): 21,
    ("deep", "er"): 22,
}


def paths(value: Any, path: KeyPath = ()) -> set[KeyPath]:
    """Every key and item of a parsed text."""
    if isinstance(value, dict):
        below = value.items()
    elif isinstance(value, list):
        below = enumerate(value)  # type: ignore[assignment]
    else:
        return {path}
    return {path}.union(*(paths(item, (*path, key)) for key, item in below))


def test_each_form() -> None:
    lines = key_lines(FORMS)
    assert {path: lines[path] for path in EXPECTED} == EXPECTED
    assert set(lines) == paths(tomllib.loads(FORMS)) - {()}


def test_windows_line_ends() -> None:
    text = FORMS.replace("\n", "\r\n")
    assert {path: key_lines(text)[path] for path in EXPECTED} == EXPECTED


values = st.sampled_from(
    ['1', '"a"', "'b'", '"""c\n"d""""', "'''\ne'''", "[1, [2], ]", "{}", "{x = 1, y.z = [{}]}",
     "[\n# c]\n1,\n]", "1979-05-27T07:32:00Z", "-inf", "true # ] }"]
)  # fmt: skip
headers = st.sampled_from(["[{}]", "[[{}]]", "[ {}.sub ]", "[['{}'.'s u.b']]"])


@given(st.lists(st.tuples(headers, st.lists(values, max_size=4)), max_size=5))
def test_every_key_of_a_valid_text_has_the_line_where_it_is_written(
    tables: list[tuple[str, list[str]]],
) -> None:
    text = ""
    written: list[int] = []
    for number, (header, items) in enumerate(tables):
        text += header.format(f"t{number}") + "\n"
        for index, item in enumerate(items):
            written.append(text.count("\n") + 1)
            text += f"k{index} = {item}\n"
    lines = key_lines(text)
    assert set(lines) == paths(tomllib.loads(text)) - {()}
    leaves = [line for path, line in lines.items() if str(path[-1])[:1] == "k" and "x" not in path]
    assert leaves == written
