"""Joins the Wi-Fi network, apart from MQTT."""

import asyncio

from micropython import const

# ESP32 status codes; any other failure is shown by its number.
_WHY = {201: "no access point of that name", 202: "wrong password", 210: "the network is open"}
_JOIN_MS = const(15000)
_STEP_MS = const(100)


async def join(wlan, ssid, password):
    """One try, 15 s at most. Returns "" when there is an address, else why there is none."""
    if wlan.isconnected():
        return ""
    wlan.active(True)
    try:
        # A password given to an open network fails with 210, so none is given then.
        if password:
            wlan.connect(ssid, password)
        else:
            wlan.connect(ssid)
    except OSError as e:
        # The driver may still be busy with the last try.
        return "Wi-Fi driver: %s" % e
    for _ in range(_JOIN_MS // _STEP_MS):
        if wlan.isconnected():
            return ""
        await asyncio.sleep_ms(_STEP_MS)
    # The status keeps the last failure until a new event, so it is read only after a full try.
    status = wlan.status()
    wlan.disconnect()
    return "Wi-Fi %s: %s" % (ssid, _WHY.get(status, "status %s" % status))
