"""Short names for the chip: what a module calls ``_publish_ask`` is ``_q`` in its bytecode.

MicroPython keeps every name once, for ever, in its heap: 8 bytes and the text (a ``qstr`` in its
sources), arguments' names included. Most of the firmware's names are nobody's business outside
their module, and as each module starts again at ``_a``, all share one small set. Lines stay where
they were, so a trace still says where.

Two rules make this sound. A name with one leading underscore belongs to the module that defines
it (``tests/test_layers.py`` holds the firmware to that). An argument's name matters outside its
function only where a call gives it as a keyword; names that any call does are kept.
"""

from __future__ import annotations

import ast
import io
import itertools
import string
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def mangle(source: str, keep: Iterable[str] | None = ()) -> str:
    """``source`` with its private names and its arguments shortened, the most frequent most.

    ``keep`` are names of arguments that other sources use, see `keywords`; None keeps all.
    Raises SyntaxError.
    """
    own, short = _shortened(source, keep)
    lines = source.splitlines(keepends=True)
    for (row, at), name in sorted(own.items(), reverse=True):
        line = lines[row - 1]
        lines[row - 1] = line[:at] + short[name] + line[at + len(name) :]
    return "".join(lines)


def names(source: str, keep: Iterable[str] | None = ()) -> dict[str, str]:
    """Short name to the one in ``source``, to read a trace with; arguments as `mangle`."""
    return {short: name for name, short in _shortened(source, keep)[1].items()}


def _shortened(
    source: str, keep: Iterable[str] | None
) -> tuple[dict[tuple[int, int], str], dict[str, str]]:
    """Where names to be shortened stand, and what they become."""
    tree = ast.parse(source)
    tokens = [
        t for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type == tokenize.NAME
    ]
    private = private_names(tree)
    own = {t.start: t.string for t in tokens if t.string in private}
    if keep is not None:
        own |= _arguments(tree, source, private | keywords(tree) | set(keep))
    counted = Counter(own.values())
    ranked = sorted(counted, key=lambda name: (-counted[name], name))
    # A name that is used and not ours, as `core._io_queue`, keeps its meaning.
    used = {t.string for t in tokens}
    return own, dict(zip(ranked, (s for s in _short() if s not in used), strict=False))


def private_names(tree: ast.AST) -> set[str]:
    """Names with one leading underscore that ``tree`` defines: assigns, as variable or as
    attribute, or declares as function, class or argument."""
    found: set[str] = set()
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            imported |= {a.name for a in node.names} | {getattr(node, "module", None) or ""}
    return {n for n in found - imported if n[0] == "_" and n[1:2] not in ("", "_")}


def keywords(tree: ast.AST) -> set[str]:
    """Names that calls in ``tree`` give to arguments."""
    return {
        k.arg
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for k in node.keywords
        if k.arg
    }


def _arguments(tree: ast.AST, source: str, keep: set[str]) -> dict[tuple[int, int], str]:
    """Where functions declare and use their arguments: (row, column) to name."""
    lines = [line.encode() for line in source.splitlines(keepends=True)]

    def place(node: ast.arg | ast.Name) -> tuple[int, int]:
        # ast counts bytes, tokenize and str count characters.
        return node.lineno, len(lines[node.lineno - 1][: node.col_offset].decode())

    found: dict[tuple[int, int], str] = {}
    for function in ast.walk(tree):
        if not isinstance(function, _Function):
            continue
        args = function.args
        if args.vararg or args.kwarg or args.kwonlyargs:
            continue
        declared = {a.arg: a for a in args.args if a.arg not in keep and a.arg != "self"}
        found |= {place(a): name for name, a in declared.items()}
        # Defaults and decorators belong to the scope around.
        body = function.body if isinstance(function.body, list) else [function.body]
        for node in itertools.chain.from_iterable(map(ast.walk, body)):
            if isinstance(node, ast.Name) and node.id in declared:
                found[place(node)] = node.id
    return found


def _short() -> Iterator[str]:
    for length in itertools.count(1):
        for letters in itertools.product(string.ascii_letters, repeat=length):
            yield "_" + "".join(letters)
