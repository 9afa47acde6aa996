"""A build as what a slot of the chip holds: which files, their manifest, their version as a number.

What lies in the root is none of them: `main.py` chooses between the slots, and comes by USB only.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from tools.build import Build, Entry

MANIFEST: Final = "manifest.json"


@dataclass(frozen=True)
class Package:
    """``manifest`` is the file itself; ``files`` by path in the slot."""

    build: Build
    version: int
    manifest: bytes
    files: dict[str, Entry]

    def content(self, path: str) -> bytes:
        """A file's bytes, the manifest's too. Raises OSError."""
        return self.manifest if path == MANIFEST else (self.build.root / path).read_bytes()


def number(version: str) -> int:
    """Grows as versions do: ``0.1.0`` is 1024. 0 for what is no version; suffixes do not count."""
    found = re.match(r"(\d{1,3})\.(\d{1,3})(?:\.(\d{1,3}))?", version)
    return 0 if found is None else int(found[1]) << 20 | int(found[2]) << 10 | int(found[3] or 0)


def package(build: Build) -> Package:
    """What of ``build`` goes into a slot."""
    files = {path: entry for path, entry in build.files.items() if "/" in path}
    version = number(build.version)
    # JSON, and a file a line: a chip reads it line by line, in the memory of one.
    head = json.dumps({"fw": build.version, "v": version}, separators=(",", ":"))[:-1]
    rows = (
        json.dumps([path, entry.size, entry.sha256], separators=(",", ":"))
        for path, entry in sorted(files.items())
    )
    manifest = f'{head},"files":[\n' + ",\n".join(rows) + "\n]}\n"
    return Package(build, version, manifest.encode(), files)


def has_slots(build: Build) -> bool:
    """Whether its main.py has a slot chosen (choose.py); else files lie in the root."""
    try:
        return b'"choose"' in (build.root / "main.py").read_bytes()
    except OSError:
        return False
