# get_diagnostics: what flash, link and heap have been through.
import network
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
    receipt, said, _ = t.run("get_diagnostics", {"scope": "wifi"})
    assert receipt == {"wifi": {"up": True, "ip": "10.0.0.7", "rssi": -61}}
    assert said == "Wi-Fi at -61 dBm.", said
    network.up = False
    assert t.run("get_diagnostics", {"scope": "wifi"})[0] == {"wifi": {"up": False}}
    network.up = True
    receipt = t.run("get_diagnostics", {"scope": "memory"})[0]
    assert receipt["err"] == "bad_args", receipt
    assert receipt["msg"] == "scope must be one of store, link, wifi, heap, all", receipt
