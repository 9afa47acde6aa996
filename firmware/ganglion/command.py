"""What a line on the serial port means: a command, or something said to the agent.

`board` is the main program: `agent` and `link` are None in safe mode; `config` and `kit` where
they could not be read. What a command prints are lines of a generator, with a pause behind
each: at 115200 baud a long list takes a while, and rules go on meanwhile.
"""

import asyncio

from . import lazy

_ANSWER_S = 60
_LISTS = ("points", "rules", "schedules", "routines")


async def command(board, text, ask, show):
    """`ask(prompt, hidden)` is the next line typed; `show(text)` prints beside one."""

    async def answer(prompt, hidden=0):
        try:
            return await asyncio.wait_for(ask(prompt, hidden), _ANSWER_S)
        except asyncio.TimeoutError:
            print()

    words = " ".join(text.lower().split())
    if not words:
        pass
    elif words in ("help", "?"):
        print(lazy.load("command_help").TEXT)
        lazy.drop("command_help")
    elif words in ("status", "log", "wifi"):
        await _print("status", lambda module: getattr(module, words)(board))
    elif words in _LISTS:
        await _print("lists", lambda module: module.lines(board, words))
    elif words.startswith("wifi "):
        await _run("wifi", board, text[5:].strip(), answer)
    elif words == "factory reset" or words == "factory reset all":
        await _run("reset", board, words.endswith(" all"), answer)
    elif words == "safe off":
        if board.problem:
            board.safe_off()
        print("This is not safe mode.")
    elif words == "reboot":
        board.reboot()
    elif board.agent is None:
        print("Safe mode: no agent runs. 'safe off' boots normally again; 'help' says what works.")
    else:
        board.agent.say(text, "console", lambda *turn: _show(show, *turn))


async def _print(name, lines):
    name = "command_" + name
    try:
        for line in lines(lazy.load(name)):
            print(line)
            await asyncio.sleep_ms(0)
    finally:
        lazy.drop(name)


async def _run(name, board, what, answer):
    name = "command_" + name
    try:
        await lazy.load(name).run(board, what, answer)
    finally:
        lazy.drop(name)


def _show(show, tid, text, results, err, by):
    out = "%s%s" % (text, "  (%s)" % by if by else "")
    for tool, args, receipt, _, _ in results:
        out += "\n  %s %s -> %s" % (tool, args, receipt)
    show(out)
