"""The tools of the firmware as the wire shows them, made when it is built.

A family's ``SPECS`` say in one line what a tool takes (firmware/ganglion/tools.py has the kinds);
here the lines become JSON Schema, and the messages of ``up/tools``, which the board sends from
its flash as they are. So no chip spends heap on schemas.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MESSAGE_BYTES_MAX = 4096  # docs/protocol.md, Bounds


class SpecError(ValueError):
    """A family's SPECS do not hold; the text says which and why."""


@dataclass(frozen=True)
class Spec:
    """``line``: the arguments, as firmware/ganglion/tools.py describes them."""

    family: str
    name: str
    desc: str
    line: str
    acts: bool

    def wire(self) -> dict[str, Any]:
        """As ``up/tools`` carries it."""
        args = schema(self.line)
        return {"name": self.name, "desc": self.desc, "args": args, "acts": self.acts}


def read(firmware: Path) -> list[Spec]:
    """All specs below ``firmware``, in the order of its families. Raises SpecError."""
    folder = firmware / "ganglion"
    families = _literal(folder / "tools.py", "FAMILIES")
    specs = []
    for family in families:
        for row in _literal(folder / f"tool_{family}.py", "SPECS"):
            name, desc, line, acts = row[:4]
            if not f"{name}{desc}{line}".isascii():
                raise SpecError(f"tool_{family}.py: {name} is not ASCII")
            specs.append(Spec(family, name, desc, line, acts))
    return specs


def _literal(path: Path, name: str) -> Any:
    for node in ast.parse(path.read_text(), str(path)).body:
        if isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == [name]:
            try:
                return ast.literal_eval(node.value)
            except ValueError:
                raise SpecError(f"{path.name}: {name} must be a literal") from None
    raise SpecError(f"{path.name} has no {name}")


def undescribed(source: str) -> str:
    """``source`` of a family without its descriptions, which a board sends from flash and never
    needs in its heap. Lines stay where they were."""
    lines = source.encode().splitlines(keepends=True)
    rows = next(
        (
            node.value.elts
            for node in ast.parse(source).body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id == "SPECS"
            and isinstance(node.value, ast.Tuple)
        ),
        [],
    )
    for row in reversed(rows):
        if isinstance(row, ast.Tuple) and len(row.elts) > 1:
            text = row.elts[1]
            first, last = text.lineno - 1, (text.end_lineno or text.lineno) - 1
            tail = lines[last][text.end_col_offset :]
            lines[first : last + 1] = [
                lines[first][: text.col_offset] + b'""' + b"\n" * (last - first) + tail
            ]
    return b"".join(lines).decode()


def schema(line: str) -> dict[str, Any]:
    """The JSON Schema of a line of arguments."""
    properties: dict[str, Any] = {}
    required = []
    for part in line.split():
        name, _, kind = part.partition(":")
        if not name.endswith("?"):
            required.append(name)
        properties[name.removesuffix("?")] = _property(kind)
    out: dict[str, Any] = {"type": "object", "properties": properties}
    out["additionalProperties"] = False
    return out | ({"required": required} if required else {})


def _property(kind: str) -> dict[str, Any]:
    if kind == "point":
        return {"type": ["integer", "string"], "x-point": True}
    if kind == "gpio":
        return {"type": "integer", "minimum": 0, "maximum": 63}
    if kind == "level":
        return {"enum": [0, 1, "toggle"]}
    if ".." in kind:
        low, high = (json.loads(n) for n in kind[3:].split(".."))
        name = "integer" if kind.startswith("int") else "number"
        return {"type": name, "minimum": low, "maximum": high}
    if kind.startswith("str"):
        return {"type": "string", "minLength": 1, "maxLength": int(kind[3:])}
    named = {"bool": "boolean", "obj": "object", "list": "array"}
    return {"type": named[kind]} if kind in named else {"enum": kind.split("|")}


def messages(specs: list[Spec]) -> list[bytes]:
    """The payloads of ``up/tools``, as few as the bound on messages allows.

    Each begins with ``{"hash":"``, and six characters that stand for all specs.
    """
    rows = [_json(spec.wire()) for spec in specs]
    digest = hashlib.sha256("\n".join(rows).encode()).digest()
    hash_ = base64.urlsafe_b64encode(digest)[:6].decode()
    groups: list[list[str]] = [[]]
    room = MESSAGE_BYTES_MAX - len(_message(hash_, 9, 9, []))
    for row in rows:
        if sum(map(len, groups[-1])) + len(groups[-1]) + len(row) > room:
            groups.append([])
        groups[-1].append(row)
    return [_message(hash_, n + 1, len(groups), group) for n, group in enumerate(groups)]


def _message(hash_: str, part: int, of: int, rows: list[str]) -> bytes:
    which = f'"part":{part},"of":{of},' if of > 1 else ""
    return f'{{"hash":"{hash_}",{which}"specs":[{",".join(rows)}]}}'.encode()


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
