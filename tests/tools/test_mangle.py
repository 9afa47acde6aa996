"""Shortened names mean what the long ones meant."""

import ast
import subprocess
import sys

import pytest

from tools.build import FIRMWARE
from tools.mangle import keywords, mangle

SOURCE = """
import _thing
from . import core

_LIMIT = 3


class Box:
    def __init__(self, content, size=_LIMIT):
        self._content = content
        self.size = size
        self.__dunder = 1

    def _open(self, content):
        # a comment with _open and content
        return [content for _ in range(self.size)] + [self._content, core._io_queue, _thing]

    def show(self, label, content="content"):
        later = lambda content: content + label
        return later(content), self._open(content)


def make(content, label):
    return Box(content, size=label)
"""


def test_own_names_are_shortened_and_others_kept() -> None:
    out = mangle(SOURCE)
    assert out.count("\n") == SOURCE.count("\n")
    for gone in ("self._content", "def _open", "_LIMIT", "label", "(self, content"):
        assert gone not in out, gone
    # Public names, other modules' names, keywords of calls, dunders, text and comments stay.
    kept = ("class Box", "def show", "core._io_queue", "import _thing", "size=", "__dunder")
    for text in (*kept, '"content"', "a comment with _open and content"):
        assert text in out, text
    assert "content" in mangle(SOURCE, ["content"]).replace('"content"', "").replace("#", "")
    assert "def make(content, label)" in mangle(SOURCE, None)


def test_it_behaves_as_before() -> None:
    program = SOURCE.replace("import _thing", "_thing = 1").replace(
        "from . import core", "class core: _io_queue = 2"
    )
    show = "\nprint(make('x', 2).show('!'), make('y', label=1).show('?', content='z'))\n"
    text = program.replace("size=label", "label") + show
    outputs = {
        subprocess.run([sys.executable, "-c", t], capture_output=True, text=True, check=True).stdout
        for t in (text, mangle(text))
    }
    assert len(outputs) == 1 and "z?" in outputs.pop()


@pytest.mark.parametrize("path", sorted(FIRMWARE.rglob("*.py")), ids=lambda p: p.stem)
def test_the_firmware_keeps_its_shape(path) -> None:
    before = ast.parse(path.read_text())
    after = ast.parse(mangle(path.read_text()))
    shape = [(type(n).__name__, getattr(n, "lineno", 0)) for n in ast.walk(before)]
    assert shape == [(type(n).__name__, getattr(n, "lineno", 0)) for n in ast.walk(after)]
    assert keywords(before) == keywords(after)
