# A fake: a station that a test sets.
STA_IF = 0
up = True


class WLAN:
    def __init__(self, interface=STA_IF):
        pass

    def isconnected(self):
        return up

    def ifconfig(self):
        return ("10.0.0.7", "255.255.255.0", "10.0.0.1", "10.0.0.1")

    def status(self, what=None):
        return -61
