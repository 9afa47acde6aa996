"""Keeps the Wi-Fi station connected, apart from MQTT."""

import asyncio

import network

# ESP32 status codes; any other failure is shown by its number.
_WHY = {201: "no access point of that name", 202: "wrong password", 210: "the network is open"}
_JOIN_MS = 15000
_STEP_MS = 100


class Wifi:
    def __init__(self, ssid, password):
        self._ssid = ssid
        self._password = password
        self._wlan = network.WLAN(network.STA_IF)
        self.problem = ""

    def connected(self):
        return self._wlan.isconnected()

    async def join(self):
        """One try, 15 s at most. True when there is an address; else `problem` says why."""
        wlan = self._wlan
        if wlan.isconnected():
            return True
        wlan.active(True)
        try:
            # A password given to an open network fails with 210, so none is given then.
            if self._password:
                wlan.connect(self._ssid, self._password)
            else:
                wlan.connect(self._ssid)
        except OSError as e:
            # The driver may still be busy with the last try.
            self.problem = "Wi-Fi driver: %s" % e
            return False
        for _ in range(_JOIN_MS // _STEP_MS):
            if wlan.isconnected():
                self.problem = ""
                return True
            await asyncio.sleep_ms(_STEP_MS)
        # The status keeps the last failure until a new event, so it is read only after a full try.
        status = wlan.status()
        self.problem = "Wi-Fi %s: %s" % (self._ssid, _WHY.get(status, "status %s" % status))
        wlan.disconnect()
        return False
