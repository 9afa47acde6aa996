# Which facts a companion is told, and by what name it knows them.
import json

import rig

from ganglion import asking, facts

BUDGET = 1536


class Asked:
    """The part of an ask that is about facts."""

    def __init__(self, t):
        self.store = t.kit.store

    def token(self, text):
        return facts.choose(self.store, text)[0]

    def told(self, text):
        """The facts as the wire has them, in their order."""
        places = facts.choose(self.store, text)[1]
        part = asking.facts_part(self.store, places)
        said = "".join(part())
        assert len(said.encode()) <= BUDGET + 16, len(said)
        return json.loads("{" + said[1:] + "}")["facts"]


def fresh():
    t = rig.tools()
    return t, Asked(t)


def remember(t, key, value, **more):
    args = {"key": key, "value": value}
    args.update(more)
    receipt = t.run("memory_set", args)[0]
    assert "err" not in receipt, receipt
    return receipt


def fill(t, n=20):
    for i in range(n):
        remember(t, "filler %d" % i, "%d" % i + "." * 150)


def test_all_that_fit_are_told_whatever_was_said():
    t, ask = fresh()
    assert ask.token("hello") is None
    remember(t, "plants", "they like mornings")
    remember(t, "wifi", 'called "Grüße"')
    want = {"plants": "they like mornings", "wifi": 'called "Grüße"'}
    assert ask.told("hello") == ask.told("water the plants") == want
    assert ask.token("hello") == ask.token("water the plants")


def test_the_token_names_what_they_say():
    t, ask = fresh()
    remember(t, "a", "one")
    first = ask.token("")
    t.kit.store.set("p:other", [1, 1])
    assert ask.token("") == first  # a point is no fact
    remember(t, "a", "two")
    second = ask.token("")
    remember(t, "a", "one")
    assert ask.token("") == first and second != first
    # Texts that change places are other facts.
    remember(t, "b", "two")
    both = ask.token("")
    remember(t, "a", "two")
    remember(t, "b", "one")
    assert ask.token("") != both
    t.run("memory_delete", {"key": "b"})
    t.run("memory_delete", {"key": "a"})
    assert ask.token("") is None
    # It outlives a reboot and a compaction: a companion need not be told again.
    remember(t, "a", "one")
    remember(t, "c", "three")
    named = ask.token("")
    for n in range(300):
        t.kit.store.set("k:%d" % (n & 3), "x" * 100)
    again = type(t.kit.store)("/ram/store.log")
    assert ask.token("") == facts.choose(again, "")[0] == named


def test_pinned_then_likeness_then_age():
    t, ask = fresh()
    remember(t, "name", "the owner is called Ann", pinned=True)
    remember(t, "greenhouse", "its plants like mornings" + "." * 130)
    remember(t, "car", "parked in the street" + "." * 160)
    fill(t)
    told = ask.told("please water the plants in the greenhouse")
    assert list(sorted(told))[-2:] == ["greenhouse", "name"] and "car" not in told, told
    # The rest is filled with what was written last.
    assert "filler 19" in told and "filler 0" not in told
    assert "greenhouse" not in ask.told("where is my car") and "car" in ask.told("where is my car")
    told = ask.told("hello")
    assert "name" in told and "filler 19" in told and "car" not in told
    # What is written anew is young again.
    remember(t, "car", "sold")
    assert "car" in ask.told("hello") and ask.told("hello")["car"] == "sold"
    assert ask.token("hello") != ask.token("and the greenhouse?")
    # Two that say the same choose the same.
    assert ask.token("water the plants") == ask.token("what do plants need")


def test_words_are_whole_beginnings_in_any_case():
    t, ask = fresh()
    remember(t, "Plant", "fern")
    remember(t, "eplants", "nothing")
    remember(t, "tür", "Die Haustür klemmt, Öl hilft")
    remember(t, "日本", "お茶 が 好き です")
    fill(t)
    assert "Plant" in ask.told("WATER THE PLANTS!") and "eplants" not in ask.told("plants")
    assert "tür" in ask.told("was ist mit der Haustür?")
    assert "tür" in ask.told("wo ist das Öl")
    assert "日本" in ask.told("好き なのは?")
    assert "tür" not in ask.told("the and you what") and "tür" not in ask.told("e i o u")


def test_the_budget_holds_with_every_table_full():
    t, ask = fresh()
    for n in range(64):
        remember(t, "fact number %02d" % n, '"\\' * 20 + "ä" * 40 + str(n), pinned=n % 2 == 0)
    for text in ("", "fact", "x" * 1024, "number 63 " * 100, "ä" * 512):
        told = ask.told(text)
        assert 5 < len(told) < 20
    # More is pinned than there is room for: the youngest of these.
    assert sorted(ask.told(""))[-1] == "fact number 62"
    assert not [k for k in ask.told("") if int(k[-2:]) % 2]


def test_pins_stay_until_taken_off():
    t, _ = fresh()
    assert remember(t, "name", "Ann", pinned=True) == {
        "key": "name",
        "value": "Ann",
        "pinned": True,
    }
    assert remember(t, "name", "Bea")["pinned"]
    assert t.run("memory_get", {"key": "name"})[:2] == (
        {"key": "name", "value": "Bea", "pinned": True},
        "Bea.",
    )
    assert t.run("memory_list", {})[0]["facts"] == {"name": "Bea"}
    assert "pinned" not in remember(t, "name", "Eve", pinned=False)
    assert "pinned" not in remember(t, "name", "Ida")
    assert t.run("memory_set", {"key": "a", "value": "b", "pinned": 1})[0]["err"] == "bad_args"
