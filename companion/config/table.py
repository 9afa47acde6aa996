"""Reading one TOML table with types and bounds, and keeping every complaint."""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from companion.config.environ import Override
from companion.config.lines import KeyPath
from companion.config.model import ConfigError

T = TypeVar("T")
D = TypeVar("D")

KINDS: Final[Mapping[type, str]] = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong or doubtful, and where: ``origin`` is a file or a variable, ``line`` 0 where
    there is none, ``key`` as ``backend[2].model``."""

    origin: str
    line: int
    key: str
    text: str

    def __str__(self) -> str:
        where = f"{self.origin}, line {self.line}" if self.line else self.origin
        return f"{where}: {self.key}: {self.text}" if self.key else f"{where}: {self.text}"


class ConfigErrors(ConfigError):
    """Everything that is wrong in one configuration, a line each."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = tuple(findings)


@dataclass(slots=True)
class Findings:
    """Collects what is found, and says where it stands."""

    origin: str
    lines: Mapping[KeyPath, int]
    variables: dict[KeyPath, str] = field(default_factory=dict)
    """Settings that do not come from the file."""
    errors: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)

    def wrong(self, path: KeyPath, text: str) -> None:
        self.errors.append(self._finding(path, text))

    def doubtful(self, path: KeyPath, text: str) -> None:
        self.warnings.append(self._finding(path, text))

    def sorted_errors(self) -> list[Finding]:
        """By line, those of variables last."""
        return sorted(self.errors, key=lambda f: (f.origin != self.origin, f.line))

    def _finding(self, path: KeyPath, text: str) -> Finding:
        for length in range(len(path), 0, -1):
            part = path[:length]
            for at, variable in self.variables.items():
                # The variable itself, or the one for whose sake there is such a table at all.
                if at == part or (at[:length] == part and part not in self.lines):
                    return Finding(variable, 0, key_of(path), text)
            if part in self.lines:
                return Finding(self.origin, self.lines[part], key_of(path), text)
        return Finding(self.origin, 0, key_of(path), text)


def key_of(path: KeyPath) -> str:
    """A path as people write it: ``backend[2].model``, counted from 1."""
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def near(name: str, known: Iterable[str]) -> str:
    """ " did you mean 'url'?", or "" where nothing is like it."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]!r}?" if found else ""


class Table:
    """One TOML table. A value that is missing or wrong is its default, and what is wrong is kept
    in ``findings``, so that one reading tells of everything. Remembers which keys were asked for:
    the others are errors (``done``)."""

    def __init__(
        self, data: Mapping[str, Any], path: KeyPath, base: Path, findings: Findings
    ) -> None:
        self._data = data
        self.path = path
        self.base = base
        self._findings = findings
        self._asked: list[str] = []

    def has(self, *names: str) -> bool:
        """Whether any of them is said."""
        return any(name in self._data for name in names)

    def wrong(self, name: str, text: str) -> None:
        """Complain about a key, or with "" about the table."""
        self._findings.wrong((*self.path, name) if name else self.path, text)

    def get(self, name: str, kind: type[T], default: D) -> T | D:
        """A value of that type."""
        self._asked.append(name)
        if name not in self._data:
            return default
        value = _resolved(self._data[name], kind)
        # A TOML integer is a fine float; a boolean is no integer.
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.wrong(name, f"{KINDS[kind]} is needed, not {_shown(value)}")
            return default
        return value

    def text(self, name: str, default: D, wanted: str = "a text that is not empty") -> str | D:
        """A string with something in it."""
        value = self.get(name, str, default)
        if isinstance(value, str) and not value.strip() and value is not default:
            self.wrong(name, f"{wanted} is needed")
            return default
        return value

    def number(self, name: str, kind: type[T], default: D, least: float, most: float) -> T | D:
        value = self.get(name, kind, default)
        if value is default:
            return default
        if not least <= cast(float, value) <= most or math.isnan(cast(float, value)):
            self.wrong(name, f"from {least:g} to {most:g} is allowed, not {value}")
            return default
        return value

    def choice(self, name: str, allowed: Sequence[str], default: D) -> str | D:
        value = self.get(name, str, default)
        if value is default or value in allowed:
            return value
        self.wrong(
            name,
            f"one of {', '.join(allowed)} is allowed, not {value!r:.40}{near(str(value), allowed)}",
        )
        return default

    def names(
        self, name: str, fits: Callable[[str], bool] | None = None, wanted: str = ""
    ) -> tuple[str, ...] | None:
        """A list of strings that ``fits`` takes, None where it is not said. One that is there
        twice is an error."""
        items = self.get(name, list, None)
        if items is None:
            return None
        found: list[str] = []
        for index, item in enumerate(items):
            at = (*self.path, name, index)
            if not isinstance(item, str):
                self._findings.wrong(at, f"a string is needed, not {_shown(item)}")
            elif fits is not None and not fits(item):
                self._findings.wrong(at, wanted)
            elif item in found:
                self._findings.wrong(at, f"{item!r:.40} is there twice")
            else:
                found.append(item)
        return tuple(found)

    def file(self, name: str) -> Path | None:
        """A path; a relative one begins at the folder of the file."""
        value = self.text(name, None, "the name of a file")
        return None if value is None else self.base / Path(value).expanduser()

    def table(self, name: str) -> "Table":
        data = self.get(name, dict, {})
        return Table(data, (*self.path, name), self.base, self._findings)

    def free(self, name: str) -> dict[str, Any]:
        """A table that may hold anything."""
        return cast(dict[str, Any], _free(self.get(name, dict, {})))

    def tables(self, name: str) -> list["Table"]:
        path = (*self.path, name)
        self._asked.append(name)
        items = self._data.get(name, [])
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            self.wrong(name, f"write it as [[{key_of(path)}]]")
            return []
        return [Table(d, (*path, i), self.base, self._findings) for i, d in enumerate(items)]

    def said(self) -> list[str]:
        """All of its keys, for a table whose keys are the owner's names."""
        return list(self._data)

    def done(self) -> None:
        """Complain about what was not asked for. Its value is not repeated: it may be a key that
        was put where none belongs."""
        for name in self._data:
            if name not in self._asked:
                known = ", ".join(sorted(set(self._asked)))
                hint = near(name, self._asked)
                self.wrong(name, f"it is not known here{hint or ';'} known are: {known}")


def _resolved(value: Any, wanted: type) -> Any:
    return value.value(wanted) if isinstance(value, Override) else value


def _free(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _free(item) for key, item in value.items()}
    return _resolved(value, object)


def _shown(value: object) -> str:
    kind = next((text for kind, text in KINDS.items() if type(value) is kind), "a date or time")
    return f"{value!r:.40}" if isinstance(value, bool | int | float) else kind
