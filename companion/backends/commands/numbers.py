"""Numbers in digits and in English words, up to 999,999.

Works on lists of normalised words (see ``tokens``), where a hyphen is already gone, so
"fifty-two" is two words. A parser takes a position and returns the value with the position
after it, or None: longest match, never a guess at a malformed number.
"""

from collections.abc import Sequence

from companion.backends.commands.tokens import tokenize

_UNITS = {
    word: value
    for value, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
}
_UNITS |= {"nought": 0, "naught": 0}
_TENS = {
    word: 10 * value
    for value, word in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], start=2
    )
}
_TENS["fourty"] = 40

NUMBER_WORDS = frozenset(_UNITS) | frozenset(_TENS) | {"hundred", "thousand"}
"""Words that only a number is made of."""


def small_value(word: str) -> int | None:
    """0..19 for a single number word or a short run of digits, else None."""
    if word.isascii() and word.isdigit() and len(word) <= 6:
        return int(word)
    return _UNITS.get(word)


def integer_at(words: Sequence[str], i: int) -> tuple[int, int] | None:
    """The whole number that starts at ``words[i]``: ``(value, next)`` or None.

    "5", "five", "fifty two", "a hundred", "one hundred and five", "two thousand and one". Digits
    with a decimal point are no whole number.
    """
    if i >= len(words):
        return None
    word = words[i]
    if word.isascii() and word.isdigit():
        return (int(word), i + 1) if len(word) <= 6 else None
    if word not in NUMBER_WORDS and not (word in ("a", "an") and _multiplier(words, i + 1)):
        return None
    if word in ("a", "an"):
        head: tuple[int, int] | None = (1, i + 1)
    else:
        head = _below_hundred(words, i)
    if head is None:
        return None
    value, j = head
    if 0 < value < 20 and _word(words, j) == "hundred":
        value, j = _add_rest(words, value * 100, j + 1)
    if value > 0 and _word(words, j) == "thousand":
        thousands, j = value * 1000, j + 1
        rest_at = j + 1 if _word(words, j) == "and" else j
        rest = _below_thousand(words, rest_at)
        if rest is not None and rest[0] > 0:
            return thousands + rest[0], rest[1]
        return thousands, j
    return value, j


def number_at(words: Sequence[str], i: int) -> tuple[float, int] | None:
    """As ``integer_at``, and decimals ("1.5") and halves ("two and a half", "half a")."""
    if i >= len(words):
        return None
    word = words[i]
    if word.isascii() and word.replace(".", "", 1).isdigit() and word[0].isdigit():
        value, j = float(word), i + 1
    else:
        whole = integer_at(words, i)
        if whole is None:
            return None
        value, j = float(whole[0]), whole[1]
    if list(words[j : j + 3]) == ["and", "a", "half"]:
        return value + 0.5, j + 3
    return value, j


def parse_number(text: str) -> int | None:
    """The whole of ``text`` as a whole number, or None."""
    words = [t.norm for t in tokenize(text)]
    found = integer_at(words, 0)
    return found[0] if found is not None and found[1] == len(words) else None


def _word(words: Sequence[str], i: int) -> str:
    return words[i] if i < len(words) else ""


def _multiplier(words: Sequence[str], i: int) -> bool:
    return _word(words, i) in ("hundred", "thousand")


def _below_hundred(words: Sequence[str], i: int) -> tuple[int, int] | None:
    word = _word(words, i)
    if word in _UNITS:
        return _UNITS[word], i + 1
    if word in _TENS:
        unit = _UNITS.get(_word(words, i + 1), 0)
        return (_TENS[word] + unit, i + 2) if 0 < unit < 10 else (_TENS[word], i + 1)
    return None


def _below_thousand(words: Sequence[str], i: int) -> tuple[int, int] | None:
    head = _below_hundred(words, i)
    if head is None:
        return None
    value, j = head
    if 0 < value < 10 and _word(words, j) == "hundred":
        return _add_rest(words, value * 100, j + 1)
    return value, j


def _add_rest(words: Sequence[str], hundreds: int, j: int) -> tuple[int, int]:
    """After "hundred": "[and] five", where a dangling "and" stays outside."""
    rest = _below_hundred(words, j + 1 if _word(words, j) == "and" else j)
    return (hundreds + rest[0], rest[1]) if rest is not None and rest[0] > 0 else (hundreds, j)
