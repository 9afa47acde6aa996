# Every example of docs/routines.md is checked, tried out, approved and run, 1000 times as fast.
import asyncio
import json
import sys

import machine
import routine_rig as rr

FINAL = {
    # name: levels at the end, what was told
    "movie night": ({5: 0, 13: 1}, []),
    "air the bath": ({14: 0}, []),
    "blink": ({13: 0}, []),
    "night check": ({}, ["Something is open: door on, window off."]),
    "porch": ({16: 0}, []),
    "water": ({17: 0, 18: 0}, []),
    "blind": ({19: 0, 21: 0}, []),
    "count motion": ({}, ["Motion in 60 of 60 seconds."]),
    "morning word": ({}, ["Good morning! Nothing is noted for today."]),
    "signal": ({13: 0}, []),
    "evening word": ({}, ["Good evening!"]),
}


def examples():
    with open(sys.argv[2] + "/../docs/routines.md") as f:
        text = f.read()
    out = []
    for part in text.split("## Eleven examples")[1].split("```json")[1:]:
        out.append(json.loads(part.split("```")[0]))
    return out


def faster(program):
    """The same program with waits a thousandth as long."""
    text = json.dumps(program)
    program = json.loads(text)

    def walk(steps):
        for step in steps:
            if "wait" in step:
                step["wait"] = [step["wait"], "/", 1000]
            for word in ("then", "else", "do", "offline"):
                walk(step.get(word, []))

    walk(program["do"])
    walk(program.get("finally", []))
    return program


def test_eleven_examples():
    programs = examples()
    assert sorted([p["name"] for p in programs]) == sorted(FINAL), len(programs)

    async def story():
        for program in programs:
            t = rr.tools()
            machine.held[34] = 1 if program["name"] == "night check" else 0
            machine.held[39] = 1 if program["name"] == "count motion" else 0
            r = rr.call(t, "routine_define", program=program)
            assert "err" not in r, r
            levels, told = FINAL[program["name"]]
            names = {pin: name for name, pin, _ in rr.POINTS}
            for pin, level in levels.items():
                assert r["ends"][names[pin]] == level, (program["name"], r)
            rr.define(t, faster(program))
            r = rr.call(t, "routine_run", name=program["name"])
            assert "err" not in r, r
            await rr.until(lambda t=t: not t.kit.routines.running())
            for pin, level in levels.items():
                assert machine.latch[pin] == level, (program["name"], pin)
            events = t.kit.agent.seen
            assert [e["text"] for e in events if e["kind"] == "notify"] == told, events
            assert not [e for e in events if e["kind"] == "routine"], events
            await asyncio.sleep_ms(0)

    rr.play(story)


def test_movie_night_tells_what_it_leaves_on():
    by_name = {p["name"]: p for p in examples()}
    t = rr.tools()
    assert rr.define(t, by_name["movie night"])["left_on"] == ["hall light"]
    r = rr.define(t, by_name["blink"])
    assert (r["left_on"], r["on_if_cut"]) == ([], ["hall light"]), r
    for name in ("air the bath", "porch", "water", "blind"):
        r = rr.define(t, by_name[name])
        assert (r["left_on"], r["on_if_cut"]) == ([], []), r
    assert rr.define(t, by_name["night check"])["stored"]
