"""What the tests of the bench share."""

import pytest

from hil_tests.jumper import Jumper
from tools.hil.board import Board
from tools.hil.capabilities import Capabilities


@pytest.fixture
def jumper(board: Board, has: Capabilities) -> Jumper:
    """The jumper, its near end low."""
    assert has.jumper, "the test wants @pytest.mark.needs('jumper')"
    wire = Jumper(board, has.jumper.from_pin, has.jumper.to_pin)
    wire.ready()
    return wire
