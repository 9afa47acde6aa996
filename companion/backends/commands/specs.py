"""Calls checked against the device's own tool specs, fast.

The keywords that the firmware's schemas use are checked here in a few microseconds; a schema
with any other keyword goes to ``jsonschema``, so that no constraint is ever skipped.
"""

from collections.abc import Callable, Iterable
from typing import Any

from jsonschema import Draft202012Validator

from companion.backends.base import Call, Declined, Json, ToolSpec

Check = Callable[[Any], bool]

# Without effect on what is valid.
_NOTES = frozenset(("description", "title", "default", "examples", "x-point", "$schema"))
_OBJECT = frozenset(("type", "properties", "required", "additionalProperties"))
_VALUE = frozenset(("type", "enum", "minimum", "maximum", "minLength", "maxLength"))


class Toolset:
    """The tools of one device. ``check`` raises Declined for a call that it could not take."""

    def __init__(self, specs: Iterable[ToolSpec]) -> None:
        self.acts: dict[str, bool] = {}
        self._checks: dict[str, Check] = {}
        for spec in specs:
            self.acts[spec.name] = spec.acts
            self._checks[spec.name] = _object(spec.args)

    def check(self, call: Call) -> None:
        """Raises Declined when the device has no such tool or it takes no such arguments."""
        check = self._checks.get(call.tool)
        if check is None:
            raise Declined(f"this device has no tool for that ({call.tool})")
        if not check(call.args):
            shown = ", ".join(f"{k} {v!r}" for k, v in call.args.items())
            raise Declined(f"{call.tool} of this device does not take {shown or 'that'}"[:200])


def _object(schema: Json) -> Check:
    if not set(schema) <= _OBJECT | _NOTES or schema.get("type") != "object":
        return _any(schema)
    extra = schema.get("additionalProperties", True)
    if not isinstance(extra, bool):
        return _any(schema)
    required = tuple(schema.get("required", ()))
    checks = {name: _value(part) for name, part in schema.get("properties", {}).items()}

    def check(args: Any) -> bool:
        for name in required:
            if name not in args:
                return False
        for name, value in args.items():
            part = checks.get(name)
            # An argument that the schema does not describe may be legal, but it is not a tool
            # that this grammar knows.
            if part is None or not part(value):
                return False
        return True

    return check


def _value(schema: Any) -> Check:
    if not isinstance(schema, dict) or not set(schema) <= _VALUE | _NOTES:
        return _any(schema)
    kinds = schema.get("type")
    if kinds is None:
        types: tuple[type, ...] | None = None
    else:
        names = {kinds} if isinstance(kinds, str) else set(kinds)
        if not names <= {"integer", "string"}:
            return _any(schema)
        types = tuple(t for n, t in (("integer", int), ("string", str)) if n in names)
    options = schema.get("enum")
    low, high = schema.get("minimum"), schema.get("maximum")
    short, long = schema.get("minLength"), schema.get("maxLength")

    def check(value: Any) -> bool:
        if isinstance(value, bool) or (types is not None and not isinstance(value, types)):
            return False
        if options is not None and value not in options:
            return False
        if isinstance(value, str):
            size = len(value)
            return (short is None or size >= short) and (long is None or size <= long)
        return (low is None or value >= low) and (high is None or value <= high)

    return check


def _any(schema: Any) -> Check:
    validator = Draft202012Validator(schema)

    def check(value: Any) -> bool:
        return bool(validator.is_valid(value))

    return check
