# What keys do to a line on the serial port, whatever terminal sends them.
from ganglion import edit

DONE, BAD, HIDDEN = 2, 4, 1
SLOW, FAST = 300, 0  # milliseconds between a person's keys, and between the bytes of a tool


class Screen:
    """Stands where sys.stdout is; `buffer` is the same."""

    def __init__(self):
        self.out = b""
        self.buffer = self
        self.stdout = self

    def write(self, data):
        self.out += data.encode() if isinstance(data, str) else data


def lines(keys, gap=SLOW, flags=0, hidden=0):
    """`(line, or None where it was refused) of each, what was shown, flags`. `keys` are bytes, or
    a list of them with pauses between."""
    screen = edit.sys = Screen()
    edit.print = lambda *words: screen.write(" ".join(words) + "\n")
    found = []
    line = bytearray()
    for burst in keys if isinstance(keys, list) else [keys]:
        ms = SLOW
        for c in burst:
            flags = edit.key(line, bytes((c,)), flags | hidden, "> ", ms)
            ms = gap
            if flags & DONE:
                found.append(None if flags & BAD else str(line, "utf-8"))
                line = bytearray()
                flags &= ~15
    return found, screen.out, flags


def test_a_line_ends_with_cr_or_lf_or_both():
    for end in (b"\r", b"\n", b"\r\n"):
        found, shown, _ = lines(b"status" + end + b"points" + end)
        assert found == ["status", "points"], (end, found)
        assert shown == b"status\npoints\n", shown
    assert lines(b"a\n\r\nb\r\r")[0] == ["a", "", "b", ""]


def test_each_key_is_echoed_and_a_secret_is_not():
    assert lines(b"abc")[1] == b"abc"
    found, shown, _ = lines(b"geheim\x7f\r", hidden=HIDDEN)
    assert found == ["gehei"] and b"ge" not in shown


def test_backspace_takes_a_whole_character():
    for key in (b"\x08", b"\x7f"):
        assert lines("na".encode() + key + b"\r")[0] == ["n"]
        assert lines("Tür".encode() + key * 2 + b"\r")[0] == ["T"]
        assert lines("灯🔥".encode() + key + b"!\r")[0] == ["灯!"]
        assert lines(key * 5 + b"x\r")[0] == ["x"]
    # What may be wide is drawn anew, what is not is taken back.
    assert lines(b"ab\x7f")[1] == b"ab\b \b"
    assert lines("aé\x7f".encode())[1].endswith(b"\r\x1b[K> a")


def test_ctrl_u_empties_the_line():
    found, shown, _ = lines(b"turn on\x15help\r")
    assert found == ["help"] and b"\r\x1b[K> help" in shown


def test_arrows_and_function_keys_type_nothing():
    for keys in (b"\x1b[A", b"\x1bOP", b"\x1b[15~", b"\x1b[1;5C", b"\x1b[[A", b"\x1bx"):
        assert lines(b"he" + keys + b"lp\r")[0] == ["help"], keys
    # A sequence that never ends does not swallow the next line.
    assert lines(b"\x1b[1\rhelp\r")[0] == ["", "help"]


def test_keys_that_mean_nothing_here_do_nothing():
    assert lines(b"\x01a\x04b\x05c\x0c\x17\x1ad\te\r")[0] == ["abcd e"]


def test_a_line_is_bounded_and_one_that_is_longer_does_not_run():
    found, shown, _ = lines(b"x" * 1024 + b"\r")
    assert found == ["x" * 1024]
    found, shown, _ = lines(b"x" * 5000 + b"\rhelp\r")
    assert found == [None, "help"] and shown.count(b"x") == 1024
    assert b"A line may have 1024 bytes. Nothing was done." in shown
    assert lines(b"x" * 5000 + b"\x15help\r")[0] == ["help"]
    assert lines([b"x" * 5000 + b"\r", b"help\r"], FAST)[0] == [None, "help"]


def test_noise_runs_nothing_is_not_kept_and_is_told_once():
    noise = b"\xf8\x00\x80\xe6\x1eq\xff\r" * 300
    found, shown, _ = lines(noise, FAST)
    assert found == [None] * 300 and shown.count(b"115200") == 1, shown[:200]
    assert lines(b"\x00" + b"turn on pin 5\r", FAST)[0] == [None]
    assert lines(b"turn on\xff\r")[0] == [None]  # no UTF-8
    # Some of it looks like a line; after a pause a person types one, and noise is told again.
    assert lines(b"\xff\rhelp\rx\r", FAST)[0] == [None] * 3
    found, shown, _ = lines([noise, b"help\r", noise], FAST)
    assert found == [None] * 300 + ["help"] + [None] * 300 and shown.count(b"115200") == 2


def stops(keys, gap=FAST):
    try:
        return lines(keys, gap)
    except KeyboardInterrupt:
        return True


def test_tools_get_the_prompt_of_micropython():
    assert stops([b"\r\x03\r\x01"]) is True  # mpremote
    assert stops([b"\r\x03\x03"]) is True  # pyboard.py, rshell, ampy
    assert stops([b"sta", b"\r\x03"]) is True
    assert stops([b"\x03", b"\x03"]) is True  # a person, or an editor that sends it until it works


def test_one_ctrl_c_empties_the_line():
    found, shown, _ = stops([b"turn", b"\x03", b"help\r"])
    assert found == ["help"] and b"Ctrl-C again" in shown
    assert stops([b"\x03", b"h", b"\x03", b"elp\r"])[0] == ["elp"]
    # Not minutes later.
    flags = lines([b"\x03"])[2]
    assert not edit.key(bytearray(), b"\x03", flags, "> ", 60000) & DONE
    # What a secret is asked for is taken back.
    assert lines([b"abc", b"\x03"], hidden=HIDDEN)[0] == [None]


def test_noise_does_not_stop_the_agent():
    for noise in (b"\xff\r\x03\r\x03\x03\x03\r\x03", b"x\x03\x03", b"\x80\r\x03"):
        assert stops([noise]) is not True, noise
    assert stops([b"paste\x03d\r"])[0] == [None]


def test_what_comes_meanwhile_is_shown_beside_the_line():
    screen = edit.sys = Screen()
    edit.print = lambda *words: screen.write(" ".join(words) + "\n")
    edit.show([bytearray(b"turn o"), "> ", 0, 0], "Wi-Fi is gone")
    assert screen.out == b"\r\x1b[KWi-Fi is gone\n\r\x1b[K> turn o", screen.out
    screen.out = b""
    edit.show([bytearray(b"secret"), "Password: ", HIDDEN, 0], "x")
    assert screen.out == b"\r\x1b[Kx\n\r\x1b[KPassword: "
    screen.out = b""
    edit.show([bytearray(), "", 0, 0], "x")
    assert screen.out == b"x\n"
