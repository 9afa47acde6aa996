# A fake: for modules that name it; the virtual board has one that joins networks.
STA_IF = 0


class WLAN:
    def __init__(self, interface=STA_IF):
        pass

    def isconnected(self):
        return False
