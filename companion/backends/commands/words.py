"""Word lists, written as people read them."""


def words(text: str) -> tuple[str, ...]:
    """The words of ``text`` in order."""
    return tuple(text.split())


def wordset(text: str) -> frozenset[str]:
    """The words of ``text`` as a set."""
    return frozenset(text.split())
