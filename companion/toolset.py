"""A device's tool specs, checked, and a check of calls against them.

The common subset of JSON Schema (an object of strings, numbers, booleans, enumerations, bounds)
is compiled to closures of a microsecond; any further keyword goes through ``jsonschema``, which
is imported only then (a hundred times slower, and 4 MB). Both give the same verdicts; a test
holds them together.

Specs come from devices and are not trusted: references (which could fetch), regular expressions
(which could hang) and deep nesting are refused.
"""

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

log = logging.getLogger(__name__)

Check: TypeAlias = Callable[[Any], str | None]
"""A value → what is wrong with it, None when nothing is."""

_DEPTH_MAX = 8
_FORBIDDEN = frozenset(
    {"$ref", "$dynamicRef", "$recursiveRef", "$schema", "pattern", "patternProperties", "format"}
)
# Say something to people or to the device, nothing to a validator.
_ANNOTATIONS = frozenset({"title", "description", "default", "examples", "x-point", "$comment"})


class BadSpec(ValueError):
    """A tool spec that cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the device describes it. ``args`` is a JSON Schema of an object; ``acts`` says
    that the tool changes something."""

    name: str
    desc: str
    args: dict[str, Any]
    acts: bool


@dataclass(frozen=True, slots=True)
class Toolset:
    """All tools of a device under one hash. Immutable, shared among devices alike."""

    hash: str
    specs: tuple[ToolSpec, ...]
    checks: Mapping[str, Check]

    def wrong(self, tool: str, args: Any) -> str | None:
        """What is wrong with a call, for people; None when the device will accept its shape."""
        check = self.checks.get(tool)
        if check is None:
            return f"there is no tool '{tool[:48]}'"
        reason = check(args)
        return None if reason is None else f"{tool}: {reason}"


def build(hash_: str, specs: Iterable[ToolSpec], origin: str) -> Toolset:
    """A toolset of the specs that hold; each bad one is left out and logged with ``origin``."""
    good: list[ToolSpec] = []
    checks: dict[str, Check] = {}
    for spec in specs:
        try:
            if spec.name in checks:
                raise BadSpec("it is there twice")
            checks[spec.name] = compile_args(spec.args)
        except BadSpec as error:
            log.warning("%s: tool '%s' is left out: %s", origin, spec.name, error)
        else:
            good.append(spec)
    return Toolset(hash_, tuple(good), checks)


def compile_args(schema: Mapping[str, Any]) -> Check:
    """The check of one tool's arguments. Raises BadSpec.

    A device refuses arguments that its schema does not name, so where the schema is silent
    about them they count as wrong here too.
    """
    if schema.get("type", "object") != "object":
        raise BadSpec("its arguments are no object")
    if len(str(schema)) > 4096:
        raise BadSpec("its schema is too long")
    whole = {"type": "object", "additionalProperties": False, **schema}
    _forbid(whole, 0)
    try:
        return _compile(whole) or _by_jsonschema(whole)
    except (TypeError, AttributeError, ValueError) as error:
        raise BadSpec(f"its schema is malformed ({error})") from None


def _forbid(node: Any, depth: int) -> None:
    if depth > _DEPTH_MAX:
        raise BadSpec("its schema is nested too deeply")
    if isinstance(node, dict):
        for key, child in node.items():
            if key in _FORBIDDEN:
                raise BadSpec(f"'{key}' is not supported")
            if key in ("properties", "enum", "const", "default", "examples"):
                # The keys below are names or data, not keywords.
                if key == "properties" and isinstance(child, dict):
                    for grandchild in child.values():
                        _forbid(grandchild, depth + 1)
                continue
            _forbid(child, depth + 1)
    elif isinstance(node, list):
        for child in node:
            _forbid(child, depth + 1)


# -- the fast path. Each compiler returns None for what it leaves to jsonschema.


def _compile(schema: Any) -> Check | None:
    if not isinstance(schema, dict):
        return None
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return _compile_any(schema, kinds)
    rest = schema.keys() - _ANNOTATIONS - {"type"}
    if kinds == "object":
        return _compile_object(schema, rest)
    if kinds == "string":
        return _compile_string(schema, rest)
    if kinds in ("integer", "number"):
        return _compile_number(schema, rest, kinds == "integer")
    if kinds == "boolean" and not rest:
        return lambda v: None if v is True or v is False else "must be true or false"
    if kinds is None and rest == {"enum"}:
        return _compile_enum(schema["enum"])
    if kinds is None and not rest:
        return lambda v: None
    return None


