"""The serial line: chat and recovery commands. Works with a plain terminal at 115200 baud."""

import asyncio
import sys

HELP = "Say what you want, or: status, points, safe off, reboot, help"


async def lines():
    """Lines from the serial port, for ever."""
    stream = asyncio.StreamReader(sys.stdin)
    while True:
        line = await stream.readline()
        if not line:  # nobody at the other end
            await asyncio.sleep(1)
            continue
        try:
            text = line.decode().strip()
        except UnicodeError:
            print("That was not UTF-8.")
            continue
        if text:
            return text


class Console:
    def __init__(self, board):
        """`board` is the main program: `status()`, `points()`, `safe_off()`, `reboot()`,
        `agent` (None in safe mode)."""
        self._board = board

    async def run(self):
        print("ganglion: " + HELP)
        while True:
            text = await lines()
            try:
                self.command(text)
            except Exception as e:
                sys.print_exception(e)

    def command(self, text):
        board = self._board
        word = text.lower()
        if word == "help":
            print(HELP)
        elif word == "status":
            print(board.status())
        elif word == "points":
            print(board.points())
        elif word == "safe off":
            board.safe_off()
        elif word == "reboot":
            board.reboot()
        elif board.agent is None:
            print("Safe mode: no agent runs. 'safe off' boots normally again. " + HELP)
        else:
            board.agent.say(text, "console", self._show)

    def _show(self, tid, text, results, err, by):
        print("%s%s" % (text, "  (%s)" % by if by else ""))
        for tool, args, receipt, _, _ in results:
            print("  %s %s -> %s" % (tool, args, receipt))
