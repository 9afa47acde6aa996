# The log on a real LittleFS, with the power cut at every write.
import ramdisk

from ganglion.store import Store, StoreFull

PATH = "/ram/store.log"


def fresh(blocks=24):
    disk = ramdisk.Disk(blocks)
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
    assert s._size < 16384
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
    import os

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
        # A new disk of the same bytes: the dead file system's open files must not reach it.
        disk = ramdisk.Disk(16, disk.data)
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
