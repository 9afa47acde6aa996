# Programs in, a line of JSON each; out: the check's error, or what runs with chance readings,
# failures and cuts came to. Driven by tests/firmware/test_routine_properties.py.
import json
import random
import sys

sys.path.insert(0, sys.argv[1])
sys.path.insert(0, sys.argv[2])
sys.path.insert(0, sys.argv[2] + "/fakes")

import routine_rig as rr

from ganglion import job, routine

PAIR = 1 << 19 | 1 << 21


def run(kit, program, result, seed):
    """One run; raises AssertionError when it is not what the check said."""
    random.seed(seed)
    cut_after = random.getrandbits(5) if seed % 3 == 2 else None
    row = routine.record(program, result)
    args = {}
    for name, param in program.get("params", {}).items():
        low, high = param.get("min", 0), param.get("max", 1)
        args[name] = random.choice((low, high, param["default"]))
    state = {"on": 0, "cost": 0}

    def act(tool, args):
        state["cost"] += 500
        if tool == "gpio_read":
            return {"level": random.getrandbits(1)}, "", False
        assert tool == "gpio_write", tool
        bit = 1 << kit.resolve(args["pin"])[0]
        value = args["value"]
        if value not in (0, 1, "toggle") or type(value) is bool:
            return {"err": "bad_args", "msg": "value"}, "", False
        dice = random.getrandbits(4)
        if j.phase == job.DO and dice == 0:
            return {"err": "refused", "msg": "no"}, "", False
        if value == "toggle":
            value = 0 if state["on"] & bit else 1
        state["on"] = state["on"] | bit if value else state["on"] & ~bit
        assert state["on"] & PAIR != PAIR, "an interlock pair is on"
        if dice == 1:
            return {"err": "mismatch", "msg": "no", "level": 0}, "", False
        return {"level": value}, "", True

    def read(ref):
        return random.getrandbits(1)

    def tell(text):
        assert len(text.encode()) <= 200
        state["cost"] += 500
        state["told"] = state.get("told", 0) + 1
        assert state["told"] <= 20, "too many notifies"

    def ask(text, ms):
        state["cost"] += 500
        state["asked"] = state.get("asked", 0) + 1
        assert state["asked"] <= result.get("asks", 0), "too many questions"
        dice = random.getrandbits(2)
        while ms > 0 and dice != 1:
            yield min(ms, 700)
            ms -= 700
            if dice > 1:
                break
        return "words" if dice > 1 else None

    j = job.Job(row, args, act, read, tell, ask)
    limit = j._left
    steps = 0
    waited = 0

    def drive(gen, stop):
        nonlocal waited
        n = 0
        for ms in gen:
            assert 0 <= ms <= 86400000
            waited += ms
            n += 1
            assert n < 5000
            if n == stop and j.phase == job.DO:
                return True
        return False

    was_cut = drive(j.go(), cut_after)
    if was_cut:
        steps = limit - j._left
        drive(j.last(), None)
    if j.failed:
        assert len(j.failed) == 2 and j.failed[0] and j.failed[1], j.failed
        assert j.failed[0] != "internal", j.failed
    assert steps <= result["steps"] and waited + state["cost"] <= result["ms"], (waited, state)
    allowed = 0
    for name in result["left_on"] + (result["on_if_cut"] if was_cut or j.failed else []):
        allowed |= 1 << kit.resolve(name)[0]
    assert not state["on"] & ~allowed, ("left on", state["on"], was_cut, j.failed)


def judge(kit, program, seeds):
    try:
        result = routine.check(program, kit)
    except routine.RoutineError as e:
        return {"path": e.args[0], "what": e.args[1]}
    try:
        for seed in seeds:
            run(kit, program, result, seed)
    except Exception as e:
        sys.print_exception(e, sys.stderr)
        return {"wrong": repr(e), "seed": seed}
    return {"steps": result["steps"]}


def main():
    t = rr.tools()
    for pin in (19, 21):
        row = [0] * 10
        row[0], row[2] = pin, 77
        t.kit.guard.limits.extend(type(t.kit.guard.limits)("I", row))
    while True:
        line = sys.stdin.readline()
        if not line:
            return
        program, seeds = json.loads(line)
        try:
            print(json.dumps(judge(t.kit, program, seeds)))
        except Exception as e:
            sys.print_exception(e, sys.stderr)
            print(json.dumps({"wrong": "the check raised " + repr(e)}))


main()
