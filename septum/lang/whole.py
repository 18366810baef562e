"""Files that are there as a whole or not at all, whatever becomes of the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from septum.lang.errors import UserError


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which gets its name at the end; UserError where the disk fails, and what stood there before still does.

    What is no plain file, as a pipe or /dev/stdout, is written to where it is.
    """
    try:
        with path.open("wb") if path.is_symlink() or (path.exists() and not path.is_file()) else _renamed(path) as file:
            yield file
    except OSError as error:
        raise UserError(f"{path}: {(error.strerror or str(error)).lower()}") from None


@contextmanager
def _renamed(path: Path) -> Iterator[BinaryIO]:
    part = path.with_name(f".{path.name[:200]}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_whole(path: Path, text: str) -> None:
    """Writes a text so."""
    with whole(path) as file:
        file.write(text.encode())
