# Wi-Fi's settings and the factory reset, with the power cut at every flash write.
import asyncio
import json
import os

import ramdisk

from ganglion import command_reset, command_wifi
from ganglion.store import Store

CONFIG = "/ram/config.json"
STORE = "/ram/store.log"
OLD = {"device": "d", "secret": "s", "wifi": {"ssid": "old", "password": "old-password"}}
NEW = {"ssid": "new", "password": "new-password"}


def fresh():
    disk = ramdisk.Disk(24)
    try:
        ramdisk.unmount()
    except OSError:
        pass
    ramdisk.mount(disk, True)
    with open(CONFIG, "w") as f:
        json.dump(OLD, f)
    Store(STORE).set("m:a", "b")
    with open("/ram/boot", "w") as f:
        f.write("41")
    return disk


def after(disk):
    """The same flash, once the power is back."""
    try:
        ramdisk.unmount()
    except OSError:
        pass
    ramdisk.mount(ramdisk.Disk(data=disk.power_off()), False)


def there(path):
    try:
        os.stat(path)
        return True
    except OSError:
        return False


def config():
    with open(CONFIG) as f:
        return json.load(f)


def at_each_write(act, check):
    cut = 0
    for n in range(1, 40):
        disk = fresh()
        disk.writes = 0
        disk.cut_at = n
        done = True
        try:
            act()
        except OSError:
            done = False
        died = disk.dead
        after(disk)
        check(done and not died)
        if not died:
            assert done and cut
            return
        cut += 1
    raise AssertionError("it never got through")


def test_wifi_is_the_old_or_the_new_one():
    def check(done):
        found = config()
        assert found["wifi"] == NEW if done else found["wifi"] in (OLD["wifi"], NEW)
        assert found["device"] == "d" and found["secret"] == "s"

    at_each_write(lambda: command_wifi.save(NEW, CONFIG), check)


def test_no_wifi_without_the_rest():
    fresh()
    os.remove(CONFIG)
    try:
        command_wifi.save(NEW, CONFIG)
        raise AssertionError
    except ValueError:
        assert not there(CONFIG)


def test_a_factory_reset_keeps_who_the_board_is():
    def check(done):
        assert config() == OLD
        store = Store(STORE)
        assert store.get("m:a") == (None if done else store.get("m:a")) and not store.cut
        with open("/ram/boot") as f:
            assert f.read() == "41"

    at_each_write(lambda: command_reset.wipe(False, STORE, CONFIG), check)


def test_a_whole_one_takes_that_last():
    def check(done):
        store = Store(STORE)
        if not there(CONFIG):
            assert store.get("m:a") is None
        assert not (done and there(CONFIG))
        assert there("/ram/boot")

    at_each_write(lambda: command_reset.wipe(True, STORE, CONFIG), check)
    command_reset.wipe(True, STORE, CONFIG)  # nothing is there any more: that is well


class Link:
    connected = True
    problem = ""
    joins = 0

    def join(self):
        self.joins += 1


class Board:
    problem = ""
    kit = None

    def __init__(self):
        self.config = dict(OLD)
        self.link = Link()


def typed(module, what, *answers):
    """`(board, what was printed, prompts)`; `answers` are what a person types."""
    board = Board()
    shown = []
    asked = []
    answers = list(answers)

    async def answer(prompt, hidden=0):
        asked.append((prompt, hidden))
        return answers.pop(0)

    module.print = lambda *words: shown.append(" ".join([str(w) for w in words]))
    asyncio.run(module.run(board, what, answer))
    assert not answers
    return board, "\n".join(shown), asked


def wifi(ssid, *answers):
    saved = []
    plain = command_wifi.save
    command_wifi.save = saved.append
    try:
        board, shown, asked = typed(command_wifi, ssid, *answers)
    finally:
        command_wifi.save = plain
    return board, shown, asked, saved


def test_a_password_is_asked_for_and_never_shown():
    board, shown, asked, saved = wifi("My net", "new-password")
    assert asked == [("Password of My net (not shown; Enter if it has none): ", 1)]
    assert saved == [{"ssid": "My net", "password": "new-password"}]
    assert board.config["wifi"] == saved[0] and board.link.joins == 1
    assert "joining My net" in shown and "password" not in shown


def test_what_is_no_network_changes_nothing():
    for ssid, answers, why in (
        ("x" * 33, (), "32 bytes"),
        ("net", (None,), "Nothing was changed"),
        ("net", ("short",), "8 to 63"),
        ("net", ("x" * 65,), "8 to 63"),
        ("net", ("", "no"), "Nothing was changed"),
        ("net", ("", None), "Nothing was changed"),
    ):
        board, shown, _, saved = wifi(ssid, *answers)
        assert why.lower() in shown.lower(), shown
        assert not saved and not board.link.joins and board.config == OLD
    assert wifi("net", "", "yes")[3] == [{"ssid": "net", "password": ""}]


def test_a_full_flash_is_said():
    def full(wifi):
        raise OSError(28)

    plain = command_wifi.save
    command_wifi.save = full
    try:
        board, shown, _ = typed(command_wifi, "net", "new-password")
    finally:
        command_wifi.save = plain
    assert "nothing was changed" in shown and board.config == OLD and not board.link.joins


def test_a_factory_reset_needs_both_words():
    wiped = []
    plain = command_reset.wipe
    command_reset.wipe = wiped.append
    try:
        for answers in ((None,), ("y",), ("yes", None), ("yes", "yes"), ("yes", "Erase it")):
            _, shown, _ = typed(command_reset, False, *answers)
            assert shown.endswith("Nothing was erased.") and not wiped, shown
    finally:
        command_reset.wipe = plain
