"""The whole of a model that is explored: its threads, what reduces its states, and the explorer; one translation unit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from septum import reduce
from septum.lang.model import Property
from septum.reduce.symmetry import symmetry_tables
from septum.translate import unit
from septum.translate.translation import Translation

NOTES_WRITES = "#define NOTES_WRITES\n"
HERE, REDUCE = Path(__file__).parent, Path(reduce.__file__).parent
PARTS = (REDUCE / "footprints.c", HERE / "watch.c", symmetry_tables, REDUCE / "symmetry.c", REDUCE / "automorphisms.c")


def explored(translation: Translation, properties: Sequence[Property], explorer: str) -> str:
    """The C of a translation whose entries are read, with the explorer behind it; it is kept as the translation's code."""
    translation.judge(properties)
    parts = [part.read_text() if isinstance(part, Path) else part(translation) for part in PARTS]
    translation.code = NOTES_WRITES + unit.threads(translation, properties, *parts, explorer)
    return translation.code
