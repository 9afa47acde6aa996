# Conversations on flash: bounded, whole turns or none, there again after a reboot.
import json

import ramdisk

from ganglion.store import MAX_KEYS, Store, StoreFull
from ganglion.talk import Conversations, dumps

PATH = "/ram/store.log"


def fresh(blocks=64):
    disk = ramdisk.Disk(blocks)
    try:
        ramdisk.unmount()  # of a test that failed
    except OSError:
        pass
    ramdisk.mount(disk, True)
    return disk


def reopen(disk):
    ramdisk.unmount()
    ramdisk.mount(disk, False)
    return Conversations(Store(PATH))


def turn(n, text="hello", reply="Hello."):
    return [dumps(["u", "%d %s" % (n, text)]), dumps(["a", reply])]


def say(talks, speaker, tid, messages):
    talks.flash("add", talks.of(speaker), tid, messages)


def whole(talks, speaker):
    """`(last turn's id, turns that are claimed, the messages that a companion would be sent)`."""
    c = talks.of(speaker)
    claimed = len(c.turns)
    talks.flash("check", c)
    messages = json.loads("[%s0]" % "".join(talks.texts(c)))[:-1]
    return c.last, claimed, messages


def test_a_conversation_goes_on_after_a_reboot():
    disk = fresh()
    talks = Conversations(Store(PATH))
    assert whole(talks, "ann") == (None, 0, [])
    odd = 'quotes " and \\ and\nlines, Grüße, 日本語'
    say(talks, "ann", "a1", turn(1, odd))
    say(talks, "console", "c3-1", turn(1, "from here"))
    say(talks, "ann", "a2", turn(2))
    for again in (talks, reopen(disk), reopen(disk)):
        assert whole(again, "ann") == (
            "a2",
            2,
            [["u", "1 " + odd], ["a", "Hello."], ["u", "2 hello"], ["a", "Hello."]],
        )
        assert whole(again, "console") == ("c3-1", 1, [["u", "1 from here"], ["a", "Hello."]])
        assert whole(again, "bob") == (None, 0, [])
    say(again, "ann", "a3", turn(3))
    assert whole(reopen(disk), "ann")[:2] == ("a3", 3)
    ramdisk.unmount()


def test_the_oldest_turns_go_whole():
    disk = fresh()
    talks = Conversations(Store(PATH))
    for n in range(20):
        say(talks, "ann", "a%d" % n, turn(n))
        last, claimed, messages = whole(talks, "ann")
        assert (last, claimed) == ("a%d" % n, min(n + 1, 6))
        assert messages[0] == ["u", "%d hello" % max(0, n - 5)]
    assert whole(reopen(disk), "ann") == (last, claimed, messages)
    # 2,048 bytes: long turns leave room for fewer, and take several records each.
    for n in range(20, 24):
        say(talks, "ann", "a%d" % n, turn(n, "x" * 900))
        assert talks.store.count("v:") <= 12
    for again in (talks, reopen(disk)):
        last, claimed, messages = whole(again, "ann")
        assert (last, claimed) == ("a23", 2)
        assert [m[1][:2] for m in messages] == ["22", "He", "23", "He"]
    # Short ones again take the place of both.
    for n in range(24, 30):
        say(again, "ann", "a%d" % n, turn(n))
    assert whole(reopen(disk), "ann")[:2] == ("a29", 6)
    assert again.store.count("v:") == 6
    ramdisk.unmount()


def test_a_turn_over_the_bound_is_not_kept_nor_what_it_followed():
    disk = fresh()
    talks = Conversations(Store(PATH))
    say(talks, "ann", "a1", turn(1))
    say(talks, "ann", "a2", turn(2, "ä" * 1100))
    assert whole(talks, "ann") == ("a2", 0, [])
    assert reopen(disk).of("ann").last is None
    say(talks, "ann", "a3", turn(3))
    assert whole(reopen(disk), "ann")[:2] == ("a3", 1)
    ramdisk.unmount()


