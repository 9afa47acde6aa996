"""Stock MicroPython images: which, from where, and is it the one."""

from __future__ import annotations

import hashlib
import os
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.paths import CACHE
from tools.problem import Problem, Usage

_TABLE: Final = Path(__file__).parent / "images.toml"
_CHUNK_BYTES: Final = 64 * 1024
_TIMEOUT_S: Final = 30.0
BYTES_MAX: Final = 16 * 1024 * 1024

Progress = Callable[[int, int], None]
"""Bytes that are there, bytes in all (0: not known)."""


@dataclass(frozen=True, slots=True)
class Image:
    """One image. ``sha256`` "" where none is known: then it is not used."""

    chip: str
    version: str
    url: str
    sha256: str
    offset: int

    @property
    def file(self) -> str:
        return self.url.rsplit("/", 1)[-1]


def table(path: Path = _TABLE) -> dict[str, Image]:
    """Chip (``esp32c3``) → image. ``$GANGLION_IMAGES`` names another table."""
    data = tomllib.loads(Path(os.environ.get("GANGLION_IMAGES") or path).read_text())
    return {
        chip: Image(
            chip, data["version"], f"{data['base']}/{row['file']}", row["sha256"], row["offset"]
        )
        for chip, row in data.items()
        if isinstance(row, dict)
    }


def cache() -> Path:
    """Where downloads are kept: ``$GANGLION_IMAGE_CACHE``, or the checkout's cache."""
    own = os.environ.get("GANGLION_IMAGE_CACHE")
    return Path(own) if own else CACHE / "images"


def of(chip: str) -> Image:
    """The stock image for a chip. Problem where there is none."""
    images = table()
    image = images.get(chip)
    if image is None:
        known = ", ".join(sorted(images))
        raise Problem(f"there is no image for {chip} in the table (it has {known}); IMAGE=path")
    if not image.sha256:
        raise Problem(
            f"no verified hash of {image.file} is known, so it is not downloaded. Fetch {image.url}"
            " yourself, check it, and give it: IMAGE=path"
        )
    return image


def own(path: Path, chip: str) -> Image:
    """An image of the user's own, at the offset that its chip wants."""
    if not path.is_file():
        raise Usage(f"IMAGE: there is no file {path}")
    known = table().get(chip)
    if known is None:
        raise Problem(f"{chip} is not known here: its offset in flash is not")
    return Image(chip, "", path.as_uri() if path.is_absolute() else str(path), "", known.offset)


def fetch(image: Image, cache: Path, progress: Progress) -> Path:
    """The file of an image, downloaded once. A download that was cut goes on from where it was.

    Problem where it cannot be had, or where it is not the one: then it is removed, too.
    """
    cache.mkdir(parents=True, exist_ok=True)
    whole = cache / image.file
    if whole.exists():
        if _sha256(whole) == image.sha256:
            return whole
        whole.unlink()
    part = whole.with_suffix(".part")
    _download(image.url, part, progress)
    found = _sha256(part)
    if found != image.sha256:
        part.unlink()
        raise Problem(
            f"{image.url} is not what it should be, and was removed; nothing was written.\n"
            f"    expected sha256 {image.sha256}\n    found    sha256 {found}"
        )
    part.replace(whole)
    return whole


def _download(url: str, part: Path, progress: Progress) -> None:
    there = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "ganglion"})
    if there:
        request.add_header("Range", f"bytes={there}-")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            if answer.status != 206:  # from the beginning
                there = 0
            total = there + int(answer.headers.get("Content-Length") or 0)
            with part.open("ab" if there else "wb") as file:
                progress(there, total)
                while chunk := answer.read(_CHUNK_BYTES):
                    file.write(chunk)
                    there += len(chunk)
                    progress(there, total)
                    if there > BYTES_MAX:
                        raise Problem(f"{url} is over {BYTES_MAX >> 20} MiB; nothing was written")
            if total and there < total:
                raise Problem(_cut(url, there, total))
    except urllib.error.HTTPError as error:
        if error.code == 416:  # all of it is there
            return
        raise Problem(f"{url} cannot be had: {error.code} {error.reason}") from None
    except (urllib.error.URLError, OSError) as error:
        why = getattr(error, "reason", None) or error
        raise Problem(
            f"{url} cannot be reached: {why}. With an image that you have: IMAGE=path"
        ) from None


def _cut(url: str, there: int, total: int) -> str:
    return f"{url} was cut off at {there:,} of {total:,} bytes; run this again, it goes on there"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
