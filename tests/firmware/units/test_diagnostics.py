# get_diagnostics: what flash, link and heap have been through.
import rig


def test_diagnostics():
    a, _ = rig.agent()
    t = a.tools
    t.kit.agent = a
    up = {"up": 600}
    t.kit.health = lambda: up
    t.run("memory_set", {"key": "a", "value": "b"})
    t.run("memory_set", {"key": "a", "value": "c"})
    receipt, said, acted = t.run("get_diagnostics", {})
    store = receipt["store"]
    assert store["keys"] == 1 and store["writes"] == 2 and 0 < store["live"] < store["bytes"]
    assert store["writes_a_day"] is None and not acted and not store["cut"]
    assert receipt["link"] == {"up": True, "sessions": 1, "problem": "away"}, receipt
    assert receipt["heap"]["free"] > 0
    assert said.startswith("2 flash writes since boot, 1 sessions"), said
    up["up"] = 43200
    receipt, said, _ = t.run("get_diagnostics", {"scope": "store"})
    assert list(receipt) == ["store"] and receipt["store"]["writes_a_day"] == 4
    assert "4 a day" in said
    assert list(t.run("get_diagnostics", {"scope": "heap"})[0]) == ["heap"]
    assert t.run("get_diagnostics", {"scope": "x"})[0]["err"] == "bad_args"