def test_four_speakers_and_whoever_was_silent_longest_gives_way():
    disk = fresh()
    talks = Conversations(Store(PATH))
    for n, speaker in enumerate(("", "ann", "bob", "x" * 32, "ann", "eve", "ünal")):
        say(talks, speaker, "t%d" % n, turn(n))
    for again in (talks, reopen(disk)):
        assert [c.speaker for c in again.all] == ["x" * 32, "ann", "eve", "ünal"]
        for speaker, last in (("x" * 32, "t3"), ("ann", "t4"), ("eve", "t5"), ("ünal", "t6")):
            assert whole(again, speaker)[0] == last
    ramdisk.unmount()


def test_a_power_cut_forgets_a_turn_whole_or_not_at_all():
    """At every write of a short and of a long turn, that takes the place of older ones."""
    for text in ("short", "l" * 1500):
        n = 0
        while True:
            n += 1
            disk = fresh()
            talks = Conversations(Store(PATH))
            for at in range(8):
                say(talks, "ann", "a%d" % at, turn(at, "y" * 150))
            say(talks, "bob", "b1", turn(1))
            before = whole(talks, "ann")
            disk.writes = 0
            disk.cut_at = n
            say(talks, "ann", "new", turn(9, text))
            done = not disk.dead
            try:
                ramdisk.unmount()
            except OSError:
                pass
            ramdisk.mount(ramdisk.Disk(data=disk.power_off()), False)
            again = Conversations(Store(PATH))
            last, claimed, messages = whole(again, "ann")
            if done:
                assert last == "new"
                break
            assert last in ("a7", "new"), last
            if last == "a7":
                # What it was to push out may be gone already, from the front.
                assert messages and before[2][-len(messages) :] == messages
            else:
                assert messages[-2] == ["u", "9 " + text]
            assert len(messages) == 2 * claimed
            assert whole(again, "bob")[0] == "b1"
            # And it goes on from there.
            say(again, "ann", "next", turn(10))
            assert whole(again, "ann")[2][-2] == ["u", "10 hello"]
        assert n > 2
    ramdisk.unmount()


def test_a_full_store_takes_no_conversation_and_says_nothing():
    disk = fresh()
    s = Store(PATH)
    talks = Conversations(s)
    say(talks, "ann", "a1", turn(1))
    for n in range(MAX_KEYS - 10):
        s.set("k:%d" % n, n)
    say(talks, "ann", "a2", turn(2))
    c = talks.of("ann")
    # The companion that heard it may still go on from there; flash has no more to tell.
    assert (c.last, len(c.turns)) == ("a2", 2)
    assert whole(talks, "ann")[2] == [] and s.count("v:") == 1
    # What is no comfort takes the room of what is.
    for n in range(MAX_KEYS - 10, MAX_KEYS):
        s.set("k:%d" % n, n)
    assert s.count("v:") == 0 and s.count("k:") == MAX_KEYS
    try:
        s.set("k:more", 1)
        raise AssertionError("no bound")
    except StoreFull:
        pass
    again = reopen(disk)
    assert again.store.count("k:") == MAX_KEYS
    assert again.store.delete("k:0") and again.store.set("k:0", 1) is None
    ramdisk.unmount()


def test_flash_without_room_gives_it_to_what_is_to_be_kept():
    disk = fresh(10)
    s = Store(PATH)
    talks = Conversations(s)
    for n in range(2):
        say(talks, "ann", "a%d" % n, turn(n, "x" * 900))
    n = 0
    try:
        for n in range(200):
            s.set("k:%d" % n, "x" * 200)
        raise AssertionError("never full")
    except StoreFull:
        pass
    assert s.count("v:") == 0
    writes = s.writes
    for at in range(5):
        say(talks, "ann", "b%d" % at, turn(at, "x" * 900))
    assert s.writes == writes  # nothing is compacted over and over for it
    again = reopen(disk)
    for at in range(n):
        assert again.store.get("k:%d" % at) == "x" * 200
    ramdisk.unmount()


def test_a_block_gone_bad_ends_a_conversation_there():
    fresh()
    s = Store(PATH)
    talks = Conversations(s)
    for n in range(4):
        say(talks, "ann", "a%d" % n, turn(n))
    with open(PATH, "r+b") as f:
        f.seek(s.row(9)[0] + 12)  # the second turn
        f.write(b"????")
    assert whole(talks, "ann") == (
        "a3",
        4,
        [["u", "2 hello"], ["a", "Hello."], ["u", "3 hello"], ["a", "Hello."]],
    )
    assert whole(talks, "ann")[1] == 2
    ramdisk.unmount()