def _compile_any(schema: dict[str, Any], kinds: list[Any]) -> Check | None:
    if schema.keys() - _ANNOTATIONS - {"type"} or not kinds:
        return None
    checks = []
    for kind in kinds:
        check = _compile({"type": kind})
        if check is None or kind == "object":
            return None
        checks.append(check)

    def any_of(value: Any) -> str | None:
        for check in checks:
            if check(value) is None:
                return None
        return "must be " + " or ".join(_A[k] for k in kinds)

    return any_of


_A = {
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}


def _compile_enum(allowed: Any) -> Check | None:
    if not _all(allowed, lambda a: isinstance(a, str | int | float) and not isinstance(a, bool)):
        return None
    reason = "must be one of " + ", ".join(map(str, allowed))

    def enum(value: Any) -> str | None:
        # To Python True is 1, to JSON it is not.
        return None if value in allowed and not isinstance(value, bool) else reason

    return enum


def _compile_string(schema: dict[str, Any], rest: set[str]) -> Check | None:
    if rest - {"enum", "minLength", "maxLength"}:
        return None
    shortest = schema.get("minLength", 0)
    longest = schema.get("maxLength", math.inf)
    allowed = schema.get("enum")
    if allowed is not None and not _all(allowed, lambda a: isinstance(a, str)):
        return None
    if not (_is_number(shortest) and (longest == math.inf or _is_number(longest))):
        return None

    def string(value: Any) -> str | None:
        if not isinstance(value, str):
            return "must be a string"
        if allowed is not None and value not in allowed:
            return "must be one of " + ", ".join(allowed)
        if not shortest <= len(value) <= longest:
            return f"must have {shortest} to {longest} characters"
        return None

    return string


def _compile_number(schema: dict[str, Any], rest: set[str], whole: bool) -> Check | None:
    if rest - {"enum", "minimum", "maximum"}:
        return None
    least = schema.get("minimum", -math.inf)
    most = schema.get("maximum", math.inf)
    allowed = schema.get("enum")
    if allowed is not None and not _all(allowed, _is_number):
        return None
    if not all(_is_number(schema[b]) for b in ("minimum", "maximum") if b in schema):
        return None
    kind = "a whole number" if whole else "a number"

    def number(value: Any) -> str | None:
        if not _is_number(value):
            return f"must be {kind}"
        if whole and isinstance(value, float) and not value.is_integer():
            return f"must be {kind}"
        if allowed is not None and value not in allowed:
            return "must be one of " + ", ".join(map(str, allowed))
        if not least <= value <= most:
            return f"must be {kind} from {least} to {most}"
        return None

    return number


def _all(items: Any, fits: Callable[[Any], bool]) -> bool:
    """Whether this is a list with something in it, each of which fits."""
    return isinstance(items, list) and bool(items) and all(map(fits, items))


def _is_number(value: Any) -> bool:
    # JSON has no NaN; a bool is an int to Python and none to JSON.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return not isinstance(value, float) or math.isfinite(value)


def _compile_object(schema: dict[str, Any], rest: set[str]) -> Check | None:
    if rest - {"properties", "required", "additionalProperties"}:
        return None
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    extra = schema.get("additionalProperties", True)
    if not (isinstance(extra, bool) and isinstance(properties, dict)):
        return None
    if required and not _all(required, lambda r: isinstance(r, str)):
        return None
    checks: dict[str, Check] = {}
    for name, child in properties.items():
        check = _compile(child)
        if check is None:
            return None
        checks[name] = check
    needed = tuple(required)

    def obj(value: Any) -> str | None:
        if not isinstance(value, dict):
            return "must be an object"
        for name in needed:
            if name not in value:
                return f"'{name}' is missing"
        for name, item in value.items():
            check = checks.get(name)
            if check is None:
                if not extra:
                    return f"'{str(name)[:32]}' is not an argument"
                continue
            reason = check(item)
            if reason is not None:
                return f"'{name}' {reason}"
        return None

    return obj


# -- everything else


def _by_jsonschema(schema: dict[str, Any]) -> Check:
    from jsonschema import Draft202012Validator, SchemaError  # type: ignore[import-untyped]
    from referencing import Registry

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise BadSpec(f"its schema is malformed ({error.message[:100]})") from None
    # An empty registry: nothing is ever fetched.
    validator = Draft202012Validator(schema, registry=Registry())

    def check(value: Any) -> str | None:
        for error in validator.iter_errors(value):
            where = ".".join(map(str, error.absolute_path))
            message = str(error.message)[:160]
            return f"'{where}' {message}" if where else message
        return None

    return check
