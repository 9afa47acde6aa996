"""Text → tokens that keep their place in the text.

Matching needs a plain form (NFKC, case folded, contractions written out), remembered facts and
names need exactly what the person wrote. So each token carries both: a normalised word and the
span of the source it came from.
"""

import re
import unicodedata
from enum import IntEnum
from typing import NamedTuple


class Kind(IntEnum):
    """What a token is."""

    WORD = 0
    NUMBER = 1
    QUOTE = 2
    PUNCT = 3


class Token(NamedTuple):
    """``norm`` is what is compared; ``source[start:end]`` is what was written. A contraction
    becomes two tokens with one span. A quotation is one token whose ``norm`` is its content."""

    norm: str
    start: int
    end: int
    kind: Kind


_TOKEN = re.compile(
    r"""
      (?P<space>[^\S\n]+)
    | (?P<number>[0-9]{1,3}(?:,[0-9]{3})+(?![0-9,])
               | [0-9\uff10-\uff19]+(?:[.:][0-9\uff10-\uff19]+)?)
    | (?P<word>(?:[^\W\d_][\u0300-\u036f]*)+(?:['\u2019][^\W\d_]+)*)
    | (?P<tail>(?<=[0-9])['\u2019]s\b)
    | (?P<quote>"[^"\n]{1,200}" | \u201c[^\u201d\n]{1,200}\u201d | \u00ab[^\u00bb\n]{1,200}\u00bb
              | \u2018[^\u2018\n]{1,200}?\u2019(?!\w) | `[^`\n]{1,200}`
              | (?<!\w)'(?=\S)[^'\n]{1,80}(?:'(?=\w)[^'\n]{0,80}){0,3}'(?!\w))
    | (?P<ellipsis>\.{2,}|\u2026)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)

# Two words in one, and what people write for them on a phone. Apostrophes are already "'".
_CONTRACTIONS: dict[str, tuple[str, ...]] = {
    "i'd": ("i", "would"),
    "i'll": ("i", "will"),
    "i'm": ("i", "am"),
    "i've": ("i", "have"),
    "you're": ("you", "are"),
    "we're": ("we", "are"),
    "we'd": ("we", "would"),
    "they're": ("they", "are"),
    "you'd": ("you", "would"),
    "let's": ("let", "us"),
    "whats": ("what", "is"),
    "wheres": ("where", "is"),
    "hows": ("how", "is"),
    "whos": ("who", "is"),
    "whens": ("when", "is"),
    "thats": ("that", "is"),
    "theres": ("there", "is"),
    "lets": ("let", "us"),
    "cannot": ("can", "not"),
    "gonna": ("going", "to"),
    "wanna": ("want", "to"),
    "gimme": ("give", "me"),
    "lemme": ("let", "me"),
}
_IS_AFTER = frozenset(
    ("what", "where", "how", "who", "when", "that", "there", "it", "he", "she", "which", "here")
)

# Spellings of words of this grammar, never of names.
_ALIASES: dict[str, str] = {
    "pls": "please",
    "plz": "please",
    "plse": "please",
    "plese": "please",
    "pleas": "please",
    "pleae": "please",
    "thx": "thanks",
    "ty": "thanks",
    "u": "you",
    "ya": "you",
    "trun": "turn",
    "tunr": "turn",
    "swich": "switch",
    "swtich": "switch",
    "switchh": "switch",
    "tutn": "turn",
    "memorize": "memorise",
    "energize": "energise",
    "deenergize": "deenergise",
    "hiya": "hi",
    "hullo": "hello",
    "okey": "ok",
    "okay": "ok",
    "k": "ok",
    "alright": "ok",
    "gpios": "gpio",
    "tho": "though",
    "evrything": "everything",
    "everthing": "everything",
    "remeber": "remember",
    "rember": "remember",
    "dont": "don't",
    "doesnt": "doesn't",
    "isnt": "isn't",
    "arent": "aren't",
    "wont": "won't",
    "cant": "can't",
    "shouldnt": "shouldn't",
    "wouldnt": "wouldn't",
    "didnt": "didn't",
}

_FULL_WIDTH = {0xFF10 + digit: str(digit) for digit in range(10)}

# Full-width and typographic forms → the sign that is compared; "\u2014" is any dash between words.
_PUNCT = dict(
    zip(
        "\uff0c\u3001\u3002\uff0e\uff1f\uff01\uff1b\uff1a\uff1d\uff06\uff0b"
        "\u2010\u2011\u2012\u2013\u2212\u2019\u2018",
        ",,..?!;:=&+-----''",
        strict=True,
    )
)
DASH = "\u2014"


def fold(word: str) -> str:
    """NFKC and case folding, the form in which words are compared."""
    if word.isascii():
        return word.lower()
    return unicodedata.normalize("NFKC", word).casefold().replace("\u2019", "'")


def tokenize(text: str) -> list[Token]:
    """Tokens of ``text`` in order; white space, joining hyphens and underscores are left out.

    Letters and digits are told apart ("pin5" is two tokens), so that "led1" and "led 1" are one
    name. Nothing is lost silently: any other character is a PUNCT token that some rule must
    accept.
    """
    out: list[Token] = []
    add = out.append
    for m in _TOKEN.finditer(text):
        what = m.lastgroup
        start, end = m.span()
        if what == "space":
            continue
        if what == "word":
            _add_word(out, m.group(), start, end)
        elif what == "number":
            raw = m.group()
            if not raw.isascii():
                raw = raw.translate(_FULL_WIDTH)
            add(Token(raw.replace(",", ""), start, end, Kind.NUMBER))
        elif what == "quote":
            add(Token(m.group()[1:-1], start, end, Kind.QUOTE))
        elif what == "tail":
            add(Token("'s", start, end, Kind.WORD))
        elif what == "ellipsis":
            add(Token(".", start, end, Kind.PUNCT))
        else:
            char = m.group()
            char = _PUNCT.get(char, char)
            if char in "-_" and _joins(text, start, end, char):
                continue
            if char == "-" and not text[end : end + 1].isdigit():
                char = DASH
            add(Token(char, start, end, Kind.PUNCT))
    return out


def _joins(text: str, start: int, end: int, char: str) -> bool:
    """Whether a hyphen or underscore only glues a name together ("living-room", "gpio_5"). Not
    between digits, where it is a range, and not before a number by itself, where it is a minus."""
    before, after = text[start - 1 : start], text[end : end + 1]
    if not (before.isalnum() and after.isalnum()):
        return False
    return char == "_" or not (before.isdigit() and after.isdigit())


def _add_word(out: list[Token], raw: str, start: int, end: int) -> None:
    word = raw.lower() if raw.isascii() else fold(raw)
    if not raw.isascii() and not word.replace("'", "").isalpha():
        # "²" and its like turn into digits under NFKC; "pin 5²" must never be pin 52.
        out.append(Token(word, start, end, Kind.PUNCT))
        return
    word = _ALIASES.get(word, word)
    pair = _CONTRACTIONS.get(word)
    if pair is not None:
        out.extend(Token(part, start, end, Kind.WORD) for part in pair)
    elif word.endswith("'s"):
        stem = word[:-2]
        tail = "is" if stem in _IS_AFTER else "'s"
        # Spans apart, so that a name can end before its possessive.
        out.append(Token(stem, start, end - 2, Kind.WORD))
        out.append(Token(tail, end - 2, end, Kind.WORD))
    else:
        out.append(Token(word, start, end, Kind.WORD))
