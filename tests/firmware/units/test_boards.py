# The board files: every pin is said once, and of each that is denied, why.
from boards import esp32, esp32c3, esp32c6, esp32s2, esp32s3

from ganglion.guard import Guard, Refused

BOARDS = ((esp32, 40), (esp32s2, 47), (esp32s3, 49), (esp32c3, 22), (esp32c6, 31))


def test_each_pin_is_said_once():
    for board, count in BOARDS:
        said = list(board.IO) + list(board.IN)
        for first, last, why in board.DENIED:
            assert first <= last and why, board.NAME
            said += range(first, last + 1)
        assert len(set(said)) == len(said), (board.NAME, sorted(said))
        assert max(said) < count, board.NAME
        missing = [n for n in range(count) if n not in said]
        # Numbers that the chip does not bring out.
        absent = {
            "esp32": [20, 24, 28, 29, 30, 31, 37, 38],
            "esp32s2": list(range(22, 26)),
            "esp32s3": list(range(22, 26)),
        }
        assert missing == absent.get(board.NAME, []), (board.NAME, missing)
        assert board.__name__ == "boards." + board.NAME


def test_what_a_board_denies_is_refused_with_its_reason():
    for board, _ in BOARDS:
        guard = Guard(board)
        for first, last, why in board.DENIED:
            for gpio in (first, last):
                for output in (True, False):
                    try:
                        guard.check(gpio, output)
                        raise AssertionError("%s takes %d" % (board.NAME, gpio))
                    except Refused as e:
                        assert e.args[0] == "pin %d %s" % (gpio, why), e.args
        for gpio in board.IO:
            guard.check(gpio, True)
        for gpio in board.IN:
            guard.check(gpio, False)
