# Nothing acts twice: ids, boot, expiry.
from ganglion.inbox import DROP, MAX_IDS, REPEAT, RUN, Inbox, good_id

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
    for n in range(MAX_IDS):
        assert box.admit(cmd("id%d" % n), NOW) == (RUN, None)
        box.finish("id%d" % n, "done", "r%d" % n)
    assert box.admit(cmd("one-more"), NOW)[0] == "busy"
    for n in range(MAX_IDS):
        assert box.admit(cmd("id%d" % n), NOW)[0] in (REPEAT, "duplicate")
    # Once they have expired there is room, and they are refused for being late.
    assert box.admit(cmd("one-more", exp=NOW + 60), NOW + 30) == (RUN, None)
    assert box.admit(cmd("id0"), NOW + 30)[0] == "expired"


def test_results_are_bounded():
    box = Inbox(3)
    for n in range(20):
        box.admit(cmd("id%d" % n), NOW)
        box.finish("id%d" % n, "done", "x" * 1000)
    assert box._result_bytes <= 3072
    assert box.admit(cmd("id19"), NOW)[0] == REPEAT
    assert box.admit(cmd("id0"), NOW)[0] == "duplicate"


def test_ids():
    for good in ("a", "A-9_", "x" * 16):
        assert good_id(good)
    for bad in ("", "x" * 17, "a b", "ä", 'a"', None, 5):
        assert not good_id(bad)
