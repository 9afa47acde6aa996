"""Which tests exercise which tools, so that a tool without a test is seen."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from typing import Any, Final, TypeVar

_Test = TypeVar("_Test", bound=Callable[..., Any])

_BY_TOOL: Final[dict[str, set[str]]] = {}


def covers(*tools: str) -> Callable[[_Test], _Test]:
    """The test exercises these tools. ValueError where it does not name one of them."""

    def mark(test: _Test) -> _Test:
        claim(test, *tools)
        return test

    return mark


def claim(test: Callable[..., Any], *tools: str) -> None:
    """The same, of a test of another module."""
    # Behind the marks, which name the tools as well.
    body = inspect.getsource(test).partition("\ndef ")[2] or inspect.getsource(test)
    for tool in tools:
        if f'"{tool}"' not in body and f".{tool}(" not in body:
            raise ValueError(f"{test.__qualname__} says that it covers {tool}, and never calls it")
        _BY_TOOL.setdefault(tool, set()).add(test.__qualname__)


def exercised() -> set[str]:
    """The tools that some test of this folder exercises."""
    assert __package__
    for module in pkgutil.iter_modules(importlib.import_module(__package__).__path__):
        importlib.import_module(f"{__package__}.{module.name}")
    return set(_BY_TOOL)
