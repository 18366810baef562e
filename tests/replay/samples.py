"""The real traces that lie beside the tests, and all of them where they are at hand."""

from __future__ import annotations

import functools
import lzma
from pathlib import Path
from typing import Any

import septum
from septum.replay.replay import replay
from septum.replay.result import Result

HERE = Path(__file__).parent / "traces"
SHARED = Path(septum.__file__).parents[2] / "shared" / "traces"
ALL = tuple(sorted(SHARED.rglob("*.trace.gz")))
SMALL = "6.12-race-exits"
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


def replayed(tmp_path: Path, text: str, **options: Any) -> Result:
    """What a replay of this text finds."""
    file = tmp_path / "trace"
    file.write_text(text)
    return replay(str(file), **options)
