# Nothing acts twice: ids, boot, expiry.
from ganglion.inbox import DROP, MAX_SOURCES, REPEAT, RUN, Inbox, good_id

NOW = 1795228800


def cmd(cid, exp=NOW + 30, boot=3):
    return {"id": cid, "boot": boot, "exp": exp}


def test_a_double_gets_the_first_result():
    box = Inbox(3)
    assert box.admit(cmd("a"), NOW) == (RUN, None)
    assert box.admit(cmd("a"), NOW) == (DROP, None)
    box.finish("a", "done", "result")
    assert box.admit(cmd("a"), NOW + 29) == (REPEAT, ("done", "result"))
    assert box.admit(cmd("a"), NOW + 30)[0] == "expired"


def test_other_boot_and_time():
    box = Inbox(3)
    assert box.admit(cmd("a", boot=2), NOW)[0] == "stale_boot"
    assert box.admit(cmd("a", boot=4), NOW)[0] == "stale_boot"
    assert box.admit(cmd("a", exp=NOW), NOW)[0] == "expired"
    assert box.admit(cmd("a", exp=NOW + 301), NOW)[0] == "bad_message"
    assert box.admit(cmd("a"), None)[0] == "no_clock"
    assert box.admit({"id": "a", "boot": True, "exp": NOW + 5}, NOW)[0] == "bad_message"
    assert box.admit({"id": "a", "boot": 3}, NOW)[0] == "bad_message"
    assert box.admit(cmd("a"), NOW) == (RUN, None)


def test_no_live_id_is_ever_forgotten():
    box = Inbox(3)
    for n in range(MAX_SOURCES):
        assert box.admit(cmd("id%d" % n), NOW) == (RUN, None)
        box.finish("id%d" % n, "done", "r%d" % n)
    assert box.admit(cmd("one-more"), NOW)[0] == "busy"
    for n in range(MAX_SOURCES):
        assert box.admit(cmd("id%d" % n), NOW)[0] in (REPEAT, "duplicate")
    # Once they have expired there is room, and they are refused for being late.
    assert box.admit(cmd("one-more", exp=NOW + 60), NOW + 30) == (RUN, None)
    assert box.admit(cmd("id0"), NOW + 30)[0] == "expired"


def test_a_busy_requester_takes_one_entry():
    box = Inbox(3)
    for n in range(5000):
        cid = "src-%x" % n if n < 10 else "src-" + base36(n)
        assert box.admit(cmd(cid), NOW) == (RUN, None), cid
        box.finish(cid, "done", "r")
        assert box.admit(cmd(cid), NOW)[0] == REPEAT
    # However old, none of them comes through again.
    for n in range(5000):
        assert box.admit(cmd("src-" + base36(n)), NOW)[0] in (REPEAT, "duplicate"), n
    assert box.admit(cmd("other-1"), NOW) == (RUN, None)


def test_the_window_takes_what_is_out_of_order_once():
    box = Inbox(3)
    for n in (40, 38, 39, 9, 72, 70):
        assert box.admit(cmd("s-" + base36(n)), NOW) == (RUN, None), n
        box.finish("s-" + base36(n), "done", "r")
        assert box.admit(cmd("s-" + base36(n)), NOW)[0] == REPEAT
    assert box.admit(cmd("s-" + base36(40)), NOW)[0] in (REPEAT, "duplicate")
    assert box.admit(cmd("s-" + base36(8)), NOW)[0] == "duplicate"  # too far below: not risked
    for odd in ("s-", "-1", "s--1", "s-zzzzzzzz", "---"):
        assert box.admit(cmd(odd), NOW) == (RUN, None), odd
        assert box.admit(cmd(odd), NOW) == (DROP, None), odd


def test_nothing_runs_twice_against_a_memory_without_bounds():
    import random

    random.seed(7)
    box = Inbox(3)
    ran = {}
    now = NOW
    again = 0
    for _ in range(6000):
        now += random.getrandbits(3) == 0
        cid = "abcdef"[random.getrandbits(8) % 6] + "-" + base36(random.getrandbits(7))
        # A copy of an earlier message has that one's expiry; a fresh one its own.
        exp = ran.get(cid) or now + 1 + random.getrandbits(5)
        verdict = box.admit(cmd(cid, exp=exp), now)[0]
        if verdict == RUN:
            assert cid not in ran, cid
            ran[cid] = exp
            box.finish(cid, "done", "r")
        elif cid in ran:
            again += 1
    assert len(ran) > 100 and again > 1000, (len(ran), again)


def base36(n):
    out = ""
    while True:
        out = "0123456789abcdefghijklmnopqrstuvwxyz"[n % 36] + out
        n //= 36
        if not n:
            return out


def test_results_are_bounded():
    box = Inbox(3)
    for n in range(20):
        box.admit(cmd("id%d" % n), NOW)
        box.finish("id%d" % n, "done", "x" * 1000)
    assert box._result_bytes <= 1280
    assert box.admit(cmd("id19"), NOW)[0] == REPEAT
    assert box.admit(cmd("id0"), NOW)[0] == "duplicate"


def test_ids():
    for good in ("a", "A-9_", "x" * 16):
        assert good_id(good)
    for bad in ("", "x" * 17, "a b", "ä", 'a"', None, 5):
        assert not good_id(bad)
