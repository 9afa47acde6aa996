"""The names of a device's own points, and what a person may call them.

Five steps, each only when the one before found nothing: as named; plural and number words; any
word order; a part of the name that fits one point only; the whole name with a slip of the
keyboard. Two candidates at any step is a refusal that names them, never a choice.
"""

from collections.abc import Iterable, Sequence

from companion.backends.base import Declined, Point
from companion.backends.commands.numbers import small_value
from companion.backends.commands.tokens import tokenize

_MIN_TYPO = 5
"""Shorter words have too many neighbours: "fan", "van", "man"."""
_TWO_SLIPS = 8
"""From this length two slips are still nearer to one word than to any other."""
_MAX_RUN = 8
"""No name of 24 bytes that people use has more words."""
_LISTED = 6
_GLUE = frozenset(("in", "of", "the", "a", "at", "by", "near", "my", "our", "'s"))


def canon(word: str) -> str:
    """Singular, digits for number words: what two spellings of one word share."""
    value = small_value(word)
    if value is not None:
        return str(value)
    if len(word) > 3 and word[-1] == "s" and word[-2] not in "su'":
        return word[:-1]
    return word


class Lexicon:
    """The points and groups of one device, ready to be looked up. Levels play no part."""

    def __init__(self, points: Iterable[Point], groups: Iterable[str] = ()) -> None:
        self.points = tuple(sorted(points, key=lambda p: p.name))
        self.groups = {name_words(name): name for name in groups}
        self._plain_groups = {tuple(canon(w) for w in key): n for key, n in self.groups.items()}
        self._tokens: dict[str, tuple[str, ...]] = {}
        self._exact: dict[tuple[str, ...], list[Point]] = {}
        self._canon: dict[tuple[str, ...], list[Point]] = {}
        self._sets: list[tuple[frozenset[str], Point]] = []
        self.words: set[str] = set()
        """Each canonical word that occurs in a name."""
        self.first: dict[str, list[tuple[tuple[str, ...], Point]]] = {}
        """First word of a name → whole names, longest first."""
        for point in self.points:
            words = name_words(point.name)
            if not words:
                continue
            self._exact.setdefault(words, []).append(point)
            plain = tuple(canon(w) for w in words)
            self._canon.setdefault(plain, []).append(point)
            self._sets.append((frozenset(plain) - _GLUE, point))
            self.words.update(plain)
            self.first.setdefault(words[0], []).append((words, point))
        for words in self._plain_groups:
            self.words.update(words)
        for names in self.first.values():
            names.sort(key=lambda entry: -len(entry[0]))

    def known(self) -> str:
        """The names for a reason, shortened."""
        names = [p.name for p in self.points]
        if not names:
            return "no point is named yet"
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        return "I know: " + ", ".join(names[:_LISTED]) + more

    def exact(self, words: Sequence[str]) -> Point | None:
        """The one point named so, or so but for plural and number words."""
        key = tuple(words)
        found = self._exact.get(key) or self._canon.get(tuple(canon(w) for w in key)) or []
        return found[0] if len(found) == 1 else None

    def resolve(self, words: Sequence[str], spoken: str) -> Point:
        """The one point that ``words`` can mean. Raises Declined with what to do instead."""
        point = self.find(words)
        if point is None:
            raise Declined(f"I don't know a point called '{spoken}'; {self.known()}")
        return point

    def find(self, words: Sequence[str]) -> Point | None:
        """As ``resolve``, but None when there is no candidate. Raises Declined when there are
        several."""
        if len(words) > _MAX_RUN:
            return None
        point = _only(self._exact.get(tuple(words), ()))
        if point is not None:
            return point
        plain = tuple(canon(w) for w in words)
        point = _only(self._canon.get(plain, ()))
        if point is not None:
            return point
        wanted = frozenset(plain) - _GLUE
        if not wanted:
            return None
        point = _only([p for have, p in self._sets if have == wanted])
        if point is not None:
            return point
        if not all(w.isdigit() for w in wanted):  # "turn on 5": a pin, or "led 5"?
            point = _only([p for have, p in self._sets if wanted < have])
            if point is not None:
                return point
        return self._mistyped(plain)

    def grouped(self, words: Sequence[str], plain: bool = True) -> str | None:
        """The device's own group of that name. Unless ``plain``, only as it is written: "the
        light" is no group of lights, "all light" is."""
        key = tuple(w for w in words if w not in _GLUE) if plain else tuple(words)
        found = self.groups.get(key)
        if found is None and plain:
            found = self._plain_groups.get(tuple(canon(w) for w in key))
        return found

    def is_group(self, name: int | str) -> bool:
        """Whether an argument ``pin`` stands for several points."""
        return isinstance(name, str) and name in self.groups.values()

    def group(self, words: Sequence[str]) -> list[Point]:
        """Every point whose name holds all of ``words``, by name."""
        wanted = frozenset(canon(w) for w in words) - _GLUE
        return [p for have, p in self._sets if wanted and wanted <= have]

    def _mistyped(self, plain: Sequence[str]) -> Point | None:
        """Only a whole name may be mistyped: a part of a name and a slip together could be
        anything ("night light" is no slip of "kitchen light")."""
        right: list[str] = []
        for word in plain:
            if word in self.words or word in _GLUE:
                right.append(word)
                continue
            near = [w for w in self.words if _slip(word, w)]
            if len(near) != 1 or near[0] in plain:
                return None
            right.append(near[0])
        wanted = frozenset(right) - _GLUE
        return _only([p for have, p in self._sets if have == wanted])


def name_words(name: str) -> tuple[str, ...]:
    """A name as the tokens that a sentence would have for it."""
    return tuple(t.norm for t in tokenize(name))


def _only(points: Sequence[Point]) -> Point | None:
    if len(points) > 1:
        names = ", ".join(p.name for p in points[:_LISTED])
        raise Declined(f"that could be several points ({names}): say which one")
    return points[0] if points else None


def _slip(word: str, name: str) -> bool:
    """Whether ``word`` is ``name`` with one slip (two in long words). The first letter is
    seldom the slip, and asking for it keeps "night" away from "light"."""
    if len(name) < _MIN_TYPO or len(word) < _MIN_TYPO - 1 or word[0] != name[0]:
        return False
    most = 2 if len(name) >= _TWO_SLIPS else 1
    return abs(len(word) - len(name)) <= most and _distance(word, name) <= most


def _distance(a: str, b: str) -> int:
    """Optimal string alignment: insert, delete, replace, swap two neighbours."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, ca in enumerate(a, 1):
        above, row_new = row, [i]
        for j, cb in enumerate(b, 1):
            cost = min(row_new[j - 1] + 1, above[j] + 1, above[j - 1] + (ca != cb))
            if i > 1 and j > 1 and ca == b[j - 2] and a[i - 2] == cb:
                cost = min(cost, before[j - 2] + 1)
            row_new.append(cost)
        before, row = above, row_new
    return row[-1]
