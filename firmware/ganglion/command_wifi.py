"""Console: `wifi <name>` sets another network. A password is never shown."""

import json
import os

_CONFIG = "/config.json"


async def run(board, ssid, answer):
    """`answer(prompt, hidden)` is what is typed, None when nobody does."""
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
