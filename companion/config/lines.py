"""Where each key of a TOML text stands. ``tomllib`` tells values and no positions."""

import re
import tomllib
from bisect import bisect_left
from typing import Final, TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""As ``("backend", 1, "model")``; tables of an array are counted from 0."""

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_KEY: Final = re.compile(r"""[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*'""")
# A multi-line string may end in one or two quotes of its own: the last three close it.
_STRING: Final = re.compile(
    r'''"""(?:\\[\s\S]|[^\\])*?"""(?!")|\'\'\'[\s\S]*?\'\'\'(?!')|"(?:\\.|[^"\\])*"|'[^']*\''''
)
_SCALAR: Final = re.compile(r"[^,\]}#\n]+")


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line (from 1) where each key, table and item of an array begins. ``text`` must be
    valid TOML: nothing is checked again."""
    return _Scan(text).run()


class _Scan:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._ends = [m.start() for m in re.finditer("\n", text)]
        self._lines: dict[KeyPath, int] = {}
        self._counts: dict[KeyPath, int] = {}

    def run(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        while self._next():
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
        return self._lines

    def _next(self) -> bool:
        """To what is neither space nor comment; False at the end."""
        self._skip(_BLANK)
        return self._at < len(self._text)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise ValueError(f"no valid TOML at character {self._at}")
        self._at = found.end()
        return found[0]

    def _take(self, mark: str) -> bool:
        self._skip(_SPACE)
        if not self._text.startswith(mark, self._at):
            return False
        self._at += len(mark)
        return True

    def _note(self, path: KeyPath) -> None:
        line = bisect_left(self._ends, self._at) + 1
        for length in range(1, len(path) + 1):
            self._lines.setdefault(path[:length], line)

    def _key(self) -> tuple[str, ...]:
        parts = []
        while True:
            self._skip(_SPACE)
            raw = self._skip(_KEY)
            parts.append(tomllib.loads(f"k = {raw}")["k"] if raw[0] in "\"'" else raw)
            if not self._take("."):
                return tuple(parts)

    def _header(self) -> KeyPath:
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        *above, last = self._key()
        path: KeyPath = ()
        for part in above:
            path = self._newest((*path, part))
        path = (*path, last)
        if is_array:
            self._counts[path] = self._counts.get(path, 0) + 1
        path = self._newest(path)
        self._note(path)
        self._take("]]" if is_array else "]")
        return path

    def _newest(self, path: KeyPath) -> KeyPath:
        """Of an array of tables the table that was begun last."""
        return (*path, self._counts[path] - 1) if path in self._counts else path

    def _pair(self, table: KeyPath) -> None:
        start = self._at
        key = self._key()
        end, self._at = self._at, start
        self._note((*table, *key))
        self._at = end
        self._take("=")
        self._value((*table, *key))

    def _value(self, path: KeyPath) -> None:
        self._skip(_SPACE)
        first = self._text[self._at]
        if first in "\"'":
            self._skip(_STRING)
        elif first == "[":
            self._at += 1
            index = 0
            while self._next() and self._text[self._at] != "]":
                self._note((*path, index))
                self._value((*path, index))
                index += 1
                self._next()
                self._take(",")
            self._at += 1
        elif first == "{":
            self._at += 1
            while self._next() and self._text[self._at] != "}":
                self._pair(path)
                self._next()
                self._take(",")
            self._at += 1
        else:
            self._skip(_SCALAR)
