"""What the bench's soak finds in what a board told."""

from typing import Any

import pytest

from hil_tests.events import in_order
from hil_tests.soak import Ledger, slope
from tools.hil.wire import Heard


def event(n: int, boot: int = 1, kind: str = "fired", **fields: Any) -> Heard:
    body = {"kind": kind, "boot": boot, "n": n, "by": "beat", "receipt": {"epoch": n}, **fields}
    return Heard(float(n), "event", body, 100)


def done(id_: str, **receipt: Any) -> Heard:
    return Heard(1.0, "done", {"id": id_, "receipt": receipt}, 50)


def taken(*heard: Heard) -> Ledger:
    ledger = Ledger()
    for one in heard:
        ledger.take(one)
    ledger.close()
    return ledger


def test_all_is_well() -> None:
    again = event(2)
    ledger = taken(
        event(1, kind="boot"), event(2), again, event(5, dropped=2), done("a", level=1),
        done("a", level=1), event(1, boot=2, kind="boot"), event(2, boot=2),
    )  # fmt: skip
    assert ledger.faults == []
    assert (ledger.runs, ledger.dropped, ledger.boots) == ({"beat": 3}, 2, [1, 2])


@pytest.mark.parametrize(
    "heard, said",
    [
        ((event(1), event(3)), "1 events never came, 0 are counted"),
        ((event(1), event(2, dropped=1)), "0 events never came, 1 are counted"),
        ((event(1), event(3, dropped=1), event(2)), "out of order"),
        ((event(1), event(1, receipt={"epoch": 9})), "not alike"),
        ((event(1, kind="error"),), "told of a fault"),
        ((event(1, receipt={"err": "internal"}),), "a run failed"),
        ((done("a", level=1), done("a", level=0)), "answered twice"),
    ],
)
def test_what_must_not_be_is_found(heard: tuple[Heard, ...], said: str) -> None:
    faults = taken(*heard).faults
    assert len(faults) == 1 and said in faults[0], faults


def test_its_memory_does_not_grow() -> None:
    ledger = taken(*(event(n) for n in range(1, 2000)), *(done(str(n)) for n in range(2000)))
    assert ledger.faults == [] and ledger.runs == {"beat": 1999}
    assert len(ledger._recent) == len(ledger._receipts) == 64


def test_a_slope_is_not_moved_by_a_few() -> None:
    points = [(float(t), 1000.0 - 2 * t) for t in range(50)]
    assert slope(points) == -2
    points[10] = (10.0, 9000.0)
    points[30] = (30.0, -9000.0)
    assert slope(points) == pytest.approx(-2)
    assert slope([]) == slope([(1.0, 5.0)]) == 0


def test_in_order() -> None:
    told = [event(4), event(4), event(7, dropped=2), event(1, boot=2)]
    assert [body["n"] for body in in_order(told, 1)] == [4, 7]
    with pytest.raises(AssertionError, match="out of order"):
        in_order([event(4), event(3)], 1)
    with pytest.raises(AssertionError, match="1 never came, 0 were"):
        in_order([event(4), event(6)], 1)
