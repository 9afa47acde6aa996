"""What a line on the serial port means: a command, or something said to the agent."""


def command(board, line):
    """`board` is the main program: `status()`, `points()`, `safe_off()`, `reboot()`, and `agent`,
    None in safe mode."""
    try:
        text = line.decode().strip()
    except UnicodeError:
        print("That was not UTF-8.")
        return
    word = text.lower()
    if word == "help":
        print("Say what you want, or: status, points, safe off, reboot, help")
    elif word == "status":
        print(board.status())
    elif word == "points":
        print(board.points())
    elif word == "safe off":
        board.safe_off()
    elif word == "reboot":
        board.reboot()
    elif text and board.agent is None:
        print("Safe mode: no agent runs. 'safe off' boots normally again; there is 'status', too.")
    elif text:
        board.agent.say(text, "console", _show)


def _show(tid, text, results, err, by):
    print("%s%s" % (text, "  (%s)" % by if by else ""))
    for tool, args, receipt, _, _ in results:
        print("  %s %s -> %s" % (tool, args, receipt))
