"""Facts: the key under which a sentence is remembered, and asked for again.

The key is made from the words alone, the same way for a statement and for a question, so that
no stored state is needed to find a fact again:

1. Words of no content at the beginning go ("my", "the", "that").
2. The subject is what stands before the first verb ("my plants | like mornings"). In "blue is my
   favourite colour" the part with "my" is the subject, whichever side it is on.
3. Its words without articles and prepositions are the key, at most three and 32 bytes; "the name
   of my wifi" becomes "wifi name". Without a known verb, "my" is followed by the key.
4. A subject that is a person ("I", "we", "she") says nothing; then the first two words of content
   of the whole sentence are the key ("i live in Berlin" → "live berlin").
"""

from collections.abc import Mapping, Sequence

from companion.backends.commands.tokens import Kind, Token
from companion.backends.commands.words import wordset

KEY_BYTES = 32
VALUE_BYTES = 200
"""Bounds of ``docs/protocol.md``, in UTF-8 bytes."""
KEY_WORDS = 3
"""More would be a sentence again, and asked for in other words."""

_COPULA = wordset("is are was were = : means equals")
_AUXILIARY = wordset(
    "am be been has have had do does did will would can could should shall may might must "
    "don't doesn't won't can't didn't isn't aren't never always usually often 've "
)
_VERBS = wordset("""
    like love hate prefer need want enjoy dislike despise mind eat drink sleep live work wake
    get go come leave arrive start begin end finish open close run grow die bloom hang sit stand
    lie stay keep hold take make use give call speak drive ride play watch read write cost weigh
    measure contain belong visit feed water walk bark bite sing hide know see hear feel smell
    taste think say tell expire break stop turn switch happen fall rise move look seem sound own
    buy sell pay send carry wear fear miss share study teach train love collect charge leak
    depend come tolerate thrive hibernate sing celebrate
    """)
_EMPTY = wordset("""
    a an the my our your his her their its this that these those of in on at to for from with by
    and or i we you he she it they me us him them there here so very really also too not no just
    about some any all be as s 's
    """)
_PEOPLE = wordset("i we you he she it they there this that")
_LINKS = _COPULA | _AUXILIARY
_OWN = frozenset(("my", "our"))
_LEAD = wordset("that this the a an my our , :")


def is_verb(word: str) -> bool:
    """Whether a word can end a subject: a common verb, also with -s, -es or -ies."""
    return (
        word in _COPULA
        or word in _AUXILIARY
        or word in _VERBS
        or (word.endswith("s") and word[:-1] in _VERBS)
        or (word.endswith("es") and word[:-2] in _VERBS)
    )


def key_of(tokens: Sequence[Token]) -> str:
    """The key of a statement ("my plants like mornings"); "" when nothing is left.

    Never more than 32 bytes: words that do not fit are left out, a single longer one is cut.
    """
    words = _words(tokens)
    subject = _subject(words)
    if subject[:1] and subject[0] in _PEOPLE and not set(subject) & _OWN:
        return _joined(_content([w for w in words if w not in _LINKS])[:2])
    return _phrase(subject) or _joined(_content([w for w in words if w not in _LINKS])[:2])


def key_of_phrase(tokens: Sequence[Token]) -> str:
    """The key of a thing that is asked for ("my wifi name"): the same as that of a statement with
    this subject."""
    words = _words(tokens)
    while words and words[-1] in _COPULA:  # "do you remember what my wifi name is"
        del words[-1]
    return _phrase(words)


def key_of_question(tokens: Sequence[Token]) -> str:
    """The key of what follows "what do …" ("my plants like")."""
    words = _words(tokens)
    return _phrase(_subject(words))


def says_something(tokens: Sequence[Token]) -> bool:
    """Whether there is more than a name for a thing: "my wifi name" says nothing, "my wifi name
    is foo" and "gate code 4711" do."""
    words = [t.norm for t in tokens]
    if any(t.kind in (Kind.NUMBER, Kind.QUOTE) for t in tokens):
        return len(words) > 1
    return any(is_verb(w) for w in words[1:]) or len(_content(words)) > KEY_WORDS


def is_own(tokens: Sequence[Token]) -> bool:
    """Whether it is about something of the person's ("my plants", "our bins")."""
    return any(t.norm in _OWN for t in tokens)


def content_of(tokens: Sequence[Token]) -> list[str]:
    """The words that say something."""
    return _content([t.norm for t in tokens])


def stored_key(key: str, facts: Mapping[str, str]) -> str:
    """The key of the facts that ``key`` means: itself, or the only one with all of its words or
    made of some of them; else ``key`` as it is."""
    if key in facts or not facts:
        return key
    asked = set(key.split())
    near = [k for k in facts if (have := set(k.casefold().split())) >= asked or asked >= have]
    return near[0] if len(near) == 1 else key


def _words(tokens: Sequence[Token]) -> list[str]:
    words = [t.norm for t in tokens if t.kind != Kind.QUOTE]
    while words and words[0] in (",", ":"):
        del words[0]
    return words


def _subject(words: Sequence[str]) -> Sequence[str]:
    verb = _verb(words)
    if verb is None:
        number = next((i for i, w in enumerate(words) if w[:1].isdigit()), None)
        if number:
            return words[:number]
        if words[:1] and words[0] in _OWN:
            # Some verb that is not known follows the thing; its first word must do.
            first = next((i for i, w in enumerate(words) if w not in _EMPTY), 0)
            return words[: first + 1]
        return words
    before, after = words[:verb], words[verb + 1 :]
    if words[verb] in _COPULA and not set(before) & _OWN:
        if after and after[0] in _OWN:
            return after
        if after[:1] == ["the"] and before[:1] and before[0] not in _LEAD | _PEOPLE:
            return after
    return before


def _verb(words: Sequence[str]) -> int | None:
    """Where the subject ends. A verb right after "my" or right before "is" is a noun there
    ("my work address", "my favourite drink is")."""
    for i in range(1, len(words)):
        if not is_verb(words[i]):
            continue
        if words[i] not in _COPULA and (
            words[i - 1] in _LEAD or (i + 1 < len(words) and words[i + 1] in _COPULA)
        ):
            continue
        return i
    return None


def _phrase(words: Sequence[str]) -> str:
    words = list(words)
    if "of" in words:
        # "the name of my wifi" is "my wifi name".
        at = words.index("of")
        if words[at + 1 : at + 2] and words[at + 1] in _OWN:
            words = words[at + 1 :] + words[:at]
    return _joined(_content(words)[:KEY_WORDS])


def _content(words: Sequence[str]) -> list[str]:
    return [w for w in words if w not in _EMPTY and w[:1].isalnum()]


def _joined(words: Sequence[str]) -> str:
    key = ""
    for word in words:
        longer = f"{key} {word}" if key else word
        if len(longer.encode()) > KEY_BYTES:
            break
        key = longer
    if not key and words:
        key = words[0].encode()[:KEY_BYTES].decode(errors="ignore")
    return key
