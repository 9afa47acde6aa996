# Points: names on flash, four bytes of each in RAM; what `up/state` is made of.
import gc
import json

import rig


def call(t, tool, args):
    return t.run(tool, args)[0]


def test_points_have_units_and_groups():
    t = rig.tools()
    args = {"name": "Garden", "pin": 34, "unit": "°C", "scale": 0.5, "group": "Outside  Things"}
    r = call(t, "point_set", args)
    assert (r["unit"], r["group"], r["dir"]) == ("°C", "outside things", "in"), r
    assert t.kit.points.get("garden") == (34, False)
    # Said again for the same pin, the rest stays; for another pin it goes.
    assert call(t, "point_set", {"name": "garden", "pin": 34, "offset": -4})["unit"] == "°C"
    more = t.kit.points.more("garden")
    assert more == {"unit": "°C", "scale": 0.5, "offset": -4, "group": "outside things"}, more
    call(t, "point_set", {"name": "lamp", "pin": 5})
    r = call(t, "point_list", {})
    garden = dict(more)
    garden.update({"pin": 34, "dir": "in"})
    assert r == {"points": {"lamp": {"pin": 5, "dir": "out"}, "garden": garden}}, r
    assert list(call(t, "point_list", {"group": "Outside things"})["points"]) == ["garden"]
    said = t.run("point_list", {"group": "attic"})[1]
    assert said == "no points are named in attic; there are outside things.", said
    assert "group" not in call(t, "point_set", {"name": "garden", "pin": 35})
    assert t.kit.points.name_of(35) == "garden" and t.kit.points.name_of(34) is None
    for name, value in (("unit", "x" * 9), ("scale", "1"), ("group", ""), ("offset", 1e9)):
        bad = {"name": "a", "pin": 5}
        bad[name] = value
        assert call(t, "point_set", bad)["err"] == "bad_args", name


def test_64_points_cost_little():
    t = rig.tools()
    points = t.kit.points
    points.set("lamp 0", 5, True)
    points.look(t.kit.guard)
    "".join(points.chunks())
    gc.collect()
    before = gc.mem_alloc()
    for n in range(63):
        points.set("the lamp of room no %d" % n, (5, 13, 14)[n % 3], True, {"group": "lamps"})
    gc.collect()
    # 4 bytes here, and a row of 9 bytes in the store.
    assert gc.mem_alloc() - before < 1200, gc.mem_alloc() - before
    assert points.full("one more") and not points.full("lamp 0")
    points.look(t.kit.guard)
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    changed = points.look(t.kit.guard)
    used = gc.mem_alloc() - before
    gc.enable()
    assert not changed and used == 0, used
    t.kit.guard.write(13, 1)
    assert points.look(t.kit.guard) and not points.look(t.kit.guard)
    state = json.loads("".join(points.chunks()))
    assert len(state["points"]) == 64 and "more" not in state
    assert state["points"]["the lamp of room no 1"] == {"pin": 13, "dir": "out", "level": 1}


def test_state_is_bounded():
    t = rig.tools()
    points = t.kit.points
    for n in range(64):
        points.set("\1" * 16 + str(n), 5, True)
    text = "".join(points.chunks())
    assert 3900 < len(text.encode()) <= 4096, len(text)
    state = json.loads(text)
    assert state["more"] and len(state["points"]) + state["more"] == 64
    for name in points.names():
        points.delete(name)
    # A name from another board's file.
    points.set("ä", 40, True)
    points.look(t.kit.guard)
    state = json.loads("".join(points.chunks()))
    assert state["points"] == {"ä": {"pin": 40, "dir": "out", "level": None}}, state


def test_64_names_of_the_longest_fit():
    t = rig.tools()
    points = t.kit.points
    for n in range(64):
        points.set("the lamp of room no   %d" % n, 33, True)
    state = json.loads("".join(points.chunks()))
    assert len(state["points"]) == 64
