# The log on a real LittleFS, with the power cut at every write.
import gc
import os

import ramdisk

from ganglion import store as module
from ganglion.store import MAX_KEYS, Store, StoreFull

PATH = "/ram/store.log"


def fresh(blocks=24):
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
    return Store(PATH)


def test_values_survive_a_remount():
    disk = fresh()
    s = Store(PATH)
    s.set("m:a", "Grüße")
    s.set("p:b", [5, 1])
    s.set("m:a", {"x": None})
    assert s.delete("p:b") and not s.delete("p:b")
    s = reopen(disk)
    assert s.get("m:a") == {"x": None}
    assert s.get("p:b") is None and s.get("p:b", 3) == 3
    assert s.keys("m:") == ["a"] and s.count("p:") == 0
    assert not s.cut
    ramdisk.unmount()


def test_compaction_keeps_what_lives():
    disk = fresh()
    s = Store(PATH)
    s.set("keep", "k" * 100)
    for n in range(400):
        s.set("k%d" % (n % 5), "v%d" % n + "x" * 60)
    assert s.size < 16384
    s = reopen(disk)
    assert s.get("keep") == "k" * 100
    assert [s.get("k%d" % n) for n in range(5)] == ["v%d" % n + "x" * 60 for n in range(395, 400)]
    ramdisk.unmount()


def test_bad_tail_is_cut_at_the_last_good_record():
    for damage in (b"\x00", b"\xff" * 40, b"\x00\x05\x00\x00\x00\x00hello"):
        disk = fresh()
        s = Store(PATH)
        s.set("a", 1)
        s.set("b", 2)
        with open(PATH, "ab") as f:
            f.write(damage)
        s = reopen(disk)
        assert s.cut and (s.get("a"), s.get("b")) == (1, 2)
        s.set("c", 3)
        s = reopen(disk)
        assert not s.cut and (s.get("a"), s.get("b"), s.get("c")) == (1, 2, 3)
        ramdisk.unmount()


def test_full_flash_refuses_the_new_and_keeps_the_old():
    disk = fresh(8)
    s = Store(PATH)
    s.set("old", "o")
    with open("/ram/filler", "wb") as f:
        try:
            for _ in range(100):
                f.write(bytes(1024))
        except OSError:
            pass
    n = 0
    try:
        for n in range(200):
            s.set("k%d" % n, "x" * 200)
        raise AssertionError("never full")
    except StoreFull:
        pass
    assert s.get("old") == "o" and s.get("k%d" % n) is None
    s = reopen(disk)
    assert s.get("old") == "o"
    for i in range(n):
        assert s.get("k%d" % i) == "x" * 200
    os.remove("/ram/filler")
    s.set("new", 1)
    assert reopen(disk).get("new") == 1
    ramdisk.unmount()


def test_a_record_too_long_is_refused():
    disk = fresh()
    s = Store(PATH)
    try:
        s.set("k", "x" * 2000)
        raise AssertionError
    except StoreFull:
        pass
    assert s.get("k") is None
    assert disk
    ramdisk.unmount()


def test_keys_with_the_same_hash_are_told_apart():
    plain = module._hash
    try:
        for weak in (lambda head: 7, lambda head: len(head) & 1):
            module._hash = weak
            disk = fresh()
            s = Store(PATH)
            want = {}
            for n in range(40):
                key = "%s:k%d" % ("pm"[n & 1], n % 9)
                if n % 5 == 4:
                    assert s.delete(key) == (key in want)
                    want.pop(key, None)
                else:
                    s.set(key, n)
                    want[key] = n
                for again in (s, Store(PATH)):
                    assert {k: again.get(k) for k in want} == want
                    assert len(again.keys("")) == len(want)
                    assert again.get("p:none") is None and not again.delete("m:none")
            assert s.keys("p:") == sorted([k[2:] for k in want if k[0] == "p"])
            assert dict(s.items("m:")) == {k[2:]: v for k, v in want.items() if k[0] == "m"}
            s = reopen(disk)
            assert s.count("p:") + s.count("m:") == len(want) and not s.cut
            ramdisk.unmount()
    finally:
        module._hash = plain


def test_odd_keys():
    disk = fresh()
    s = Store(PATH)
    odd = ('m:"', "m:\\", 'm:\\"', "m:a\\\\", "m:ä:€", "m:\n\1", "m:", "", "é", 'm:", "x"]')
    for n in range(len(odd)):
        s.set(odd[n], n)
    s = reopen(disk)
    assert not s.cut
    for n in range(len(odd)):
        assert s.get(odd[n]) == n, odd[n]
        assert list(s.items("m:", s.mark(odd[n])))[:1] == (
            [(odd[n][2:], n)] if odd[n][:2] == "m:" else []
        ), odd[n]
    assert s.keys("") == sorted(odd)
    for key in odd:
        assert s.delete(key)
    assert reopen(disk).keys("") == []
    ramdisk.unmount()


