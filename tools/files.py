"""Files that others read while we write them."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def write_private(path: Path, text: str, account: tuple[int, int] | None = None) -> None:
    """Replace ``path`` by ``text`` at one instant, mode 0600, owned by ``account`` if given.

    A reader sees the old content or the new, never a part; a crash leaves the old.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600 by itself
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if account is not None:
                os.fchown(file.fileno(), *account)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
