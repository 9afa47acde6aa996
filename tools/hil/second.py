"""Another board, whose pin sees what the tested one's does."""

from __future__ import annotations

from tools.hil.line import SerialLine

_READ = "from machine import Pin; print('level:%d' % Pin({pin}, Pin.IN).value())"


class Second:
    """MicroPython at ``port``; whatever program it has is interrupted. ``pin`` is wired to ours."""

    def __init__(self, port: str, pin: int) -> None:
        self._line = SerialLine(port)
        self._pin = pin

    def level(self) -> int:
        """What its pad reads now; takes some tenths of a second."""
        try:
            printed = self._line.tool("mpremote", "exec", _READ.format(pin=self._pin))
        finally:
            self._line.close()
        _, _, level = printed.partition("level:")
        assert level[:1] in ("0", "1"), f"the second board does not say what it reads: {printed}"
        return int(level[0])
