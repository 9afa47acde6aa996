"""Console: `wifi` shows the network, `wifi <name>` sets another. A password is never shown."""

import json
import os

import network

_CONFIG = "/config.json"


def state(wlan, config):
    """One line: the network that is set, and what has become of it."""
    ssid = (config.get("wifi") or {}).get("ssid")
    if not ssid:
        return "Wi-Fi: no network is set; 'wifi <name>' sets one"
    if not wlan.isconnected():
        return "Wi-Fi %s: not connected" % ssid
    return "Wi-Fi %s: connected, %s, %s dBm" % (ssid, wlan.ifconfig()[0], wlan.status("rssi"))


async def run(board, ssid, answer):
    """`answer(prompt, hidden)` is what is typed, None when nobody does."""
    if not ssid:
        print(state(network.WLAN(network.STA_IF), board.config or {}))
        if board.link and not board.link.connected:
            print("link " + board.link.problem)
        return
    if len(ssid.encode()) > 32:
        print("The name of a network has 32 bytes at most; nothing was changed.")
        return
    password = await answer("Password of %s (not shown; Enter if it has none): " % ssid, 1)
    if password is None:
        print("Nothing was changed.")
        return
    if password == "" and await answer("An open network? yes or no: ") != "yes":
        print("Nothing was changed.")
        return
    if password and not 8 <= len(password.encode()) <= 64:
        print("A password has 8 to 63 bytes; nothing was changed.")
        return
    wifi = {"ssid": ssid, "password": password}
    try:
        save(wifi)
    except ValueError:
        print("%s is not there, or damaged: this board must be provisioned first." % _CONFIG)
        return
    except OSError as e:
        print("Flash took no write (%s); nothing was changed." % e)
        return
    if board.link:
        board.config["wifi"] = wifi  # the link's, too
        board.link.join()
        print("Saved; joining %s. 'wifi' says how it goes." % ssid)
    else:
        print("Saved; 'safe off' starts with it.")


def save(wifi, path=_CONFIG):
    """Aside, then renamed: where the power fails, the old configuration stands. Raises OSError,
    and ValueError where there is none to put it in."""
    try:
        with open(path) as f:
            config = json.load(f)
    except OSError:
        raise ValueError from None
    config["wifi"] = wifi
    aside = path + ".new"
    try:
        with open(aside, "w") as f:
            json.dump(config, f)
        os.rename(aside, path)
    except OSError:
        try:
            os.remove(aside)
        except OSError:
            pass
        raise
