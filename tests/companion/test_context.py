"""The conversation cache: the same words as the device remembers, or an honest miss."""

from companion.context import Contexts
from companion.wire import Message

RAN = ("gpio_write", {"pin": 5}, {"level": 1})


def u(text: str) -> tuple[Message, ...]:
    return (("u", text),)


def turn(
    c: Contexts, id_: str, text: str, ctx: str | None, n: int | None, speaker: str = ""
) -> None:
    """A turn of one round that replied ``text!``."""
    c.answered("d", speaker, id_, f"{id_}.1", ctx, n, u(text), 50)
    c.replied("d", id_, [RAN], f"{text}!", 50)


def said(text: str) -> tuple[Message, ...]:
    return (("u", text), ("d", (RAN,)), ("a", f"{text}!"))


def test_turns_follow_each_other() -> None:
    c = Contexts()
    assert c.lookup("d", "", None, None) == ()
    turn(c, "t1", "one", None, None)
    turn(c, "t2", "two", "t1", 1)
    turn(c, "t3", "three", "t2", 2)
    assert c.lookup("d", "", "t3", 3) == said("one") + said("two") + said("three")
    assert c.lookup("d", "", "t3", 2) == said("two") + said("three")
    assert c.lookup("d", "", "t3", 1) == said("three")
    assert c.lookup("d", "", "t3", 0) == ()


def test_a_device_that_forgot_is_followed() -> None:
    c = Contexts()
    turn(c, "t1", "one", None, None)
    turn(c, "t2", "two", "t1", 1)
    turn(c, "t3", "three", "t2", 1)
    # At t3 the device knew one past turn, so it cannot know three now.
    assert c.lookup("d", "", "t3", 3) is None
    assert c.lookup("d", "", "t3", 2) == said("two") + said("three")
    # A node's own beginning is no excuse either.
    assert c.lookup("d", "", "t1", 2) is None


def test_rounds_of_one_turn() -> None:
    c = Contexts()
    turn(c, "t1", "one", None, None)
    c.answered("d", "", "t2", "t2.1", "t1", 1, u("two"), 50)
    assert c.lookup("d", "", "t2.1", None) == said("one") + u("two")
    receipts: tuple[Message, ...] = (("d", (RAN,)),)
    c.answered("d", "", "t2", "t2.2", "t2.1", None, receipts, 50)
    assert c.lookup("d", "", "t2.2", None) == said("one") + u("two") + receipts
    # After the reply the turn is its words, all its calls and the reply, however many rounds.
    c.replied("d", "t2", [RAN, RAN], "two!", 50)
    two: tuple[Message, ...] = (("u", "two"), ("d", (RAN, RAN)), ("a", "two!"))
    assert c.lookup("d", "", "t2", 2) == said("one") + two


def test_a_conversation_sent_whole_is_a_new_beginning() -> None:
    c = Contexts()
    whole = said("one") + said("two") + u("three")
    c.answered("d", "", "t3", "t3.1", None, None, whole, 50)
    c.replied("d", "t3", [], "three!", 50)
    three: tuple[Message, ...] = (("u", "three"), ("a", "three!"))
    assert c.lookup("d", "", "t3", 3) == said("one") + said("two") + three
    assert c.lookup("d", "", "t3", 2) == said("two") + three
    assert c.lookup("d", "", "t3", 4) is None


def test_what_is_not_held_is_a_miss() -> None:
    c = Contexts()
    assert c.lookup("d", "", "never", 1) is None
    # Answered here, but what it continued is not: enough for one turn, not for two.
    turn(c, "t2", "two", "elsewhere", 1)
    assert c.lookup("d", "", "t2", 1) == said("two")
    assert c.lookup("d", "", "t2", 2) is None
    # A reply of a turn whose words went to another companion.
    c.replied("d", "t9", [], "nine!", 50)
    assert c.lookup("d", "", "t9", 1) is None


def test_devices_and_speakers_do_not_mix() -> None:
    c = Contexts()
    turn(c, "t1", "secret", None, None, speaker="ann")
    assert c.lookup("d", "ann", "t1", 1) == said("secret")
    assert c.lookup("d", "bob", "t1", 1) is None
    assert c.lookup("e", "ann", "t1", 1) is None


def test_the_cache_is_bounded_and_forgets_what_was_used_longest_ago() -> None:
    c = Contexts(entries_max=10)
    turn(c, "keep", "keep", None, None)
    for i in range(20):
        turn(c, f"t{i}", "x", None, None)
        assert c.lookup("d", "", "keep", 1) is not None
        assert len(c) <= 10
    assert c.lookup("d", "", "t0", 1) is None

    c = Contexts(bytes_max=20_000)
    for i in range(100):
        turn(c, f"t{i}", "x" * 100, None, None)
    assert c.bytes <= 20_000
    assert c.lookup("d", "", "t99", 1) is not None


def test_a_loop_of_links_ends() -> None:
    c = Contexts()
    c.answered("d", "", "a", "a.1", "b.1", None, u("x"), 1)
    c.answered("d", "", "b", "b.1", "a.1", None, u("x"), 1)
    assert c.lookup("d", "", "a.1", None) is None


def test_an_id_that_comes_again_is_no_ring() -> None:
    """A requester that begins its ids anew after a reboot of the device."""
    c = Contexts()
    turn(c, "t1", "one", None, None)
    turn(c, "t1", "again", "t1", 1)
    assert c.lookup("d", "", "t1", 2) is None
    turn(c, "t2", "two", "t1", 2)
    turn(c, "t1", "three", "t2", 3)
    assert c.lookup("d", "", "t1", 2) == said("two") + said("three")
    assert c.lookup("d", "", "t1", 3) is None
