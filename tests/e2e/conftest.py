from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.rig import Board, System


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One system a module, with `commands` only."""
    s = System(tmp_path_factory.mktemp("gn"))
    yield s
    s.close()


@pytest.fixture(scope="module")
def board(system: System) -> Board:
    return system.board()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[type[System]]:
    """Makes systems of one's own: `fresh(toml)`; closed at the end."""
    made: list[System] = []

    def make(toml: str = "") -> System:
        s = System(tmp_path, toml)
        made.append(s)
        return s

    yield make  # type: ignore[misc]
    for s in made:
        s.close()