def test_bounds_refuse_the_new_and_let_go():
    disk = fresh(128)
    s = Store(PATH)
    for n in range(MAX_KEYS):
        s.set("k:%d" % n, n)
    for again in (s, reopen(disk)):
        try:
            again.set("k:more", 1)
            raise AssertionError("no bound")
        except StoreFull as e:
            assert str(MAX_KEYS) in e.args[0]
    again.set("k:7", "new")  # what is there may change
    assert again.delete("k:8")
    again.set("k:8", 8)
    # Bytes: what is full takes no more, and lets go of what is there.
    n = 0
    try:
        for n in range(100, MAX_KEYS):
            again.set("k:%d" % n, "x" * 1000)
    except StoreFull as e:
        assert "bytes" in e.args[0]
    assert 185 < n < 200 and again.get("k:%d" % n) != "x" * 1000, n
    s = reopen(disk)
    assert s.count("k:") == MAX_KEYS and s.get("k:100") == "x" * 1000
    assert s.get("k:7") == "new"
    for n in range(MAX_KEYS):
        s.delete("k:%d" % n)
    s.set("k:1", "y" * 1000)
    assert s.size < 8192 + 1024  # compacted from 8192 on, and one more record
    s = reopen(disk)
    assert s.keys("k:") == ["1"] and s.get("k:1") == "y" * 1000
    ramdisk.unmount()


def test_a_block_gone_bad_takes_only_its_own_record():
    disk = fresh()
    s = Store(PATH)
    for n in range(5):
        s.set("k:%d" % n, n)
    with open(PATH, "r+b") as f:
        f.seek(s.row(18)[0] + 10)
        f.write(b"?")
    assert s.get("k:2", "gone") == "gone"
    for _ in range(400):  # compactions
        s.set("k:9", "x" * 80)
    assert s.keys("k:") == ["0", "1", "3", "4", "9"]
    s = reopen(disk)
    assert not s.cut and s.keys("k:") == ["0", "1", "3", "4", "9"]
    ramdisk.unmount()


def test_a_log_that_cannot_be_read_is_not_written_over():
    fresh()
    s = Store(PATH)
    s.set("k:a", 1)
    s.path = "/ram"  # a folder
    s._log("load")
    assert s.unread
    for _ in range(2):
        try:
            s.set("k:a", 2)
            raise AssertionError("written")
        except StoreFull as e:
            assert "cannot be read" in e.args[0]
    s.path = PATH
    s.set("k:b", 2)
    assert (s.get("k:a"), s.get("k:b")) == (1, 2)
    ramdisk.unmount()


def test_a_key_costs_a_row_of_nine_bytes():
    fresh(64)
    s = Store(PATH)
    gc.collect()
    before = gc.mem_alloc()
    for n in range(240):
        s.set("%s:name number %d" % ("pmsrtg"[n % 6], n), {"a": n, "t": "x" * 60})
    gc.collect()
    assert gc.mem_alloc() - before < 240 * 9 + 700, gc.mem_alloc() - before
    ramdisk.unmount()


def work(s, done):
    # Values grow and repeat, so that compactions happen, too.
    for n in range(40):
        key = "k%d" % (n % 4)
        if n % 7 == 6:
            s.delete(key)
            done.pop(key, None)
        else:
            value = "%d" % n + "y" * 300
            s.set(key, value)
            done[key] = value


def test_power_cut_at_every_write_loses_nothing_acknowledged():
    disk = fresh(16)
    clean = bytes(disk.data)
    start = disk.writes
    work(Store(PATH), {})
    total = disk.writes - start
    ramdisk.unmount()
    assert total > 100, total
    for cut in range(1, total + 1):
        disk = ramdisk.Disk(16, clean)
        ramdisk.mount(disk, False)
        done = {}
        disk.writes = 0
        disk.cut_at = cut
        try:
            work(Store(PATH), done)
            raise AssertionError("no cut at %d" % cut)
        except (OSError, StoreFull):
            pass
        before = dict(done)
        try:
            ramdisk.unmount()
        except OSError:
            pass
        disk = ramdisk.Disk(16, disk.power_off())
        ramdisk.mount(disk, False)
        s = Store(PATH)
        # All that was acknowledged is there. The one operation that the cut hit may be there or
        # not, whole.
        different = [k for k in ("k0", "k1", "k2", "k3") if s.get(k) != before.get(k)]
        assert len(different) <= 1, (cut, different)
        for k in different:
            value = s.get(k)
            assert value is None or value.endswith("y" * 300), (cut, value)
        s.set("after", cut)
        assert s.get("after") == cut
        ramdisk.unmount()
