"""Runs `units/test_*.py` on the MicroPython that the virtual board uses, a function a test.

The units are MicroPython scripts. `codec` ones run a second time on CPython.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools import paths, runtime

UNITS = Path(__file__).parent / "units"
_RUNNER = UNITS / "_run.py"


def _functions(path: Path) -> list[str]:
    return [
        line[4 : line.index("(")]
        for line in path.read_text().splitlines()
        if line.startswith("def test_")
    ]


def run_unit(command: list[str], path: Path) -> dict[str, str]:
    """Outcome by function: "" for passed, else the traceback."""
    done = subprocess.run(
        [*command, str(_RUNNER), str(path), str(paths.ROOT / "firmware")],
        capture_output=True,
        text=True,
        timeout=300,
    )
    outcome: dict[str, str] = {}
    for line in done.stdout.splitlines():
        if line.startswith("@"):
            name, text = json.loads(line[1:])
            outcome[name] = text
    outcome[""] = done.stdout + done.stderr
    return outcome


class UnitFile(pytest.File):
    def collect(self):
        name = self.path.stem
        for function in _functions(self.path):
            yield _item(self, function, "micropython")
            if name.startswith("test_codec"):
                yield _item(self, function, "cpython")


def _item(parent, function: str, platform: str):
    return UnitItem.from_parent(
        parent, name=f"{function}[{platform}]", function=function, platform=platform
    )


class UnitItem(pytest.Item):
    def __init__(self, *, function: str, platform: str, **kwargs):
        super().__init__(**kwargs)
        self.unit = function
        self.platform = platform

    def runtest(self):
        cache = self.config.stash.setdefault(_RESULTS, {})
        key = (self.path, self.platform)
        if key not in cache:
            if self.platform == "micropython":
                command = [*runtime.micropython().command, "-X", "heapsize=2m"]
            else:
                command = [sys.executable]
            cache[key] = run_unit(command, self.path)
        outcome = cache[key]
        if self.unit not in outcome:
            raise UnitFailed(f"{self.unit} did not run:\n{outcome[''][-3000:]}")
        if outcome[self.unit]:
            raise UnitFailed(outcome[self.unit])

    def repr_failure(self, excinfo):
        return str(excinfo.value)

    def reportinfo(self):
        return self.path, None, f"{self.path.stem}.{self.name}"


class UnitFailed(AssertionError):
    pass


_RESULTS = pytest.StashKey[dict]()


def pytest_collect_file(file_path, parent):
    if file_path.parent == UNITS and file_path.name.startswith("test_"):
        return UnitFile.from_parent(parent, path=file_path)
    return None


def pytest_pycollect_makemodule(module_path, parent):
    # CPython must not import the units as test modules of its own.
    if module_path.parent == UNITS:
        return _Nothing.from_parent(parent, path=module_path)
    return None


class _Nothing(pytest.File):
    def collect(self):
        return []
