"""What the documentation points to is there, and its tables of modules are those of the tree."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^```.*?^```", re.S | re.M)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`]+)`")


def text_of(page: Path) -> str:
    """Without fenced blocks, whose brackets are no links and whose # are no headings."""
    return _FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """The headings as links name them: lower case, blanks to hyphens, no punctuation."""
    headings = re.findall(r"^#+ (.*)$", text_of(page), re.M)
    return {
        re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_link_is_dead(page: Path) -> None:
    for link in _LINK.findall(text_of(page)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


def table_after(page: str, heading: str) -> list[str]:
    """The first cells of the first table below a heading."""
    _, _, rest = (ROOT / "docs" / page).read_text().partition(f"\n{heading}\n")
    lines = rest.splitlines()
    begins = next(n for n, line in enumerate(lines) if line.startswith("|"))
    cells = []
    for line in lines[begins + 2 :]:
        if not line.startswith("|"):
            break
        cells.append(line.split("|")[1])
    return cells


def files_of(cells: list[str]) -> set[str]:
    """`` `router/run.py`, `gate.py` `` are two files of one folder."""
    found = set()
    for cell in cells:
        folder = ""
        for name in _CODE.findall(cell):
            head, slash, _ = name.rpartition("/")
            folder = head + slash or folder
            found.add(name if slash else folder + name)
    return found


def test_the_parts_of_the_companion_are_those_of_the_tree() -> None:
    companion = ROOT / "companion"
    top = {
        path.name + ("/" if path.is_dir() else "")
        for path in companion.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert files_of(table_after("architecture.md", "### `companion/`")) == top - {"__init__.py"}


def test_the_modules_of_the_companion_are_those_of_the_tree() -> None:
    folders = ("backends", "config", "meter", "ops", "router", "store", "web")
    modules = {
        f"{folder}/{path.name}"
        for folder in folders
        for path in (ROOT / "companion" / folder).glob("*.py")
        if path.name != "__init__.py"
    }
    assert files_of(table_after("companion.md", "## Modules")) == modules
