"""The real traces that lie beside the tests, and all of them where they are at hand."""

from __future__ import annotations

import functools
import lzma
from pathlib import Path

import septum

HERE = Path(__file__).parent / "traces"
ALL = Path(septum.__file__).parent.parent.parent / "shared" / "traces"
SAMPLES = tuple(sorted(file.name.removesuffix(".trace.xz") for file in HERE.glob("*.trace.xz")))


def file_of(name: str) -> Path:
    """Where a sample lies."""
    return HERE / f"{name}.trace.xz"


@functools.cache
def text_of(name: str) -> str:
    """The text of a sample."""
    return lzma.decompress(file_of(name).read_bytes()).decode()


def lines_of(name: str) -> list[str]:
    """Its lines."""
    return text_of(name).splitlines()
