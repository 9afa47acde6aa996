"""Each example of docs/commands.md does what the page says."""

import re
from pathlib import Path

import pytest

from companion.backends.commands import plan_intents
from companion.backends.commands.intents import ROWS
from tests.companion.commands.kit import PLANNING, POINTS, TOOLS, ask

PAGE = (Path(__file__).parents[3] / "docs" / "commands.md").read_text(encoding="utf-8")


DONE = ("said done", "said why", "said planned", "said why not")


def examples() -> list[tuple[str, str, bool]]:
    """The rows of each table headed "said", what is done or, under "why", "declined"; whether
    it takes the tools of planning."""
    found = []
    heads = ""
    for line in PAGE.splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")] if line.startswith("|") else []
        if len(cells) != 2:
            heads = ""
        elif not heads:
            heads = " ".join(cells)
        elif heads in DONE and not cells[0].startswith("---"):
            done = cells[1].strip("`") if heads in ("said done", "said planned") else "declined"
            found.append((cells[0], done, heads in ("said planned", "said why not")))
    return found


EXAMPLES = examples()


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) > 130


@pytest.mark.parametrize(("said", "done", "plans"), EXAMPLES, ids=[s for s, _, _ in EXAMPLES])
def test_example(said: str, done: str, plans: bool) -> None:
    assert ask(said, tools=PLANNING if plans else TOOLS) == done


def test_the_page_shows_the_points_of_the_tests() -> None:
    rows = re.findall(r"^\| ([\w ]+) \| (\d+) \| (in|out) \|$", PAGE, re.MULTILINE)
    assert rows == [(p.name, str(p.pin), p.dir) for p in POINTS]


def test_the_number_of_templates_is_about_right() -> None:
    said = re.search(r"some (\d+) templates", PAGE)
    assert said is not None and abs(int(said[1]) - len(ROWS)) < 20
    said = re.search(r"second table of some (\d+)", PAGE)
    assert said is not None and abs(int(said[1]) - len(plan_intents.ROWS)) < 10
