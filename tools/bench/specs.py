"""The real firmware's tool specs, read without a board."""

from __future__ import annotations

import importlib
import json
import sys
import types

from tools.paths import ROOT


def firmware_specs() -> list[dict[str, object]]:
    """What `up/tools` carries. The specs touch no hardware, so an empty `machine` will do."""
    stub = types.ModuleType("machine")
    stub.__getattr__ = lambda name: None  # type: ignore[method-assign]
    sys.modules.setdefault("machine", stub)
    const = types.ModuleType("micropython")
    const.const = lambda value: value  # type: ignore[attr-defined]
    sys.modules.setdefault("micropython", const)
    sys.path.insert(0, str(ROOT / "firmware"))
    try:
        specs = importlib.import_module("ganglion.specs")
        texts = [
            "".join(specs.chunks("bench", groups, n))
            for groups in [specs.parts()]
            for n in range(len(groups))
        ]
    finally:
        sys.path.remove(str(ROOT / "firmware"))
    return [spec for text in texts for spec in json.loads(text)["specs"]]
